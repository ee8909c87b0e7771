"""Why a line measurement should not be trusted: the flags and the limits behind them."""

from __future__ import annotations

import enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.balmer import kernel, solver
from msfa_core.balmer.sws import D02_LEVEL, FloatArray
from msfa_core.constants import ARM_JOINT

SNR_LEAST: Final = 5.0  # continuum S/N per pixel below which a line is not measured
RMS_MOST: Final = 0.03
SHAPE_TRUSTED: Final = (0.5, 2.0)
CONTINUUM_TOLERANCE: Final = 0.08
COVERAGE_LEAST: Final = 0.65  # share of either half of the window
CONTINUUM_SEEN_LEAST: Final = 0.5
CORE_GAP_MOST: Final = 4.5  # Å
SHIFT_TRUSTED: Final = 3.0  # Å; real A and B stars of LAMOST stay below 1.3
REVERSAL_LEAST: Final = 0.03  # of the continuum: the core above its shoulders …
REVERSAL_SIGMA: Final = 4.0
FILLED_LEAST: Final = 0.012  # … or above the profile; at most 0.004 in real A and B stars
FILLED_SIGMA: Final = 2.5
LOPSIDED_LEAST: Final = 0.03  # of the continuum
LOPSIDED_SIGMA: Final = 4.0
SECOND_SIGMA: Final = 3.0  # of a second line; real A stars of LAMOST stay below
LINE_REACH: Final = 15.0  # Å, half of a wide D0.2: nearer to the joint a line is not measured
_EDGE: Final = 1e-6
_CONSTANT: Final = 1e-9  # relative scatter of rounding alone


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
    LINES_DISAGREE = 65536
    BLENDED = 131072
    IN_ARM_JOINT = 262144


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
    FitFlag.OFF_CENTRE: "The line lies over 3 Å off where the redshift puts it, or is two lines.",
    FitFlag.LOPSIDED: "The two sides of the line differ: a blend or a bad continuum.",
    FitFlag.PIXELS_REJECTED: "Outlying pixels outside the core were left out of the fit.",
    FitFlag.LINES_DISAGREE: "Hδ and Hγ differ more than in any single star; one may be disturbed.",
    FitFlag.BLENDED: "A second line shows in the residuals: two stars of different velocity.",
    FitFlag.IN_ARM_JOINT: "The line falls where the blue and red arms meet (5700–6000 Å).",
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
    | FitFlag.OFF_CENTRE
    | FitFlag.LOPSIDED
    | FitFlag.BLENDED
    | FitFlag.IN_ARM_JOINT
)


def describe(flags: int) -> list[str]:
    """Return one sentence per flag that is set, in the order of the bits."""
    return [sentence for flag, sentence in _SENTENCES.items() if int(flags) & flag]


def flags_of(z: FloatArray, raw: FloatArray, rest: FloatArray) -> NDArray[np.int64]:
    """Return every reason for doubt that holds, per row and line.

    Parameters
    ----------
    z : (n,) array
    raw : (n, line, kernel.N_RAW) array
    rest : (line,) array [Å]
        Wavelengths of the lines at rest.
    """
    n, a, b, c, x0 = (raw[..., k] for k in range(kernel.N_SWS))
    no_z = np.broadcast_to(~(np.isfinite(z) & (z > -1))[:, None], n.shape)
    covered = (
        (raw[..., kernel.RAW_CONTINUUM_SEEN] >= CONTINUUM_SEEN_LEAST)
        & (raw[..., kernel.RAW_LEFT] >= COVERAGE_LEAST)
        & (raw[..., kernel.RAW_RIGHT] >= COVERAGE_LEAST)
    )
    fitted = np.isfinite(n)
    emission = (
        (raw[..., kernel.RAW_REVERSAL] > REVERSAL_LEAST)
        & (raw[..., kernel.RAW_REVERSAL_SIGMA] > REVERSAL_SIGMA)
    ) | (
        (raw[..., kernel.RAW_CORE] > FILLED_LEAST)
        & (raw[..., kernel.RAW_CORE_SIGMA] > FILLED_SIGMA)
    )
    constant = raw[..., kernel.RAW_SCATTER] <= _CONSTANT * raw[..., kernel.RAW_SNR]
    at_bound = np.zeros(n.shape, dtype=bool)
    for value, low, high in (
        (n, solver.N_LOW, solver.N_HIGH),
        (a, solver.A_LOW, solver.A_HIGH),
        (b, solver.B_LOW, solver.B_HIGH),
        (c, solver.C_LOW, solver.C_HIGH),
        (x0, -solver.SHIFT_MAX, solver.SHIFT_MAX),
    ):
        at_bound |= (value <= low + _EDGE) | (value >= high - _EDGE)
    noise = np.sqrt(np.maximum(raw[..., kernel.RAW_NOISE], 1.0))
    second = raw[..., kernel.RAW_SECOND_SIGMA] > SECOND_SIGMA * noise
    blended = np.broadcast_to(second.any(axis=1, keepdims=True), n.shape)
    observed = rest * (1 + z[:, None])
    in_joint = (observed > ARM_JOINT[0] - LINE_REACH) & (observed < ARM_JOINT[1] + LINE_REACH)
    conditions = {
        FitFlag.NO_REDSHIFT: no_z,
        FitFlag.NO_COVERAGE: ~covered & ~no_z,
        FitFlag.LOW_SIGNAL: raw[..., kernel.RAW_SNR] < SNR_LEAST,
        FitFlag.NOT_CONVERGED: (fitted & (raw[..., kernel.RAW_CONVERGED] == 0)),
        FitFlag.AT_BOUND: fitted & at_bound,
        FitFlag.POOR_FIT: raw[..., kernel.RAW_RMS] > RMS_MOST,
        FitFlag.SHAPE_RANGE: (c < SHAPE_TRUSTED[0]) | (c > SHAPE_TRUSTED[1]),
        FitFlag.CONTINUUM_OFF: np.abs(n - 1) > CONTINUUM_TOLERANCE,
        FitFlag.TOO_SHALLOW: fitted & (a <= D02_LEVEL * n),
        FitFlag.MASKED_CORE: raw[..., kernel.RAW_GAP] > CORE_GAP_MOST,
        FitFlag.EMISSION_CORE: emission,
        FitFlag.BAD_FLUX: (raw[..., kernel.RAW_LEVEL] <= 0) | constant,
        FitFlag.CORE_SPIKE: raw[..., kernel.RAW_CORE_OUTLIERS] > 0,
        FitFlag.OFF_CENTRE: np.abs(x0) > SHIFT_TRUSTED,
        FitFlag.LOPSIDED: (np.abs(raw[..., kernel.RAW_SIDES]) > LOPSIDED_LEAST)
        & (np.abs(raw[..., kernel.RAW_SIDES_SIGMA]) > LOPSIDED_SIGMA),
        FitFlag.PIXELS_REJECTED: raw[..., kernel.RAW_REJECTED] > 0,
        FitFlag.BLENDED: blended & fitted,
        FitFlag.IN_ARM_JOINT: in_joint & ~no_z,
    }
    flags = np.zeros(n.shape, dtype=np.int64)
    for flag, condition in conditions.items():
        flags |= np.where(condition, int(flag), 0)
    return flags
