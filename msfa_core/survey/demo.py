"""Where the demo survey lies: the one that opens when no survey is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from msfa_core.shipped import in_clone, shipped

DEMO_VARIABLE: Final = "MSFA_DEMO"


def demo_path() -> Path:
    """Return where the demo survey lies: ``MSFA_DEMO``, ``data/demo`` of a clone, or the cache."""
    named = os.environ.get(DEMO_VARIABLE)
    if named:
        return Path(named)
    if in_clone() and os.access(shipped(), os.W_OK):
        return shipped("demo")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "msfa-bhb" / "demo"
