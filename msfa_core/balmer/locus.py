"""Ca II K against Hδ or temperature: loci of model stars, and the line between them.

At one gravity and temperature a metal-poor BHB star has a weaker Ca II K line than an evolved
star of solar metallicity (Population I). The loci are those of the shipped model grid, measured
as stars are (``data/reference/calcium_loci.csv``): BHB stars in the middle of the Kiel band of
Culpan et al. (2024), solar-metallicity stars of fixed gravity.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from msfa_core.errors import ConfigError
from msfa_core.shipped import shipped, shipped_table
from msfa_core.typing import FloatArray

LOCI_FILE: Final = shipped("reference", "calcium_loci.csv")
ABSCISSAE: Final = ("d02_hdelta", "bp_rp", "teff")  # what KP is drawn against
BHB_FEH_MAX: Final = -0.8  # the most metal-rich horizontal branch that counts as BHB here
GAP_MIN: Final = 0.3  # Å: where the loci are closer, KP at S/N 30 cannot tell them apart
POINTS: Final = 120  # of the dividing line
_COLUMNS: Final = ("sequence", "teff", "logg", "feh", "d02_hdelta", "kp", "bp_rp")


@dataclass(frozen=True, slots=True)
class Locus:
    """Model stars of one kind, from cool to hot.

    Attributes
    ----------
    sequence : str
        ``bhb`` or ``pop1``.
    feh : float
    logg : (k,) array [dex]
    teff : (k,) array [K]
    d02_hdelta, kp : (k,) arrays [Å]
    bp_rp : (k,) array [mag]
        Without reddening, in approximate passbands.
    """

    sequence: str
    feh: float
    logg: FloatArray
    teff: FloatArray
    d02_hdelta: FloatArray
    kp: FloatArray
    bp_rp: FloatArray

    def along(self, abscissa: str) -> FloatArray:
        """(k,) positions on the abscissa: ``d02_hdelta``, ``bp_rp`` or ``teff``."""
        if abscissa not in ABSCISSAE:
            raise ConfigError(
                f"no loci of KP against {abscissa!r}; known are {', '.join(ABSCISSAE)}."
            )
        values: FloatArray = getattr(self, abscissa)
        return values

    def single_valued(self, abscissa: str) -> tuple[FloatArray, FloatArray]:
        """Return abscissa, ascending, and KP, of the part where one belongs to the other.

        Against Hδ that is the part cooler than the star of widest Hδ.
        """
        x, kp = self.along(abscissa), self.kp
        if abscissa == "d02_hdelta":
            last = int(np.argmax(x)) + 1
            x, kp = x[:last], kp[:last]
        order = np.argsort(x)
        return x[order], kp[order]


@functools.lru_cache(maxsize=2)
def calcium_loci(path: Path = LOCI_FILE) -> tuple[Locus, ...]:
    """Read the loci: BHB stars from metal-poor to metal-rich, then Population I by gravity.

    Raises
    ------
    ModelError
        When the file is missing or is another table.
    """
    table = shipped_table(path, _COLUMNS)
    loci = []
    bhb = table["sequence"] == "bhb"
    for part in (table[bhb].groupby("feh"), table[~bhb].groupby("logg")):
        for _, rows in part:
            ordered = rows.sort_values("teff")
            values = {name: ordered[name].to_numpy(dtype=np.float64) for name in _COLUMNS[1:]}
            feh = float(values.pop("feh")[0])
            loci.append(Locus(str(ordered["sequence"].iloc[0]), feh, **values))
    return tuple(loci)


@functools.cache
def dividing_line(abscissa: str) -> tuple[FloatArray, FloatArray]:
    """Return the line midway between BHB and Population I stars.

    Midway in KP between the most metal-rich BHB locus ([Fe/H] −0.8) and the lowest one of
    Population I stars, as far as these are more than ``GAP_MIN`` apart. Against Hδ the line holds
    for the cool side of the Hδ maximum: Population I stars hotter than that lie below it, among
    the BHB stars.

    Parameters
    ----------
    abscissa : str
        ``d02_hdelta`` [Å], ``bp_rp`` [mag] or ``teff`` [K].

    Returns
    -------
    x : (k,) array, ascending
    kp : (k,) array [Å]
    """
    loci = calcium_loci()
    poor = next(locus for locus in loci if (locus.sequence, locus.feh) == ("bhb", BHB_FEH_MAX))
    x_poor, kp_poor = poor.single_valued(abscissa)
    x = np.linspace(x_poor[0], x_poor[-1], POINTS)
    rich = [
        np.interp(x, *locus.single_valued(abscissa), left=np.inf, right=np.inf)
        for locus in loci
        if locus.sequence == "pop1"
    ]
    lowest = np.min(rich, axis=0)
    if abscissa == "d02_hdelta":  # a gravity between two of the models may reach farther
        lowest = np.minimum.accumulate(lowest)
    low = np.interp(x, x_poor, kp_poor)
    apart = np.isfinite(lowest) & (lowest - low > GAP_MIN)
    return x[apart], (0.5 * (low + lowest))[apart]


def above_dividing_line(kp: ArrayLike, x: ArrayLike, abscissa: str) -> FloatArray:
    """Return how far stars lie above the dividing line.

    Parameters
    ----------
    kp : (n,) array [Å]
    x : (n,) array
        In the unit of the abscissa.
    abscissa : str

    Returns
    -------
    (n,) array [Å]
        Positive on the side of Population I stars; NaN beyond the ends of the line.
    """
    line = dividing_line(abscissa)
    position = np.asarray(x, dtype=np.float64)
    height: FloatArray = np.asarray(kp, dtype=np.float64) - np.interp(
        position, *line, left=np.nan, right=np.nan
    )
    return height


def dividing_line_errors(
    kp_err: ArrayLike, x: ArrayLike, x_err: ArrayLike, abscissa: str
) -> FloatArray:
    """Return errors of `above_dividing_line`: that of KP, and that of where the line is read.

    Parameters
    ----------
    kp_err : (n,) array [Å]
    x, x_err : (n,) array
        In the unit of the abscissa; one without an error (NaN) counts as exact.
    abscissa : str

    Returns
    -------
    (n,) array [Å]
        NaN beyond the ends of the line, and without an error of KP.
    """
    line = dividing_line(abscissa)
    first, last = line[0][0], line[0][-1]
    position = np.asarray(x, dtype=np.float64)
    position = np.where((position >= first) & (position <= last), position, np.nan)
    error = np.nan_to_num(np.asarray(x_err, dtype=np.float64))
    reach = np.maximum(error, np.diff(line[0]).max())  # the line has bends: a mean slope counts
    low, high = np.clip(position - reach, first, last), np.clip(position + reach, first, last)
    slope = (np.interp(high, *line) - np.interp(low, *line)) / (high - low)
    errors: FloatArray = np.hypot(np.asarray(kp_err, dtype=np.float64), slope * error)
    return errors
