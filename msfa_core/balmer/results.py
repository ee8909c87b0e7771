"""The record of line fits: measurements, errors and flags out of the raw values of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.balmer import kernel
from msfa_core.balmer.flags import FATAL, flags_of
from msfa_core.balmer.linearised import N_BIASED
from msfa_core.balmer.sws import (
    SWSParameters,
    core_flux_fm,
    d02_curvature,
    d02_gradient,
    fm_curvature,
    fm_gradient,
    line_width_d02,
)
from msfa_core.constants import (
    BALMER_LINES,
    D02_REPEAT_ERROR,
    FM_REPEAT_ERROR,
    LINE_SYMBOLS,
    SHAPE_REPEAT_ERROR,
    SHOWN_ROWS,
    WIDTH_REPEAT_ERROR,
)
from msfa_core.errors import ConfigError
from msfa_core.flags import FitFlag
from msfa_core.typing import FloatArray

# Relative errors of D0.2 and of the depth 1 − fm at which half of the noise bias is taken off
D02_BIAS_TRUSTED: Final = 0.082
FM_BIAS_TRUSTED: Final = 0.065
_BIAS_FADE: Final = 8  # power of its fading beyond
_NEVER: Final = 1e9  # times that: nothing is taken off, and the power does not overflow
DISAGREEMENT_FM: Final = 0.10  # between Hδ and Hγ
DISAGREEMENT_D02: Final = 0.3  # relative
DISAGREEMENT_SIGMA: Final = 4.0
WHITE_DWARF_D02: Final = 40.0  # Å; wider lines are those of white dwarfs, and differ by nature

_BIASES: Final = slice(kernel.RAW_BIAS_N, kernel.RAW_BIAS_N + N_BIASED)


@dataclass(frozen=True, slots=True)
class LineFits:
    """SWS fits of ``n`` spectra in the lines asked for.

    Attributes
    ----------
    obsid : (n,) int64 array
    lines : tuple of line names
    d02, d02_err : (n, line) arrays [Å]
    fm, fm_err : (n, line) arrays
        Those of the profile, ``d02_bias`` and ``fm_bias`` taken off. The errors hold the noise and
        what repeat spectra differ by beyond it (``constants.D02_REPEAT_ERROR``,
        ``FM_REPEAT_ERROR``), not what the profile does not follow: that is alike in every spectrum
        of a star.
    d02_bias, fm_bias : (n, line) arrays [Å, 1]
        What noise adds on average to D0.2 and fm of a fitted profile, as far as it was taken off.
    depth, width, shape, centre, continuum : (n, line) arrays [1, Å, 1, Å rest vacuum, 1]
        SWS a, b, c, λ0 and n.
    depth_err, width_err, shape_err, centre_err, continuum_err : (n, line) arrays
        Of depth, width and shape as those of D0.2 and fm (``WIDTH_REPEAT_ERROR``,
        ``SHAPE_REPEAT_ERROR``; depths as fm); of the others, of all that the residuals show.
    d02_fm_correlation : (n, line) array
        Correlation of the errors of D0.2 and fm: of the noise; what repeats differ by beyond it is
        taken to have none.
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
    d02_bias: FloatArray
    fm_bias: FloatArray
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

    def as_table(self) -> pd.DataFrame:
        """Return the columns of the ``measure`` step that come from the fits.

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
            data[f"d02_fm_correlation_{line}"] = self.d02_fm_correlation[:, k]
            data[f"depth_{line}"] = self.depth[:, k]
            for name in ("width", "shape"):
                data[f"{name}_{line}"] = getattr(self, name)[:, k]
                data[f"{name}_{line}_err"] = getattr(self, f"{name}_err")[:, k]
            data[f"width_shape_correlation_{line}"] = self.width_shape_correlation[:, k]
            data[f"continuum_{line}"] = self.continuum[:, k]
            data[f"rms_{line}"] = self.rms[:, k]
            data[f"balmer_flags_{line}"] = self.flags[:, k]
        return pd.DataFrame(data)

    def _repr_html_(self) -> str:
        """Return D0.2 and fm of the first rows, as notebooks show them."""
        rows = [
            {"obsid": str(self.obsid[i]), "line": LINE_SYMBOLS[line]}
            | {
                name: f"{value[i, k]:.{digits}f} ± {error[i, k]:.{digits}f}"
                for name, value, error, digits in (
                    ("D0.2 [Å]", self.d02, self.d02_err, 2),
                    ("fm", self.fm, self.fm_err, 3),
                )
            }
            | {"doubts": "; ".join(FitFlag.sentences(int(self.flags[i, k]))) or "none"}
            for i in range(min(len(self), SHOWN_ROWS))
            for k, line in enumerate(self.lines)
        ]
        table = pd.DataFrame(rows).to_html(index=False, border=0)
        return f"<p>SWS fits; spectra: {len(self):,}</p>{table}"


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
    emission: NDArray[np.bool_],
) -> LineFits:
    """Turn raw values into measurements, errors and flags; in which spectra Hα is in emission."""
    rest = np.array([BALMER_LINES[line] for line in lines], dtype=np.float64)
    flags = flags_of(z, raw, rest)
    shape = flags.shape
    flat = SWSParameters(
        raw[..., kernel.RAW_A].ravel(),
        raw[..., kernel.RAW_B].ravel(),
        raw[..., kernel.RAW_C].ravel(),
        (raw[..., kernel.RAW_X0] + rest).ravel(),
        raw[..., kernel.RAW_N].ravel(),
    )
    dof = np.maximum(raw[..., kernel.RAW_USED] - kernel.N_SWS, 1)
    noise = np.maximum(raw[..., kernel.RAW_NOISE], 1.0)
    bias = (noise[..., None] * raw[..., _BIASES]).reshape(-1, N_BIASED)
    scaled = (covariance * noise[..., None, None]).reshape(-1, kernel.N_SWS, kernel.N_SWS)
    to_d02, to_fm = d02_gradient(flat), fm_gradient(flat)

    def floor(errors: Mapping[str, float]) -> FloatArray:
        return np.tile([errors.get(line, max(errors.values())) for line in lines], len(obsid))

    # of the noise alone in it
    share = (np.maximum(raw[..., kernel.RAW_NOISE_ALONE], 1.0) / noise).ravel()
    both = share * np.einsum("ri,rij,rj->r", to_d02, scaled, to_fm)
    with np.errstate(invalid="ignore", divide="ignore"):
        d02_fit = np.sqrt(np.einsum("ri,rij,rj->r", to_d02, scaled, to_d02))
        fm_fit = np.sqrt(np.einsum("ri,rij,rj->r", to_fm, scaled, to_fm))
        error = np.sqrt(np.einsum("rii->ri", scaled))
        d02, fm = line_width_d02(flat), core_flux_fm(flat)
        d02_bias = _noise_bias(to_d02, d02_curvature(flat), scaled, bias)
        d02_bias *= _trust(d02_fit / d02, D02_BIAS_TRUSTED)
        fm_bias = _noise_bias(to_fm, fm_curvature(flat), scaled, bias)
        fm_bias *= _trust(fm_fit / (1 - fm), FM_BIAS_TRUSTED)
        d02_err = np.hypot(np.sqrt(share) * d02_fit, floor(D02_REPEAT_ERROR) * (d02 - d02_bias))
        fm_err = np.hypot(np.sqrt(share) * fm_fit, floor(FM_REPEAT_ERROR))
        noise_of = np.sqrt(share)[:, None] * error
        depth_err = np.hypot(noise_of[:, 1], floor(FM_REPEAT_ERROR) * flat.continuum)
        width_err = np.hypot(noise_of[:, 2], floor(WIDTH_REPEAT_ERROR) * flat.width)
        shape_err = np.hypot(noise_of[:, 3], floor(SHAPE_REPEAT_ERROR) * flat.shape)
        measured = {
            "d02": d02 - d02_bias,
            "d02_err": d02_err,
            "fm": fm - fm_bias,
            "fm_err": fm_err,
            "d02_bias": d02_bias,
            "fm_bias": fm_bias,
            "depth": flat.depth,
            "depth_err": depth_err,
            "width": flat.width,
            "width_err": width_err,
            "shape": flat.shape,
            "shape_err": shape_err,
            "centre": flat.centre,
            "centre_err": error[:, 4],
            "continuum": flat.continuum,
            "continuum_err": error[:, 0],
            "d02_fm_correlation": both / (d02_err * fm_err),
            # of repeats (0.5 to 0.65) as of the fit
            "width_shape_correlation": scaled[:, 2, 3] / (error[:, 2] * error[:, 3]),
            "rms": raw[..., kernel.RAW_RMS].ravel(),
            "chi2": (raw[..., kernel.RAW_CHI2] / dof).ravel(),
        }
    fatal = (flags & int(FATAL)) != 0

    def trusted(values: FloatArray) -> FloatArray:
        return np.where(fatal, np.nan, values.reshape(shape))

    disagree = _lines_disagree(
        lines, *map(trusted, (measured["d02"], d02_fit, measured["fm"], fm_fit))
    )
    flags |= np.where(disagree, int(FitFlag.LINES_DISAGREE), 0)[:, None]
    flags |= np.where(emission, int(FitFlag.HALPHA_EMISSION), 0)[:, None]
    return LineFits(
        obsid=obsid,
        lines=lines,
        **{name: trusted(values) for name, values in measured.items()},
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
    """Return where Hδ and Hγ differ more than in any single star (white dwarfs excepted).

    The errors are those of the fit, its misfit included: what else parts the lines of a star is
    in the least that counts.
    """
    if not {"hdelta", "hgamma"} <= set(lines):
        return np.zeros(len(d02), dtype=bool)
    i, j = lines.index("hdelta"), lines.index("hgamma")
    fm_sigma = np.hypot(fm_err[:, i], fm_err[:, j])
    d02_sigma = np.hypot(d02_err[:, i], d02_err[:, j])
    fm_apart = np.abs(fm[:, i] - fm[:, j])
    d02_apart = np.abs(d02[:, i] - d02[:, j])
    mean = 0.5 * (d02[:, i] + d02[:, j])
    differ = (fm_apart > DISAGREEMENT_FM) & (fm_apart > DISAGREEMENT_SIGMA * fm_sigma)
    differ |= (d02_apart > DISAGREEMENT_D02 * mean) & (d02_apart > DISAGREEMENT_SIGMA * d02_sigma)
    return np.asarray(differ & ~(mean > WHITE_DWARF_D02))


def _noise_bias(
    gradient: FloatArray, curvature: FloatArray, covariance: FloatArray, bias: FloatArray
) -> FloatArray:
    """Return by how much noise shifts the mean of a function of the fitted parameters.

    To second order: the slopes times the bias of the parameters (Box 1971), and half the trace of
    curvature times covariance.

    Parameters
    ----------
    gradient : (n, 5) array
    curvature : (n, 4, 4) array
    covariance : (n, 5, 5) array
    bias : (n, 4) array
        Of n, a, b and c.

    Returns
    -------
    (n,) array
    """
    shift = np.einsum("ri,ri->r", gradient[:, :N_BIASED], bias)
    shift += 0.5 * np.einsum("rij,rij->r", curvature, covariance[:, :N_BIASED, :N_BIASED])
    return np.asarray(shift)


def _trust(relative_error: FloatArray, half: float) -> FloatArray:
    """Return the share of the noise bias to take off: less where the errors are large.

    There the series means little, and the error varies with the value itself: values without
    bias would have pulls that are not centred.
    """
    far = np.minimum(np.abs(relative_error / half), _NEVER)
    return np.asarray(1 / (1 + far**_BIAS_FADE))
