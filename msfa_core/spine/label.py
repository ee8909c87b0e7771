"""The step ``label``: Teff, log g, [Fe/H] by SLAM, spectra and colours together (paper §V.3.1)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import columns_of
from msfa_core.config import Settings
from msfa_core.flags import LabelFlag
from msfa_core.photometry.colours import COLOUR_COLUMNS, colours
from msfa_core.rules import are_low_resolution
from msfa_core.spectra.spectrum import Spectra
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey


def _inputs(_survey: Survey, settings: Settings) -> Inputs:
    from msfa_core.slam.model import model_checksum  # noqa: PLC0415 (scipy)

    models = settings.models_folder
    model = {"model": model_checksum(models or None)}
    return Inputs(key=model, given={"models": models}, said=model)


def label(spectra: Spectra, rows: pd.DataFrame, models: str = "") -> pd.DataFrame:
    """Label the low-resolution spectra of a shard.

    Parameters
    ----------
    spectra : Spectra
        n of them.
    rows : (n,) DataFrame
        ``resolution`` and the columns that colours are made of, where known.
    models : str
        Folder of the models; empty for the shipped one.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step; other resolutions are flagged as missing.
    """
    from msfa_core.slam.inversion import predict_labels  # noqa: PLC0415 (scipy)
    from msfa_core.slam.model import load_model  # noqa: PLC0415

    low = np.flatnonzero(are_low_resolution(rows))
    part = colours_for_labels(rows.iloc[low].reset_index(drop=True))
    found = predict_labels(spectra[low], part, load_model(models)).as_table()
    table = pd.DataFrame({"obsid": spectra.obsid})
    for column in columns_of("label"):
        table[column.name] = pd.Series([None] * len(table), dtype=column.dtype)
        table.loc[low, column.name] = found[column.name].astype(column.dtype).to_numpy()
    table["label_flags"] = table["label_flags"].fillna(int(LabelFlag.MISSING))
    return table


def colours_for_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the colours that may join the spectra: those of stars whose reddening is known.

    Parameters
    ----------
    table : (n,) DataFrame
        With the columns of the step ``place``.

    Returns
    -------
    (n,) DataFrame
        As from `photometry.colours.colours`; NaN where ``ebv`` is missing.
    """
    found = colours(table)
    known = table["ebv"].notna() if "ebv" in table.columns else pd.Series(False, table.index)
    return found.where(np.broadcast_to(known.to_numpy(bool)[:, None], found.shape), np.nan)


LABEL: Final = Step(
    "label",
    version=9,
    work=label,
    columns=("resolution", *COLOUR_COLUMNS),
    inputs=_inputs,
    needs=("match", "place"),
    at_rest=True,
)
