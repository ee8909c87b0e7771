"""Fits of SWS profiles to the Balmer lines of a batch of spectra (paper §V.2).

Recipe: rest frame by the spectrum's z; local continuum by a cubic over 4000–4560 Å without
±60 Å around the Balmer lines, clipped at −1.5σ and +3σ; window ±70 Å around the line without its
metal and helium lines; inverse-variance weights; bounded least squares for
(n, a, b, c, λ0), searched over the cusps of λ0. Errors come from the fit: the covariance of the five
parameters, with the continuum polynomial's own covariance added.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer import kernel, solver
from msfa_core.balmer.continuum import N_COEFFICIENTS, continuum_level
from msfa_core.balmer.interop import as_batches, plain_arrays
from msfa_core.balmer.sws import (
    D02_LEVEL,
    FloatArray,
    Selection,
    SWSParameters,
    core_flux_fm,
    d02_gradient,
    fm_gradient,
    in_bhb_region,
    line_width_d02,
    sws_profile,
)
from msfa_core.constants import BALMER_LINES, FIT_LINES, HEPSILON
from msfa_core.errors import ConfigError, SpectrumError
from msfa_core.spectra.spectrum import Spectra, Spectrum

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

SNR_LEAST: Final = 5.0  # continuum S/N per pixel below which a line is not measured
RMS_MOST: Final = 0.03
SHAPE_TRUSTED: Final = (0.5, 2.0)
CONTINUUM_TOLERANCE: Final = 0.08
COVERAGE_LEAST: Final = 0.65  # share of either half of the window
CONTINUUM_SEEN_LEAST: Final = 0.5
CORE_GAP_MOST: Final = 4.5  # Å
SHIFT_TRUSTED: Final = 4.0  # Å
REVERSAL_LEAST: Final = 0.03  # of the continuum
SIGNIFICANT: Final = 4.0  # σ
_EDGE: Final = 1e-6
_SAME: Final = 1e-6  # Å: the same pixel


class FitFlag(enum.IntFlag):
    """Why a line measurement should not be trusted; 0 means it can."""

    NO_COVERAGE = 1
    LOW_SIGNAL = 2
    NOT_CONVERGED = 4
    AT_BOUND = 8
    POOR_FIT = 16
    SHAPE_RANGE = 32
    CONTINUUM_OFF = 64
    TOO_SHALLOW = 128
    MASKED_CORE = 256
    EMISSION_CORE = 512
    NO_REDSHIFT = 1024
    BAD_FLUX = 2048
    CORE_SPIKE = 4096
    OFF_CENTRE = 8192
    LOPSIDED = 16384
    PIXELS_REJECTED = 32768


_SENTENCES: Final = {
    FitFlag.NO_COVERAGE: "The line or its continuum is not covered by enough good pixels.",
    FitFlag.LOW_SIGNAL: "The continuum S/N is below 5 per pixel.",
    FitFlag.NOT_CONVERGED: "The fit did not converge.",
    FitFlag.AT_BOUND: "A parameter of the profile sits on its bound.",
    FitFlag.POOR_FIT: "The residuals exceed 3 % of the continuum (noise or a profile unlike SWS).",
    FitFlag.SHAPE_RANGE: "The shape c lies outside 0.5–2.",
    FitFlag.CONTINUUM_OFF: "The fitted continuum differs from the local one by more than 8 %.",
    FitFlag.TOO_SHALLOW: "The line is less than 20 % deep, so D0.2 is not defined.",
    FitFlag.MASKED_CORE: "Bad pixels cover the line core.",
    FitFlag.EMISSION_CORE: "The line core turns up or is filled in by emission.",
    FitFlag.NO_REDSHIFT: "The spectrum has no redshift, so its rest frame is unknown.",
    FitFlag.BAD_FLUX: "The continuum is constant, zero or negative.",
    FitFlag.CORE_SPIKE: "A spike (cosmic ray or sky) lies on the line core.",
    FitFlag.OFF_CENTRE: "The line lies more than 4 Å from where the redshift puts it.",
    FitFlag.LOPSIDED: "The two sides of the line differ: a blend or a bad continuum.",
    FitFlag.PIXELS_REJECTED: "Outlying pixels outside the core were left out of the fit.",
}
# With one of these the numbers mean nothing and are NaN.
FATAL: Final = (
    FitFlag.NO_COVERAGE
    | FitFlag.LOW_SIGNAL
    | FitFlag.NOT_CONVERGED
    | FitFlag.AT_BOUND
    | FitFlag.MASKED_CORE
    | FitFlag.EMISSION_CORE
    | FitFlag.NO_REDSHIFT
    | FitFlag.BAD_FLUX
    | FitFlag.CORE_SPIKE
)


def describe(flags: int) -> list[str]:
    """Return one sentence per flag that is set, in the order of the bits."""
    return [sentence for flag, sentence in _SENTENCES.items() if int(flags) & flag]


@dataclass(frozen=True, slots=True)
class LineFits:
    """SWS fits of ``n`` spectra in the lines asked for.

    Attributes
    ----------
    obsid : (n,) int64 array
    lines : tuple of line names
    d02, d02_err : (n, line) arrays [Å]
    fm, fm_err : (n, line) arrays
    depth, width, shape, centre, continuum : (n, line) arrays [1, Å, 1, Å rest vacuum, 1]
        SWS a, b, c, λ0 and n.
    depth_err, width_err, shape_err, centre_err, continuum_err : (n, line) arrays
    d02_fm_correlation : (n, line) array
        Correlation of the errors of D0.2 and fm.
    width_shape_correlation : (n, line) array
        Correlation of the errors of b and c.
    rms : (n, line) array
        Residual rms relative to the continuum.
    chi2 : (n, line) array
        Reduced χ².
    snr : (n, line) array
        Continuum S/N per pixel.
    n_pixels : (n, line) int array
        Pixels used.
    flags : (n, line) int array
        :class:`FitFlag`; 0 = good.
    """

    obsid: NDArray[np.int64]
    lines: tuple[str, ...]
    d02: FloatArray
    d02_err: FloatArray
    fm: FloatArray
    fm_err: FloatArray
    depth: FloatArray
    depth_err: FloatArray
    width: FloatArray
    width_err: FloatArray
    shape: FloatArray
    shape_err: FloatArray
    centre: FloatArray
    centre_err: FloatArray
    continuum: FloatArray
    continuum_err: FloatArray
    d02_fm_correlation: FloatArray
    width_shape_correlation: FloatArray
    rms: FloatArray
    chi2: FloatArray
    snr: FloatArray
    n_pixels: NDArray[np.int64]
    flags: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of spectra."""
        return len(self.obsid)

    def parameters(self, line: str) -> SWSParameters:
        """Return the profiles of one line."""
        k = _line_index(self.lines, line)
        return SWSParameters(
            self.depth[:, k],
            self.width[:, k],
            self.shape[:, k],
            self.centre[:, k],
            self.continuum[:, k],
        )

    def as_table(self, selection: str | Selection | None = None) -> pd.DataFrame:
        """Return the columns of the ``measure`` step that come from the fits.

        Parameters
        ----------
        selection : str or Selection, optional
            When given, ``in_bhb_region`` is added.

        Returns
        -------
        DataFrame
            ``obsid`` and, per line, the columns of :mod:`msfa_core.columns` in their order.
        """
        data: dict[str, Any] = {"obsid": self.obsid}
        for k, line in enumerate(self.lines):
            for name in ("d02", "fm"):
                data[f"{name}_{line}"] = getattr(self, name)[:, k]
                data[f"{name}_{line}_err"] = getattr(self, f"{name}_err")[:, k]
            for name in ("depth", "width", "shape", "continuum", "rms"):
                data[f"{name}_{line}"] = getattr(self, name)[:, k]
            data[f"balmer_flags_{line}"] = self.flags[:, k]
        if selection is not None:
            data["in_bhb_region"] = in_bhb_region(self, selection)
        return pd.DataFrame(data)


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
    for rows, batch in batches:
        raw[rows], covariance[rows], *_ = _measure(batch, chosen)
        obsid[rows], z[rows] = batch.obsid, batch.z
    return _assemble(obsid, z, chosen, raw, covariance)


def _measure(
    batch: Spectra, lines: tuple[str, ...]
) -> tuple[FloatArray, FloatArray, FloatArray, int, FloatArray]:
    """Raw values and covariances; of the last line the pixels used, their number, the continuum."""
    raw = np.full((len(batch), len(lines), kernel.N_RAW), np.nan)
    covariance = np.full((len(batch), len(lines), kernel.N_SWS, kernel.N_SWS), np.nan)
    scratch = np.zeros((5, len(batch.wavelength) + 1))
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


def _assemble(
    obsid: NDArray[np.int64],
    z: FloatArray,
    lines: tuple[str, ...],
    raw: FloatArray,
    covariance: FloatArray,
) -> LineFits:
    """Turn raw values into measurements, errors and flags."""
    flags = _flags(z, raw)
    raw = raw.copy()
    fatal = (flags & int(FATAL)) != 0
    measured = raw[..., : kernel.RAW_CHI2]
    measured[fatal] = np.nan
    covariance = np.where(fatal[..., None, None], np.nan, covariance)
    rest = np.array([BALMER_LINES[line] for line in lines], dtype=np.float64)
    shape = flags.shape
    flat = SWSParameters(
        raw[..., kernel.RAW_A].ravel(),
        raw[..., kernel.RAW_B].ravel(),
        raw[..., kernel.RAW_C].ravel(),
        (raw[..., kernel.RAW_X0] + rest).ravel(),
        raw[..., kernel.RAW_N].ravel(),
    )
    dof = np.maximum(raw[..., kernel.RAW_USED] - kernel.N_SWS, 1)
    chi2 = raw[..., kernel.RAW_CHI2] / dof
    covariance = covariance * _noise_scale(chi2, raw[..., kernel.RAW_CORRELATION])[..., None, None]
    flat_covariance = covariance.reshape(-1, kernel.N_SWS, kernel.N_SWS)
    to_d02, to_fm = d02_gradient(flat), fm_gradient(flat)
    d02_variance = np.einsum("ri,rij,rj->r", to_d02, flat_covariance, to_d02)
    fm_variance = np.einsum("ri,rij,rj->r", to_fm, flat_covariance, to_fm)
    both = np.einsum("ri,rij,rj->r", to_d02, flat_covariance, to_fm)
    error = np.sqrt(np.einsum("rii->ri", flat_covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        d02_fm = both / np.sqrt(d02_variance * fm_variance)
        width_shape = flat_covariance[:, 2, 3] / (error[:, 2] * error[:, 3])

    def folded(values: FloatArray) -> FloatArray:
        return values.reshape(shape)

    return LineFits(
        obsid=obsid,
        lines=lines,
        d02=folded(line_width_d02(flat)),
        d02_err=folded(np.sqrt(d02_variance)),
        fm=folded(core_flux_fm(flat)),
        fm_err=folded(np.sqrt(fm_variance)),
        depth=folded(flat.depth),
        depth_err=folded(error[:, 1]),
        width=folded(flat.width),
        width_err=folded(error[:, 2]),
        shape=folded(flat.shape),
        shape_err=folded(error[:, 3]),
        centre=folded(flat.centre),
        centre_err=folded(error[:, 4]),
        continuum=folded(flat.continuum),
        continuum_err=folded(error[:, 0]),
        d02_fm_correlation=folded(d02_fm),
        width_shape_correlation=folded(width_shape),
        rms=np.where(fatal, np.nan, raw[..., kernel.RAW_RMS]),
        chi2=np.where(fatal, np.nan, chi2),
        snr=raw[..., kernel.RAW_SNR],
        n_pixels=np.nan_to_num(raw[..., kernel.RAW_USED]).astype(np.int64),
        flags=flags,
    )


def _noise_scale(chi2: FloatArray, correlation: FloatArray) -> FloatArray:
    """Factor on the variances for what the inverse variances do not tell.

    Reduced χ² above one (noise underestimated, or a profile unlike SWS), and the correlation of
    neighbouring pixels (LAMOST's resampling), both as found in the residuals. With it, repeat
    observations of A and early F stars differ by what their errors say.
    """
    return np.maximum(chi2, 1.0) * correlation


def _flags(z: FloatArray, raw: FloatArray) -> NDArray[np.int64]:
    """Every reason for doubt that holds, per row and line."""
    n, a, b, c, x0 = (raw[..., k] for k in range(kernel.N_SWS))
    no_z = np.broadcast_to(~(np.isfinite(z) & (z > -1))[:, None], n.shape)
    covered = (
        (raw[..., kernel.RAW_CONTINUUM_SEEN] >= CONTINUUM_SEEN_LEAST)
        & (raw[..., kernel.RAW_LEFT] >= COVERAGE_LEAST)
        & (raw[..., kernel.RAW_RIGHT] >= COVERAGE_LEAST)
    )
    fitted = np.isfinite(n)
    reversal = (raw[..., kernel.RAW_REVERSAL] > REVERSAL_LEAST) & (
        raw[..., kernel.RAW_REVERSAL_SIGMA] > SIGNIFICANT
    )
    at_bound = np.zeros(n.shape, dtype=bool)
    for value, low, high in (
        (n, solver.N_LOW, solver.N_HIGH),
        (a, solver.A_LOW, solver.A_HIGH),
        (b, solver.B_LOW, solver.B_HIGH),
        (c, solver.C_LOW, solver.C_HIGH),
        (x0, -solver.SHIFT_MAX, solver.SHIFT_MAX),
    ):
        at_bound |= (value <= low + _EDGE) | (value >= high - _EDGE)
    conditions = {
        FitFlag.NO_REDSHIFT: no_z,
        FitFlag.NO_COVERAGE: ~covered & ~no_z,
        FitFlag.LOW_SIGNAL: raw[..., kernel.RAW_SNR] < SNR_LEAST,
        FitFlag.NOT_CONVERGED: (fitted & (raw[..., kernel.RAW_CONVERGED] == 0)),
        FitFlag.AT_BOUND: fitted & at_bound,
        FitFlag.POOR_FIT: raw[..., kernel.RAW_RMS] > RMS_MOST,
        FitFlag.SHAPE_RANGE: (c < SHAPE_TRUSTED[0]) | (c > SHAPE_TRUSTED[1]),
        FitFlag.CONTINUUM_OFF: np.abs(n - 1) > CONTINUUM_TOLERANCE,
        FitFlag.TOO_SHALLOW: fitted & (a <= 0.2 * n),  # noqa: PLR2004
        FitFlag.MASKED_CORE: raw[..., kernel.RAW_GAP] > CORE_GAP_MOST,
        FitFlag.EMISSION_CORE: reversal,
        FitFlag.BAD_FLUX: (raw[..., kernel.RAW_LEVEL] <= 0),
        FitFlag.CORE_SPIKE: raw[..., kernel.RAW_CORE_OUTLIERS] > 0,
        FitFlag.OFF_CENTRE: np.abs(x0) > SHIFT_TRUSTED,
        FitFlag.LOPSIDED: (np.abs(raw[..., kernel.RAW_SIDES]) > REVERSAL_LEAST)
        & (np.abs(raw[..., kernel.RAW_SIDES_SIGMA]) > SIGNIFICANT),
        FitFlag.PIXELS_REJECTED: raw[..., kernel.RAW_REJECTED] > 0,
    }
    flags = np.zeros(n.shape, dtype=np.int64)
    for flag, condition in conditions.items():
        flags |= np.where(condition, int(flag), 0)
    return flags


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
    continuum : float
        SWS n.
    d02_edges : (float, float) [Å]
        Where D0.2 begins and ends; NaN when it is not defined.
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
    k = _line_index(fits.lines, line)
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
    n, half = float(alone.continuum[0]), float(fits.d02[row, k]) / 2
    return LineWindow(
        obsid=int(one.obsid[0]),
        line=line,
        wavelength=wavelength,
        flux=flux,
        error=error,
        used=used,
        model=model,
        residual=flux - model,
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


def _line_index(lines: tuple[str, ...], line: str) -> int:
    if line not in lines:
        raise ConfigError(f"{line!r} was not fitted; the fits hold {', '.join(lines)}.")
    return lines.index(line)
