"""The columns of one table on their way into the house: cells read, units converted, judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from msfa_core.counting import counted
from msfa_core.errors import CatalogueError
from msfa_core.tables.cells import Style, angles, clean, is_missing, numbers
from msfa_core.tables.limits import limits
from msfa_core.tables.names import Found, Vocabulary, plain, recognise
from msfa_core.tables.quantities import Quantity, limit_words, quantity
from msfa_core.tables.raw import RawColumn, RawTable, is_text
from msfa_core.tables.report import EXAMPLES, Cells, Understood
from msfa_core.tables.said import of_all, otherwise
from msfa_core.tables.scales import differ, said_above, said_of_one, scaled, unit_in_words
from msfa_core.tables.units import (
    ASTROMETRIC_ERRORS,
    Conversion,
    UnitProblem,
    check_middle,
    check_shifts,
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
_IMPLAUSIBLE_SHARES: Final = {"z": 0.2, "ra": 0.1, "dec": 0.1}  # z may be km/s or a height; a
# place beyond the sky is a slip of one row, or another angle (from the pole) in all of them
_NO_VALUES: Final = (-999.0, -9999.0, -99999.0, -999.9, -9999.9, -999.99, -999.999)
_NO_VALUES_OF: Final = {
    "ra": (-99.0, -99.9, -99.99, -99.999, -1.0),
    "dec": (-99.0, -99.9, -99.99, -99.999),
    "pmra": (9999.0, 9999.99, -99.99, -99.999, -99.9999, 99.999),
    "pmdec": (9999.0, 9999.99, -99.99, -99.999, -99.9999, 99.999),
    "ebv": (-1.0,),
    "logg": (-1.0,),
    "parallax_mas": (-99.0, -99.9, -99.99, -99.999, -99.9999),
    "rv": (9999.0, 99999.0, 999.9, 999.99),
}
_CIRCLE: Final = 360.0  # deg
_NINES: Final = re.compile(r"-?9{2,}(\.9*0*)?")
_ONLY_NINES: Final = re.compile(r"9\.9{2,}|9{2,}(\.9+)?")
_FAR_BEYOND: Final = 5.0  # times the largest other value of a column
_ENOUGH_OTHERS: Final = 3
_RECURS: Final = 3  # times, and so many times as often as any other value
_ENOUGH_NINES: Final = 3  # digits
_LAST_WHOLE: Final = (32767.0, -32768.0, 65535.0, 2147483647.0, -2147483648.0)  # of 16 and 32 bits
_ABSURD: Final = 1e10
_NAMELESS: Final = re.compile(r"column_\d+|row|unnamed: \d+|index|true_\w+", re.IGNORECASE)


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
    says_unused : bool
        Whether the other columns of the file are to be named: values may be looked for in them.
    """

    name: str
    vocabulary: Vocabulary
    suits: tuple[tuple[str, ...], ...]
    keep_others: bool = False
    beside: tuple[str, ...] = ()
    says_unused: bool = False


class Reading:
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
        self.looked_at: set[str] = set()  # columns whose cells were read
        self.release = ""
        self.leaders: dict[str, Conversion] = {}
        self.zeros: dict[str, BoolArray] = {}  # rows whose cell says 0, by house name
        self.stored: dict[str, FloatArray] = {}  # numbers as the file has them, by house name
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
            and is_text(self.by_name[found.name].values)
        ]
        if not any(_has_comma(values) for values in columns):
            return ""
        styles = {numbers(values).style for values in columns}
        styles &= {"comma", "point"}
        if styles == {"comma"}:
            return "comma"
        return "point" if styles == {"point"} else ""

    def text(self, house: str, column: RawColumn) -> None:
        """Take a column of words."""
        codes, distinct = pd.factorize(column.values.astype("str"))
        words = [clean(str(word)) for word in distinct]
        kept = [None if is_missing(word) else word for word in words]
        array = np.array([*kept, None], dtype=object)[codes]
        self.values[house] = pd.Series(array, dtype="str")
        self.understood(house, column, "")
        self.missing[house] = int(self.values[house].isna().sum())

    def number(self, one: Quantity, found: Found, column: RawColumn) -> None:
        """Take a column of numbers: read, converted to the house unit, judged."""
        self._believe_words(one, column)
        said = found.unit if says_nothing(column.unit) else column.unit
        if found.unit and not says_nothing(column.unit) and not _same(found.unit, str(said)):
            raise UnitProblem(f"its name says {found.unit}, its unit {said}")
        if one.name == "ref_epoch":
            column = replace(column, values=without_letter(column.values))
        said = self._unit_in_words(one, column, said)
        values, bad, missing, how = self.read(one, column, said)
        if bad.any():
            self.check_cells(column, bad, int(missing.sum()), one)
        values, missing = self._less_none(one, column, values, missing)
        _check_years(one, column, values)
        self.zeros[one.name] = values == 0.0
        self.stored[one.name] = values
        self.missing[one.name] = int(missing.sum())
        if how:
            conversion = Conversion(values, "", True)
        elif found.is_logarithm and says_nothing(column.unit):
            conversion = Conversion(from_logarithm(values), "log10", True)
            how = "log10 → K"
        elif self.trusted and says_nothing(said):
            conversion = Conversion(values, one.unit, True)
        elif says_nothing(said) and (error := self._undeclared_error(one)) is not None:
            conversion = self._led_by_error(values, error, one)
        elif one.follows in self.leaders and says_nothing(said):
            conversion = follow(self.leaders[one.follows], values, one)
        else:
            conversion = convert(values, said, one)
        if one.name == "z":
            check_shifts(values, conversion)
        self.leaders[one.name] = conversion
        if not how and conversion.unit and not _same(conversion.unit, one.unit):
            guessed = "" if conversion.said else ", by its range"
            how = f"{conversion.unit} → {one.unit or 'ratio'}{guessed}"
        values = self._plausible(one, column, conversion.values)
        if one.kind == "ra" and ((values < 0) | (values > _CIRCLE)).any():
            values = np.where((values < 0) | (values > _CIRCLE), values % _CIRCLE, values)
            how = how or "brought to 0 … 360 deg"
        self.values[one.name] = pd.Series(values)
        self.understood(one.name, column, how)

    def _believe_words(self, one: Quantity, column: RawColumn) -> None:
        """Refuse a column that the file says to be another quantity, or of which it says so of all.

        Raises
        ------
        UnitProblem
        """
        if self.trusted:
            return
        above = said_of_one(column.name, self.raw.text)
        why = otherwise(one.name, column.about) or otherwise(one.name, above)
        why = why or of_all(one.name, column.name, self.raw.names, self.raw.text)
        why = why or scaled(one, self._words_of(one, column))
        if why:
            raise UnitProblem(why)

    def _words_of(self, one: Quantity, column: RawColumn) -> str:
        """Return all that the file says of a column in words."""
        above = said_above(one.name, column.name, self.raw.text)
        return " . ".join(filter(None, (column.about, above)))

    def _unit_in_words(self, one: Quantity, column: RawColumn, said: str | None) -> str | None:
        """Return the unit of a column, be it said in words alone; two that differ are none."""
        worded = "" if self.trusted else unit_in_words(one, self._words_of(one, column))
        if not worded or (is_text(column.values) and is_sexagesimal(said)):
            return said
        if not says_nothing(said) and differ(str(said), worded):
            raise UnitProblem(
                f"its unit is {said!r}, and the file says in words that it is {worded}"
            )
        return worded if says_nothing(said) else said

    def _less_none(
        self, one: Quantity, column: RawColumn, values: FloatArray, missing: BoolArray
    ) -> tuple[FloatArray, BoolArray]:
        """Values without numbers that stand for none, and without limits; what is missing then."""
        no_value = np.isin(values, (*_NO_VALUES, *_NO_VALUES_OF.get(one.name, ())))
        if one.kind == "number" and not self.trusted:
            possible = (values >= one.low) & (values <= one.high)  # the others are named later
            known = np.where(no_value, np.nan, values)
            no_value |= possible & (_lonely_nines(known) | _recurring_stand_ins(known))
        if no_value.any():
            self.no_values[column.name] = int(no_value.sum())
        only_limits, beside = limits(self.raw, one.name, column.name)
        self.looked_at |= beside
        only_limits &= ~missing & ~no_value
        if n := int(only_limits.sum()):
            words = counted(n, "value", "values")
            self.notes.append(f"{words} of {column.name}: only a limit, left out")
        gone = no_value | only_limits
        return np.where(gone, np.nan, values), missing | gone

    def _led_by_error(self, values: FloatArray, error: Conversion, one: Quantity) -> Conversion:
        """Give a quantity the unit that its error tells, if it can be in that unit."""
        follower = next(name for name in ASTROMETRIC_ERRORS if quantity(name).follows == one.name)
        try:
            led = led_by_error(values, error, one)
        except UnitProblem as doubt:
            self.left_out[self.found.pop(follower).name] = str(doubt).replace("its error", "it", 1)
            raise
        try:
            check_middle(led.values, one)
        except UnitProblem:
            if led.unit == one.unit:
                raise
            found = self.found.pop(follower)
            self.left_out[found.name] = (
                f"by its range it is in {led.unit}, in which {one.name} is none: is it per cent?"
            )
            return judged(values, one)
        return led

    def _undeclared_error(self, one: Quantity) -> Conversion | None:
        """Return the error of a quantity as its range tells it; None when it has a unit or none."""
        names = [name for name in ASTROMETRIC_ERRORS if quantity(name).follows == one.name]
        found = self.found.get(names[0]) if names else None
        if found is None or found.unit or not says_nothing(self.by_name[found.name].unit):
            return None
        values, *_ = self.read(quantity(names[0]), self.by_name[found.name], None)
        if not np.isfinite(values).any():
            return None
        return judged(np.where(np.isin(values, _NO_VALUES), np.nan, values), quantity(names[0]))

    def read(
        self, one: Quantity, column: RawColumn, said: str | None
    ) -> tuple[FloatArray, BoolArray, BoolArray, str]:
        """Return values, unreadable and missing cells, and what sexagesimal text was taken for."""
        self.looked_at.add(column.name)
        series = column.values
        if pd.api.types.is_bool_dtype(series.dtype):
            raise UnitProblem("it holds yes and no where numbers belong")
        if not is_text(series):
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
            cells = self.cells(column, read.unreadable, "may be thousands or decimals")
            raise CatalogueError(
                f"{self.what}: {cells.words()}; write decimal points, and no groups of digits."
            )
        return read.values, read.unreadable, read.missing, how

    def check_cells(self, column: RawColumn, bad: BoolArray, n_missing: int, one: Quantity) -> None:
        """Note cells that hold no number, or refuse a column that holds too many."""
        what = "is no angle" if one.kind in ("ra", "dec") else "is no number"
        cells = self.cells(column, bad, what)
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
        cells = self.cells(column, beyond, f"is beyond {limit_words(one)}")
        if one.kind in ("ra", "dec"):
            cells = self.cells(column, beyond, "is no place on the sky")
        strange = beyond & ~_says_none(column.values, beyond)
        share = _IMPLAUSIBLE_SHARES.get(one.name, _IMPLAUSIBLE_SHARE)
        if strange.sum() > share * finite.sum():
            is_part = one.name != "z" and strange.sum() <= _IMPLAUSIBLE_SHARE * finite.sum()
            much = "much" if is_part else "most"
            raise UnitProblem(f"{much} of it cannot be {one.name}: {cells.words()}")
        check_middle(np.where(beyond & ~strange, np.nan, values), one)
        self.implausible.append(cells)
        return np.where(beyond, np.nan, values)

    def cells(self, column: RawColumn, rows: BoolArray, why: str) -> Cells:
        """Return some cells of a column, and what is wrong with them."""
        at = np.flatnonzero(rows)
        some = tuple((int(i) + 1, str(column.values.iloc[i])[:40]) for i in at[:EXAMPLES])
        return Cells(column.name, len(at), some, why)

    def unused(self) -> tuple[str, ...]:
        """Return columns of which nothing was taken or said, where the use wants them named."""
        known = {one.name for one in self.columns.values()} | self.left_out.keys() | self.looked_at
        return tuple(
            one.name
            for one in self.raw.columns
            if self.use.says_unused
            and one.name not in known
            and one.repeats not in known
            and not _NAMELESS.fullmatch(one.name)
        )

    def understood(self, house: str, column: RawColumn, how: str) -> None:
        """Note which column a quantity was taken from."""
        self.columns[house] = Understood(column.name, column.unit or "", quantity(house).unit, how)


def _check_years(one: Quantity, column: RawColumn, values: FloatArray) -> None:
    """Refuse epochs of spectra, or numbers of visits, for those of places.

    Raises
    ------
    UnitProblem
    """
    finite = values[np.isfinite(values)]
    are_years = ((finite >= one.low) & (finite <= one.high)).all()
    if one.name == "ref_epoch" and plain(column.name) == "epoch" and not are_years:
        raise UnitProblem("it can be the date of a spectrum: call that of places ref_epoch")


def _lonely_nines(values: FloatArray) -> BoolArray:
    """(n,) values of nines only (99.99, 9999) that stand far beyond all others of a column.

    The numbers by which surveys say that there is none; 9999 K among stars of 9000 K is one.
    """
    size = np.abs(values)
    nines = np.zeros(len(values), bool)
    while np.isfinite(largest := np.nanmax(np.where(nines, np.nan, size), initial=0.0)):
        if not _ONLY_NINES.fullmatch(f"{largest:.7g}"):
            break
        nines |= size == largest
    others = size[~nines & np.isfinite(size)]
    if not nines.any() or len(others) < _ENOUGH_OTHERS:
        return np.zeros(len(values), bool)
    return nines & (size > _FAR_BEYOND * others.max())


def _recurring_stand_ins(values: FloatArray) -> BoolArray:
    """(n,) nines and last whole numbers of a type that come again and again, as no others do.

    9.999 is a magnitude of some star, and 32767 K a temperature; those of many stars are none.
    """
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    often = np.flatnonzero(counts >= _RECURS)
    words = [f"{abs(distinct[i]):.7g}" for i in often]
    are_ones = [
        distinct[i] in _LAST_WHOLE
        or (len(word.replace(".", "")) >= _ENOUGH_NINES and bool(_ONLY_NINES.fullmatch(word)))
        for i, word in zip(often, words, strict=True)
    ]
    found = often[are_ones]
    others = np.delete(counts, found)
    if not len(found) or not len(others):
        return np.zeros(len(values), bool)
    return np.isin(values, distinct[found[counts[found] >= _RECURS * others.max()]])


def without_letter(years: pd.Series) -> pd.Series:
    """Return epochs and equinoxes without their letter (``J2016.0``, ``B1950.0``)."""
    return years.str.strip().str.lstrip("BJbj") if is_text(years) else years


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
