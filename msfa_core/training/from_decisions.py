"""Learning from decisions: the last layer of stage 2, fitted anew on verdicts of record.

A few hundred decisions cannot teach half a million weights. What the network sees in a spectrum
stays; how it judges what it sees is drawn from where it was towards the reviewers, as far as
decisions that were left out of the fit bear it out. Simulated stars weigh as much as the decisions,
so that what stage 2 knew of stars that nobody was shown is kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from msfa_core.constants import NETWORK_GRID
from msfa_core.errors import TrainingError
from msfa_core.networks.inference import predict_features
from msfa_core.networks.msfa_net import MSFANet
from msfa_core.networks.weights import (
    LIKELIHOOD_FILE,
    MODELS_FOLDER,
    NOVELTY_FILE,
    STAGE_CLASSES,
    STAGE_FILES,
    load_weights,
    read_checksums,
    save_weights,
    write_atomically,
    write_checksums,
)
from msfa_core.rules import are_low_resolution
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.spectra.prepare import prepare
from msfa_core.spectra.spectrum import PreparedSpectra
from msfa_core.training.answers import BHB_CODE
from msfa_core.training.dataset import LabelledSpectra, stage_labels
from msfa_core.training.evaluation_report import plain
from msfa_core.training.last_layer import (
    FOLDS,
    Axes,
    Sample,
    choose_ridge,
    fit_change,
    odds_of,
    with_change,
)
from msfa_core.training.model_card import CARD_FILE, markdown_table
from msfa_core.training.on_simulations import simulated_set
from msfa_core.training.unseen import training_seeds
from msfa_core.typing import BoolArray, IntArray, Progress, no_progress

if TYPE_CHECKING:
    from msfa_core.survey.folder import Survey

LEAST_DECISIONS: Final = 100  # stars of each kind
_HELD_BACK: Final = 3  # stars of ten, for the figures
_SIMULATED_SHARE: Final = 0.04  # of the paper's counts: beside the decisions, and to test
_ROWS: Final = 1000  # spectra of a survey prepared at a time
_LEAST_OF_THE_BEST: Final = 1 / len(STAGE_CLASSES[1])  # probability of the class of stage 1
_TINY: Final = 1e-9
_SAME: Final = 1e-3  # between log-odds of the search and of stage 2 alone
_KINDS: Final = {"accept": True, "reject": False}


@dataclass(frozen=True, slots=True)
class Decided:
    """Spectra of stars with a verdict of record.

    Attributes
    ----------
    flux : (n, 2430) float32 array
        Prepared.
    is_bhb : (n,) bool array
        Accepted, not rejected.
    star : (n,) array of text
        Identifier of each spectrum's star.
    left_out : dict of str to int
        Why how many stars with decisions do not count: disputed, unsure, without a spectrum.
    """

    flux: NDArray[np.float32]
    is_bhb: BoolArray
    star: NDArray[np.str_]
    left_out: Mapping[str, int]

    def n_stars_of(self, rows: BoolArray) -> dict[str, int]:
        """Stars of each kind among some rows."""
        return {
            kind: len(np.unique(self.star[rows & (self.is_bhb == said)]))
            for kind, said in _KINDS.items()
        }

    def are_held_back(self, seed: int) -> BoolArray:
        """(n,) True for stars that only the figures see: the same ones however many join them."""
        return self._numbers(f"held back {seed}") % 10 < _HELD_BACK

    def folds(self, seed: int) -> IntArray:
        """(n,) which part of the cross-validation a star is in."""
        return self._numbers(f"fold {seed}") % FOLDS

    def _numbers(self, salt: str) -> IntArray:
        return np.array([zlib.crc32(f"{salt} {name}".encode()) for name in self.star], np.int64)


def decided_spectra(survey: Survey) -> Decided:
    """Collect the spectra of the stars that reviewers accepted or rejected.

    Parameters
    ----------
    survey : Survey
        Verdicts are those of record, by its setting ``verdict_rule``: what reviewers dispute is
        left out, and so is what they are unsure of.

    Raises
    ------
    TrainingError
        When fewer than `LEAST_DECISIONS` stars of either kind can be learnt from.
    """
    table = survey.table_with_verdicts()
    verdict = table["verdict"].astype("str").where(table["verdict"].notna(), "")
    uid = table["uid"].astype("str").where(table["uid"].notna(), "")
    star = uid.where(uid != "", "obsid " + table["obsid"].astype("str"))
    other = verdict[(verdict != "") & ~verdict.isin(list(_KINDS))]
    left_out = {
        name: int(star[rows].nunique()) for name, rows in other.groupby(other).groups.items()
    }
    has_verdict = verdict.isin(list(_KINDS)).to_numpy()
    use = has_verdict & are_low_resolution(table)
    obsid = table["obsid"].to_numpy(np.int64)[use]
    parts = [
        prepare(survey.spectra(obsid[start : start + _ROWS])).flux
        for start in range(0, len(obsid), _ROWS)
    ]
    flux = np.concatenate(parts) if parts else np.empty((0, NETWORK_GRID.n_pixels), np.float32)
    whole = np.isfinite(flux).all(axis=1)
    names = star.to_numpy(str)
    lost = np.setdiff1d(names[has_verdict], names[use][whole])
    if len(lost):
        left_out["without a usable spectrum"] = len(lost)
    is_bhb = (verdict[use] == "accept").to_numpy()
    decided = Decided(flux[whole], is_bhb[whole], names[use][whole], left_out)
    _require_enough(decided, survey.path)
    return decided


def _require_enough(decided: Decided, path: Path) -> None:
    """Refuse too few decisions of a kind, with what was left out."""
    counts = decided.n_stars_of(np.ones(len(decided.star), bool))
    if min(counts.values()) >= LEAST_DECISIONS:
        return
    left = ", ".join(f"{n} {name}" for name, n in decided.left_out.items())
    raise TrainingError(
        f"{path} has {counts['accept']} accepted and {counts['reject']} rejected stars to learn "
        f"from{f' (left out: {left})' if left else ''}; at least {LEAST_DECISIONS} of each are "
        "needed. Decide on more of them: the queue order “most doubtful first” teaches most."
    )


# --- from spectra to weights ---------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of the decisions.

    Attributes
    ----------
    models : Path
        Folder of the weights.
    figures : DataFrame
        Before and after, on held-back verdicts and on simulated test stars.
    n_learnt, n_held_back : dict of str to int
        Stars of each kind.
    left_out : dict of str to int
    ridge : float
        Infinite where the layer was best left as it was.
    """

    models: Path
    figures: pd.DataFrame
    n_learnt: dict[str, int]
    n_held_back: dict[str, int]
    left_out: dict[str, int]
    ridge: float

    @property
    def is_changed(self) -> bool:
        """Whether stage 2 judges otherwise than before."""
        return bool(np.isfinite(self.ridge))


def train_from_decisions(
    survey: Survey,
    models: str | Path | None = None,
    start: str | Path | None = None,
    *,
    seed: int = 42,
    workers: int = 1,
    progress: Progress = no_progress,
) -> Learnt:
    """Fit the last layer of stage 2 on the verdicts of a survey, and write weights of its own.

    Parameters
    ----------
    survey : Survey
    models : str or Path, optional
        Gets the weights; the survey's own folder when not given, which the setting
        ``models = "survey"`` makes it use.
    start : str or Path, optional
        Weights to begin with; when not given those that the survey's setting ``models`` names,
        else the shipped ones. Never its own, so that decisions are learnt from once.
    seed : int
        Of the stars held back and of the simulation.
    workers : int
        Processes of the simulation.
    progress : callable, optional

    Raises
    ------
    TrainingError
        When there are too few decisions, or the folder is that of the weights to begin with.
    ModelError
        When these are missing, altered, or of another architecture.
    """
    used = survey.settings.models if survey.settings.models != str(survey.own_models) else ""
    begin = Path(start or used or MODELS_FOLDER)
    folder = Path(models) if models else survey.own_models
    if folder.resolve() == begin.resolve():
        raise TrainingError(f"{folder} holds the weights to begin with; name another folder.")
    search = TwoStageSearch.load(begin, survey.settings.bhb_threshold)
    model, temperature = search.stage2, search.temperature[1]
    _, card = load_weights(begin / STAGE_FILES[2])
    decided = decided_spectra(survey)
    beside, test = _simulated(begin, seed, workers, progress)
    negatives = card.get("training", {}).get("negatives", "paper")
    beside = beside[stage_labels(beside.label, 2, negatives) >= 0]
    held = decided.are_held_back(seed)
    progress("learn", 0, 3, "what stage 2 sees")
    seen = predict_features(model, decided.flux[~held])
    seen_beside = predict_features(model, beside.flux)
    axes = Axes.of(np.vstack([seen_beside, seen]))
    learn = _sample(search, axes, decided.flux[~held], seen, decided.is_bhb[~held])
    simulated = _sample(search, axes, beside.flux, seen_beside, beside.label == BHB_CODE)
    progress("learn", 1, 3, "the last layer")
    ridge = choose_ridge(learn, decided.folds(seed)[~held], simulated)
    changed = with_change(model, axes, fit_change(learn + simulated, ridge), temperature)
    after = search.with_stage2(changed)
    progress("learn", 2, 3, "before and after")
    kept = _kept_by_both_stages(search, after, test.prepared)
    rows = {}
    for when, one, both in zip(("before", "after"), (search, after), kept, strict=True):
        said = one.classify(_prepared(decided.flux[held])).p_bhb >= search.threshold
        rows[f"held-back verdicts, {when}"] = _scores(said, decided.is_bhb[held])
        rows[f"simulated stars by both stages, {when}"] = _scores(both, test.label == BHB_CODE)
    result = Learnt(
        folder,
        pd.DataFrame.from_dict(rows, orient="index"),
        decided.n_stars_of(~held),
        decided.n_stars_of(held),
        dict(decided.left_out),
        ridge,
    )
    _write(result, survey, begin, changed, card, seed)
    progress("learn", 3, 3, "weights written")
    return result


def _prepared(flux: NDArray[np.float32]) -> PreparedSpectra:
    return PreparedSpectra(np.arange(len(flux)), flux)


def _sample(
    search: TwoStageSearch,
    axes: Axes,
    flux: NDArray[np.float32],
    features: NDArray[np.float32],
    is_bhb: BoolArray,
) -> Sample:
    """Return what the fit sees of some spectra; all together they weigh half.

    Where the likelihood of model stars is joined to what stage 2 says, a change of stage 2 counts
    as much as stage 2 does there.
    """
    scores = axes.scores(features)
    odds = alone = odds_of(search.stage2, features, search.temperature[1])
    if search.likelihood is not None:
        odds = logit(np.clip(search.classify(_prepared(flux)).p_bhb, _TINY, 1 - _TINY))
        is_joined = np.abs(odds - alone) > _SAME * (1 + np.abs(alone))
        scores[is_joined] *= search.likelihood.joining[1, 0]
    return Sample(odds, scores, is_bhb, np.full(len(is_bhb), 0.5 / len(is_bhb)))


def _kept_by_both_stages(
    before: TwoStageSearch, after: TwoStageSearch, test: PreparedSpectra
) -> tuple[BoolArray, BoolArray]:
    """(n,) what two searches keep that differ in stage 2 alone, asked where it can matter."""
    said = before.classify(test, stage2_from=_LEAST_OF_THE_BEST)
    kept = said.are_bhb(before.threshold)
    asked = np.flatnonzero(np.isfinite(said.p_bhb))
    kept_after = np.zeros(len(kept), bool)
    kept_after[asked] = after.classify(_prepared(test.flux[asked])).are_bhb(after.threshold)
    return kept, kept_after


def _simulated(
    begin: Path, seed: int, workers: int, progress: Progress
) -> tuple[LabelledSpectra, LabelledSpectra]:
    """Simulate stars to learn beside the decisions, and test stars: none that were trained on."""
    used = training_seeds(begin)
    seeds = [k for k in range(seed + 1, seed + len(used) + 3) if k not in used][:2]
    first, second = (
        simulated_set(
            None, k, multiplier=_SIMULATED_SHARE, workers=workers, measure=False, progress=progress
        )
        for k in seeds
    )
    return first, second


def _scores(kept: BoolArray, is_bhb: BoolArray) -> dict[str, float]:
    """Return counts and figures of what is kept."""
    right = int((kept & is_bhb).sum())
    n_kept, n_bhb = int(kept.sum()), int(is_bhb.sum())
    return {
        "spectra": len(is_bhb),
        "BHB": n_bhb,
        "kept": n_kept,
        "precision": right / n_kept if n_kept else np.nan,
        "recall": right / n_bhb if n_bhb else np.nan,
        "f1": 2 * right / (n_kept + n_bhb) if n_kept + n_bhb else np.nan,
    }


# --- what is written -----------------------------------------------------------------------
def _write(
    result: Learnt,
    survey: Survey,
    begin: Path,
    stage2: MSFANet,
    card: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the weights with what they learnt from; the survey's provenance says so too."""
    about = {
        "survey": survey.path.resolve().name,
        "simulated": survey.is_simulated,
        "verdict_rule": survey.settings.verdict_rule,
        "stars_learnt": result.n_learnt,
        "stars_held_back": result.n_held_back,
        "left_out": result.left_out,
        "seed": seed,
        "ridge": result.ridge if result.is_changed else "none: left as it was",
        "started_from": read_checksums(begin)[STAGE_FILES[2]],
        "figures": result.figures.round(4).to_dict("index"),
    }
    with survey.lock():
        for name in (STAGE_FILES[1], NOVELTY_FILE, LIKELIHOOD_FILE):
            if (begin / name).exists():
                write_atomically(result.models / name, (begin / name).read_bytes())
        save_weights(stage2, result.models / STAGE_FILES[2], plain({**card, "decisions": about}))
        checksums = write_checksums(result.models)
        text = _card(result, about, checksums)
        write_atomically(result.models / CARD_FILE, text.encode())
        survey.record(
            "train", weights=checksums[STAGE_FILES[2]], folder=result.models.name, **about
        )


def _card(result: Learnt, about: Mapping[str, Any], checksums: Mapping[str, str]) -> str:
    """Return ``MODEL_CARD.md`` of weights that learnt from decisions."""
    figures = result.figures.astype(dict.fromkeys(("spectra", "BHB", "kept"), int))
    what = "SIMULATED stars" if about["simulated"] else "stars"
    lines = [
        "# Weights that learnt from decisions",
        "",
        f"Stage 1 is as it was. The last layer of stage 2 was fitted anew on the verdicts of "
        f"record of the survey {about['survey']} (rule {about['verdict_rule']}), on {what} that "
        "reviewers accepted or rejected, with simulated stars of the same weight beside them; it "
        "began with the weights of SHA-256 "
        f"`{about['started_from']}`. A verdict is not the truth: the figures of held-back verdicts "
        "say how well stage 2 agrees with the reviewers.",
        "",
        *(
            f"- {words}: {counts['accept']} accepted, {counts['reject']} rejected stars"
            for words, counts in (
                ("learnt from", result.n_learnt),
                ("held back, by star", result.n_held_back),
            )
        ),
        *(f"- left out, {name}: {n} stars" for name, n in result.left_out.items()),
        f"- ridge of the fit, chosen on decisions left out of it: {about['ridge']}",
        f"- seed: {about['seed']}",
        "",
        markdown_table(figures, "on"),
        "",
        "## Checksums (SHA-256)",
        "",
        *(f"- `{name}`: `{checksum}`" for name, checksum in checksums.items()),
    ]
    return "\n".join(lines) + "\n"
