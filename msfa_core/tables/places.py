"""Places of a table: sexagesimal columns, half positions, older equinoxes, epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.errors import CatalogueError
from msfa_core.tables.cells import clean
from msfa_core.tables.names import plain
from msfa_core.tables.quantities import quantity
from msfa_core.tables.reading import Reading, without_letter
from msfa_core.tables.report import Understood
from msfa_core.tables.said import OLDEST_FK5, frame_of_place, to_today
from msfa_core.typing import BoolArray, FloatArray

SEVEN: Final = ("rah", "ram", "ras", "ded", "dem", "des")  # of CDS and AAS tables, and DE-
_EQUINOXES: Final = ("equinox", "eqnx", "equin", "coord_equinox", "radec_equinox")
_J2000: Final = (  # of positions that VizieR moved to the epoch 2000
    *("raj2000", "_raj2000", "ra_epoch2000", "ra_j2000", "_ra"),
)


def seven_columns(reading: Reading) -> None:
    """Positions of CDS and AAS tables: RAh, RAm, RAs, DE-, DEd, DEm, DEs."""
    if "ra" not in reading.use.vocabulary or {"ra", "dec"} <= reading.values.keys():
        return
    lower = {plain(name): name for name in reading.by_name}
    if not set(SEVEN) <= lower.keys():
        return
    part = {key: _part(reading, lower[key]) for key in SEVEN}
    south = np.signbit(part["ded"])
    if "de-" in lower:
        south = south | _minus(reading, lower["de-"])
    else:
        _without_sign(reading, lower["ded"], part["ded"])
    size = np.abs(part["ded"]) + part["dem"] / 60.0 + part["des"] / 3600.0
    ra = 15.0 * (part["rah"] + part["ram"] / 60.0 + part["ras"] / 3600.0)
    dec = np.where(south, -size, size)
    wrong = ~((ra >= 0) & (ra <= 360.0) & (size <= 90.0)) & np.isfinite(ra + dec)  # noqa: PLR2004
    if wrong.any():
        column = reading.by_name[lower["rah"]]
        reading.implausible.append(reading.cells(column, wrong, "gives no place on the sky"))
    reading.values["ra"] = pd.Series(np.where(wrong, np.nan, ra))
    reading.values["dec"] = pd.Series(np.where(wrong, np.nan, dec))
    for house, key in (("ra", "rah"), ("dec", "ded")):
        reading.understood(house, reading.by_name[lower[key]], "sexagesimal → deg")


def _minus(reading: Reading, name: str) -> BoolArray:
    """(n,) whether the sign of a declination, in a column of its own, is minus."""
    column = reading.by_name[name]
    reading.looked_at.add(name)
    signs = column.values.astype("str").map(clean, na_action="ignore").fillna("")
    strange = ~signs.isin(("-", "+", "")).to_numpy(bool)
    if strange.any():
        cells = reading.cells(column, strange, "is no sign of a declination")
        raise CatalogueError(
            f"{reading.what}: {cells.words()}; the bytes of its description may be wrong: "
            "correct them."
        )
    return (signs == "-").to_numpy(bool)


def _without_sign(reading: Reading, name: str, degrees: FloatArray) -> None:
    """Leave out places at 0° that are south or north: whole numbers have no −0."""
    column = reading.by_name[name]
    rows = (degrees == 0.0) & pd.api.types.is_integer_dtype(column.values.dtype)
    if rows.any():
        why = "is 0 without a sign (north or south? give it as text, or in a column DE-)"
        reading.unreadable.append(reading.cells(column, rows, why))
        degrees[rows] = np.nan


def _part(reading: Reading, name: str) -> FloatArray:
    column = reading.by_name[name]
    values, bad, missing, _ = reading.read(quantity(""), column, None)
    if bad.any():
        reading.check_cells(column, bad, int(missing.sum()), quantity(""))
    return values.copy()


def pairs(reading: Reading) -> None:
    """Drop half positions: without one of its two numbers there is none."""
    if {"ra", "dec"} <= reading.values.keys():
        here = reading.values["ra"].notna() & reading.values["dec"].notna()
        reading.values["ra"] = reading.values["ra"].where(here)
        reading.values["dec"] = reading.values["dec"].where(here)
        _older_equinox(reading)
        _ambiguous_epoch(reading)
        return
    for name in ("ra", "dec"):
        if name in reading.values:
            column = reading.columns.pop(name)
            del reading.values[name]
            reading.left_out.setdefault(column.name, "the other half of the position is missing")


def _older_equinox(reading: Reading) -> None:
    """Bring places to the system of today where the file says that they are in an older one."""
    if reading.trusted:
        return
    about = " ".join(reading.by_name[reading.columns[one].name].about for one in ("ra", "dec"))
    frame = frame_of_place(about, reading.raw.text)
    equinox = np.full(len(reading.raw), frame.equinox)
    listed = [one for one in reading.raw.columns if plain(one.name) in _EQUINOXES]
    if listed:
        years, *_ = reading.read(
            quantity(""), replace(listed[0], values=without_letter(listed[0].values)), None
        )
        equinox = np.where(np.isfinite(years), years, equinox)
    if (old := equinox < OLDEST_FK5).any():
        ra, dec = (reading.values[one].to_numpy(np.float64) for one in ("ra", "dec"))
        for name, moved in zip(("ra", "dec"), to_today(ra, dec, equinox), strict=True):
            reading.values[name] = pd.Series(moved)
            reading.columns[name] = replace(
                reading.columns[name], how=f"B{equinox[old][0]:.0f} → ICRS"
            )
    reading.epoch = frame.epoch


def _ambiguous_epoch(reading: Reading) -> None:
    year = reading.epoch
    if not np.isfinite(year) and plain(reading.columns["ra"].name) in _J2000:
        year = 2000.0
    if np.isfinite(year):
        fill_epoch(reading, year)


def fill_epoch(reading: Reading, year: float) -> None:
    """Say at which year places are that have none of their own, where it is wanted."""
    if "ref_epoch" not in reading.use.vocabulary:
        return
    listed = pd.Series(np.nan, index=reading.values["ra"].index)
    reading.values["ref_epoch"] = reading.values.get("ref_epoch", listed).fillna(year)
    place = Understood(reading.columns["ra"].name, "", "yr")
    reading.columns.setdefault("ref_epoch", place)
