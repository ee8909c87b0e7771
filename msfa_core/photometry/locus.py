"""Reference sequences of the colour–magnitude diagram: of a user's stars, and of models.

The model sequence is the zero-age horizontal branch that simulated stars are drawn from
(``data/reference/zahb_cmd.csv``); the other is the running median of the stars of a table, such as
members of globular clusters.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msfa_core.errors import CatalogueError
from msfa_core.photometry.cmd import in_trapezoid
from msfa_core.shipped import shipped, shipped_table
from msfa_core.typing import FloatArray

ZAHB_FILE: Final = shipped("reference", "zahb_cmd.csv")
BIN_WIDTH: Final = 0.06  # mag in BP−RP
FEWEST: Final = 8  # stars of a point
_PERCENTILES: Final = (16.0, 50.0, 84.0)
_COLUMNS: Final = ("teff", "bp_rp", "abs_mag_g")


@dataclass(frozen=True, slots=True)
class CmdLocus:
    """A sequence in the colour–magnitude diagram, from blue to red.

    Attributes
    ----------
    bp_rp : (k,) array [mag]
    abs_mag_g : (k,) array [mag]
        Median where it is of stars.
    bright, faint : (k,) arrays [mag]
        Between them lie the middle 68 % of the stars; the sequence itself for models.
    n_stars : (k,) array
        Stars of each point; 0 for models.
    """

    bp_rp: FloatArray
    abs_mag_g: FloatArray
    bright: FloatArray
    faint: FloatArray
    n_stars: NDArray[np.int64]


def reference_locus(
    bp_rp: ArrayLike, abs_mag_g: ArrayLike, width: float = BIN_WIDTH, fewest: int = FEWEST
) -> CmdLocus:
    """Return the horizontal branch of a table of stars: a running median in the trapezoid.

    Parameters
    ----------
    bp_rp, abs_mag_g : (n,) arrays [mag]
        Without dust where the table has that, as `catalogue.reference` gives them.
    width : float
        Of the bins in BP−RP, which overlap by half [mag].
    fewest : int
        Bins with fewer stars give no point.

    Raises
    ------
    CatalogueError
        When the trapezoid holds too few stars for two points.
    """
    colour, magnitude = np.asarray(bp_rp, dtype=float), np.asarray(abs_mag_g, dtype=float)
    inside = in_trapezoid(colour, magnitude)
    colour, magnitude = colour[inside], magnitude[inside]
    points = []
    if len(colour):
        for centre in np.arange(colour.min() + width / 2, colour.max() + width / 2, width / 2):
            near = np.abs(colour - centre) <= width / 2
            if near.sum() >= fewest:
                levels = np.percentile(magnitude[near], _PERCENTILES)
                points.append((np.median(colour[near]), *levels, near.sum()))
    if len(points) < 2:  # noqa: PLR2004 (a line has two ends)
        raise CatalogueError(
            f"only {len(colour)} of the reference stars lie in the trapezoid of the CMD: no "
            "sequence can be drawn through them; name another table."
        )
    x, bright, median, faint, number = np.array(sorted(points)).T
    return CmdLocus(x, median, bright, faint, number.astype(np.int64))


@functools.lru_cache(maxsize=2)
def zahb_locus(path: Path = ZAHB_FILE) -> CmdLocus:
    """Read the zero-age horizontal branch of the models.

    Raises
    ------
    ModelError
        When the file is missing or is another table.
    """
    table = shipped_table(path, _COLUMNS)
    table = table.sort_values("bp_rp")
    magnitude = table["abs_mag_g"].to_numpy(np.float64)
    none = np.zeros(len(table), dtype=np.int64)
    colour = table["bp_rp"].to_numpy(np.float64)
    return CmdLocus(colour, magnitude, magnitude, magnitude, none)


def above_locus(locus: CmdLocus, bp_rp: ArrayLike, abs_mag_g: ArrayLike) -> FloatArray:
    """Return how much brighter stars are than a sequence at their colour.

    Parameters
    ----------
    locus : CmdLocus
    bp_rp, abs_mag_g : (n,) arrays [mag]

    Returns
    -------
    (n,) array [mag]
        NaN beyond the ends of the sequence.
    """
    expected = np.interp(
        np.asarray(bp_rp, dtype=float), locus.bp_rp, locus.abs_mag_g, left=np.nan, right=np.nan
    )
    return expected - np.asarray(abs_mag_g, dtype=float)
