"""Values that are only a limit, as columns beside them say: ``l_Teff`` of CDS, 2MASS's quality."""

from __future__ import annotations

from typing import Final

import numpy as np

from msfa_core.tables.cells import clean, is_missing
from msfa_core.tables.names import plain
from msfa_core.tables.raw import RawTable, is_text
from msfa_core.typing import BoolArray

QUALITY_OF_2MASS: Final = (  # a letter for each of its bands
    *("qflg", "qfl", "ph_qual", "phqual", "tmass_ph_qual", "tmass_phqual", "q_2mass"),
    *("qflag", "quality_flag", "2mass_ph_qual", "2mass_qflg"),
)
_BANDS_OF_2MASS: Final = ("j_mag", "h_mag", "ks_mag")
_SIGNS: Final = ("<", ">", "<=", ">=", "≤", "≥", "<~", ">~")


def limits(raw: RawTable, house: str, name: str) -> tuple[BoolArray, set[str]]:
    """Return which values of a column are only a limit, and the columns that say so.

    Parameters
    ----------
    raw : RawTable
        ``n`` rows.
    house : str
        The quantity that the column holds.
    name : str
        What the file calls it.

    Returns
    -------
    (n,) bool array
    set of str
        Names of the columns that were looked at.
    """
    found, looked_at = np.zeros(len(raw), bool), set()
    key = f"l_{plain(name)}"
    beside = next((one for one in raw.columns if plain(one.name) == key), None)
    if beside is not None:
        looked_at.add(beside.name)
        if is_text(beside.values):
            found |= beside.values.str.strip().isin(_SIGNS).to_numpy(bool)
    if house in _BANDS_OF_2MASS:
        undetected, quality = _undetected(raw, _BANDS_OF_2MASS.index(house))
        found |= undetected
        looked_at |= quality
    return found, looked_at


def _undetected(raw: RawTable, band: int) -> tuple[BoolArray, set[str]]:
    """(n,) rows that the quality of 2MASS (``AAU``) says to have but an upper limit in a band."""
    named = [one for one in raw.columns if plain(one.name) in QUALITY_OF_2MASS]
    if named and is_text(named[0].values):
        letters = named[0].values.fillna("").map(lambda word: clean(str(word)))
        known = letters[~letters.map(is_missing).to_numpy(bool)]
        if len(known) and known.str.fullmatch(r"[A-FUX]{3}").all():
            return (letters.str[band] == "U").to_numpy(bool), {named[0].name}
    return np.zeros(len(raw), bool), set()
