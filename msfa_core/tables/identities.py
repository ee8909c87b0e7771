"""Identifiers of a table: exact or left out, and of which release of Gaia they are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.errors import CatalogueError
from msfa_core.tables.identifiers import Identifiers, read_identifiers
from msfa_core.tables.names import plain
from msfa_core.tables.places import fill_epoch
from msfa_core.tables.quantities import quantity
from msfa_core.tables.raw import RawColumn
from msfa_core.tables.reading import UNREADABLE_SHARE, Reading, without_letter
from msfa_core.tables.units import could_be_hours, says_nothing
from msfa_core.typing import BoolArray, FloatArray

_ODD_ID_NAMES: Final = ("source", "gaia", "gaia_name", "designation")  # may be anybody's
_ANY_OBJECT: Final = ("objid", "obj_id")  # of Pan-STARRS, or of SDSS
_NO_NUMBER: Final = "is no whole number from 1 to 2⁶³"
_SMALLEST_SOURCE: Final = 4_295_806_720
_LARGEST_PANSTARRS: Final = 220_000_000_000_000_000  # at the pole: (dec + 90°)·120 before 13 digits
_SOURCE_BITS: Final = 35  # of a source_id, behind the HEALPix pixel (level 12, nested) of its place
_SOURCE_NSIDE: Final = 2**12
_SMALL_SOURCE: Final = 2**55  # the first 1/192 of the sky
_SMALLEST: Final = {  # survey, and numbers below which none is a star of its sky
    "gaia_source_id": ("Gaia", _SMALL_SOURCE),
    "ps_id": ("Pan-STARRS", 10**16),  # within 2° of the southern pole
}
_ZONES: Final = 120  # of Pan-STARRS, to a degree of declination
PLACE_IN_NUMBER_ARCSEC: Final = 300.0  # pixels are 0.9′ wide, and the fastest star has gone 3′
_STEPS: Final = 5.0  # of the middle distance of a column: more is no rounding
_FEW: Final = 3  # rows: fewer tell nothing of a column
_OLD_EPOCHS: Final = {2015.5: "DR2", 2015.0: "DR1"}
_OLD_NAMES: Final = re.compile(
    r"(gaia[\s_]*)?(dr2|gdr2)([\s_]*(source_?id|name|id))?|.*(source_?id|gaia|gaia_?id)[\s_]*dr2|gaia_?dr2_.*id|gaia_?dr2",
    re.I,
)
_OLD_TEXT: Final = re.compile(r"\bI/345\b|gaiadr2\.|\bGaia[\s_-]*DR2\b", re.IGNORECASE)
_NEW_TEXT: Final = re.compile(r"\bI/35[05]\b|gaiae?dr3\.|\bGaia[\s_-]*E?DR3\b", re.IGNORECASE)


def identity(reading: Reading, house: str, column: RawColumn) -> None:
    """Take a column of identifiers."""
    ids = read_identifiers(column.values, column.single, reading.trusted)
    if house == "gaia_source_id":
        _release(reading, column, ids)
        if ids.is_older or reading.release in ("DR1", "DR2"):
            reading.release = reading.release or ids.release
            _not_dr3(reading, column.name)
            return
        small = ids.values.dropna()
        odd_name = plain(column.name) in _ODD_ID_NAMES and not reading.trusted
        if odd_name and len(small) and small.median() < _SMALLEST_SOURCE:
            reading.left_out[column.name] = "its numbers are too small for those of Gaia"
            return
    if plain(column.name) in _ANY_OBJECT and (beyond := _beyond(ids)).any():
        cells = reading.cells(column, beyond, "is no number of Pan-STARRS, SDSS has such")
        raise CatalogueError(f"{reading.what}: {cells.words()}; give its rows, or drop the column.")
    bad = int(ids.unreadable.sum())
    n_known = bad + int(ids.values.notna().sum()) + int(ids.rounded.sum())
    if bad > UNREADABLE_SHARE * n_known:
        cells = reading.cells(column, ids.unreadable, _NO_NUMBER)
        if house == "obsid":
            raise CatalogueError(f"{reading.what}: {cells.words()}; correct them.")
        reading.left_out[column.name] = cells.words()
        return
    if bad:
        reading.unreadable.append(reading.cells(column, ids.unreadable, _NO_NUMBER))
    if ids.rounded.any():
        _lost(reading, column, ids)
        if not ids.values.notna().any():
            return
    if ids.doubtful:
        reading.notes.append(
            f"{column.name} may have been rounded by floating point (all are multiples of its "
            "spacing): check a few digit by digit"
        )
    reading.values[house] = ids.values
    reading.understood(house, column, "")
    reading.missing[house] = int(ids.values.isna().sum()) - bad - int(ids.rounded.sum())


def _beyond(ids: Identifiers) -> BoolArray:
    """(n,) numbers larger than Pan-STARRS gives."""
    return (ids.values > _LARGEST_PANSTARRS).fillna(False).to_numpy(bool)


def _lost(reading: Reading, column: RawColumn, ids: Identifiers) -> None:
    cells = reading.cells(column, ids.rounded, f"lost digits in {ids.how} and is left out")
    remedy = (
        "format the column as text before saving, or take the file as it was downloaded"
        if "sheet" in ids.how
        else "read and write it as 64-bit integers or text"
    )
    why = f"{cells.words()}: {remedy}"
    if ids.values.notna().any():
        reading.unreadable.append(cells)
        reading.notes.append(f"{column.name}: {remedy}")
    else:
        reading.left_out[column.name] = f"identifiers lost digits: {why}"


def _release(reading: Reading, column: RawColumn, ids: Identifiers) -> None:
    if ids.release:
        reading.release = ids.release
    elif _OLD_NAMES.fullmatch(plain(column.name)):
        reading.release = "DR2"
    else:
        told = column.about  # else what is said of the table
        if not (_OLD_TEXT.search(told) or _NEW_TEXT.search(told)):
            told = reading.raw.text
        old, new = _OLD_TEXT.search(told), _NEW_TEXT.search(told)
        if old and not new:
            reading.release = "DR2"
        epochs = [one for one in reading.raw.columns if plain(one.name) in ("ref_epoch", "epoch")]
        if epochs and not new:
            years = replace(epochs[0], values=without_letter(epochs[0].values))
            values, *_ = reading.read(quantity(""), years, None)
            known = values[np.isfinite(values)]
            if len(known) and (known == known[0]).all():
                reading.release = _OLD_EPOCHS.get(float(known[0]), reading.release)


def _not_dr3(reading: Reading, name: str) -> None:
    reading.left_out[name] = (
        f"identifiers of Gaia {reading.release}, which are not those of DR3; rows are matched "
        "by position"
    )


def older_release(reading: Reading) -> None:
    """Where only identifiers of an older release are there, say so."""
    if "gaia_source_id" not in reading.use.vocabulary or "gaia_source_id" in reading.values:
        return
    for name in reading.by_name:
        if _OLD_NAMES.fullmatch(plain(name)) and name not in reading.left_out:
            reading.release = reading.release or "DR2"
            _not_dr3(reading, name)
    if reading.release == "DR2" and "ra" in reading.values:
        fill_epoch(reading, 2015.5)


# --- the place in a number ---------------------------------------------------------------
def elsewhere(reading: Reading) -> None:
    """Leave out identifiers that name another place on the sky than their row has.

    Numbers of Gaia begin with the HEALPix pixel, those of Pan-STARRS with zone and right ascension
    of their place. Where most of a column agrees with its rows, a number that does not is another
    star's; where most disagrees and names the places of other rows, the column has slipped.
    Right ascensions without a unit may be hours here, too.
    """
    for house in ("gaia_source_id", "ps_id"):
        if reading.trusted or not {house, "ra", "dec"} <= reading.values.keys():
            continue
        ids = reading.values[house]
        ra, dec = (reading.values[one].to_numpy(np.float64) for one in ("ra", "dec"))
        rows = np.flatnonzero(ids.notna().to_numpy(bool) & np.isfinite(ra) & np.isfinite(dec))
        if not len(rows):
            continue
        numbers = ids.iloc[rows].to_numpy(np.int64)
        named = _unit_vectors(*place_in_number(house, numbers))
        placed = _unit_vectors(ra[rows], dec[rows])
        apart = _apart(named, placed)
        said = reading.columns["ra"]
        if not said.how and says_nothing(said.unit) and could_be_hours(ra):
            in_hours = _unit_vectors(15.0 * ra[rows], dec[rows])
            if np.median(_apart(named, in_hours)) < np.median(apart):
                placed, apart = in_hours, _apart(named, in_hours)
        far = apart > np.deg2rad(PLACE_IN_NUMBER_ARCSEC / 3600)
        if 2 * far.sum() < len(far):  # places may be given in steps as wide as that
            far &= apart > _STEPS * np.median(apart)
        if far.any():
            _left_out(reading, house, rows, far, numbers, _of_others(named[far], placed))


def _left_out(
    reading: Reading,
    house: str,
    rows: NDArray[np.intp],
    far: BoolArray,
    numbers: NDArray[np.int64],
    of_others: BoolArray,
) -> None:
    """Leave out those numbers that cannot be, or say what is odd about them."""
    if len(far) < _FEW:
        return
    column = reading.by_name[reading.columns[house].name]
    if 2 * far.sum() < len(far):
        bad = np.zeros(len(reading.values[house]), bool)
        bad[rows[far]] = True
        reading.values[house] = reading.values[house].mask(bad)
        why = "names another place on the sky than its row, and is left out"
        reading.unreadable.append(reading.cells(column, bad, why))
        return
    slipped = 2 * of_others.sum() > len(far)
    survey, smallest = _SMALLEST[house]
    small = np.median(numbers) < smallest
    if slipped or small:
        reading.left_out[column.name] = (
            "its numbers name the places of other rows: it has slipped against them"
            if slipped
            else f"its numbers are too small for those of {survey} at these places"
        )
        del reading.values[house], reading.columns[house]
    elif far.all():
        reading.notes.append(
            f"{column.name} names other places on the sky than its rows: check that the numbers "
            "are theirs"
        )


def place_in_number(house: str, numbers: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Return the place that numbers of Gaia or Pan-STARRS begin with.

    Parameters
    ----------
    house : str
        ``gaia_source_id`` or ``ps_id``.
    numbers : (n,) array

    Returns
    -------
    ra, dec : (n,) arrays [deg]
    """
    if house == "ps_id":
        ra = numbers // 10**4 % 10**9 / 1e6
        return ra, np.clip((numbers // 10**13 + 0.5) / _ZONES - 90.0, -90.0, 90.0)
    from astropy_healpix import healpix_to_lonlat  # noqa: PLC0415

    pixel = np.clip(numbers >> _SOURCE_BITS, 0, 12 * _SOURCE_NSIDE**2 - 1)
    lon, lat = healpix_to_lonlat(pixel, nside=_SOURCE_NSIDE, order="nested")
    return lon.to_value("deg"), lat.to_value("deg")


def _unit_vectors(ra: FloatArray, dec: FloatArray) -> FloatArray:
    """(n, 3) directions of places [deg]."""
    ra, dec = np.deg2rad(ra), np.deg2rad(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _apart(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n,) angles [rad] between directions."""
    return 2 * np.arcsin(np.minimum(np.linalg.norm(one - other, axis=1) / 2, 1.0))


def _of_others(named: FloatArray, placed: FloatArray) -> BoolArray:
    """(n,) whether a named place is that of any row."""
    from scipy.spatial import cKDTree  # noqa: PLC0415

    nearest, _ = cKDTree(placed).query(named)
    return np.asarray(
        nearest <= 2 * np.sin(np.deg2rad(PLACE_IN_NUMBER_ARCSEC / 3600) / 2), dtype=bool
    )
