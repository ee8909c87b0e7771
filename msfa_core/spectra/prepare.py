"""Make spectra ready for the networks: rest frame, 4000–7000 Å, 2430 pixels, min–max (paper §II.3).

Bad pixels (masked, without inverse variance, or not finite) are bridged by a straight line between
their good neighbours; nothing else touches the flux. One cosmic ray that the mask missed does
squeeze a row, because the paper's scale runs from the least to the greatest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.constants import NETWORK_GRID
from msfa_core.spectra.spectrum import PreparedSpectra, Spectra, Spectrum, as_spectra

MIN_COVERAGE: Final = 0.8  # share of 4000–7000 Å that good pixels must cover


def prepare(spectra: Spectra | Spectrum | Sequence[Spectrum]) -> PreparedSpectra:
    """Bring spectra to the rest frame, onto ``NETWORK_GRID`` and to the range [0, 1].

    Parameters
    ----------
    spectra : Spectra, Spectrum or sequence of Spectrum
        Observed frame; the rest frame follows from each one's ``z``.

    Returns
    -------
    PreparedSpectra
        One row per spectrum, in the order given. A row is NaN where ``z`` is unknown, good pixels
        cover less than 80 % of 4000–7000 Å (rest), or the flux is constant. Linear
        interpolation; beyond the first and last good pixel their value is held.
    """
    batch = as_spectra(spectra)
    grid = NETWORK_GRID.wavelength
    good = ~batch.mask & (batch.ivar > 0) & np.isfinite(batch.flux)
    pixel_width = np.gradient(batch.wavelength) if len(batch.wavelength) > 1 else np.zeros(1)
    doppler = 1 + np.where(np.isfinite(batch.z), batch.z, -1)
    usable = (doppler > 0) & (_coverage(batch, good, pixel_width, doppler) >= MIN_COVERAGE)
    prepared = np.full((len(batch), len(grid)), np.nan, dtype=np.float32)
    for row in np.flatnonzero(usable):
        kept = good[row]
        # Interpolating at observed wavelengths gives the rest-frame values: both scale alike.
        flux = np.interp(grid * doppler[row], batch.wavelength[kept], batch.flux[row, kept])
        low, high = flux.min(), flux.max()
        if high > low:
            prepared[row] = (flux - low) / (high - low)
    return PreparedSpectra(obsid=batch.obsid, flux=prepared)


def _coverage(
    batch: Spectra,
    good: NDArray[np.bool_],
    pixel_width: NDArray[np.float64],
    doppler: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(n,) share of the network's range, as observed, that good pixels cover."""
    share = np.zeros(len(batch))
    for row in np.flatnonzero(doppler > 0):
        first, last = np.searchsorted(
            batch.wavelength, doppler[row] * np.array([NETWORK_GRID.start, NETWORK_GRID.stop])
        )
        covered = np.dot(good[row, first:last], pixel_width[first:last])
        share[row] = covered / (doppler[row] * (NETWORK_GRID.stop - NETWORK_GRID.start))
    return share
