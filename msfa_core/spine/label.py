"""The step ``label``: SLAM on each shard, and whose labels a star ends up with (paper §V.3.1).

SLAM's labels are the columns ``teff, logg, feh``. Where it gives none, those of a catalogue
stand in, flagged; what a catalogue says stays visible as ``teff_catalogue`` … beside them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.columns import BY_NAME, columns_of
from msfa_core.config import Settings
from msfa_core.constants import LABELS
from msfa_core.flags import LabelFlag
from msfa_core.spectra.spectrum import Spectra

_SETTLED: Final = int(  # flags that follow from labels and limits, found anew each time
    LabelFlag.FROM_CATALOGUE
    | LabelFlag.MISSING
    | LabelFlag.HIGH_LOGG
    | LabelFlag.HIGH_FEH
    | LabelFlag.OUTSIDE_KIEL_BAND
    | LabelFlag.DISAGREES_WITH_CLASS
)
_VALUES: Final = tuple(f"{name}{end}" for name in LABELS for end in ("", "_err"))


def label_shard(
    spectra: Spectra, is_low: NDArray[np.bool_], colours: pd.DataFrame | None, models: str = ""
) -> pd.DataFrame:
    """Label the spectra of a shard.

    Parameters
    ----------
    spectra : Spectra
        n of them.
    is_low : (n,) bool array
        True for low resolution; other spectra get no labels.
    colours : DataFrame of n rows, optional
        As `predict_labels` takes them.
    models : str
        Folder of the models; empty for the shipped one.

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.slam.inversion import predict_labels  # noqa: PLC0415
    from msfa_core.slam.model import load_model  # noqa: PLC0415

    rows = np.flatnonzero(is_low)
    part = None if colours is None else colours.iloc[rows].reset_index(drop=True)
    found = predict_labels(spectra[rows], part, load_model(models)).as_table()
    table = pd.DataFrame({"obsid": spectra.obsid})
    for column in columns_of("label"):
        table[column.name] = pd.Series([None] * len(table), dtype=column.dtype)
        table.loc[rows, column.name] = found[column.name].astype(column.dtype).to_numpy()
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
    from msfa_core.photometry.colours import colours  # noqa: PLC0415

    found = colours(table)
    known = table["ebv"].notna() if "ebv" in table.columns else pd.Series(False, table.index)
    return found.where(np.broadcast_to(known.to_numpy(bool)[:, None], found.shape), np.nan)


def settle_labels(table: pd.DataFrame, base: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the table with the labels in force and all their flags.

    Parameters
    ----------
    table : (n,) DataFrame
        Every spectrum, with what the step gave; rows the step has not seen stay as they are.
    base : (m,) DataFrame
        What files and catalogues say.
    settings : Settings
        Limits of log g and [Fe/H].
    """
    from msfa_core.slam.labels import label_flags  # noqa: PLC0415

    done = table["label_flags"].notna().to_numpy(bool)
    flags = table["label_flags"].fillna(0).to_numpy(np.int64)
    listed = _listed(table, base)
    none = done & ((flags & int(LabelFlag.MISSING)) != 0)
    stand_in = none & listed[list(LABELS)].notna().any(axis=1).to_numpy(bool)
    columns = {}
    for name in _VALUES:
        own = table[name].astype(BY_NAME[name].dtype)
        columns[name] = own.where(~stand_in, listed[name])
        if listed[name].notna().any():
            columns[f"{name}_catalogue"] = listed[name]
    result = table.assign(**columns)
    limits = {"logg_limit": settings.logg_outlier, "feh_limit": settings.feh_outlier}
    flags = (flags & ~_SETTLED) | label_flags(result, **limits)
    flags |= np.where(stand_in, int(LabelFlag.FROM_CATALOGUE), 0)
    settled = pd.Series(flags, index=table.index, dtype="Int64")
    return result.assign(label_flags=settled.where(done, pd.NA))


def _listed(table: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Labels of catalogues in the order of the table; NaN where there are none."""
    rows = base.drop_duplicates("obsid").set_index("obsid").reindex(columns=list(_VALUES))
    listed = rows.reindex(table["obsid"].to_numpy(np.int64)).set_axis(table.index)
    return listed.astype("float64")
