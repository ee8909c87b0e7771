"""Machine-readable tables of the AAS and CDS: a byte-by-byte description, then the rows."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

_DESCRIPTION: Final = "Byte-by-byte Description"
_SECTION: Final = re.compile(r"^-{4,}\s*$", re.MULTILINE)
_RULES: Final = 3  # lines of dashes around heading and columns of a description
# Some authors fill empty fields with dashes instead of declaring a null value.
_DASHES: Final = [(text, "0") for text in ("--", "---", "----", "-----", "...")]


def mrt_lines(path: Path, content: bytes) -> list[str] | None:
    """Return the lines of a machine-readable table; None when the content is none.

    Parameters
    ----------
    path : Path
        Its folder may hold the CDS ``ReadMe`` that describes a bare data file.
    content : bytes
    """
    text = content.decode("utf-8", "replace")
    if _DESCRIPTION in text[: 2**17]:
        return text.splitlines()
    if path.suffix.lower() != ".dat":
        return None
    for readme in sorted(path.parent.glob("[Rr]ead[Mm]e*")):
        description = _description(readme.read_text(encoding="utf-8", errors="replace"), path.name)
        if description:
            return [*description, *text.splitlines()]
    return None


def _description(readme: str, name: str) -> list[str] | None:
    """Lines that describe a file: the section naming it, or the only one there is."""
    starts = [m.start() for m in re.finditer(f"^{_DESCRIPTION}", readme, flags=re.MULTILINE)]
    sections = []
    for start in starts:
        rules = [match.end() for match in _SECTION.finditer(readme, start)][:_RULES]
        if len(rules) == _RULES:
            sections.append(readme[start : rules[-1]].splitlines())
    for section in sections:
        patterns = re.split(r"[,\s]+", section[0].partition(":")[2].strip())
        if any(fnmatch(name, pattern) for pattern in patterns if pattern):
            return section
    return sections[0] if len(sections) == 1 else None


def read_mrt(lines: list[str], dashes_are_missing: bool = True) -> Any:
    """Read a machine-readable table with its description in front.

    Parameters
    ----------
    lines : list of str
    dashes_are_missing : bool
        Whether a field of dashes is an empty one; in our own tables it is text.

    Returns
    -------
    astropy.table.Table
        Columns labelled ``---``, which hold no data, are left out.
    """
    from astropy.io import ascii as text_tables  # noqa: PLC0415  slow to import

    fill = _DASHES if dashes_are_missing else [("", "0")]
    table = text_tables.read(lines, format="cds", fill_values=fill)
    table.remove_columns([name for name in table.colnames if name.startswith("---")])
    return table
