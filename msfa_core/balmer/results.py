"""The record of line fits: measurements, errors and flags out of the raw values of the kernel."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer import kernel
from msfa_core.balmer.flags import FATAL, FitFlag, flags_of
from msfa_core.balmer.sws import (
    FloatArray,
    Selection,
    SWSParameters,
    core_flux_fm,
    d02_gradient,
    fm_gradient,
    in_bhb_region,
    line_width_d02,
)
from msfa_core.constants import BALMER_LINES
from msfa_core.errors import ConfigError

DISAGREEMENT_FM: Final = 0.10  # between Hδ and Hγ
DISAGREEMENT_D02: Final = 0.3  # relative
DISAGREEMENT_SIGMA: Final = 4.0


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

    def __getitem__(self, rows: Any) -> LineFits:
        """Return the fits of these rows (a slice, indices or a boolean array)."""
        chosen = {
            field.name: getattr(self, field.name)[rows]
            for field in fields(self)
            if field.name != "lines"
        }
        return LineFits(lines=self.lines, **chosen)

    def parameters(self, line: str) -> SWSParameters:
        """Return the profiles of one line."""
        k = line_index(self.lines, line)
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


def line_index(lines: tuple[str, ...], line: str) -> int:
    """Return the place of a line among those fitted.

    Raises
    ------
    ConfigError
        When it was not fitted.
    """
    if line not in lines:
        raise ConfigError(f"{line!r} was not fitted; the fits hold {', '.join(lines)}.")
    return lines.index(line)


def assemble(
    obsid: NDArray[np.int64],
    z: FloatArray,
    lines: tuple[str, ...],
    raw: FloatArray,
    covariance: FloatArray,
) -> LineFits:
    """Turn raw values into measurements, errors and flags."""
    flags = flags_of(z, raw)
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

    d02, d02_err = folded(line_width_d02(flat)), folded(np.sqrt(d02_variance))
    fm, fm_err = folded(core_flux_fm(flat)), folded(np.sqrt(fm_variance))
    disagree = _lines_disagree(lines, d02, d02_err, fm, fm_err)
    flags |= np.where(disagree, int(FitFlag.LINES_DISAGREE), 0)[:, None]
    return LineFits(
        obsid=obsid,
        lines=lines,
        d02=d02,
        d02_err=d02_err,
        fm=fm,
        fm_err=fm_err,
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


def _lines_disagree(
    lines: tuple[str, ...],
    d02: FloatArray,
    d02_err: FloatArray,
    fm: FloatArray,
    fm_err: FloatArray,
) -> NDArray[np.bool_]:
    """Return where Hδ and Hγ differ more than in any single star (white dwarfs excepted)."""
    if not {"hdelta", "hgamma"} <= set(lines):
        return np.zeros(len(d02), dtype=bool)
    i, j = lines.index("hdelta"), lines.index("hgamma")
    fm_sigma = np.hypot(fm_err[:, i], fm_err[:, j])
    d02_sigma = np.hypot(d02_err[:, i], d02_err[:, j])
    fm_apart = np.abs(fm[:, i] - fm[:, j])
    d02_apart = np.abs(d02[:, i] - d02[:, j])
    mean = 0.5 * (d02[:, i] + d02[:, j])
    return (
        (fm_apart > DISAGREEMENT_FM) & (fm_apart > DISAGREEMENT_SIGMA * fm_sigma)
    ) | (
        (d02_apart > DISAGREEMENT_D02 * mean) & (d02_apart > DISAGREEMENT_SIGMA * d02_sigma)
    )  # fmt: skip


def _noise_scale(chi2: FloatArray, correlation: FloatArray) -> FloatArray:
    """Return the factor on the variances for what the inverse variances do not tell.

    Reduced χ² above one (noise underestimated, or a profile unlike SWS), and the correlation of
    neighbouring pixels (LAMOST's resampling), both as found in the residuals. With it, repeat
    observations of A and early F stars differ by what their errors say.
    """
    return np.maximum(chi2, 1.0) * correlation
