"""What the server does once, before the first page is asked for."""

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def on_server_loaded(_server_context: Any) -> None:
    """Compile in the background what would make the first reviewer wait."""
    # A figure that is put together wrongly is found by the tests, not at each page anew (0.1 s).
    os.environ.setdefault("BOKEH_VALIDATE_DOC", "no")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from dashboard.warming import warm_up  # noqa: PLC0415

    warm_up()
