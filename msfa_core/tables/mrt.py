"""Machine-readable tables of the AAS and CDS: a byte-by-byte description, then the rows."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import numpy as np

_DESCRIPTION: Final = "Byte-by-byte Description"
_BYTES: Final = re.compile(r"\s*(?:(\d+)\s*-\s*)?(\d+)\s+[AFIED]\d+(?:\.\d+)?\s")
_DEGREES: Final = re.compile(  # whole ones, which have no sign where they are −0
    r"(\s*(?:\d+\s*-\s*)?\d+\s+)I(\d+\s+\S+\s+DEd\s)"
)
_PACKED: Final = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)
_FILLING: Final = "\ue000"  # of no alphabet
_SECTION: Final = re.compile(r"^-{4,}\s*$", re.MULTILINE)
_NOTE: Final = re.compile(r"Note\s*\((\w{1,3})\)\s*:")
_MARK: Final = re.compile(r"\((\w{1,3})\)")
_RULES: Final = 3  # lines of dashes around heading and columns of a description
# Some authors leave fields empty, or fill them with dashes, without declaring a null value.
_DASHES: Final = [(text, "0") for text in ("", "--", "---", "----", "-----", "...")]


def mrt_lines(path: Path, content: bytes) -> list[str] | None:
    """Return the lines of a machine-readable table; None when the content is none.

    Parameters
    ----------
    path : Path
        Its folder may hold the CDS ``ReadMe`` that describes a bare data file.
    content : bytes
    """
    lines = None
    if _DESCRIPTION.encode() in content[: 2**17]:
        lines = _lines(content)
    elif (name := _PACKED.sub("", path.name)).lower().endswith(".dat"):
        for readme in sorted(path.parent.glob("[Rr]ead[Mm]e*")):
            description = _description("\n".join(_lines(readme.read_bytes())), name)
            if description:
                lines = [*description, *_lines(content)]
                break
    return None if lines is None else _by_bytes(lines)


def _lines(content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def _by_bytes(lines: list[str]) -> list[str]:
    """Fill up letters of several bytes where a description counts bytes, not letters.

    Then a place in a line is the same in both; `read_mrt` takes the filling out again.
    """
    described = [match for line in lines if (match := _BYTES.match(line))]
    spans = [(int(one[1] or one[2]), int(one[2])) for one in described]
    if not spans or all(line.isascii() for line in lines):
        return lines
    within = {place for first, last in spans for place in range(first - 1, last)}
    gaps = [place for place in range(max(within)) if place not in within]
    out = []
    for line in lines:
        filled = "".join(letter + _FILLING * (len(letter.encode()) - 1) for letter in line)
        letters_fit, bytes_fit = (
            all(one[place : place + 1].strip() == "" for place in gaps) for one in (line, filled)
        )
        out.append(line if letters_fit and not bytes_fit else filled)
    return out


def _description(readme: str, name: str) -> list[str] | None:
    """Lines that describe a file: the section naming it, or the only one there is."""
    starts = [m.start() for m in re.finditer(f"^{_DESCRIPTION}", readme, flags=re.MULTILINE)]
    sections = []
    for start in starts:
        rules = [match.end() for match in _SECTION.finditer(readme, start)][: _RULES + 1]
        has_notes = len(rules) > _RULES and _NOTE.match(readme[rules[-2] : rules[-1]].lstrip())
        if len(rules) >= _RULES:
            end = rules[-1] if has_notes else rules[_RULES - 1]
            sections.append(readme[start:end].splitlines())
    for section in sections:
        patterns = re.split(r"[,\s]+", section[0].partition(":")[2].strip())
        if any(fnmatch(name, pattern) for pattern in patterns if pattern):
            return section
    return sections[0] if len(sections) == 1 else None


def _notes(lines: list[str]) -> dict[str, str]:
    """Return what the notes below a description say, by their marks (``Note (1): …``)."""
    notes: dict[str, str] = {}
    mark = ""
    for line in lines:
        begins = _NOTE.match(line)
        if begins:
            mark = begins[1]
            notes[mark] = line[begins.end() :].strip()
        elif line.startswith(("---", "===")):
            mark = ""
        elif mark:
            notes[mark] += f" {line.strip()}"
    return notes


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
        Columns labelled ``---``, which hold no data, are left out. Degrees of declination are
        text: as a number, −00 has no sign.
    """
    from astropy.io import ascii as text_tables  # noqa: PLC0415  slow to import

    lines = [_DEGREES.sub(r"\1A\2", line) if "DEd" in line else line for line in lines]
    fill = _DASHES if dashes_are_missing else [("", "0")]
    table = text_tables.read(lines, format="cds", fill_values=fill)
    table.remove_columns([name for name in table.colnames if name.startswith("---")])
    notes = _notes(lines)
    for name in table.colnames:
        marks = _MARK.findall(str(table[name].description or "")) if notes else []
        said = [notes[mark] for mark in marks if mark in notes]
        if said:
            table[name].description = " . ".join([str(table[name].description), *said])
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            for row, text in enumerate(np.asarray(table[name])):
                if _FILLING in text:
                    table[name][row] = text.replace(_FILLING, "")
    return table
