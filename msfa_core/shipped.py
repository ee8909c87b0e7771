"""Where the files that come with the software lie: ``data/`` of a clone, or of an installation."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msfa_core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

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


def shipped_table(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read a table that comes with the software, or one made like it.

    Parameters
    ----------
    path : Path
        Of a CSV file.
    columns : iterable of str
        That it must have.

    Raises
    ------
    ModelError
        When the file is missing or is another table.
    """
    import pandas as pd  # noqa: PLC0415 (paths are asked for where no table is read)

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); restore the file.") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ModelError(f"{path}: lacks {', '.join(missing)}; restore the file.")
    return table
