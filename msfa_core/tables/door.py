"""The one door for tables from outside: read, understood, checked, and refused by name.

Formats are read by libraries (`formats`); here each column becomes a quantity in house units or is
left out with a reason, and each cell a value, or missing and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.errors import CatalogueError
from msfa_core.tables.cells import Style, angles, clean, is_missing, numbers
from msfa_core.tables.contradictions import contradictions, unlikely
from msfa_core.tables.formats import RawColumn, RawFile, RawTable, problem, read_file
from msfa_core.tables.identifiers import Identifiers, read_identifiers
from msfa_core.tables.names import Found, Vocabulary, plain, recognise
from msfa_core.tables.quantities import FASTEST_STAR, Quantity, limit_words, quantity
from msfa_core.tables.report import EXAMPLES, Cells, OutsideTable, Understood
from msfa_core.tables.said import OLDEST_FK5, frame_of_place, otherwise, to_today
from msfa_core.tables.units import (
    ASTROMETRIC_ERRORS,
    Conversion,
    UnitProblem,
    check_middle,
    convert,
    follow,
    from_logarithm,
    is_sexagesimal,
    judged,
    led_by_error,
    says_nothing,
)
from msfa_core.typing import BoolArray, FloatArray

UNREADABLE_SHARE: Final = 0.1  # of a column: beyond it the file is something else than it says
_IMPLAUSIBLE_SHARE: Final = 0.5
_IMPLAUSIBLE_SHIFTS: Final = 0.2  # of a column called z, which may be km/s or a height
_NO_VALUES: Final = (-999.0, -9999.0, -99999.0, -999.9, -9999.9, -999.99, -999.999)
_NO_VALUES_OF: Final = {
    "ra": (-99.0, -99.9, -99.99, -99.999, -1.0),
    "dec": (-99.0, -99.9, -99.99, -99.999),
    "pmra": (9999.0, 9999.99, -99.99, -99.999, -99.9999, 99.999),
    "pmdec": (9999.0, 9999.99, -99.99, -99.999, -99.9999, 99.999),
    "parallax_mas": (-99.0, -99.9, -99.99, -99.999, -99.9999),
    "rv": (9999.0, 99999.0, 999.9, 999.99),
}
_CIRCLE: Final = 360.0  # deg
_NINES: Final = re.compile(r"-?9{2,}(\.9*0*)?")
_ABSURD: Final = 1e10
_LIMITS: Final = ("<", ">", "<=", ">=", "≤", "≥", "<~", ">~")
_EQUINOXES: Final = ("equinox", "eqnx", "equin", "coord_equinox", "radec_equinox")
_SEVEN: Final = ("rah", "ram", "ras", "ded", "dem", "des")  # of CDS and AAS tables, and DE-
_ODD_ID_NAMES: Final = ("source", "gaia", "gaia_name", "designation")  # may be anybody's
_NO_NUMBER: Final = "is no whole number from 1 to 2⁶³"
_SMALLEST_SOURCE: Final = 4_295_806_720
_OLD_EPOCHS: Final = {2015.5: "DR2", 2015.0: "DR1"}
_OLD_NAMES: Final = re.compile(
    r"(gaia[\s_]*)?(dr2|gdr2)([\s_]*(source_?id|name|id))?|.*(source_?id|gaia|gaia_?id)[\s_]*dr2|gaia_?dr2_.*id|gaia_?dr2",
    re.I,
)
_OLD_TEXT: Final = re.compile(r"\bI/345\b|gaiadr2\.|\bGaia[\s_-]*DR2\b", re.IGNORECASE)
_NEW_TEXT: Final = re.compile(r"\bI/35[05]\b|gaiae?dr3\.|\bGaia[\s_-]*E?DR3\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Use:
    """What a table is wanted for.

    Attributes
    ----------
    name : str
        In words, for messages: ``a Gaia table``.
    vocabulary : mapping
        House name -> names in files, the first one present counts.
    suits : tuple of tuple of str
        The table can be used when all quantities of one of these are there.
    keep_others : bool
        Whether the other columns of the file are wanted as they stand.
    beside : tuple of str
        In a pair table (``ra_1``, ``ra_2``) the columns nearest to these are meant.
    """

    name: str
    vocabulary: Vocabulary
    suits: tuple[tuple[str, ...], ...]
    keep_others: bool = False
    beside: tuple[str, ...] = ()


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
    words = [f"{one.name or i} of {len(one):,} rows" for i, one in enumerate(tables, start=1)]
    return ", ".join(words[:8]) + (", …" if len(words) > 8 else "")  # noqa: PLR2004


def _suits(raw: RawTable, use: Use) -> bool:
    found = set(recognise(raw.names, use.vocabulary).found)
    lower = {plain(name) for name in raw.names}
    if set(_SEVEN) <= lower:
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
    made = _Reading(RawTable("", columns), use, what, trusted).result()
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
    return _Reading(raw, use, what).result()


class _Reading:
    """The columns of one table on their way into the house."""

    def __init__(self, raw: RawTable, use: Use, what: str, trusted: bool = False) -> None:
        self.raw, self.use, self.what, self.trusted = raw, use, what, trusted
        self.by_name = {column.name: column for column in raw.columns}
        known = recognise(raw.names, use.vocabulary, use.beside)
        self.found = dict(known.found)
        self.left_out = dict(known.doubtful) | {
            name: why for name, why in raw.left_out.items() if _is_wanted(name, use)
        }
        self.values: dict[str, pd.Series] = {}
        self.columns: dict[str, Understood] = {}
        self.missing: dict[str, int] = {}
        self.no_values: dict[str, int] = {}
        self.unreadable: list[Cells] = []
        self.implausible: list[Cells] = []
        self.notes: list[str] = list(raw.notes)
        self.notes += [
            f"{name} is left out: {why}"
            for name, why in raw.left_out.items()
            if name not in self.left_out
        ]
        self.release = ""
        self.leaders: dict[str, Conversion] = {}
        self.epoch = float("nan")  # of the places, where the file says it once for all
        for house, rivals in known.rivals.items():
            self._settle(house, rivals)
        for house, one in self.found.items():  # columns that bear one name
            same = [Found(other.name) for other in raw.columns if other.repeats == one.name]
            self._settle(house, (one, *same))
        self.style: Style = self._style()

    def _settle(self, house: str, rivals: Sequence[Found]) -> None:
        """Take the first of columns whose names are the same, case aside, where they agree."""
        first = self.by_name[rivals[0].name].values.astype("str")
        for other in rivals[1:]:
            if not first.equals(self.by_name[other.name].values.astype("str")):
                names = " and ".join(one.name for one in rivals)
                raise CatalogueError(
                    f"{self.what}: columns {names} could both be {house}, and differ; rename the "
                    "one that is not."
                )

    def _style(self) -> Style:
        """Return what a comma means in this table, where one of its columns says so."""
        columns = [
            self.by_name[found.name].values
            for house, found in self.found.items()
            if quantity(house).kind in ("number", "ra", "dec")
            and _is_text(self.by_name[found.name].values)
        ]
        if not any(_has_comma(values) for values in columns):
            return ""
        styles = {numbers(values).style for values in columns}
        styles &= {"comma", "point"}
        if styles == {"comma"}:
            return "comma"
        return "point" if styles == {"point"} else ""

    def result(self) -> OutsideTable:
        """Understand every column that has a known name."""
        order = sorted(self.found, key=lambda house: bool(quantity(house).follows))
        for house in order:
            found, one = self.found[house], quantity(house)
            column = self.by_name[found.name]
            try:
                if one.kind == "id":
                    self._identifier(house, column)
                elif one.kind == "text":
                    self._text(house, column)
                else:
                    self._number(one, found, column)
            except UnitProblem as error:
                self.left_out[column.name] = str(error)
        self._seven_columns()
        self._pairs()
        self._older_release()
        self._contradictions()
        others = pd.DataFrame()
        if self.use.keep_others:
            used = {one.name for one in self.columns.values()}
            others = pd.DataFrame(
                {one.name: one.values for one in self.raw.columns if one.name not in used}
            )
        table = pd.DataFrame(
            {house: self.values[house] for house in self.use.vocabulary if house in self.values},
            index=pd.RangeIndex(len(self.raw)),
        )
        return OutsideTable(
            name=Path(self.what).name,
            path=self.what,
            kind="",
            checksum="",
            table=table,
            columns={name: self.columns[name] for name in table.columns},
            left_out=self.left_out,
            missing={name: n for name, n in self.missing.items() if n},
            no_values=self.no_values,
            unreadable=tuple(self.unreadable),
            implausible=tuple(self.implausible),
            notes=tuple(dict.fromkeys(self.notes)),
            release=self.release,
            others=others,
            names=tuple(self.raw.names),
        )

    # --- kinds of columns ---
    def _text(self, house: str, column: RawColumn) -> None:
        codes, distinct = pd.factorize(column.values.astype("str"))
        words = [clean(str(word)) for word in distinct]
        kept = [None if is_missing(word) else word for word in words]
        array = np.array([*kept, None], dtype=object)[codes]
        self.values[house] = pd.Series(array, dtype="str")
        self._understood(house, column, "")
        self.missing[house] = int(self.values[house].isna().sum())

    def _identifier(self, house: str, column: RawColumn) -> None:
        ids = read_identifiers(column.values, column.single, self.trusted)
        if house == "gaia_source_id":
            self._release(column, ids)
            if ids.is_older or self.release in ("DR1", "DR2"):
                self.release = self.release or ids.release
                self._not_dr3(column.name)
                return
            small = ids.values.dropna()
            odd_name = plain(column.name) in _ODD_ID_NAMES and not self.trusted
            if odd_name and len(small) and small.median() < _SMALLEST_SOURCE:
                self.left_out[column.name] = "its numbers are too small for those of Gaia"
                return
        bad = int(ids.unreadable.sum())
        n_known = bad + int(ids.values.notna().sum()) + int(ids.rounded.sum())
        if bad > UNREADABLE_SHARE * n_known:
            cells = self._cells(column, ids.unreadable, _NO_NUMBER)
            if house == "obsid":
                raise CatalogueError(f"{self.what}: {cells.words()}; correct them.")
            self.left_out[column.name] = cells.words()
            return
        if bad:
            self.unreadable.append(self._cells(column, ids.unreadable, _NO_NUMBER))
        if ids.rounded.any():
            self._lost(column, ids)
            if not ids.values.notna().any():
                return
        if ids.doubtful:
            self.notes.append(
                f"{column.name} may have been rounded by floating point (all are multiples of its "
                "spacing): check a few digit by digit"
            )
        self.values[house] = ids.values
        self._understood(house, column, "")
        self.missing[house] = int(ids.values.isna().sum()) - bad - int(ids.rounded.sum())

    def _lost(self, column: RawColumn, ids: Identifiers) -> None:
        cells = self._cells(column, ids.rounded, f"lost digits in {ids.how} and is left out")
        remedy = (
            "format the column as text before saving, or take the file as it was downloaded"
            if "sheet" in ids.how
            else "read and write it as 64-bit integers or text"
        )
        why = f"{cells.words()}: {remedy}"
        if ids.values.notna().any():
            self.unreadable.append(cells)
            self.notes.append(f"{column.name}: {remedy}")
        else:
            self.left_out[column.name] = f"identifiers lost digits: {why}"

    def _number(self, one: Quantity, found: Found, column: RawColumn) -> None:
        if why := "" if self.trusted else otherwise(one.name, column.about):
            raise UnitProblem(why)
        said = found.unit if says_nothing(column.unit) else column.unit
        if found.unit and not says_nothing(column.unit) and not _same(found.unit, str(said)):
            raise UnitProblem(f"its name says {found.unit}, its unit {said}")
        values, bad, missing, how = self._read(one, column, said)
        if bad.any():
            self._check_cells(column, bad, int(missing.sum()), one)
        values, missing = self._less_none(one, column, values, missing)
        self.missing[one.name] = int(missing.sum())
        if how:
            conversion = Conversion(values, "", True)
        elif found.is_logarithm and says_nothing(column.unit):
            conversion = Conversion(from_logarithm(values), "log10", True)
            how = "log10 → K"
        elif self.trusted and says_nothing(said):
            conversion = Conversion(values, one.unit, True)
        elif says_nothing(said) and (error := self._undeclared_error(one)) is not None:
            conversion = led_by_error(values, error, one)
        elif one.follows in self.leaders and says_nothing(said):
            conversion = follow(self.leaders[one.follows], values, one)
        else:
            conversion = convert(values, said, one)
        self.leaders[one.name] = conversion
        if not how and conversion.unit and not _same(conversion.unit, one.unit):
            guessed = "" if conversion.said else ", by its range"
            how = f"{conversion.unit} → {one.unit or 'ratio'}{guessed}"
        values = self._plausible(one, column, conversion.values)
        if one.kind == "ra" and ((values < 0) | (values > _CIRCLE)).any():
            values = np.where((values < 0) | (values > _CIRCLE), values % _CIRCLE, values)
            how = how or "brought to 0 … 360 deg"
        self.values[one.name] = pd.Series(values)
        self._understood(one.name, column, how)

    def _less_none(
        self, one: Quantity, column: RawColumn, values: FloatArray, missing: BoolArray
    ) -> tuple[FloatArray, BoolArray]:
        """Values without numbers that stand for none, and without limits; what is missing then."""
        no_value = np.isin(values, (*_NO_VALUES, *_NO_VALUES_OF.get(one.name, ())))
        if no_value.any():
            self.no_values[column.name] = int(no_value.sum())
        limits = self._limits(column) & ~missing & ~no_value
        if n := int(limits.sum()):
            words = "1 value" if n == 1 else f"{n:,} values"
            self.notes.append(f"{words} of {column.name}: only a limit, left out")
        gone = no_value | limits
        return np.where(gone, np.nan, values), missing | gone

    def _limits(self, column: RawColumn) -> BoolArray:
        """(n,) rows in which a column beside it (``l_Teff``, as CDS calls it) says < or >."""
        key = f"l_{plain(column.name)}"
        beside = next((one for one in self.raw.columns if plain(one.name) == key), None)
        if beside is None or not _is_text(beside.values):
            return np.zeros(len(self.raw), bool)
        return beside.values.str.strip().isin(_LIMITS).to_numpy(bool)

    def _undeclared_error(self, one: Quantity) -> Conversion | None:
        """Return the error of a quantity as its range tells it; None when it has a unit or none."""
        names = [name for name in ASTROMETRIC_ERRORS if quantity(name).follows == one.name]
        found = self.found.get(names[0]) if names else None
        if found is None or found.unit or not says_nothing(self.by_name[found.name].unit):
            return None
        values, *_ = self._read(quantity(names[0]), self.by_name[found.name], None)
        if not np.isfinite(values).any():
            return None
        return judged(np.where(np.isin(values, _NO_VALUES), np.nan, values), quantity(names[0]))

    def _read(
        self, one: Quantity, column: RawColumn, said: str | None
    ) -> tuple[FloatArray, BoolArray, BoolArray, str]:
        """Values, unreadable cells, missing cells, and what sexagesimal text was taken for."""
        series = column.values
        if pd.api.types.is_bool_dtype(series.dtype):
            raise UnitProblem("it holds yes and no where numbers belong")
        if not _is_text(series):
            values = pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)
            return values, np.zeros(len(values), bool), ~np.isfinite(values), ""
        if one.kind == "number":
            read, how = numbers(series, self.style), ""
        else:
            read, how = angles(series, hours=one.kind == "ra", style=self.style)
            says_hours = says_nothing(said) or is_sexagesimal(said) or "h" in str(said).lower()
            if how == "sexagesimal" and one.kind == "ra" and not says_hours:
                raise UnitProblem(f"its unit is {said!r}, its text sexagesimal: hours or degrees?")
            if how and one.kind == "ra":
                how = f"{how} → deg"
            elif how:
                how = "sexagesimal → deg"
        if read.style == "unclear" and read.unreadable.any():
            cells = self._cells(column, read.unreadable, "may be thousands or decimals")
            raise CatalogueError(
                f"{self.what}: {cells.words()}; write decimal points, and no groups of digits."
            )
        return read.values, read.unreadable, read.missing, how

    def _check_cells(
        self, column: RawColumn, bad: BoolArray, n_missing: int, one: Quantity
    ) -> None:
        what = "is no angle" if one.kind in ("ra", "dec") else "is no number"
        cells = self._cells(column, bad, what)
        if cells.n > UNREADABLE_SHARE * (len(bad) - n_missing):
            row, text = cells.examples[0]
            raise CatalogueError(
                f"{self.what}: column {column.name} has {text!r} in row {row} where "
                f"{'an angle' if one.kind in ('ra', 'dec') else 'a number'} belongs"
                f"{f' (and {cells.n - 1:,} more)' if cells.n > 1 else ''}; correct the column or "
                "leave it out."
            )
        self.unreadable.append(cells)

    def _plausible(self, one: Quantity, column: RawColumn, values: FloatArray) -> FloatArray:
        """Values that no star can have become missing and are counted."""
        finite = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            beyond = finite & ~((values >= one.low) & (values <= one.high))
        if not beyond.any():
            check_middle(values, one)
            return values
        cells = self._cells(column, beyond, f"is beyond {limit_words(one)}")
        if one.kind in ("ra", "dec"):
            cells = self._cells(column, beyond, "is no place on the sky")
        strange = beyond & ~_says_none(column.values, beyond)
        share = _IMPLAUSIBLE_SHIFTS if one.name == "z" else _IMPLAUSIBLE_SHARE
        if strange.sum() > share * finite.sum():
            raise UnitProblem(f"most of it cannot be {one.name}: {cells.words()}")
        check_middle(np.where(beyond & ~strange, np.nan, values), one)
        self.implausible.append(cells)
        return np.where(beyond, np.nan, values)

    def _cells(self, column: RawColumn, rows: BoolArray, why: str) -> Cells:
        at = np.flatnonzero(rows)
        some = tuple((int(i) + 1, str(column.values.iloc[i])[:40]) for i in at[:EXAMPLES])
        return Cells(column.name, len(at), some, why)

    def _understood(self, house: str, column: RawColumn, how: str) -> None:
        self.columns[house] = Understood(column.name, column.unit or "", quantity(house).unit, how)

    # --- more than one column ---
    def _seven_columns(self) -> None:
        """Positions of CDS and AAS tables: RAh, RAm, RAs, DE-, DEd, DEm, DEs."""
        if "ra" not in self.use.vocabulary or {"ra", "dec"} <= self.values.keys():
            return
        lower = {plain(name): name for name in self.by_name}
        if not set(_SEVEN) <= lower.keys():
            return
        part = {key: self._part(lower[key]) for key in _SEVEN}
        south = np.signbit(part["ded"])
        if "de-" in lower:
            south = south | self._minus(lower["de-"])
        size = np.abs(part["ded"]) + part["dem"] / 60.0 + part["des"] / 3600.0
        ra = 15.0 * (part["rah"] + part["ram"] / 60.0 + part["ras"] / 3600.0)
        dec = np.where(south, -size, size)
        wrong = ~((ra >= 0) & (ra <= 360.0) & (size <= 90.0)) & np.isfinite(ra + dec)  # noqa: PLR2004
        if wrong.any():
            column = self.by_name[lower["rah"]]
            self.implausible.append(self._cells(column, wrong, "gives no place on the sky"))
        self.values["ra"] = pd.Series(np.where(wrong, np.nan, ra))
        self.values["dec"] = pd.Series(np.where(wrong, np.nan, dec))
        for house, key in (("ra", "rah"), ("dec", "ded")):
            self._understood(house, self.by_name[lower[key]], "sexagesimal → deg")

    def _minus(self, name: str) -> BoolArray:
        """(n,) whether the sign of a declination, in a column of its own, is minus."""
        column = self.by_name[name]
        signs = column.values.astype("str").map(clean, na_action="ignore").fillna("")
        strange = ~signs.isin(("-", "+", "")).to_numpy(bool)
        if strange.any():
            cells = self._cells(column, strange, "is no sign of a declination")
            raise CatalogueError(
                f"{self.what}: {cells.words()}; the bytes of its description may be wrong: "
                "correct them."
            )
        return (signs == "-").to_numpy(bool)

    def _part(self, name: str) -> FloatArray:
        column = self.by_name[name]
        values, bad, missing, _ = self._read(quantity(""), column, None)
        if bad.any():
            self._check_cells(column, bad, int(missing.sum()), quantity(""))
        return values

    def _pairs(self) -> None:
        """Drop half positions: without one of its two numbers there is none."""
        if {"ra", "dec"} <= self.values.keys():
            here = self.values["ra"].notna() & self.values["dec"].notna()
            self.values["ra"] = self.values["ra"].where(here)
            self.values["dec"] = self.values["dec"].where(here)
            self._older_equinox()
            self._ambiguous_epoch()
            return
        for name in ("ra", "dec"):
            if name in self.values:
                column = self.columns.pop(name)
                del self.values[name]
                self.left_out.setdefault(column.name, "the other half of the position is missing")

    def _older_equinox(self) -> None:
        """Bring places to the system of today where the file says that they are in an older one."""
        if self.trusted:
            return
        about = " ".join(self.by_name[self.columns[one].name].about for one in ("ra", "dec"))
        frame = frame_of_place(about, self.raw.text)
        equinox = np.full(len(self.raw), frame.equinox)
        listed = [one for one in self.raw.columns if plain(one.name) in _EQUINOXES]
        if listed:
            years, *_ = self._read(
                quantity(""), replace(listed[0], values=_without_b(listed[0].values)), None
            )
            equinox = np.where(np.isfinite(years), years, equinox)
        if (old := equinox < OLDEST_FK5).any():
            ra, dec = (self.values[one].to_numpy(np.float64) for one in ("ra", "dec"))
            for name, moved in zip(("ra", "dec"), to_today(ra, dec, equinox), strict=True):
                self.values[name] = pd.Series(moved)
                self.columns[name] = replace(
                    self.columns[name], how=f"B{equinox[old][0]:.0f} → ICRS"
                )
        self.epoch = frame.epoch

    def _ambiguous_epoch(self) -> None:
        names = {plain(self.columns["ra"].name)}
        said = self.epoch if np.isfinite(self.epoch) else 2000.0 if names & set(_J2000) else np.nan
        if "ref_epoch" in self.use.vocabulary and np.isfinite(said):
            epoch = self.values.get("ref_epoch", pd.Series(np.nan, index=self.values["ra"].index))
            self.values["ref_epoch"] = epoch.fillna(said)
            self.columns.setdefault("ref_epoch", Understood(self.columns["ra"].name, "", "yr"))

    def _contradictions(self) -> None:
        if self.trusted:
            return
        self._fast_stars()
        names = {house: one.name for house, one in self.columns.items()}
        said = {house for house, one in self.columns.items() if not says_nothing(one.unit)}
        said |= {house for house, one in self.found.items() if one.unit}
        beside = {plain(name) for name in self.raw.names}
        doubts = contradictions(self.values, names)
        doubts |= unlikely(self.values, names, said, beside)
        for house, why in doubts.items():
            self.left_out[self.columns.pop(house).name] = why
            del self.values[house]

    def _fast_stars(self) -> None:
        """Leave out shifts of stars that no star has: velocities in km/s, or of a galaxy."""
        if not {"z", "class"} <= self.values.keys():
            return
        are_stars = self.values["class"].str.strip().str.upper() == "STAR"
        z = self.values["z"].to_numpy(np.float64)
        beyond = are_stars.fillna(False).to_numpy(bool) & (z > FASTEST_STAR)
        if beyond.any():
            column = self.by_name[self.columns["z"].name]
            self.implausible.append(self._cells(column, beyond, "is no shift of a star"))
            self.values["z"] = pd.Series(np.where(beyond, np.nan, z))

    # --- Gaia releases ---
    def _release(self, column: RawColumn, ids: Identifiers) -> None:
        if ids.release:
            self.release = ids.release
        elif _OLD_NAMES.fullmatch(plain(column.name)):
            self.release = "DR2"
        else:
            old, new = _OLD_TEXT.search(self.raw.text), _NEW_TEXT.search(self.raw.text)
            if old and not new:
                self.release = "DR2"
            epochs = [one for one in self.raw.columns if plain(one.name) in ("ref_epoch", "epoch")]
            if epochs and not new:
                values, *_ = self._read(quantity(""), epochs[0], None)
                known = values[np.isfinite(values)]
                if len(known) and (known == known[0]).all():
                    self.release = _OLD_EPOCHS.get(float(known[0]), self.release)

    def _not_dr3(self, name: str) -> None:
        self.left_out[name] = (
            f"identifiers of Gaia {self.release}, which are not those of DR3; rows are matched "
            "by position"
        )

    def _older_release(self) -> None:
        """Where only identifiers of an older release are there, say so."""
        if "gaia_source_id" not in self.use.vocabulary or "gaia_source_id" in self.values:
            return
        for name in self.by_name:
            if _OLD_NAMES.fullmatch(plain(name)) and name not in self.left_out:
                self.release = self.release or "DR2"
                self._not_dr3(name)
        if self.release == "DR2" and "ra" in self.values and "ref_epoch" in self.use.vocabulary:
            epoch = self.values.get("ref_epoch", pd.Series(np.nan, index=self.values["ra"].index))
            self.values["ref_epoch"] = epoch.fillna(2015.5)
            self.columns.setdefault("ref_epoch", Understood(self.columns["ra"].name, "", "yr"))


_J2000: Final = (  # of positions that VizieR moved to the epoch 2000
    *("raj2000", "_raj2000", "ra_epoch2000", "ra_j2000", "_ra"),
)


def _without_b(values: pd.Series) -> pd.Series:
    """Return equinoxes without their letter (``B1950.0``)."""
    return values.str.strip().str.lstrip("BJbj") if _is_text(values) else values


def _is_text(values: pd.Series) -> bool:
    return not (
        pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype)
    )


def _has_comma(values: pd.Series) -> bool:
    text = pa.array(values, type=pa.string(), from_pandas=True)
    return bool(pc.any(pc.match_substring(text, ",")).as_py())


def _is_wanted(name: str, use: Use) -> bool:
    return bool(recognise([name], use.vocabulary).found)


def _same(unit: str, house: str) -> bool:
    def bare(text: str) -> str:
        return re.sub(r"[\s'\"]", "", text).replace("**", "").replace(".yr-1", "/yr").lower()

    equal = bare(unit) == bare(house)
    if not equal and house:
        from msfa_core.tables.units import unit_of  # noqa: PLC0415

        equal = str(unit_of(unit)) == str(unit_of(house))
    return equal or bare(unit) in ("dex", "")


def _says_none(values: pd.Series, rows: BoolArray) -> BoolArray:
    """(n,) of these rows, those whose value is a way of writing that there is none."""
    none = np.zeros(len(values), bool)
    for i in np.flatnonzero(rows):
        text = clean(str(values.iloc[i])).replace(",", ".")
        try:
            size = abs(float(text))
        except ValueError:
            continue
        none[i] = bool(_NINES.fullmatch(text.rstrip("0") if "." in text else text)) or not (
            0 < size < _ABSURD
        )
    return none


def vocabulary(
    names: Mapping[str, Sequence[str]], **more: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return a vocabulary with further names behind the given ones."""
    out = {house: tuple(aliases) for house, aliases in names.items()}
    for house, aliases in more.items():
        out[house] = (*out.get(house, ()), *aliases)
    return out
