"""What was understood of a table from outside, and what became of it, in one honest line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from msfa_core.counting import counted
from msfa_core.errors import CatalogueError, shown

EXAMPLES: Final = 3  # cells or rows named
_SHOWN: Final = 4  # columns named in the line
_UNUSED: Final = 8  # columns that are not used named in the line
_FEWEST_SLIPPED: Final = 3
_NAMED: Final = 20  # columns named in a message


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one column that gave no value.

    Attributes
    ----------
    column : str
        Its name in the file.
    n : int
    examples : tuple of (int, str)
        Row (the first is 1) and text of the first of them.
    why : str
    """

    column: str
    n: int
    examples: tuple[tuple[int, str], ...]
    why: str

    def words(self) -> str:
        """Return the cells in words."""
        some = ", ".join(f"row {row}: {text!r}" for row, text in self.examples)
        more = ", …" if self.n > len(self.examples) else ""
        rows = counted(self.n, "row", "rows")
        return f"{self.column} {self.why} in {rows} ({some}{more})"


@dataclass(frozen=True, slots=True)
class Understood:
    """A column that was understood.

    Attributes
    ----------
    name, unit : str
        In the file; the unit is empty where there is none.
    house_unit : str
    how : str
        What was done to the values, in words; empty when nothing.
    """

    name: str
    unit: str
    house_unit: str
    how: str = ""


@dataclass(frozen=True)
class OutsideTable:
    """A table from outside, understood.

    Attributes
    ----------
    name : str
        Of the file, with the table of it that was taken.
    path, kind, checksum : str
    table : (n,) DataFrame
        By house names, in house units; only the columns that were understood.
    columns : dict of str to Understood
        By house name.
    left_out : dict of str to str
        Columns of the file that have a known name and cannot be used, and why.
    missing : dict of str to int
        Cells that say they have no value, by house name.
    no_values : dict of str to int
        Of these, numbers that stand for it (−9999), by the name in the file.
    unreadable, implausible : tuple of Cells
        Cells that say something else than a value, and values that no star can have.
    notes : tuple of str
        What else is to be said.
    release : str
        Of Gaia's identifiers, where the file tells.
    others : DataFrame
        Every other column of the file, as it stands.
    n_rows : int
        Of the file, where only the rows that were wanted have been kept; 0 for all.
    names : tuple of str
        Of all columns of the file.
    unused : tuple of str
        Those of which nothing was taken or said, where the use wants them named.
    """

    name: str
    path: str
    kind: str
    checksum: str
    table: pd.DataFrame
    columns: dict[str, Understood]
    left_out: dict[str, str] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    no_values: dict[str, int] = field(default_factory=dict)
    unreadable: tuple[Cells, ...] = ()
    implausible: tuple[Cells, ...] = ()
    notes: tuple[str, ...] = ()
    release: str = ""
    others: pd.DataFrame = field(default_factory=pd.DataFrame)
    n_rows: int = 0
    names: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold names that are no UTF-8 as any table and file of ours can."""
        object.__setattr__(self, "name", shown(self.name))
        object.__setattr__(self, "path", shown(self.path))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.table)

    def has(self, *names: str) -> bool:
        """Tell whether all of these quantities were understood."""
        return all(name in self.columns for name in names)

    def has_words(self) -> str:
        """Return the names of the file's columns, for a message."""
        more = f" and {len(self.names) - _NAMED} more" if len(self.names) > _NAMED else ""
        return f"{', '.join(self.names[:_NAMED])}{more}" if self.names else "no column"

    def reasons(self) -> str:
        """Return why columns were left out, for a message; empty when none was."""
        if not self.left_out:
            return ""
        words = [f"{name} ({why})" for name, why in self.left_out.items()]
        return f" Left out: {'; '.join(words[:_SHOWN])}."

    def units(self) -> list[str]:
        """Return what was converted, in words."""
        words = []
        for one in self.columns.values():
            if one.how:
                words.append(f"{one.name} {one.how}")
        return words

    def remarks(self) -> list[str]:
        """Return all that is to be said besides what matched."""
        said = []
        if units := self.units():
            more = f" and {len(units) - _SHOWN} more" if len(units) > _SHOWN else ""
            said.append(f"units: {', '.join(units[:_SHOWN])}{more}")
        said += [cells.words() for cells in (*self.unreadable, *self.implausible)]
        if self.no_values:
            words = [f"{name} {n:,}" for name, n in self.no_values.items()]
            more = f" and {len(words) - _SHOWN} more columns" if len(words) > _SHOWN else ""
            said.append(f"no value (−9999 or the like): {', '.join(words[:_SHOWN])}{more}")
        if self.left_out:
            words = [f"{name} ({why})" for name, why in self.left_out.items()]
            more = f"; and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
            said.append(f"left out: {'; '.join(words[:_SHOWN])}{more}")
        if self.unused:
            more = f" and {len(self.unused) - _UNUSED} more" if len(self.unused) > _UNUSED else ""
            said.append(f"not used: {', '.join(self.unused[:_UNUSED])}{more}")
        return [*said, *self.notes]


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of a table in a survey.

    Attributes
    ----------
    n_spectra : int
        Of the survey.
    by : dict of str to int
        Spectra that were found, by what they were found by.
    refused : tuple of str
        Rows that were not used, in words.
    n_refused : int
        How many they are.
    why_refused : str
    notes : tuple of str
        What else is to be said of the match.
    """

    n_spectra: int
    by: dict[str, int]
    refused: tuple[str, ...] = ()
    n_refused: int = 0
    why_refused: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Spectra that were found."""
        return sum(self.by.values())

    def words(self) -> list[str]:
        """Return the match in words."""
        ways = [f"{n:,} by {key}" for key, n in self.by.items() if n]
        how = f" ({', '.join(ways)})" if ways else ""
        found = counted(self.n, "spectrum", "spectra")
        said = [f"{found} matched{how}, {self.n_spectra - self.n:,} not"]
        if self.n_refused:
            some = f": {', '.join(self.refused[:EXAMPLES])}" if self.refused else ""
            rows = counted(self.n_refused, "row", "rows")
            said.append(f"{rows} refused ({self.why_refused}{some})")
        return [*said, *self.notes]


def check_slipped(matched: Matched, what: str) -> None:
    """Refuse a table most of whose identifiers name stars elsewhere than its own places say.

    A column was sorted by itself, or pasted a row off: those that agree do so by chance.

    Raises
    ------
    CatalogueError
    """
    agree = sum(n for way, n in matched.by.items() if way != "position")
    if matched.n_refused >= _FEWEST_SLIPPED and matched.n_refused > agree:
        some = f" ({', '.join(matched.refused[:EXAMPLES])})" if matched.refused else ""
        is_far = "far from" in matched.why_refused
        other = "star far from the place in" if is_far else "spectrum of another observation than"
        raise CatalogueError(
            f"{what}: {matched.n_refused:,} of {matched.n_refused + agree:,} identifiers name a "
            f"{other} their row{some}: a column may have slipped, or been sorted without the "
            "others; mend it, or leave the identifiers out."
        )


def line(table: OutsideTable, matched: Matched | None = None, more: Sequence[str] = ()) -> str:
    """Return the one line that says what became of a table.

    Examples
    --------
    ``gaia.csv: 12,031 rows; 11,870 spectra matched (11,802 by source_id, 68 by position), 161
    not; 3 rows refused (far from the star that their obsid names); units: parallax arcsec → mas``
    """
    said = [counted(table.n_rows or len(table), "row", "rows")]
    if matched is not None:
        said += matched.words()
    text = f"{table.name}: {'; '.join([*said, *more, *table.remarks()])}"
    return " ".join(text.split())


def as_record(
    table: OutsideTable, use: str, matched: Matched | None = None, more: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what provenance keeps of the use of a table."""
    record: dict[str, Any] = {
        "use": use,
        "name": table.name,
        "path": table.path,
        "format": table.kind,
        "checksum": table.checksum,
        "rows": table.n_rows or len(table),
        "columns": {
            house: " ".join(filter(None, (one.name, one.unit, one.how)))
            for house, one in table.columns.items()
        },
        "left_out": table.left_out,
        "not_used": list(table.unused),
        "missing": table.missing,
        "unreadable": {one.column: one.n for one in table.unreadable},
        "implausible": {one.column: one.n for one in table.implausible},
        "line": line(table, matched, more),
    }
    if matched is not None:
        record |= {"matched": matched.by, "refused": matched.n_refused}
    return record
