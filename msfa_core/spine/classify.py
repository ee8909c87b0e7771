"""The step ``classify``: the two networks on every low-resolution spectrum (paper §IV, §V.1)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.config import Settings
from msfa_core.constants import STELLAR_CLASSES
from msfa_core.rules import are_low_resolution
from msfa_core.spectra.spectrum import Spectra
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey


def _inputs(_survey: Survey, settings: Settings) -> Inputs:
    from msfa_core.search.two_stages import load_search  # noqa: PLC0415 (torch)

    models = settings.models_folder
    weights = {"weights": load_search(models).weights_checksum}
    asked = {"stage2_from": settings.stage2_from}
    return Inputs(key=weights | asked, given={"models": models} | asked, said=weights | asked)


def classify(
    spectra: Spectra, rows: pd.DataFrame, models: str = "", stage2_from: float = 0.0
) -> pd.DataFrame:
    """Classify the spectra of a shard.

    Parameters
    ----------
    spectra : Spectra
        n of them.
    rows : (n,) DataFrame
        With ``resolution``, where known; the networks know low resolution only.
    models : str
        Folder of the weights; empty for the shipped ones.
    stage2_from : float
        Least stage-1 probability of BHB that stage 2 is asked about.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step; NaN where the networks have nothing to say.
    """
    from msfa_core.search.two_stages import load_search  # noqa: PLC0415 (torch)
    from msfa_core.spectra.prepare import prepare  # noqa: PLC0415

    n = len(spectra)
    p_class = np.full((n, len(STELLAR_CLASSES)), np.nan)
    p_bhb, novelty = np.full(n, np.nan), np.full(n, np.nan)
    predicted = np.full(n, None, dtype=object)
    low = np.flatnonzero(are_low_resolution(rows))
    if len(low):
        search = load_search(models)
        found = search.classify(prepare(spectra[low]), stage2_from=stage2_from)
        p_class[low], p_bhb[low] = found.class_probability, found.p_bhb
        novelty[low] = found.novelty
        predicted[low] = [str(name) or None for name in found.predicted_class]
    columns = {f"p_class_{c.lower()}": p_class[:, k] for k, c in enumerate(STELLAR_CLASSES)}
    table = pd.DataFrame({"obsid": spectra.obsid, **columns})
    predicted_class = pd.Series(predicted, dtype="str")
    return table.assign(predicted_class=predicted_class, p_bhb=p_bhb, novelty=novelty)


CLASSIFY: Final = Step(
    "classify",
    version=1,
    work=classify,
    columns=("resolution",),
    inputs=_inputs,
    needs=("match",),
    at_rest=True,
)
