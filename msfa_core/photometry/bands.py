"""Whether magnitudes are those that a table calls them, by how they stand to each other.

G, BP and RP are Gaia's where BP and RP add up to G, or nearly; g, r and i are those of Pan-STARRS
where they make the colours that stars of a BP−RP have, whatever dust is before them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import numbers
from msfa_core.constants import (
    GAIA_AB_LESS_VEGA,
    GAIA_VEGA_ZERO_POINT,
    PANSTARRS_SATURATION,
)
from msfa_core.errors import CatalogueError
from msfa_core.photometry.cmd import corrected_excess_factor
from msfa_core.typing import FloatArray

_BRIGHT: Final = 18.0  # mag in G and BP; BP of fainter stars is too bright
_FEWEST_BRIGHT: Final = 20
_ADDS_UP: Final = 0.06  # median of |C*|; 0.02 of stars
_ADDS_UP_WELL: Final = 0.025
_AS_VEGA: Final = 3.0  # times as well, of AB magnitudes
_OF_STEPS: Final = 0.75  # of |C*| that magnitudes in steps of 1 mag may have; 0.6 of 20 red stars
_STEPS: Final = (1.0, 0.5, 0.25, 0.2, 0.1)  # mag, that files are rounded to
_FEWEST_STEPS: Final = 5  # magnitudes that lie on a step by chance less than once in 10⁵ tables
_ON_STEP: Final = 1e-6
_NOT_RED: Final = (-0.3, 1.0)  # mag in BP−RP; between them colours run straight …
_COLOURS: Final = {  # … as a + b BP−RP, along reddening too; to 0.1 and 0.05 mag of STELIB
    ("g", "r"): (-0.21, 0.75),
    ("r", "i"): (-0.22, 0.43),
}
_VEGA: Final = (0.12, 0.40)  # mag: colours of Vega magnitudes lie 0.23 above those
_OTHER_BAND: Final = 0.3  # mag
_WIDE: Final = 0.3  # mag in BP−RP of the middle 68 %, which tell …
_TOLD: Final = 40  # … of so many stars …
_UNRELATED: Final = 0.3  # … whose colours are not ranked as they are; 0.95 of stars
_COARSE: Final = 0.2  # mag; a step from which on colours place no star


def step_of_bands(gaia: pd.DataFrame) -> float:
    """Return the coarsest step [mag] in which G, BP or RP come; 0 for less than 0.1 mag.

    Parameters
    ----------
    gaia : n rows
        ``g_mag, bp_mag, rp_mag``, of which some may be missing.
    """
    for step in _STEPS:
        for name in ("g_mag", "bp_mag", "rp_mag"):
            some = numbers(gaia, name)
            some = some[np.isfinite(some)] / step
            if len(some) >= _FEWEST_STEPS and (np.abs(some - np.round(some)) < _ON_STEP).all():
                return step
    return 0.0


def coarse_bands(gaia: pd.DataFrame) -> list[str]:
    """Say that magnitudes come in steps too coarse for colours, where they do.

    Parameters
    ----------
    gaia : n rows
        As for `step_of_bands`.
    """
    if (step := step_of_bands(gaia)) < _COARSE:
        return []
    return [f"its magnitudes come in steps of {step:g} mag: colours made of them place no star"]


def check_bands(gaia: pd.DataFrame, what: str) -> None:
    """Refuse G, BP and RP that cannot be those of stars: BP and RP add up to G, or nearly.

    Columns that were exchanged, of another system (AB) or another survey do not. A table of few
    rows, or of faint stars alone, tells nothing: their BP is too bright. Where stars are crowded
    BP and RP hold light of others; they are believed where the excess factor says the same. What is
    rounded adds up less well: whole magnitudes tell of nothing but gross faults.

    Parameters
    ----------
    gaia : n rows
        ``g_mag, bp_mag, rp_mag`` [mag]; ``excess_factor`` where it is known.
    what : str
        The table, for messages.

    Raises
    ------
    CatalogueError
    """
    magnitudes = {band: numbers(gaia, f"{band}_mag") for band in ("g", "bp", "rp")}
    off, excess = _off(magnitudes, numbers(gaia, "excess_factor"))
    known = np.isfinite(excess) & (magnitudes["g"] < _BRIGHT) & (magnitudes["bp"] < _BRIGHT)
    if known.sum() < _FEWEST_BRIGHT:
        return
    middle, step = float(np.median(off[known])), step_of_bands(gaia)
    if middle > _ADDS_UP_WELL and step == 0.0:
        vega = {band: magnitudes[band] - float(less) for band, less in GAIA_AB_LESS_VEGA.items()}
        other, _ = _off(vega, numbers(gaia, "excess_factor"))
        if np.median(other[known]) < middle / _AS_VEGA:
            less = ", ".join(f"{float(GAIA_AB_LESS_VEGA[band]):.3f}" for band in magnitudes)
            raise CatalogueError(
                f"{what}: BP and RP of {int(known.sum()):,} stars add up to G if they are AB "
                f"magnitudes; give those of the archive (Vega), or G, BP and RP less {less} mag."
            )
    if middle < max(_ADDS_UP, _OF_STEPS * step):
        return
    raise CatalogueError(
        f"{what}: BP and RP of {int(known.sum()):,} stars do not add up to G (C* = "
        f"{np.median(excess[known]):.3f} in the middle, 0.02 of stars): G, BP or RP is another "
        "magnitude, or two of them are exchanged; correct their names, or take them out. If the "
        "stars are crowded, add phot_bp_rp_excess_factor."
    )


def check_panstarrs(found: pd.DataFrame, bp_rp: FloatArray, what: str) -> None:
    """Refuse g, r and i that make other colours than stars of a BP−RP have in Pan-STARRS.

    Vega magnitudes, bands that were exchanged and rows of other stars do. Few stars, and those so
    bright that the camera saturates, tell nothing.

    Parameters
    ----------
    found : (n,) DataFrame
        ``ps_g_mag, ps_r_mag, ps_i_mag`` [mag], of which some may be missing.
    bp_rp : (n,) array [mag]
        Of the same stars.
    what : str
        The table, for messages.

    Raises
    ------
    CatalogueError
    """
    off, ranked = {}, {}
    for (blue, red), (level, slope) in _COLOURS.items():
        one, other = (
            np.where(values > float(PANSTARRS_SATURATION[band]), values, np.nan)
            for band, values in ((b, numbers(found, f"ps_{b}_mag")) for b in (blue, red))
        )
        known = np.isfinite(one - other) & (bp_rp > _NOT_RED[0]) & (bp_rp < _NOT_RED[1])
        if known.sum() < _FEWEST_BRIGHT:
            continue
        colour = (one - other)[known]
        off[f"{blue}−{red}"] = float(np.median(colour - level - slope * bp_rp[known]))
        low, high = np.quantile(bp_rp[known], (0.16, 0.84))
        if known.sum() >= _TOLD and high - low > _WIDE and np.ptp(colour) > 0:
            pair = (pd.Series(each).rank() for each in (colour, bp_rp[known]))
            ranked[f"{blue}−{red}"] = float(np.corrcoef(*pair)[0, 1])
    words = ", ".join(f"{name} by {size:+.2f} mag" for name, size in off.items())
    if len(off) == len(_COLOURS) and all(_VEGA[0] < one < _VEGA[1] for one in off.values()):
        raise CatalogueError(
            f"{what}: its colours are redder than those of stars of their BP−RP in Pan-STARRS "
            f"({words} in the middle), as those of Vega magnitudes are; give AB magnitudes."
        )
    if any(abs(one) > _OTHER_BAND for one in off.values()):
        raise CatalogueError(
            f"{what}: its colours differ from those of stars of their BP−RP in Pan-STARRS "
            f"({words} in the middle): two bands are exchanged, or a column is another magnitude; "
            "correct their names, or take them out."
        )
    if ranked and max(ranked.values()) < _UNRELATED:
        raise CatalogueError(
            f"{what}: its colours have nothing to do with BP−RP of the stars that they are joined "
            f"to (rank correlation {max(ranked.values()):.2f}): rows may have slipped, or been "
            "sorted without their identifiers; mend them."
        )


def _off(
    magnitudes: dict[str, FloatArray], excess_factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(n,) by how much BP and RP do not add up to G, of the excess factor less; and |C*|."""
    flux = {
        band: 10 ** (-0.4 * (magnitudes[band] - float(zero)))
        for band, zero in GAIA_VEGA_ZERO_POINT.items()
    }
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        ratio = (flux["bp"] + flux["rp"]) / flux["g"]
        excess = np.abs(corrected_excess_factor(magnitudes["bp"] - magnitudes["rp"], ratio))
        return np.fmin(excess, np.abs(ratio - excess_factor)), excess
