"""Columns that follow from results and settings: found anew without a step being done again.

Probabilities for other class shares, the search domain, what the search keeps, what lies in the
D0.2–fm region, the labels in force, how probably a template is right, where templates and networks
disagree, and that an index at a contradicted redshift is none. SLAM's labels are ``teff, logg,
feh``; where it gives none, those of a catalogue stand in, flagged; what a catalogue says stays
visible as ``teff_catalogue`` … beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.balmer.region import are_in_bhb_region, p_in_bhb_region
from msfa_core.columns import BY_NAME, numbers
from msfa_core.config import Settings
from msfa_core.constants import LABELS
from msfa_core.flags import LabelFlag
from msfa_core.rules import are_candidates, in_search_domain, measured_off_rest
from msfa_core.search.prior import Trained, shares_of, with_prior
from msfa_core.spine.results import KEY, kept, kept_keys, key_of, make_key, written_into
from msfa_core.survey.completing import refreshed
from msfa_core.survey.folder import CANDIDATES_FILE, Survey
from msfa_core.templates.probability import probability_right
from msfa_core.templates.second_opinion import template_disagrees

DERIVED_VERSION: Final = 4  # raised when a rule changes: the table follows at the next run
_SETTLED: Final = int(  # flags that follow from labels and limits, found anew each time
    LabelFlag.FROM_CATALOGUE
    | LabelFlag.MISSING
    | LabelFlag.HIGH_LOGG
    | LabelFlag.HIGH_FEH
    | LabelFlag.OUTSIDE_KIEL_BAND
    | LabelFlag.DISAGREES_WITH_CLASS
)
_INDICES: Final = tuple(name for name in BY_NAME if name.startswith(("kp", "ew_")))
_VALUES: Final = tuple(f"{name}{end}" for name in LABELS for end in ("", "_err"))


def derive(table: pd.DataFrame, base: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the table with the columns that follow from it and the settings.

    Parameters
    ----------
    table : (n,) DataFrame
        What steps gave.
    base : (m,) DataFrame
        What files and catalogues say.
    settings : Settings
    """
    if settings.prior:
        trained = Trained.of(settings.models_folder)
        table = with_prior(table, shares_of(settings.prior), trained)
    table = table.assign(in_search_domain=in_search_domain(table, settings))
    table = table.assign(
        is_candidate=are_candidates(table, settings),
        in_bhb_region=are_in_bhb_region(table, settings.selection),
        p_in_bhb_region=p_in_bhb_region(table, settings.selection),
    )
    table = settle_labels(table, base, settings)
    table = without_indices_off_rest(table)
    return table.assign(
        template_probability=probability_right(numbers(table, "template_confidence")),
        template_disagrees=template_disagrees(table),
    )


def without_indices_off_rest(table: pd.DataFrame) -> pd.DataFrame:
    """Take out line indices that were measured before a trusted template gave another redshift.

    Their bands, a few Å wide, lay beside their lines: 100 to 200 km/s move KP by up to 7 σ.
    """
    wrong = pd.Series(measured_off_rest(table), table.index)
    return table.assign(**table[list(_INDICES)].mask(wrong, np.nan)) if wrong.any() else table


def write_results(
    survey: Survey, base: pd.DataFrame, results: Mapping[str, list[str]], settings: Settings
) -> pd.DataFrame:
    """Put what steps gave together as the table of the survey, and derive the rest; return it.

    Nothing is written where nothing changed. The settings that were used are kept with the rows.

    Parameters
    ----------
    survey : Survey
    base : (n,) DataFrame
        What files and catalogues say of every spectrum.
    results : mapping of str to list of str
        Names of steps, and of the parts of their results.
    settings : Settings
    """
    used = settings.of_results()
    keys = {step: kept_keys(survey, step, parts) for step, parts in results.items()}
    state = make_key("table", DERIVED_VERSION, base=base, keys=keys, settings=used)
    if key_of(survey.path / CANDIDATES_FILE) != state:
        table = refreshed(survey.table(), base)
        for step, parts in results.items():
            table = written_into(table, kept(survey, step, parts))
        survey.write_table(derive(table, base, settings), {KEY: state}, used=settings)
    return survey.table()


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
    result = table.copy().assign(**columns)  # a column at a time, tables fall into pieces
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
