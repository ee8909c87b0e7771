"""The result of a training, written for machines (weights, figures) and people (model card)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from msfa_core.networks.msfa_net import n_parameters
from msfa_core.networks.weights import (
    STAGE_CLASSES,
    STAGE_FILES,
    save_weights,
    write_atomically,
    write_checksums,
)
from msfa_core.training.dataset import LabelledSpectra, Split
from msfa_core.training.evaluate import Evaluation
from msfa_core.training.evaluation_figures import PICTURES, write_figures
from msfa_core.training.evaluation_report import (
    ECE_WORDS,
    INTERVALS,
    evaluation_json,
    plain,
    short_bins,
    with_intervals,
)
from msfa_core.training.train import TrainedStage

CARD_FILE: Final = "MODEL_CARD.md"
FIGURES_FILE: Final = "evaluation.json"
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class TwoStages:
    """Both networks, their calibration and their figures.

    Attributes
    ----------
    stages : (TrainedStage, TrainedStage)
    temperature : (float, float)
        Fitted on the validation spectra.
    evaluation : Evaluation
        On the test spectra, which neither training nor calibration has seen.
    plane : DataFrame
        The search beside straight cuts in the D0.2–fm plane, on the same test spectra; empty
        when the set has no line measurements.
    split : Split
    checksums : dict
        File name -> SHA-256 of the weights written.
    """

    stages: tuple[TrainedStage, TrainedStage]
    temperature: tuple[float, float]
    evaluation: Evaluation
    plane: pd.DataFrame
    split: Split
    checksums: dict[str, str] = field(default_factory=dict)


def write_models(result: TwoStages, data: LabelledSpectra, models_folder: str | Path) -> TwoStages:
    """Write weights, checksums, figures and model card of both stages.

    Returns
    -------
    TwoStages
        The same with the checksums of the files.
    """
    models_folder = Path(models_folder)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    figures = result.evaluation.summary()
    about_data = {
        "fingerprint": data.fingerprint(),
        "class_counts": data.class_counts,
        "provenance": data.provenance,
        "split": {
            "seed": result.split.seed,
            "n_train": len(result.split.train),
            "n_validation": len(result.split.validation),
            "n_test": len(result.split.test),
        },
    }
    for stage, trained, temperature in zip(
        STAGE_FILES, result.stages, result.temperature, strict=True
    ):
        config = asdict(trained.config)
        card = {
            "made": made,
            "stage": stage,
            "classes": list(STAGE_CLASSES[stage]),
            "temperature": temperature,
            "n_parameters": n_parameters(trained.model),
            "training": {
                **{k: v for k, v in config.items() if k != "network"},
                "epochs_done": len(trained.history),
                "best_epoch": trained.best_epoch,
                "validation_score": trained.score,
                "started_from": trained.started_from,
            },
            "data": about_data,
            "test_figures": figures,
        }
        save_weights(trained.model, models_folder / STAGE_FILES[stage], plain(card))
    result = replace(result, checksums=write_checksums(models_folder))
    text = evaluation_json(result.evaluation, plane=result.plane.to_dict("index"))
    write_atomically(models_folder / FIGURES_FILE, text.encode())
    write_figures(result.evaluation, models_folder)
    write_atomically(models_folder / CARD_FILE, model_card(result, data, made).encode())
    return result


def model_card(result: TwoStages, data: LabelledSpectra, made: str) -> str:
    """Return ``MODEL_CARD.md``: what the weights are, what they reach, and where they end."""
    evaluation, split = result.evaluation, result.split
    simulated = bool(data.provenance.get("simulated"))
    lines = [
        "# MSFA-Net weights: two-stage search for BHB stars",
        "",
        f"Made {made} by the training of this project (`msfa_core/training`). Architecture and "
        "loss are the paper's, other settings are in the table below; the split is by star, once "
        "for both stages, and schedule and choice of epoch use no test star.",
        "",
        "## Data",
        "",
        f"{len(data)} spectra of {len(set(data.star.tolist()))} stars"
        + (", **all simulated** from model atmospheres." if simulated else "."),
        f"Training {len(split.train)}, validation {len(split.validation)}, test "
        f"{len(split.test)} spectra; split seed {split.seed}.",
        "",
        markdown_table(pd.DataFrame({"spectra": pd.Series(data.class_counts)}), "class"),
        "",
        *(f"- {name}: {value}" for name, value in sorted(data.provenance.items())),
        f"- fingerprint: `{data.fingerprint()}`",
        "",
        "## Training",
        "",
        markdown_table(
            pd.DataFrame(
                {
                    f"stage {trained.config.stage}": {
                        "parameters": f"{n_parameters(trained.model):,}",
                        "epochs": str(len(trained.history)),
                        "best epoch": str(trained.best_epoch),
                        "validation score": f"{trained.score:.4f}",
                        "started from (SHA-256)": trained.started_from[:12] or "chance",
                        "seed": str(trained.config.seed),
                        "batch": str(trained.config.batch),
                        "learning rate": f"{trained.config.learning_rate:g}",
                        "schedule": trained.config.schedule,
                        "not BHB in stage 2": trained.config.negatives,
                        "bf16": str(trained.config.bf16),
                        "temperature": f"{temperature:.4f}",
                    }
                    for trained, temperature in zip(result.stages, result.temperature, strict=True)
                }
            ),
            "",
        ),
        "",
        "## Figures on the test stars",
        "",
        f"**{evaluation.title}.** Five-class accuracy **{evaluation.accuracy:.4f}**; BHB after "
        f"both stages: precision **{evaluation.two_stage['precision']:.4f}**, recall "
        f"**{evaluation.two_stage['recall']:.4f}**, F1 **{evaluation.two_stage['f1']:.4f}**. "
        f"{INTERVALS} The temperatures were fitted on validation stars only.",
        "",
        markdown_table(with_intervals(evaluation.per_class), "class (stage 1)"),
        "",
        "True class down, predicted class across:",
        "",
        markdown_table(evaluation.confusion, "true"),
        "",
        "BHB, by what keeps them:",
        "",
        markdown_table(with_intervals(evaluation.search), "kept by"),
        "",
        "Share of each class that each of these keeps:",
        "",
        markdown_table(with_intervals(evaluation.shares), "class"),
        "",
        "Mean precision over recall: "
        + ", ".join(f"{k} {v:.4f}" for k, v in evaluation.average_precision.items())
        + ".",
        "",
        ECE_WORDS,
        "",
        markdown_table(with_intervals(evaluation.calibration), "probability"),
    ]
    for title, table in (
        ("Against S/N per pixel in g", evaluation.by_snr),
        ("Against true Teff [K]", evaluation.by_teff),
    ):
        if len(table):
            short = short_bins(table).drop(columns="to")
            lines += ["", f"### {title}", "", markdown_table(short, "", index="from")]
    pictures = ", ".join(f"`{evaluation.origin}_{name}.png`" for name in PICTURES)
    lines += ["", f"Pictures of all this: {pictures}."]
    if len(result.plane):
        lines += ["", "### Beside cuts in the D0.2–fm plane, same test spectra", ""]
        lines += [markdown_table(result.plane, "method")]
    lines += ["", "## Limits", "", *_limits(simulated), "", "## Checksums (SHA-256)", ""]
    lines += [f"- `{name}`: `{checksum}`" for name, checksum in result.checksums.items()]
    return "\n".join(lines) + "\n"


def _limits(simulated: bool) -> list[str]:
    """Sentences on where the figures do not hold."""
    limits = [
        "- The figures hold for stars like those of the set. A spectrum of another kind (F star, "
        "galaxy, faulty reduction) still gets one of the five classes.",
        "- Probabilities are calibrated on validation stars, whose class shares are not those of "
        "the sky: p(BHB) is not the share of BHB stars among candidates of a survey.",
    ]
    if simulated:
        limits.insert(
            0,
            "- Trained and tested on simulated spectra: the figures say how well the search tells "
            "simulated stars apart, not how it does on the sky. Figures on real stars are kept "
            "apart from these.",
        )
    return limits


def markdown_table(table: pd.DataFrame, corner: str, index: str | None = None) -> str:
    """Markdown table of a frame; ``index`` names the column to use for the row names."""
    if index is not None:
        table = table.set_index(index)
        corner = index

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.{_DIGITS}f}" if not value.is_integer() else f"{value:.0f}"
        return str(value)

    header = [corner, *map(str, table.columns)]
    rows = [
        [cell(name), *map(cell, row)]
        for name, row in zip(table.index, table.itertuples(index=False), strict=True)
    ]
    return "\n".join(
        "| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)
    )
