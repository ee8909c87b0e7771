"""Fits of SWS profiles to the Balmer lines of a batch of spectra (paper §V.2).

Recipe: rest frame by the spectrum's z; local continuum by a cubic over 4000–4560 Å without
±60 Å around the Balmer lines, clipped at −1.5σ and +3σ; window ±70 Å around the line without its
metal and helium lines; inverse-variance weights; bounded least squares for
(n, a, b, c, λ0), searched over the cusps of λ0. Errors come from the fit: the covariance of the
five parameters, with the continuum polynomial's own covariance added, times the variance that
the residuals show over 3 to 8 pixels where it exceeds what the inverse variances say. Weak metal
lines that the profile does not follow count in it. Those of D0.2 and fm leave them out, by what
neighbouring pixels differ by, and hold what repeat spectra differ by beyond their noise (placing
of the continuum, flux calibration). The mean by which noise shifts D0.2 and fm of a fitted
profile, known to second order, is taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.balmer import kernel
from msfa_core.balmer.continuum import N_COEFFICIENTS, continuum_level
from msfa_core.balmer.emission import halpha_stands_in_emission
from msfa_core.balmer.flags import FATAL
from msfa_core.balmer.interop import as_batches, in_pieces, plain_arrays
from msfa_core.balmer.results import LineFits, assemble, line_index
from msfa_core.balmer.sws import SWSParameters, line_width_d02, sws_profile
from msfa_core.constants import BALMER_LINES, D02_LEVEL, FIT_LINES, HEPSILON
from msfa_core.errors import ConfigError, SpectrumError
from msfa_core.flags import FitFlag
from msfa_core.spectra.spectrum import Spectra, Spectrum
from msfa_core.typing import FloatArray

__all__ = [
    "FATAL",
    "FitFlag",
    "LineFits",
    "LineWindow",
    "fit_lines",
    "line_window",
]

CONTINUUM_GAP: Final = 60.0  # Å left out on either side of a Balmer line
CONTINUUM_RANGE: Final = {  # Å, rest, vacuum
    "hdelta": (4000.0, 4560.0),
    "hgamma": (4000.0, 4560.0),
    "hbeta": (4680.0, 5060.0),
    "halpha": (6420.0, 6720.0),
}
# Metal and helium lines left out of the windows [Å, rest, vacuum]
MASKED_RANGES: Final = (
    (4026.0, 4028.6),  # He I
    (4045.0, 4049.0),  # Fe I
    (4063.0, 4066.8),  # Fe I
    (4071.2, 4074.2),  # Fe I
    (4077.5, 4080.2),  # Sr II
    (4128.0, 4133.2),  # Si II
    (4143.6, 4146.2),  # He I
    (4226.5, 4229.3),  # Ca I
    (4271.5, 4274.5),  # Fe I
    (4289.5, 4317.4),  # Ti II, Fe II, Fe I, Sc II, the G band
    (4320.6, 4323.2),  # Sc II
    (4324.5, 4328.5),  # Fe I
    (4351.6, 4354.4),  # Fe II
    (4368.0, 4371.6),  # Ti II, Fe II
    (4374.0, 4378.0),  # Fe I, Ti II
    (4382.5, 4387.0),  # Fe I
    (4387.9, 4390.5),  # He I
    (4395.0, 4397.6),  # Ti II
    (4400.0, 4402.2),  # Ti II
    (4404.8, 4407.0),  # Fe I
    (4471.5, 4474.1),  # He I
    (4922.0, 4926.5),  # He I, Fe II
    (6610.0, 6614.0),  # interstellar band
)
_SAME: Final = 1e-6  # Å: the same pixel


def fit_lines(
    spectra: Spectra | Spectrum | Sequence[Spectrum] | Any,
    lines: Sequence[str] = FIT_LINES,
) -> LineFits:
    """Fit the Balmer lines of all spectra at once.

    Parameters
    ----------
    spectra : Spectra, Spectrum, sequence of Spectrum, or specutils Spectrum
        ``n`` rows, observed frame, vacuum; each is brought to rest by its own z.
    lines : sequence of str
        ``hdelta``, ``hgamma``, ``hbeta``, ``halpha``.

    Returns
    -------
    LineFits
        ``n`` rows; a line that cannot be measured is NaN and says why in its flags.

    Raises
    ------
    ConfigError
        For an unknown line.
    SpectrumError
        When ``spectra`` is none of the known kinds.
    """
    chosen = _checked_lines(lines)
    batches = as_batches(spectra)
    n = sum(len(rows) for rows, _ in batches)
    obsid = np.zeros(n, dtype=np.int64)
    z = np.full(n, np.nan)
    raw = np.full((n, len(chosen), kernel.N_RAW), np.nan)
    covariance = np.full((n, len(chosen), kernel.N_SWS, kernel.N_SWS), np.nan)
    emission = np.zeros(n, dtype=bool)
    for rows, batch in in_pieces(batches):
        raw[rows], covariance[rows], *_ = _measure(batch, chosen)
        obsid[rows], z[rows] = batch.obsid, batch.z
        emission[rows] = halpha_stands_in_emission(batch)
    return assemble(obsid, z, chosen, raw, covariance, emission)


def _measure(
    batch: Spectra, lines: tuple[str, ...]
) -> tuple[FloatArray, FloatArray, FloatArray, int, FloatArray]:
    """Raw values and covariances; of the last line the pixels used, their number, the continuum."""
    raw = np.full((len(batch), len(lines), kernel.N_RAW), np.nan)
    covariance = np.full((len(batch), len(lines), kernel.N_SWS, kernel.N_SWS), np.nan)
    scratch = np.zeros((kernel.SCRATCH_ROWS, len(batch.wavelength) + 1))
    coefficients = np.full(N_COEFFICIENTS, np.nan)
    balmer = np.array([HEPSILON, *BALMER_LINES.values()], dtype=np.float64)
    m = kernel.measure_rows(
        *plain_arrays(batch),
        np.array([BALMER_LINES[line] for line in lines], dtype=np.float64),
        np.array([CONTINUUM_RANGE[line] for line in lines]),
        np.stack([balmer - CONTINUUM_GAP, balmer + CONTINUUM_GAP], axis=1),
        np.array(MASKED_RANGES),
        raw,
        covariance,
        scratch,
        coefficients,
    )
    return raw, covariance, scratch, m, coefficients


_CORE: Final = 4.0  # Å on either side of the centre that are drawn finer than pixels
_CORE_POINTS: Final = 16


@dataclass(frozen=True, slots=True)
class LineWindow:
    """One fitted line as a plot needs it.

    Attributes
    ----------
    obsid : int
    line : str
    wavelength : (pixel,) array [Å, rest, vacuum]
        All pixels of the window.
    flux, error : (pixel,) arrays
        Normalised to the local continuum polynomial; NaN where there is no pixel.
    used : (pixel,) bool array
        Pixels that entered the fit.
    model, residual : (pixel,) arrays
        SWS profile, and flux − model; NaN when the line could not be measured.
    curve : (2, point) array
        Wavelength and flux of the profile as a line to draw: the pixels, and between them its
        core, which is sharper than a pixel where c < 1.
    continuum : float
        SWS n.
    d02_edges : (float, float) [Å]
        Where D0.2 of the drawn profile begins and ends; NaN when it is not defined.
    d02_level : float
        Flux at which D0.2 is measured.
    flags : int
    """

    obsid: int
    line: str
    wavelength: FloatArray
    flux: FloatArray
    error: FloatArray
    used: NDArray[np.bool_]
    model: FloatArray
    residual: FloatArray
    curve: FloatArray
    continuum: float
    d02_edges: tuple[float, float]
    d02_level: float
    flags: int


def line_window(spectra: Any, fits: LineFits, row: int, line: str) -> LineWindow:
    """Return the pixels, the model and the residuals of one fitted line.

    Parameters
    ----------
    spectra : as given to :func:`fit_lines`
    fits : LineFits
        Fits of these spectra.
    row : int
    line : str

    Raises
    ------
    SpectrumError
        When the row of the spectra and that of the fits are not the same observation.
    """
    k = line_index(fits.lines, line)
    one = _one_row(spectra, row)
    if row >= len(fits) or int(one.obsid[0]) != int(fits.obsid[row]):
        raise SpectrumError(
            f"row {row} of the spectra is obsid {one.obsid[0]}, but not that of the fits; "
            "give the spectra that were fitted, in the same order."
        )
    _, _, scratch, m, coefficients = _measure(one, (line,))
    rest = float(BALMER_LINES[line])
    rest_wavelength = one.wavelength / (1 + one.z[0])
    inside = np.abs(rest_wavelength - rest) <= kernel.WINDOW
    wavelength = rest_wavelength[inside]
    level = continuum_level(wavelength, CONTINUUM_RANGE[line], coefficients)
    ivar = np.where(one.mask[0], 0, one.ivar[0])[inside].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        flux = one.flux[0][inside] / level
        error = np.where(ivar > 0, 1 / np.sqrt(ivar) / np.abs(level), np.nan)
    used = (np.abs((wavelength - rest)[:, None] - scratch[0, :m]) < _SAME).any(axis=1)
    sws = fits.parameters(line)
    alone = SWSParameters(
        *(getattr(sws, name)[[row]] for name in ("depth", "width", "shape", "centre", "continuum"))
    )
    model = sws_profile(wavelength, alone)[0]
    core = float(alone.centre[0]) + np.linspace(-_CORE, _CORE, 2 * _CORE_POINTS + 1)
    drawn = np.union1d(wavelength, core[np.isfinite(core)])
    curve = np.stack([drawn, sws_profile(drawn, alone)[0]])
    n, half = float(alone.continuum[0]), float(line_width_d02(alone)[0]) / 2
    return LineWindow(
        obsid=int(one.obsid[0]),
        line=line,
        wavelength=wavelength,
        flux=flux,
        error=error,
        used=used,
        model=model,
        residual=flux - model,
        curve=curve[:, np.isfinite(curve[1])],
        continuum=n,
        d02_edges=(float(alone.centre[0]) - half, float(alone.centre[0]) + half),
        d02_level=(1 - D02_LEVEL) * n,
        flags=int(fits.flags[row, k]),
    )


def _one_row(spectra: Any, row: int) -> Spectra:
    """Return one row as a batch."""
    for rows, batch in as_batches(spectra):
        found = np.flatnonzero(rows == row)
        if len(found):
            return batch[found]
    raise SpectrumError(f"there is no row {row} in the spectra.")


def _checked_lines(lines: Sequence[str]) -> tuple[str, ...]:
    chosen = (lines,) if isinstance(lines, str) else tuple(lines)
    unknown = [line for line in chosen if line not in BALMER_LINES]
    if unknown or not chosen:
        raise ConfigError(
            f"unknown line(s) {unknown}; choose from {', '.join(BALMER_LINES)} (at least one)."
        )
    return chosen
