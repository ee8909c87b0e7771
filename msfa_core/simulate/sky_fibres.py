"""What is left of the night sky in real sky fibres, for simulated surveys to draw from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
from scipy.ndimage import median_filter

from msfa_core.constants import LAMOST_GRID
from msfa_core.errors import ReadError
from msfa_core.spectra.readers import read_spectrum
from msfa_core.typing import FloatArray

logger = logging.getLogger(__name__)

_LEVEL_WINDOW: Final = 101  # pixels: running median of the flux that is taken off
_ERROR_WINDOW: Final = 151  # pixels: running median of the error, that of the neighbourhood
_FEWEST_PIXELS: Final = 1000  # on the grid, of a fibre that is used


def read_fibres(folder: Path) -> tuple[FloatArray, FloatArray]:
    """Read sky fibres: residuals and errors, both over the error of the neighbouring pixels.

    Parameters
    ----------
    folder : Path
        Spectra in any layout that ``read_spectrum`` reads, in the order of their names.

    Returns
    -------
    residual, error : (fibre, pixel) arrays on ``LAMOST_GRID``
        0 and 1 where a fibre has no datum.

    Raises
    ------
    ReadError
        When the folder holds no spectrum on a grid of this step.
    """
    paths = sorted(path for path in Path(folder).rglob("*.fits*") if path.is_file())
    if not paths:
        raise ReadError(f"{folder}: no FITS file here; give a folder of spectra of sky fibres.")
    fibres = [fibre for path in paths if (fibre := _fibre(path)) is not None]
    if not fibres:
        raise ReadError(
            f"{folder}: none of {len(paths)} spectra is on wavelengths in steps of "
            f"{LAMOST_GRID.step:g} in log10; give spectra of SDSS or LAMOST."
        )
    if len(fibres) < len(paths):
        logger.warning(
            "%s: %d of %d files are no spectra in steps of %g in log10, and left out",
            *(folder, len(paths) - len(fibres), len(paths), LAMOST_GRID.step),
        )
    residual, error = np.array(fibres).swapaxes(0, 1)
    return residual, error


def _fibre(path: Path) -> tuple[FloatArray, FloatArray] | None:
    spectrum = read_spectrum(path)
    log = np.log10(spectrum.wavelength) / LAMOST_GRID.step - LAMOST_GRID.first
    pixel = np.rint(log).astype(np.int64)
    if np.any(np.diff(pixel) != 1):
        return None
    here = (pixel >= 0) & (pixel < LAMOST_GRID.n_pixels)
    here &= spectrum.ivar > 0  # the mask marks bright lines, which are what is wanted
    if here.sum() < _FEWEST_PIXELS:
        return None
    flux = spectrum.flux[here].astype(np.float64)
    error = 1 / np.sqrt(spectrum.ivar[here].astype(np.float64))
    around = median_filter(error, _ERROR_WINDOW, mode="nearest")
    residual, relative = np.zeros(LAMOST_GRID.n_pixels), np.ones(LAMOST_GRID.n_pixels)
    residual[pixel[here]] = (flux - median_filter(flux, _LEVEL_WINDOW, mode="nearest")) / around
    relative[pixel[here]] = error / around
    return residual, relative
