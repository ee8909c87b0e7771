"""The step ``match``: class and redshift by template matching (LAMOST 1-D pipeline)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.config import Settings
from msfa_core.rules import are_low_resolution
from msfa_core.spectra.spectrum import Spectra
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey


def _inputs(_survey: Survey, settings: Settings) -> Inputs:
    from msfa_core.templates.library import set_checksum  # noqa: PLC0415

    path = settings.templates_path
    templates = {"templates": set_checksum(path)}
    return Inputs(key=templates, given={"templates": path}, said=templates)


def match_templates(spectra: Spectra, rows: pd.DataFrame, templates: str = "") -> pd.DataFrame:
    """Match the low-resolution spectra of a shard.

    Parameters
    ----------
    spectra : Spectra
        n of them.
    rows : (n,) DataFrame
        With ``resolution``, where known.
    templates : str
        Template set; empty for the shipped one.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.templates.matching import match  # noqa: PLC0415 (numba)
    from msfa_core.templates.ranking import rank  # noqa: PLC0415
    from msfa_core.templates.read_templates import read_templates  # noqa: PLC0415

    batch = spectra[np.flatnonzero(are_low_resolution(rows))]
    found = rank(match(batch, read_templates(templates)), batch).as_table().set_index("obsid")
    return pd.DataFrame({"obsid": spectra.obsid}).join(found, on="obsid")


MATCH: Final = Step(
    "match", version=11, work=match_templates, columns=("resolution",), inputs=_inputs
)
