"""The step ``know``: which stars are in catalogues of known BHB stars (paper §V.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from msfa_core.config import Settings
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey
from msfa_core.survey.given import known_tables


def _inputs(survey: Survey, settings: Settings) -> Inputs:
    tables = known_tables(survey)
    given = {"tables": tables, "radius_arcsec": settings.match_radius_arcsec}
    return Inputs(key=given, given=given, said={"known": list(tables)})


def know(
    rows: pd.DataFrame, tables: Mapping[str, pd.DataFrame], radius_arcsec: float
) -> pd.DataFrame:
    """Name the known catalogues that list each star, as ``known_in``.

    Parameters
    ----------
    rows : (n,) DataFrame
        ``obsid, ra, dec`` [deg].
    tables : mapping of str to DataFrame
        Known stars, by obsid or position.
    radius_arcsec : float

    Returns
    -------
    (n,) DataFrame
        ``obsid, known_in``.
    """
    from msfa_core.stars.known import mark_known  # noqa: PLC0415

    listed = mark_known(rows, dict(tables), radius_arcsec)
    return pd.DataFrame({"obsid": rows["obsid"], "known_in": listed.array})


KNOW: Final = Step(
    "know", version=1, work=know, columns=("ra", "dec"), inputs=_inputs, looks_at_spectra=False
)
