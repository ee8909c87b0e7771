"""Where the files that come with the software lie: ``data/`` of a clone, or of an installation."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Final

from msfa_core.errors import ModelError

CLONE: Final = Path(__file__).resolve().parents[1]
_INSTALLED: Final = Path(sys.prefix) / "share" / "msfa-bhb"  # see data-files in pyproject.toml


def in_clone() -> bool:
    """Tell whether the software runs from a clone of its repository."""
    return (CLONE / "pyproject.toml").is_file() and (CLONE / "data").is_dir()


def shipped(*parts: str) -> Path:
    """Return the path of a file or folder below ``data/``, such as ``shipped("models")``."""
    return (CLONE / "data" if in_clone() else _INSTALLED).joinpath(*parts)


def table_rows(name: str) -> list[dict[str, str]]:
    """Read a table of ``data/reference``, a dictionary a row.

    Raises
    ------
    ModelError
        When the file is missing.
    """
    path = shipped("reference", name)
    if not path.is_file():
        raise ModelError(f"{path}: a table that comes with the software is missing; restore it.")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
