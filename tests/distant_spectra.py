"""QSOs at any redshift, their forest drawn cloud by cloud: made of no template."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from msfa_core.constants import LAMOST_GRID, SPEED_OF_LIGHT
from msfa_core.spectra.spectrum import Spectra
from msfa_core.templates.continuum import simulated_ratios

# The strongest lines of QSOs: vacuum wavelength [Å], equivalent width [Å], σ [km/s]
LINES = (
    (1033.8, 9.0, 2300.0), (1215.7, 75.0, 2200.0), (1240.8, 16.0, 2500.0), (1305.0, 2.0, 1500.0),
    (1397.8, 8.0, 2800.0), (1549.5, 25.0, 2400.0), (1908.7, 21.0, 3200.0), (2798.8, 32.0, 2300.0),
    (4862.7, 46.0, 2300.0), (4960.3, 4.0, 350.0), (5008.2, 13.0, 350.0), (6564.6, 190.0, 2000.0),
)  # fmt: skip
PIXEL = LAMOST_GRID.step * np.log(10) * SPEED_OF_LIGHT  # km/s


def forest(wavelength, z, random):
    """(pixel,) transmission of clouds on the way to a QSO: lognormal depths, 150 km/s across.

    The mean depth at each redshift is the one that observers give (Fan et al. 2006); the QSO's own
    light thins the clouds nearest to it, up to some 6000 km/s away.
    """
    reach = random.uniform(0.0, 4000.0)
    field = gaussian_filter1d(random.normal(size=len(wavelength)), 150.0 / PIXEL)
    field *= 1.6 / field.std()
    depth = np.zeros(len(wavelength))
    for line, share in ((1215.67, 1.0), (1025.72, 0.45)):
        gas = wavelength / line - 1.0
        mean = 0.85 * (np.maximum(1.0 + gas, 1.0) / 5.0) ** 4.3
        mean *= np.where(gas > 5.5, ((1.0 + gas) / 6.5) ** 6.6, 1.0)
        # clouds let more through than fog of their mean depth: twice as deep for the same light
        away = (z - gas) / (1.0 + z) * SPEED_OF_LIGHT
        thinned = away**2 / (away**2 + reach**2)
        depth += np.where(gas < z, share * thinned * 2.0 * mean * np.exp(field - 0.5 * 1.6**2), 0.0)
    limit = 911.75 * (1.0 + z)
    depth += np.where(wavelength < limit, (limit - wavelength) / (60.0 * (1 + z) / 4.5), 0.0)
    return np.exp(-depth)


def qso(wavelength, z, random):
    """(pixel,) light of one QSO [relative flux], as observed."""
    rest = wavelength / (1.0 + z)
    slope = random.normal(-1.56, 0.25)
    light = (rest / 1450.0) ** slope
    shape = np.ones(len(rest))
    strength, width = np.exp(random.normal(0.0, 0.3)), np.exp(random.normal(0.0, 0.25))
    for centre, equivalent, sigma in LINES:
        wide = sigma * (width if sigma > 1000.0 else 1.0)
        moved = centre * (
            1.0 + random.normal(0.0, 150.0 if sigma > 1000.0 else 20.0) / SPEED_OF_LIGHT
        )
        spread = moved * wide / SPEED_OF_LIGHT
        area = equivalent * strength * np.exp(random.normal(0.0, 0.2))
        shape += area * np.exp(-0.5 * ((rest - moved) / spread) ** 2) / spread / np.sqrt(2 * np.pi)
    return light * shape * forest(wavelength, z, random)


def simulated_qsos(n, seed, snr, z):
    """n QSOs at redshifts drawn evenly within z = (low, high); S/N is of the brighter pixels."""
    random = np.random.default_rng(seed)
    wavelength = LAMOST_GRID.wavelength
    shift = random.uniform(*z, n)
    flux = np.array([qso(wavelength, one, random) for one in shift]) * simulated_ratios(n, seed)
    bright = np.percentile(flux, 75, axis=1, keepdims=True)
    sigma = bright / np.exp(random.uniform(*np.log(snr), n))[:, None]
    flux = flux + sigma * random.normal(size=flux.shape)
    return Spectra(
        obsid=np.arange(n),
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        ivar=np.broadcast_to(1.0 / sigma**2, flux.shape).astype(np.float32),
        mask=np.zeros(flux.shape, dtype=bool),
        z=shift,
    )
