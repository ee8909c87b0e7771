"""Whether Hα stands in emission: then the cores of Hδ and Hγ, weaker of it, are filled in, too."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import BALMER_LINES
from msfa_core.spectra.spectrum import Spectra

REACH: Final = 5.0  # Å from Hα at rest: of 230 km/s between star and nebula
CONTINUUM: Final = (40.0, 90.0)  # Å from it, on either side
LEAST: Final = 0.1  # of the continuum above it
SIGMA: Final = 4.0
_WIDTH: Final = 4.5  # Å: three pixels of LAMOST, its resolution there; narrower is no line
_FEWEST_PIXELS: Final = 3
_FEWEST: Final = 10  # pixels of the continuum


def halpha_stands_in_emission(batch: Spectra) -> NDArray[np.bool_]:
    """Return for which spectra pixels in a row stand above the continuum at Hα.

    Of a nebula or a disk Hδ has about a tenth of the flux of Hα (case B, 10⁴ K: Hα : Hδ = 2.86 :
    0.26, Osterbrock & Ferland 2006), and a hot star's continuum is higher there: what does not
    fill up Hα fills Hδ by about 0.03 of its continuum at most. False where there is no Hα.

    Parameters
    ----------
    batch : Spectra
        ``n`` rows, observed frame, vacuum.

    Returns
    -------
    (n,) bool array
    """
    found = np.zeros(len(batch), bool)
    rest = float(BALMER_LINES["halpha"])
    wavelength = np.asarray(batch.wavelength, np.float64)
    for row in np.flatnonzero(np.isfinite(batch.z) & (batch.z > -1)):
        line = rest * (1.0 + batch.z[row])
        far = CONTINUUM[1]
        first, last = wavelength.searchsorted([line - far, line + far])
        off = wavelength[first:last] - line
        good = ~batch.mask[row, first:last] & (batch.ivar[row, first:last] > 0)
        sides = good & (np.abs(off) > CONTINUUM[0])
        if min(np.count_nonzero(sides & (off < 0)), np.count_nonzero(sides & (off > 0))) < _FEWEST:
            continue
        flux = batch.flux[row, first:last].astype(np.float64)
        level = float(np.median(flux[sides]))
        if not level > 0:
            continue
        at = np.flatnonzero(np.abs(off) < REACH)
        if not (flux[at] > level).any():
            continue
        above = np.where(good[at], flux[at] / level - 1.0, -np.inf)
        error = 1.0 / np.sqrt(np.where(good[at], batch.ivar[row, first:last][at], 1.0)) / level
        width = max(round(_WIDTH * (len(off) - 1) / (off[-1] - off[0])), _FEWEST_PIXELS)
        for k in range(len(at) - width + 1):
            some = above[k : k + width]
            noise = np.sqrt(np.square(error[k : k + width]).sum()) / width
            if np.median(some) > 0 and some.mean() > max(LEAST, SIGMA * noise):
                found[row] = True
    return found
