"""The step ``measure``: Hδ and Hγ profiles and line indices of every spectrum (paper §V.2)."""

from __future__ import annotations

from typing import Final

import pandas as pd

from msfa_core.config import Settings
from msfa_core.spectra.spectrum import Spectra
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey


def _inputs(_survey: Survey, _settings: Settings) -> Inputs:
    return Inputs()


def measure(spectra: Spectra, _rows: pd.DataFrame) -> pd.DataFrame:
    """Measure the lines of the spectra of a shard.

    Parameters
    ----------
    spectra : Spectra
        n of them.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.balmer.fit import fit_lines  # noqa: PLC0415 (numba)
    from msfa_core.balmer.indices import line_indices, without_wrong_frames  # noqa: PLC0415

    table = pd.DataFrame({"obsid": spectra.obsid, "rest_z": spectra.z})
    fits = fit_lines(spectra)
    for part in (fits.as_table(), without_wrong_frames(line_indices(spectra), fits)):
        values = part.set_index("obsid") if "obsid" in part.columns else part
        table = table.join(values.reindex(spectra.obsid).reset_index(drop=True))
    return table


MEASURE: Final = Step(
    "measure",
    version=12,
    work=measure,
    columns=(),
    inputs=_inputs,
    needs=("match",),
    at_rest=True,
)
