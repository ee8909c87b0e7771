"""The step ``identify``: spectra become stars, and stars have velocities (paper §V.1)."""

from __future__ import annotations

from typing import Final

import pandas as pd

from msfa_core.columns import numbers
from msfa_core.config import Settings
from msfa_core.flags import CmdFlag, PanstarrsFlag, UidFlag
from msfa_core.spine.step import Inputs, Step
from msfa_core.survey.folder import Survey

IDENTIFIED_BY: Final = (  # columns that make stars of spectra, and compare their velocities
    *("ra", "dec", "snr_g", "gaia_source_id", "ps_id", "cmd_flags", "ps_flags"),
    *("gaia_separation", "ps_separation"),
    *("z", "z_err", "template_z", "template_z_err", "resolution"),
    *("class", "subclass", "template_class", "template_subclass"),
)
_APART: Final = 0.5  # arcsec: nearer by more is another source, not the same one measured twice


def _inputs(_survey: Survey, settings: Settings) -> Inputs:
    radius = {"radius_arcsec": settings.match_radius_arcsec}
    return Inputs(key=radius, given=radius)


def identify(rows: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Group spectra into stars, and see whether the velocities of a star vary.

    Parameters
    ----------
    rows : (n,) DataFrame
        With ``obsid``, ``ra``, ``dec``, ``z`` and what else `IDENTIFIED_BY` names, where known.
    radius_arcsec : float

    Returns
    -------
    (n,) DataFrame
        ``obsid`` and the columns of the step.
    """
    from msfa_core.stars.epochs import assign_uids  # noqa: PLC0415
    from msfa_core.stars.velocity import epoch_velocities  # noqa: PLC0415

    uids = assign_uids(rows, radius_arcsec)
    if "cmd_flags" in rows.columns:
        several = (rows["cmd_flags"].fillna(0).astype("int64") & int(CmdFlag.AMBIGUOUS)) != 0
        uids.loc[several.to_numpy(bool), "uid_flags"] |= int(UidFlag.SEVERAL_SOURCES)
    if "ps_flags" in rows.columns:
        several = (rows["ps_flags"].fillna(0).astype("int64") & int(PanstarrsFlag.AMBIGUOUS)) != 0
        several &= uids["uid"].str.startswith("P")
        uids.loc[several.to_numpy(bool), "uid_flags"] |= int(UidFlag.SEVERAL_PANSTARRS)
    nearer = numbers(rows, "ps_separation") < numbers(rows, "gaia_separation") - _APART
    uids.loc[nearer & uids["uid"].str.startswith("G").to_numpy(bool), "uid_flags"] |= int(
        UidFlag.NEARER_PANSTARRS
    )
    velocities = epoch_velocities(pd.concat([rows, uids["uid"]], axis=1))
    return pd.concat([rows[["obsid"]], uids, velocities], axis=1)


IDENTIFY: Final = Step(
    "identify",
    version=5,
    work=identify,
    columns=IDENTIFIED_BY,
    inputs=_inputs,
    needs=("place", "match"),
    looks_at_spectra=False,
)
