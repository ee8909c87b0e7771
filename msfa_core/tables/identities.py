"""Identifiers of a table: exact or left out, and of which release of Gaia they are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import numpy as np

from msfa_core.errors import CatalogueError
from msfa_core.tables.identifiers import Identifiers, read_identifiers
from msfa_core.tables.names import plain
from msfa_core.tables.places import fill_epoch
from msfa_core.tables.quantities import quantity
from msfa_core.tables.raw import RawColumn
from msfa_core.tables.reading import UNREADABLE_SHARE, Reading, without_letter
from msfa_core.typing import BoolArray

_ODD_ID_NAMES: Final = ("source", "gaia", "gaia_name", "designation")  # may be anybody's
_ANY_OBJECT: Final = ("objid", "obj_id")  # of Pan-STARRS, or of SDSS
_NO_NUMBER: Final = "is no whole number from 1 to 2⁶³"
_SMALLEST_SOURCE: Final = 4_295_806_720
_LARGEST_PANSTARRS: Final = 220_000_000_000_000_000  # at the pole: (dec + 90°)·120 before 13 digits
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
