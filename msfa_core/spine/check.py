"""The step ``check``: the flux calibration of spectra against the colours of their stars.

What is checked is the continuum that template matching and D0.2 rest on: magnitudes of the
spectrum in g, r and i beside those of Pan-STARRS.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import pandas as pd

from msfa_core.config import Settings
from msfa_core.spectra.spectrum import Spectra
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey

MAGNITUDES: Final = tuple(f"ps_{band}_mag" for band in "gri")


def _inputs(_survey: Survey, _settings: Settings) -> Inputs:
    return Inputs()


def check(spectra: Spectra | pd.DataFrame, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """Compare the magnitudes of the spectra of a shard with those of their stars.

    Parameters
    ----------
    spectra : Spectra
        n of them; left out where no star has magnitudes.
    rows : (n,) DataFrame
        ``obsid``, and ``ps_g_mag``, ``ps_r_mag``, ``ps_i_mag`` [mag] and their errors, where known.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.photometry.synthetic import (  # noqa: PLC0415 (scipy)
        flux_calibration,
        synthetic_magnitudes,
    )

    if rows is None:
        rows, n = cast("pd.DataFrame", spectra), len(spectra)
        own = np.zeros((n, 3)), np.zeros((n, 3))  # nothing to compare with
    else:
        seen = cast("Spectra", spectra)
        good = ~seen.mask & (seen.ivar > 0)
        own = synthetic_magnitudes(np.asarray(seen.wavelength, np.float64), seen.flux, good)
    found = flux_calibration(rows, *own)
    return pd.concat([rows[["obsid"]], found], axis=1)


def _no_photometry(rows: pd.DataFrame) -> bool:
    """Tell whether no star has two magnitudes."""
    names = [name for name in MAGNITUDES if name in rows.columns]
    return not (rows[names].notna().sum(axis=1) > 1).any()


CHECK: Final = Step(
    "check",
    version=1,
    work=check,
    columns=(*MAGNITUDES, *(f"{name}_err" for name in MAGNITUDES)),
    inputs=_inputs,
    needs=("place",),
    blind=_no_photometry,
)
