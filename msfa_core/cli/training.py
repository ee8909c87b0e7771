"""Commands that deal with the networks: train, evaluate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from msfa_core.cli.app import Quiet, SurveyArgument, Workers, app
from msfa_core.cli.show import show_progress
from msfa_core.errors import CatalogueError, TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.cli.show import Bars, Lines
    from msfa_core.training.dataset import LabelledSpectra
    from msfa_core.training.progress import TrainingProgress

_LABEL_NAMES: Final = ("label", "true_class")


class StageChoice(StrEnum):
    """What to train."""

    FIRST = "1"
    SECOND = "2"
    BOTH = "both"


class NegativesChoice(StrEnum):
    """What stage 2 learns as not BHB."""

    PAPER = "paper"
    ALL = "all"


@app.command()
def train(
    stage: Annotated[
        StageChoice,
        typer.Argument(help="1 (five classes), 2 (BHB or not, after 1), or both."),
    ],
    run: Annotated[
        Path, typer.Option(help="Folder of checkpoints and learning curves; resumed if there.")
    ] = Path("training"),
    models: Annotated[
        Path | None,
        typer.Option(help="Folder that gets weights and model card (RUN/models when not given)."),
    ] = None,
    survey: Annotated[
        Path | None, typer.Option(help="Train on the spectra of a survey, with --labels.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table with obsid and label (BHB, A, B, HSD, WD).")
    ] = None,
    share: Annotated[
        float,
        typer.Option(help="Without a survey: simulate this many times the paper's counts."),
    ] = 1.0,
    epochs1: Annotated[int, typer.Option(help="0 for the paper's 150.", min=0)] = 0,
    epochs2: Annotated[int, typer.Option(help="0 for the paper's 100.", min=0)] = 0,
    batch: Annotated[int, typer.Option(help="Spectra per step.", min=2)] = 96,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at the start.")] = 1e-3,
    patience: Annotated[
        int, typer.Option(help="Epochs without gain before the learning rate is halved.", min=0)
    ] = 8,
    width: Annotated[int, typer.Option(help="Channels after the stem.", min=4)] = 64,
    negatives: Annotated[
        NegativesChoice, typer.Option(help="Not BHB in stage 2: A and HSD, or all classes.")
    ] = NegativesChoice.PAPER,
    seed: Annotated[int, typer.Option(help="Of simulation, split and training.", min=0)] = 42,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    bf16: Annotated[bool, typer.Option("--bf16", help="Mixed precision.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, do not resume.")] = False,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train the networks, on simulated spectra or on those of a survey."""
    from msfa_core.networks.msfa_net import MSFANetConfig  # noqa: PLC0415
    from msfa_core.training.dataset import split_by_star  # noqa: PLC0415
    from msfa_core.training.train import TrainConfig  # noqa: PLC0415
    from msfa_core.training.train import train as train_stage  # noqa: PLC0415
    from msfa_core.training.two_stages import train_two_stages  # noqa: PLC0415

    if (survey is None) != (labels is None):
        raise typer.BadParameter("Give --survey and --labels together.")
    if stage is StageChoice.SECOND and not (run / "stage1.checkpoint").exists():
        raise TrainingError(f"{run} holds no stage 1: give `msfa train 1 --run {run}` first.")
    with show_progress(quiet) as progress:
        data = _training_set(run, survey, labels, share, seed, workers, progress)

        def tell(at: TrainingProgress) -> None:
            words = f"stage {at.stage}"
            progress(words, at.done, at.total, _epoch(at))

        network = MSFANetConfig(width=width)
        if stage is StageChoice.FIRST:
            config = TrainConfig(
                stage=1,
                network=network,
                epochs=epochs1,
                batch=batch,
                learning_rate=learning_rate,
                plateau_patience=patience,
                seed=seed,
                negatives=negatives.value,
                device=device,
                bf16=bf16,
            )
            split = split_by_star(data, seed)
            trained = train_stage(config, data, run, split=split, resume=not fresh, progress=tell)
            score = trained.score
        else:
            result = train_two_stages(
                data,
                run,
                models or run / "models",
                device=device,
                epochs1=epochs1,
                epochs2=epochs2,
                batch=batch,
                amp=bf16,
                seed=seed,
                learning_rate=learning_rate,
                patience=patience,
                network=network,
                negatives=negatives.value,
                resume=not fresh or stage is StageChoice.SECOND,
                progress=tell,
            )
            score = result.evaluation.two_stage["f1"]
    if stage is StageChoice.FIRST:
        print(f"stage 1: macro-F1 {score:.4f} on the validation stars, epoch {trained.best_epoch}")
        print(f"next: msfa train 2 --run {run}")
    else:
        print(f"both stages: F1 of BHB {score:.4f} on the test stars")
        print(f"weights: {models or run / 'models'} (use them with `models` in msfa.toml)")


def _epoch(at: TrainingProgress) -> str:
    """Name the epoch that has just ended; empty within one."""
    per_epoch = max(at.total // at.epochs, 1)
    return f"epoch {at.done // per_epoch}" if at.done and at.done % per_epoch == 0 else ""


def _training_set(
    run: Path,
    survey: Path | None,
    labels: Path | None,
    share: float,
    seed: int,
    workers: int,
    progress: Bars | Lines,
) -> LabelledSpectra:
    """Return labelled spectra: of a survey, of the run's earlier call, or simulated now."""
    from msfa_core.parallel import n_cores  # noqa: PLC0415
    from msfa_core.train_on_simulations import simulated_set  # noqa: PLC0415
    from msfa_core.training.dataset import LabelledSpectra  # noqa: PLC0415

    if survey is not None and labels is not None:
        from msfa_core.survey import Survey  # noqa: PLC0415
        from msfa_core.training.sources import from_survey  # noqa: PLC0415

        return from_survey(Survey(survey), _labels(labels))
    kept = run / f"simulated-{share:g}-{seed}.npz"
    if not kept.exists():
        data = simulated_set(
            seed=seed,
            multiplier=share,
            workers=workers or n_cores(),
            progress=lambda done, total: progress("simulate", done, total, f"chunk {done}"),
        )
        data.save(kept)
    return LabelledSpectra.load(kept)  # the very numbers that a resumed run will read


def _labels(path: Path) -> pd.DataFrame:
    """Read a table of classes: columns obsid and label (or true_class)."""
    from msfa_core.catalogue.crossmatch import as_ids  # noqa: PLC0415
    from msfa_core.catalogue.tables import read_table  # noqa: PLC0415

    table = read_table(path)
    name = next((name for name in _LABEL_NAMES if name in table.columns), None)
    if name is None or "obsid" not in table.columns:
        raise CatalogueError(
            f"{path} needs the columns obsid and label; it has {', '.join(table.columns)}."
        )
    table = table.assign(obsid=as_ids(table["obsid"], "obsid"), label=table[name])
    return table[["obsid", "label"]].dropna()


@app.command()
def evaluate(
    survey: SurveyArgument,
    labels: Annotated[
        Path | None,
        typer.Option(help="Table with obsid and label; a simulated survey knows its own."),
    ] = None,
) -> None:
    """Compare what the search said of a survey's spectra with their known classes."""
    import numpy as np  # noqa: PLC0415

    from msfa_core.constants import FIT_LINES, STELLAR_CLASSES  # noqa: PLC0415
    from msfa_core.survey import Survey  # noqa: PLC0415
    from msfa_core.training.evaluate import compare_with_plane_cut  # noqa: PLC0415
    from msfa_core.training.evaluate import evaluate as compare  # noqa: PLC0415

    source = Survey(survey)
    table = source.candidates()
    if labels is not None:
        known = _labels(labels).drop_duplicates("obsid").set_index("obsid")["label"]
        truth = known.reindex(table["obsid"].to_numpy()).set_axis(table.index)
    elif "true_class" in table.columns:
        truth = table["true_class"]
    else:
        raise TrainingError(
            f"{survey} does not know the classes of its stars: name a table with --labels."
        )
    names = [str(name) for name in STELLAR_CLASSES]
    classified = table["p_bhb"].notna()
    if not (classified & truth.notna()).any():
        raise TrainingError(
            f"no spectrum of {survey} is both classified and of known class: give `msfa run "
            f"{survey}` first, and labels with the obsids of the survey."
        )
    others = table[classified & truth.notna() & ~truth.isin(names)]
    table, truth = table[classified & truth.isin(names)], truth[classified & truth.isin(names)]
    p_class = table[[f"p_class_{name.lower()}" for name in names]].to_numpy(np.float64)
    threshold = source.settings.bhb_threshold
    result = compare(
        p_class,
        table["p_bhb"].to_numpy(np.float64),
        truth.map(names.index).to_numpy(np.int64),
        snr_g=table["snr_g"].to_numpy(np.float64),
        threshold=threshold,
    )
    n = len(table)
    print(f"{n:,} spectra of known class; stage 1, accuracy {result.accuracy:.4f}")
    print(result.per_class.to_string(float_format="{:.4f}".format))
    print("\nconfusion, true class down")
    print(result.confusion.to_string())
    print("\nBHB after both stages, beside the D0.2–fm selection of the settings")
    candidate = (p_class.argmax(axis=1) == names.index("BHB")) & (
        table["p_bhb"].to_numpy(np.float64) >= threshold
    )
    measured = table[[f"d02_{line}" for line in FIT_LINES]].notna().any(axis=None)
    cuts = {f"box {source.settings.selection}": table["in_bhb_region"].fillna(False).to_numpy(bool)}
    is_bhb = (truth == "BHB").to_numpy(bool)
    figures = compare_with_plane_cut(candidate, is_bhb, cuts if measured else {})
    print(figures.to_string(float_format="{:.4f}".format))
    print("\nshare of each class that ends as candidate")
    for name, share in result.let_through.items():
        print(f"  {name:<4} {share:.4f}")
    if len(others):
        says = (others["predicted_class"] == "BHB") & (others["p_bhb"] >= threshold)
        print(f"  other classes {says.fillna(False).mean():.4f} ({len(others):,} spectra)")
