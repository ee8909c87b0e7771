"""Every rule that pipeline, screen and export share, once each."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msfa_core.config import Settings


def are_low_resolution(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) True where a spectrum is of the low-resolution survey (or kin: SDSS)."""
    if "resolution" not in table.columns:
        return np.ones(len(table), dtype=bool)
    return (table["resolution"].fillna("low") == "low").to_numpy(dtype=bool)


def in_search_domain(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Tell which spectra the search is about: stars of subclass A or B above the S/N cut.

    A spectrum without a class or an S/N is outside (a catalogue can add them), and so is
    medium resolution.
    """
    is_star = table["class"].str.strip().str.upper() == "STAR"
    is_hot = table["subclass"].str.strip().str.upper().str.startswith(("A", "B"))
    is_clear = table["snr_g"] > settings.snr_min
    inside = is_star.fillna(False) & is_hot.fillna(False) & is_clear.fillna(False)
    return (inside & are_low_resolution(table)).astype("boolean")


def are_candidates(table: pd.DataFrame, settings: Settings) -> pd.Series:
    """Tell which spectra the search keeps: in the domain, BHB for both stages.

    Missing where the networks have not said anything.
    """
    says_bhb = (table["predicted_class"] == "BHB") & (table["p_bhb"] >= settings.bhb_threshold)
    kept = (table["in_search_domain"] & says_bhb.fillna(False)).astype("boolean")
    return kept.mask(table["p_bhb"].isna(), pd.NA)
