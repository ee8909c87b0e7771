"""Spectra made of SWS profiles with known parameters, noise and a curved continuum."""

import numpy as np

from msfa_core.balmer.sws import SWSParameters, sws_profile
from msfa_core.constants import BALMER_LINES, HEPSILON, LAMOST_GRID
from msfa_core.spectra.spectrum import Spectra


def simulated_lines(n, snr, rng, z=0.0, depth=(0.55, 0.85), width=(6, 12), shape=(0.75, 1.4)):
    """``n`` spectra (3850–5100 Å at rest) and the true SWSParameters of Hδ, Hγ and Hβ by name.

    ``snr`` is one number or one per row, per pixel of the continuum.
    """
    wavelength = LAMOST_GRID.wavelength
    wavelength = wavelength[(wavelength > 3850 * (1 + z)) & (wavelength < 5100 * (1 + z))]
    rest = wavelength / (1 + z)
    ones = np.ones(n)
    heps = SWSParameters(0.7 * ones, 8 * ones, ones, float(HEPSILON) * ones, ones)
    flux = sws_profile(rest, heps)
    truth = {}
    for line in ("hdelta", "hgamma", "hbeta"):
        truth[line] = SWSParameters(
            rng.uniform(*depth, n),
            rng.uniform(*width, n),
            rng.uniform(*shape, n),
            BALMER_LINES[line] + rng.normal(0, 0.5, n),
            ones,
        )
        flux += sws_profile(rest, truth[line]) - 1
    t = (rest - 4300) / 300
    level = 1000 * (1 + rng.normal(0, 0.15, (n, 1)) * t + rng.normal(0, 0.05, (n, 1)) * t**2)
    error = level / np.broadcast_to(snr, (n,))[:, None]
    spectra = Spectra(
        obsid=np.arange(n) + 1,
        wavelength=wavelength,
        flux=flux * level + error * rng.standard_normal(flux.shape),
        ivar=error**-2,
        mask=np.zeros(flux.shape, dtype=bool),
        z=np.full(n, z),
    )
    return spectra, truth
