"""Why stars are set aside by their labels, at limits that can be moved (paper §V.3.1)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from msfa_core.flags import LabelFlag
from msfa_core.rules import beyond_limit, outside_kiel_band

REASONS: Final = (  # a star with several is shown by the first: what it is, then how it was fitted
    LabelFlag.HIGH_LOGG,
    LabelFlag.HIGH_FEH,
    LabelFlag.OUTSIDE_KIEL_BAND,
    LabelFlag.DISAGREES_WITH_CLASS,
    LabelFlag.DISAGREES_WITH_PHOTOMETRY,
    LabelFlag.POOR_CHI2,
    LabelFlag.FOLDED,
    LabelFlag.OUTSIDE_HULL,
    LabelFlag.AT_EDGE,
    LabelFlag.NOT_CONVERGED,
)


def flags_at(table: pd.DataFrame, logg_limit: float, feh_limit: float) -> NDArray[np.int64]:
    """Return the label flags of stars at other limits than those of the settings.

    Parameters
    ----------
    table : n rows
        With ``label_flags``, ``logg`` and ``feh`` [dex].
    logg_limit, feh_limit : float
        Limits above which a label counts as an outlier [dex].

    Returns
    -------
    (n,) int64 array
        `LabelFlag`; a star that was not labelled yet is `LabelFlag.MISSING`.
    """
    unlabelled = int(LabelFlag.MISSING)
    flags = table["label_flags"].to_numpy(np.int64, na_value=unlabelled).copy()
    limits = {LabelFlag.HIGH_LOGG: ("logg", logg_limit), LabelFlag.HIGH_FEH: ("feh", feh_limit)}
    for flag, (name, limit) in limits.items():
        beyond = table[name].to_numpy(np.float64, na_value=np.nan) > limit
        flags = np.where(beyond, flags | int(flag), flags & ~int(flag))
    return flags


def beyond_errors(
    table: pd.DataFrame, logg_limit: float, feh_limit: float
) -> dict[LabelFlag, NDArray[np.bool_]]:
    """Tell where labels lie beyond their limits by more than their errors allow.

    Parameters
    ----------
    table : n rows
        With ``teff``, ``logg`` and ``feh``, and their errors where known.
    logg_limit, feh_limit : float
        As for `flags_at` [dex].

    Returns
    -------
    dict of LabelFlag to (n,) bool array
        One for each reason that is a limit of labels.
    """
    return {
        LabelFlag.HIGH_LOGG: beyond_limit(table, "logg", logg_limit),
        LabelFlag.HIGH_FEH: beyond_limit(table, "feh", feh_limit),
        LabelFlag.OUTSIDE_KIEL_BAND: outside_kiel_band(table),
    }


def first_reason(flags: ArrayLike) -> NDArray[np.int64]:
    """Return the number in `REASONS` of the first reason of each star; -1 where there is none.

    Parameters
    ----------
    flags : (n,) int array
        `LabelFlag`.
    """
    raised = np.asarray(flags, dtype=np.int64)
    held = np.stack([(raised & int(reason)) != 0 for reason in REASONS])
    first: NDArray[np.int64] = np.where(held.any(axis=0), np.argmax(held, axis=0), -1)
    return first


def has_reason(flags: ArrayLike, reason: int | None = None) -> NDArray[np.bool_]:
    """Tell which stars are set aside for a reason, or for any.

    Parameters
    ----------
    flags : (n,) int array
    reason : int, optional
        A `LabelFlag`; any of `REASONS` when not given.
    """
    wanted = sum(map(int, REASONS)) if reason is None else int(reason)
    found: NDArray[np.bool_] = (np.asarray(flags, dtype=np.int64) & wanted) != 0
    return found
