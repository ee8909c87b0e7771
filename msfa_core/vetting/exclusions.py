"""Samples of the colour–magnitude diagram as conditions on candidates, each with its count."""

from __future__ import annotations

from typing import Final

import pandas as pd

from msfa_core.flags import CmdExclusion
from msfa_core.rules import are_kept_by
from msfa_core.vetting.filters import Filter

_SENTENCES: Final = {
    CmdExclusion.LOW_LATITUDE: ("far from the plane", "far from the galactic plane"),
    CmdExclusion.LMC: ("outside the LMC", "outside the circle of the LMC"),
    CmdExclusion.SMC: ("outside the SMC", "outside the circle of the SMC"),
    CmdExclusion.SLOW: ("fast", "tangential velocity above 145 km/s"),
    CmdExclusion.PARALLAX_SAMPLE: ("parallax sample", "parallax sample of Culpan et al. (2021)"),
    CmdExclusion.PROPER_MOTION_SAMPLE: (
        "proper-motion sample",
        "proper-motion sample of Culpan et al. (2021)",
    ),
}


def exclusion_filters() -> dict[str, Filter]:
    """Return one condition per sample: the stars that it keeps.

    A star without Gaia data is in none of them.
    """
    return {
        name: Filter(
            name,
            sentence,
            lambda table, flag=flag: are_kept_by(table, flag),  # type: ignore[misc]
        )
        for flag, (name, sentence) in _SENTENCES.items()
    }


def exclusion_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Count what each sample keeps and leaves out.

    Parameters
    ----------
    table : (n,) DataFrame
        With ``cmd_exclusions``.

    Returns
    -------
    DataFrame
        A row per sample: ``name``, ``sentence``, ``kept``, ``left_out``; rows without Gaia data
        count in neither.
    """
    known = int(table["cmd_exclusions"].notna().sum())
    rows = []
    for name, condition in exclusion_filters().items():
        kept = int(condition.predicate(table).sum())
        rows.append((name, condition.sentence, kept, known - kept))
    return pd.DataFrame(rows, columns=["name", "sentence", "kept", "left_out"])
