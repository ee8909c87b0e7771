"""Both stages in one call: trained, calibrated, evaluated, written with a model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from msfa_core.constants import FIT_LINES, LINE_SYMBOLS
from msfa_core.errors import TrainingError
from msfa_core.networks.inference import pick_device, predict_logits, softmax
from msfa_core.networks.registry import Network
from msfa_core.networks.weights import NOVELTY_FILE
from msfa_core.search.novelty import fit_novelty
from msfa_core.training.answers import BHB_CODE, answers_of, origin_of
from msfa_core.training.dataset import (
    STAGE2_NEGATIVES,
    LabelledSpectra,
    Split,
    split_by_star,
    stage_labels,
)
from msfa_core.training.evaluate import evaluate
from msfa_core.training.model_card import TwoStages, write_models
from msfa_core.training.plane import best_plane_line, compare_with_plane_cut
from msfa_core.training.train import TrainedStage, train
from msfa_core.training.trainer import NewStars, TrainConfig
from msfa_core.typing import Progress, no_progress

TEMPERATURE_RANGE: Final = (0.1, 10.0)


def fit_temperature(logits: NDArray[np.float64], label: NDArray[np.int64]) -> float:
    """Fit the temperature that makes probabilities honest (least −ln p of the true class).

    Parameters
    ----------
    logits : (n, n_classes) array
        Of validation spectra.
    label : (n,) int64 array

    Raises
    ------
    TrainingError
        When there are no spectra.
    """
    if not len(label):
        raise TrainingError("no validation spectra to fit a temperature on; enlarge the set.")
    rows = np.arange(len(label))

    def minus_log_p(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        largest = scaled.max(axis=1)
        log_sum = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float((log_sum - scaled[rows, label]).mean())

    low, high = np.log(TEMPERATURE_RANGE)
    fit = minimize_scalar(minus_log_p, bounds=(low, high), method="bounded")
    return float(np.exp(fit.x))


def train_two_stages(
    data: LabelledSpectra,
    run_folder: str | Path,
    models_folder: str | Path,
    config: TrainConfig | None = None,
    *,
    epochs2: int = 0,
    start: Network | None = None,
    new_stars: NewStars | None = None,
    resume: bool = True,
    progress: Progress = no_progress,
) -> TwoStages:
    """Train both stages on one split, calibrate, evaluate on the test stars, and write all.

    Parameters
    ----------
    data : LabelledSpectra
    run_folder : str or Path
        Checkpoints and learning curves; the same call resumes a killed one.
    models_folder : str or Path
        Gets ``stage1.safetensors``, ``stage2.safetensors``, ``novelty.npz``, ``checksums.json``,
        ``evaluation.json`` and ``MODEL_CARD.md``.
    config : TrainConfig, optional
        Of stage 1; its seed is that of the split too. Stage 2 differs in the number of epochs.
    epochs2 : int
        0 for the paper's 100.
    start : Network, optional
        Stage 1 of an earlier training, to go on from; from chance when not given.
    new_stars : callable, optional
        Draws new training spectra for each epoch; see :func:`msfa_core.training.train.train`.
    resume : bool
    progress : callable, optional

    Returns
    -------
    TwoStages
    """
    origin_of(data)  # a set of unknown kind is refused before the training, not after it
    config = config or TrainConfig()
    split = split_by_star(data, config.seed)
    first = train(
        config,
        data,
        run_folder,
        split=split,
        start=start,
        new_stars=new_stars,
        resume=resume,
        progress=progress,
    )
    second = train(
        replace(config, stage=2, epochs=epochs2),
        data,
        run_folder,
        split=split,
        start=first.model,
        new_stars=new_stars,
        resume=resume,
        progress=progress,
    )
    where = pick_device(config.device)
    temperature = (
        _stage_temperature(first, data, split, where),
        _stage_temperature(second, data, split, where),
    )
    test = data[split.test]
    class_probability = _probability(first.model, test.flux, temperature[0], where)
    p_bhb = _probability(second.model, test.flux, temperature[1], where)[:, 0]
    answers = answers_of(
        test,
        class_probability,
        p_bhb,
        stage2_classes=("BHB", *STAGE2_NEGATIVES[config.negatives]),
    )
    evaluation = evaluate(answers)
    plane = plane_comparison(data[split.train], test, answers.candidate)
    result = TwoStages((first, second), temperature, evaluation, plane, split)
    fit_novelty(data.flux[split.train]).save(Path(models_folder) / NOVELTY_FILE)
    return write_models(result, data, models_folder)


def _stage_temperature(
    trained: TrainedStage, data: LabelledSpectra, split: Split, device: torch.device
) -> float:
    """Temperature of one stage, from the validation spectra that it learns from."""
    label = stage_labels(data.label, trained.config.stage, trained.config.negatives)
    rows = split.validation[label[split.validation] >= 0]
    logits = predict_logits(trained.model, data.flux[rows], device=device)
    return fit_temperature(logits, label[rows])


def _probability(
    model: Network, flux: NDArray[np.float32], temperature: float, device: torch.device
) -> NDArray[np.float64]:
    """(n, n_classes) calibrated probabilities."""
    return softmax(predict_logits(model, flux, device=device), temperature)


def plane_comparison(
    train_set: LabelledSpectra, test_set: LabelledSpectra, candidate: NDArray[np.bool_]
) -> pd.DataFrame:
    """Put the search beside cuts in the D0.2–fm plane of Hδ and Hγ.

    The boxes are the named selections (``in_bhb_xue2008`` … in the truth table, true where both
    lines lie inside); the straight lines are fitted on the training spectra.

    Parameters
    ----------
    train_set, test_set : LabelledSpectra
        With ``d02_hdelta``, ``fm_hdelta`` … in ``truth``, or without: then there is nothing to
        compare and the table is empty.
    candidate : (n,) bool array
        Test spectra kept by both stages.

    Returns
    -------
    DataFrame
    """
    truth = test_set.truth
    cuts: dict[str, NDArray[np.bool_]] = {}
    is_bhb = test_set.label == BHB_CODE
    for line in FIT_LINES:
        if f"d02_{line}" not in truth:
            continue
        learn = train_set.truth
        cut = best_plane_line(
            learn[f"d02_{line}"].to_numpy(dtype=np.float64),
            learn[f"fm_{line}"].to_numpy(dtype=np.float64),
            train_set.label == BHB_CODE,
        )
        cuts[f"best straight line, {LINE_SYMBOLS[line]}"] = cut.are_bhb(
            truth[f"d02_{line}"].to_numpy(dtype=np.float64),
            truth[f"fm_{line}"].to_numpy(dtype=np.float64),
        )
    for name in truth.columns:
        if name.startswith("in_bhb_"):
            cuts[f"box {name.removeprefix('in_bhb_')}"] = truth[name].to_numpy(dtype=bool)
    return compare_with_plane_cut(candidate, is_bhb, cuts) if cuts else pd.DataFrame()
