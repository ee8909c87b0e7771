"""What is shown of one star: its spectrum at rest and its fitted lines, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from msfa_core.balmer.fit import LineFits, LineWindow, fit_lines, line_window
from msfa_core.constants import LINE_LIST
from msfa_core.spectra.spectrum import Spectra
from msfa_core.typing import FloatArray

SHOWN: Final = (3_750.0, 7_000.0)  # Å, rest, vacuum
NAMED_LINES: Final = ("Ca II K", "Hδ", "Hγ", "Mg II 4481", "Hβ", "Na I D2", "Hα")
_CHUNK: Final = 256  # spectra in hand at a time


class HasSpectra(Protocol):
    """A survey, as far as pictures need it."""

    def spectra(self, obsids: NDArray[np.int64]) -> Spectra:
        """Return spectra on one grid, rows in the order asked for."""
        ...


@dataclass(frozen=True, slots=True)
class StarPicture:
    """One spectrum as it is drawn.

    Attributes
    ----------
    obsid : int
    wavelength : (pixel,) array [Å, rest (observed where z is unknown), vacuum]
    flux : (pixel,) array
        Over its median; NaN at bad pixels. Pixels are even in log λ, as on `LAMOST_GRID`.
    at_rest : bool
    windows : tuple of LineWindow
        Hδ and Hγ with their fits.
    """

    obsid: int
    wavelength: FloatArray
    flux: FloatArray
    at_rest: bool
    windows: tuple[LineWindow, ...]


def line_places() -> dict[str, float]:
    """Return the lines that are named above a spectrum [Å, rest, vacuum]."""
    return {name: float(LINE_LIST[name][0]) for name in NAMED_LINES if name in LINE_LIST}


def pictures(survey: HasSpectra, obsids: NDArray[np.int64]) -> list[StarPicture]:
    """Return what is drawn of some spectra of a survey, in the order asked for.

    Parameters
    ----------
    survey : Survey
    obsids : (n,) int64 array
    """
    made: list[StarPicture] = []
    for start in range(0, len(obsids), _CHUNK):
        batch = survey.spectra(obsids[start : start + _CHUNK])
        fits = fit_lines(batch)
        made += [picture(batch, fits, row) for row in range(len(batch))]
    return made


def picture(batch: Spectra, fits: LineFits, row: int) -> StarPicture:
    """Return what is drawn of one row of a batch.

    Parameters
    ----------
    batch : Spectra
    fits : LineFits
        Of the batch.
    row : int
    """
    z = float(batch.z[row])
    at_rest = bool(np.isfinite(z))
    wavelength = batch.wavelength / (1.0 + z) if at_rest else batch.wavelength
    shown = (wavelength >= SHOWN[0]) & (wavelength <= SHOWN[1])
    flux = np.where(batch.mask[row], np.nan, batch.flux[row]).astype(np.float64)[shown]
    good = flux[np.isfinite(flux)]
    level = abs(float(np.median(good))) if len(good) else 1.0
    windows = tuple(line_window(batch, fits, row, line) for line in fits.lines)
    return StarPicture(
        int(batch.obsid[row]), wavelength[shown], flux / (level or 1.0), at_rest, windows
    )
