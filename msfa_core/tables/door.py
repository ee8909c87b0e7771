"""The one door for tables from outside: read, understood, checked, and refused by name.

Formats are read by libraries (`formats`); each column becomes a quantity in house units or is left
out with a reason, and each cell a value, or missing and counted (`reading`, `places`,
`identities`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.tables.contradictions import contradictions, unlikely
from msfa_core.tables.errors_beside import (
    check_errors,
    check_errors_together,
    leave_out_orphans,
)
from msfa_core.tables.formats import read_file
from msfa_core.tables.identities import elsewhere, identity, older_release
from msfa_core.tables.names import plain, recognise
from msfa_core.tables.places import SEVEN, pairs, seven_columns
from msfa_core.tables.quantities import FASTEST_STAR, quantity
from msfa_core.tables.raw import RawColumn, RawFile, RawTable, is_text
from msfa_core.tables.reading import Reading, Use
from msfa_core.tables.report import OutsideTable
from msfa_core.tables.skies import other_places
from msfa_core.tables.slipped import slipped
from msfa_core.tables.text import problem
from msfa_core.tables.units import (
    UnitProblem,
    says_nothing,
)
from msfa_core.tables.zeros import clipped, unfilled

__all__ = ["Use", "of_frame", "open_table", "understand"]
_FEW_NAMES: Final = 3  # of quantities in a first column: by chance it holds fewer
_MANY_NAMES: Final = 2000  # no table has so many columns


def open_table(path: str | Path, use: Use) -> OutsideTable:
    """Read a table that somebody else made.

    Parameters
    ----------
    path : str or Path
        ``FILE``, or ``FILE#TABLE`` where a file or archive holds several.
    use : Use

    Returns
    -------
    OutsideTable

    Raises
    ------
    CatalogueError
        When the file, or what the use needs of it, cannot be read: file, column, row and text.
    """
    file = read_file(path)
    raw, notes = _chosen(file, use)
    shown = f"{file.path.name}#{raw.name}" if raw.name and len(file.tables) > 1 else file.path.name
    try:
        table = understand(raw, use, str(file.path))
    except CatalogueError as error:
        words = str(error)
        raise (
            error if words.startswith(str(file.path)) else CatalogueError(f"{file.path}: {words}")
        ) from error
    return replace(
        table,
        name=shown,
        path=str(file.path.absolute()) + (f"#{file.wanted}" if file.wanted else ""),
        kind=file.kind,
        checksum=file.checksum,
        notes=(*notes, *table.notes),
    )


def _chosen(file: RawFile, use: Use) -> tuple[RawTable, tuple[str, ...]]:
    """Return the table of a file that is meant."""
    if file.wanted:
        numbered = {str(i): one for i, one in enumerate(file.tables, start=1)}
        named = {one.name.lower(): one for one in reversed(file.tables)} | {
            key: one for key, one in numbered.items() if key not in {t.name for t in file.tables}
        }
        chosen = named.get(file.wanted.lower())
        if chosen is None:
            reason = f"has no table {file.wanted!r}; it has {_listed(file.tables)}"
            raise problem(file.path, reason, "name one of them")
        return chosen, ()
    if len(file.tables) == 1:
        return file.tables[0], ()
    fit = [one for one in file.tables if _suits(one, use)]
    if len(fit) > 1:
        reason = f"holds {len(fit)} tables that could be meant ({_listed(fit)})"
        raise problem(file.path, reason, f"name one as {file.path.name}#NAME")
    chosen = fit[0] if fit else max(file.tables, key=len)
    rest = [one for one in file.tables if one is not chosen]
    return chosen, (f"not used of the file: {_listed(rest)}",)


def _listed(tables: Sequence[RawTable]) -> str:
    words = [
        f"{one.name or i} of {counted(len(one), 'row', 'rows')}"
        for i, one in enumerate(tables, start=1)
    ]
    return ", ".join(words[:8]) + (", …" if len(words) > 8 else "")  # noqa: PLR2004


def _suits(raw: RawTable, use: Use) -> bool:
    found = set(recognise(raw.names, use.vocabulary).found)
    lower = {plain(name) for name in raw.names}
    if set(SEVEN) <= lower:
        found |= {"ra", "dec"}
    return any(set(needs) <= found for needs in use.suits)


def of_frame(
    table: pd.DataFrame, use: Use, what: str = "the table", *, trusted: bool = False
) -> OutsideTable:
    """Understand a table that is in memory already, by the same rules.

    Parameters
    ----------
    table : (n,) DataFrame
        Units in ``table.attrs["units"]`` (name -> unit) count as those of a file.
    use : Use
    what : str
        Its name, for messages.
    trusted : bool
        Whether columns without a unit are in house units for certain, and identifiers exact.
    """
    units = table.attrs.get("units", {})
    columns = [
        RawColumn(str(name), table.iloc[:, i].reset_index(drop=True), units.get(str(name)))
        for i, name in enumerate(table.columns)
    ]
    made = _result(Reading(RawTable("", columns), use, what, trusted))
    made.table.index = table.index
    if len(made.others.columns):
        made.others.index = table.index
    return made


# --- one table -------------------------------------------------------------------------------
def understand(raw: RawTable, use: Use, what: str) -> OutsideTable:
    """Turn the columns of a raw table into quantities.

    Parameters
    ----------
    raw : RawTable
    use : Use
    what : str
        Name of the table, for messages.

    Raises
    ------
    CatalogueError
        When a column holds too much that is no value, or two columns differ in case only.
    """
    _check_lying(raw, use, what)
    return _result(Reading(raw, use, what))


def _check_lying(raw: RawTable, use: Use, what: str) -> None:
    """Refuse a table that lies on its side: names of its first column, and none above the others.

    Raises
    ------
    CatalogueError
    """
    if not raw.columns or not is_text(raw.columns[0].values) or len(raw) > _MANY_NAMES:
        return
    first = raw.columns[0]
    named = recognise([first.name, *first.values.dropna().unique()], use.vocabulary).found
    if len(named) >= _FEW_NAMES and len(recognise(raw.names, use.vocabulary).found) <= 1:
        some = ", ".join(one.name for one in list(named.values())[:_FEW_NAMES])
        raise CatalogueError(
            f"{what}: the names of its columns ({some}) stand in its first column; exchange its "
            "rows and columns."
        )


def _result(reading: Reading) -> OutsideTable:
    """Understand every column that has a known name."""
    order = sorted(reading.found, key=lambda house: bool(quantity(house).follows))
    for house in order:
        if house not in reading.found:
            continue  # left out beside the quantity whose error it is
        found, one = reading.found[house], quantity(house)
        column = reading.by_name[found.name]
        try:
            if one.kind == "id":
                identity(reading, house, column)
            elif one.kind == "text":
                reading.text(house, column)
            else:
                reading.number(one, found, column)
        except UnitProblem as error:
            reading.left_out[column.name] = str(error)
    seven_columns(reading)
    other_places(reading)
    pairs(reading)
    older_release(reading)
    elsewhere(reading)
    if not reading.trusted:
        unfilled(reading)
        clipped(reading)
    _contradictions(reading)
    others = pd.DataFrame()
    if reading.use.keep_others:
        used = {one.name for one in reading.columns.values()}
        others = pd.DataFrame(
            {one.name: one.values for one in reading.raw.columns if one.name not in used}
        )
    table = pd.DataFrame(
        {
            house: reading.values[house]
            for house in reading.use.vocabulary
            if house in reading.values
        },
        index=pd.RangeIndex(len(reading.raw)),
    )
    return OutsideTable(
        name=Path(reading.what).name,
        path=reading.what,
        kind="",
        checksum="",
        table=table,
        columns={name: reading.columns[name] for name in table.columns},
        left_out=reading.left_out,
        missing={name: n for name, n in reading.missing.items() if n},
        no_values=reading.no_values,
        unreadable=tuple(reading.unreadable),
        implausible=tuple(reading.implausible),
        notes=tuple(dict.fromkeys(reading.notes)),
        release=reading.release,
        others=others,
        names=tuple(reading.raw.names),
        unused=reading.unused(),
    )


def _contradictions(reading: Reading) -> None:
    """Leave out columns that contradict each other, or can hardly be what they are called."""
    if reading.trusted:
        return
    _fast_stars(reading)
    names = {house: one.name for house, one in reading.columns.items()}
    said = {house for house, one in reading.columns.items() if not says_nothing(one.unit)}
    said |= {house for house, one in reading.found.items() if one.unit}
    if why := slipped(reading.values, names):
        raise CatalogueError(f"{reading.what}: {why}.")
    beside = {plain(column.name): column.values for column in reading.raw.columns}
    doubts = contradictions(reading.values, names)
    doubts |= unlikely(reading.values, names, said, beside)
    for house, why in doubts.items():
        reading.left_out[reading.columns.pop(house).name] = why
        del reading.values[house]
    check_errors(reading)
    check_errors_together(reading)
    leave_out_orphans(reading)


def _fast_stars(reading: Reading) -> None:
    """Leave out shifts of stars that no star has: velocities in km/s, or of a galaxy."""
    if not {"z", "class"} <= reading.values.keys():
        return
    are_stars = reading.values["class"].str.strip().str.upper() == "STAR"
    z = reading.values["z"].to_numpy(np.float64)
    beyond = are_stars.fillna(False).to_numpy(bool) & (z > FASTEST_STAR)
    if beyond.any():
        column = reading.by_name[reading.columns["z"].name]
        reading.implausible.append(reading.cells(column, beyond, "is no shift of a star"))
        reading.values["z"] = pd.Series(np.where(beyond, np.nan, z))
