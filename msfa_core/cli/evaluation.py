"""What `msfa evaluate` compares: a survey with known classes, or stars simulated anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from msfa_core.balmer.selection import get_selection
from msfa_core.columns import TRUE_CLASS, is_true
from msfa_core.constants import CLASS_NAMES
from msfa_core.errors import TrainingError
from msfa_core.rules import keep_by_rule, ruled_out_by_stage1, star_numbers
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.simulate.survey import SIMULATED_RELEASE
from msfa_core.spectra.prepare import prepare
from msfa_core.survey.folder import Survey
from msfa_core.training.answers import Answers, answers_of, one_origin
from msfa_core.training.unseen import require_unseen
from msfa_core.typing import Progress

_ROWS: Final = 1000  # spectra of a survey classified at a time
_P_CLASS: Final = [f"p_class_{name.lower()}" for name in CLASS_NAMES]


def answers_on_unseen(
    models: Path | None,
    seed: int,
    share: float,
    workers: int,
    progress: Progress,
    *,
    like_the_paper: bool = False,
) -> tuple[Answers, list[str]]:
    """Simulate stars that the weights were not trained on, and classify them.

    They are many that are hard to tell apart, or as in the paper's test: S/N and kinds as on the
    sky.

    Raises
    ------
    TrainingError
        When the weights were trained on stars of this seed.
    """
    from msfa_core.machine.parallel import n_cores  # noqa: PLC0415 (as the simulation: only here)
    from msfa_core.training.on_simulations import set_like_the_papers, simulated_set  # noqa: PLC0415

    require_unseen(seed, models)
    search = TwoStageSearch.load(models)
    make = set_like_the_papers if like_the_paper else simulated_set
    data = make(
        seed=seed,
        multiplier=share,
        workers=workers or n_cores(),
        progress=progress,
    )
    said = search.classify(data.prepared, progress)
    answers = answers_of(data, said.class_probability, said.p_bhb, threshold=search.threshold)
    kind = "S/N and kinds as on the sky" if like_the_paper else "many hard to tell apart"
    return answers, [f"unseen stars of seed {seed}, {kind}; weights {search.weights_checksum}"]


def answers_on_survey(
    path: Path, labels: pd.DataFrame | None, models: Path | None, progress: Progress
) -> tuple[Answers, list[str]]:
    """Put the known classes of a survey's spectra beside what the search says of them.

    Parameters
    ----------
    path : Path
    labels : DataFrame or None
        ``obsid`` and ``label``; the truth of a simulated survey when not given.
    models : Path or None
        Weights to classify with now; what the survey holds when not given.
    progress : callable

    Returns
    -------
    answers : Answers
    notes : list of str
        What else is to be said: spectra of other classes, weights.

    Raises
    ------
    TrainingError
        When no classes are known, nothing is classified, simulated and real spectra are mixed,
        or the stars are those of the training.
    """
    survey = Survey(path)
    table = survey.table()
    truth = _truth(survey, table, labels)
    if models is None:
        table = table[table["predicted_class"].notna() & truth.notna()]
    else:
        table = table[truth.notna()]
    if not len(table):
        raise TrainingError(
            f"no spectrum of {path} is both classified and of known class: give `msfa run "
            f"{path}` first, and labels with the obsids of the survey."
        )
    simulated = one_origin(_made_up(survey, table))
    if simulated:
        for seed in _seeds(survey):
            require_unseen(seed, models or survey.settings.models or None)
    notes = []
    if models is None and ruled_out_by_stage1(table).any():
        n = int(ruled_out_by_stage1(table).sum())
        notes.append(f"stage 2 was not asked about {n:,} spectra: p_bhb counts as 0 there")
        table = table.assign(p_bhb=table["p_bhb"].fillna(0.0))
    if models is not None:
        table, weights = _classified(survey, table, models, progress)
        notes.append(f"weights {weights}")
    truth = truth.loc[table.index]
    other = ~truth.isin(CLASS_NAMES)
    threshold = survey.settings_used.bhb_threshold
    if other.any():
        says = keep_by_rule(table, survey.settings_used.rule, threshold)
        counts = pd.Series(says, table.index)[other].groupby(truth[other]).agg(["mean", "size"])
        kept = ", ".join(
            f"{name} {row['mean']:.4f} of {row['size']:.0f}" for name, row in counts.iterrows()
        )
        notes.append(f"share kept of other classes, which the networks do not know: {kept}")
    table, truth = table[~other], truth[~other]
    measured = table[["d02_hdelta", "d02_hgamma"]].notna().any(axis=None)
    teff = "true_teff" if "true_teff" in table else "teff"
    answers = Answers(
        table[_P_CLASS].to_numpy(np.float64),
        table["p_bhb"].to_numpy(np.float64),
        truth.map(CLASS_NAMES.index).to_numpy(np.int64),
        simulated=simulated,
        star=_stars(table),
        snr_g=table["snr_g"].to_numpy(np.float64),
        teff=table[teff].to_numpy(np.float64, na_value=np.nan),
        in_region=is_true(table, "in_bhb_region") if measured else None,
        region=get_selection(survey.settings_used.selection).name,
        threshold=threshold,
        truth=table.rename(columns={"obsid": "true_obsid"}).filter(like="true_"),
    )
    return answers, notes


def _truth(survey: Survey, table: pd.DataFrame, labels: pd.DataFrame | None) -> pd.Series:
    """Class of each row of the table; missing where it is not known."""
    if labels is not None:
        known = labels.drop_duplicates("obsid").set_index("obsid")["label"]
        return known.reindex(table["obsid"].to_numpy()).set_axis(table.index)
    if TRUE_CLASS in table.columns:
        return table[TRUE_CLASS]
    raise TrainingError(
        f"{survey.path} does not know the classes of its stars: name a table with --labels."
    )


def _made_up(survey: Survey, table: pd.DataFrame) -> np.ndarray:
    """(n,) which spectra are simulated: by the survey, or by the file they were read from."""
    if survey.is_simulated:
        return np.ones(len(table), bool)
    return (table["data_release"].astype(str) == SIMULATED_RELEASE).to_numpy(bool)


def _seeds(survey: Survey) -> list[int]:
    """Seeds of the simulations that the survey holds, where it made them itself."""
    plans = [entry.get("plan") for entry in survey.provenance if entry.get("simulated")]
    return sorted({int(plan["seed"]) for plan in plans if isinstance(plan, dict)})


def _stars(table: pd.DataFrame) -> np.ndarray:
    """(n,) which spectra are of one star: as simulated, else as identified."""
    if "true_star" in table:
        return table["true_star"].to_numpy(np.int64)
    return star_numbers(table)


def _classified(
    survey: Survey, table: pd.DataFrame, models: Path, progress: Progress
) -> tuple[pd.DataFrame, str]:
    """Return the rows that these weights can classify, with their answers, and the weights."""
    search = TwoStageSearch.load(models, survey.settings.bhb_threshold)
    table = table.copy()
    obsid = table["obsid"].to_numpy(np.int64)
    for start in range(0, len(obsid), _ROWS):
        rows = table.index[start : start + _ROWS]
        said = search.classify(prepare(survey.spectra(obsid[start : start + _ROWS])))
        table.loc[rows, _P_CLASS] = said.class_probability
        table.loc[rows, "p_bhb"] = said.p_bhb
        table.loc[rows, "predicted_class"] = said.predicted_class
        done = min(start + _ROWS, len(obsid))
        progress("classify", done, len(obsid), f"spectra to {done}")
    table = table[table["p_bhb"].notna()]
    if not len(table):
        raise TrainingError("none of the spectra of known class could be prepared.")
    return table, search.weights_checksum
