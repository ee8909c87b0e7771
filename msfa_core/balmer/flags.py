"""Why a line measurement should not be trusted: the flags and the limits behind them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from msfa_core.balmer import kernel, solver
from msfa_core.constants import (
    ARM_JOINT,
    CONTINUUM_TOLERANCE,
    D02_LEVEL,
    LINE_RMS_MAX,
    LINE_SHIFT_MAX,
    LINE_SNR_MIN,
    SHAPE_TRUSTED,
)
from msfa_core.flags import FitFlag, combined
from msfa_core.typing import FloatArray

COVERAGE_LEAST: Final = 0.65  # share of either half of the window
CONTINUUM_SEEN_LEAST: Final = 0.5
USED_LEAST: Final = 30  # pixels, 39 to 63 of 2 Å and 16 to 25 of 5 Å: those do not resolve a core
CORE_GAP_MOST: Final = 4.5  # Å
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
        & (raw[..., kernel.RAW_USED] >= USED_LEAST)
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
        FitFlag.LOW_SIGNAL: raw[..., kernel.RAW_SNR] < LINE_SNR_MIN,
        FitFlag.NOT_CONVERGED: (fitted & (raw[..., kernel.RAW_CONVERGED] == 0)),
        FitFlag.AT_BOUND: fitted & at_bound,
        FitFlag.POOR_FIT: raw[..., kernel.RAW_RMS] > LINE_RMS_MAX,
        FitFlag.SHAPE_RANGE: (c < SHAPE_TRUSTED[0]) | (c > SHAPE_TRUSTED[1]),
        FitFlag.CONTINUUM_OFF: np.abs(n - 1) > CONTINUUM_TOLERANCE,
        FitFlag.TOO_SHALLOW: fitted & (a <= D02_LEVEL * n),
        FitFlag.MASKED_CORE: raw[..., kernel.RAW_GAP] > CORE_GAP_MOST,
        FitFlag.EMISSION_CORE: emission,
        FitFlag.BAD_FLUX: (raw[..., kernel.RAW_LEVEL] <= 0) | constant,
        FitFlag.CORE_SPIKE: raw[..., kernel.RAW_CORE_OUTLIERS] > 0,
        FitFlag.OFF_CENTRE: np.abs(x0) > LINE_SHIFT_MAX,
        FitFlag.LOPSIDED: (np.abs(raw[..., kernel.RAW_SIDES]) > LOPSIDED_LEAST)
        & (np.abs(raw[..., kernel.RAW_SIDES_SIGMA]) > LOPSIDED_SIGMA),
        FitFlag.PIXELS_REJECTED: raw[..., kernel.RAW_REJECTED] > 0,
        FitFlag.BLENDED: blended & fitted,
        FitFlag.IN_ARM_JOINT: in_joint & ~no_z,
    }
    return combined(conditions)
