"""How much the identity of stars depends on the match radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.columns import check_columns
from msfa_core.constants import MATCH_RADIUS_ARCSEC
from msfa_core.stars.epochs import assign_uids

RADII: Final = (1.0, 2.0, 3.0, 4.0, 5.0)  # arcsec


def uid_sensitivity(
    table: pd.DataFrame,
    radii: Sequence[float] = RADII,
    base: float = float(MATCH_RADIUS_ARCSEC),
) -> pd.DataFrame:
    """Group the spectra of a survey into stars with several radii.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec`` [deg] and, where known, ``gaia_source_id``, ``ps_id``.
    radii : sequence of float [arcsec]
    base : float [arcsec]
        Radius that the others are compared with.

    Returns
    -------
    DataFrame
        A row per radius: ``radius_arcsec``, ``n_stars``, ``n_multiple`` (stars with several
        spectra), ``merges`` (stars that hold several stars of the base radius), ``splits`` (stars
        of the base radius that fall apart) and ``spectra_moved`` (spectra whose companions are
        not the same).

    Raises
    ------
    CatalogueError
        When a column is missing or a radius makes no sense.
    """
    check_columns(table, ("obsid", "ra", "dec"), "the survey")
    reference = _stars(table, base)
    rows = []
    for radius in radii:
        star = _stars(table, radius)
        pairs = pd.DataFrame({"star": star, "base": reference})
        per_star = pairs.groupby("star")["base"].nunique()
        per_base = pairs.groupby("base")["star"].nunique()
        touched = pairs["star"].isin(per_star.index[per_star > 1]) | pairs["base"].isin(
            per_base.index[per_base > 1]
        )
        rows.append(
            {
                "radius_arcsec": float(radius),
                "n_stars": len(per_star),
                "n_multiple": int((np.bincount(star) > 1).sum()),
                "merges": int((per_star > 1).sum()),
                "splits": int((per_base > 1).sum()),
                "spectra_moved": int(touched.sum()),
            }
        )
    return pd.DataFrame(rows)


def _stars(table: pd.DataFrame, radius: float) -> np.ndarray:
    """(n,) number of the star of each spectrum."""
    return np.asarray(pd.factorize(assign_uids(table, radius)["uid"])[0], dtype=np.int64)
