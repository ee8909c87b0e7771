"""Commands that train networks: train, experiments."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msfa_core.cli.app import Quiet, Workers, app
from msfa_core.cli.evaluate import known_classes
from msfa_core.cli.show import show_progress
from msfa_core.errors import TrainingError
from msfa_core.typing import Progress

if TYPE_CHECKING:
    from msfa_core.simulate.groups import Shares
    from msfa_core.simulate.survey import Scale
    from msfa_core.training.dataset import LabelledSpectra


class StageChoice(StrEnum):
    """What to train."""

    FIRST = "1"
    SECOND = "2"
    BOTH = "both"


class ScheduleChoice(StrEnum):
    """How the learning rate falls."""

    PLATEAU = "plateau"
    COSINE = "cosine"


class SharesChoice(StrEnum):
    """How the stars of a class share its groups."""

    SURVEY = "survey"
    BORDER = "border"
    SKY = "sky"


class ScaleChoice(StrEnum):
    """How simulated stars look."""

    MODELS = "models"
    STARS = "stars"


class NegativesChoice(StrEnum):
    """What stage 2 learns as not BHB."""

    PAPER = "paper"
    ALL = "all"


# options of both commands
Epochs1 = Annotated[int, typer.Option(help="0 for the paper's 150.", min=0)]
Epochs2 = Annotated[int, typer.Option(help="0 for the paper's 100.", min=0)]
Batch = Annotated[int, typer.Option(help="Spectra per step.", min=2)]
Patience = Annotated[
    int, typer.Option(help="Epochs without gain before the learning rate is halved.", min=0)
]
Schedule = Annotated[
    ScheduleChoice,
    typer.Option(help="Learning rate: halved on a plateau, or a cosine for few epochs."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
MixedPrecision = Annotated[bool, typer.Option("--bf16", help="Mixed precision.")]


@app.command()
def train(
    stage: Annotated[
        StageChoice | None,
        typer.Argument(help="1 (five classes), 2 (BHB or not, after 1), or both."),
    ] = None,
    run: Annotated[
        Path, typer.Option(help="Folder of checkpoints and learning curves; resumed if there.")
    ] = Path("training"),
    models: Annotated[
        Path | None,
        typer.Option(help="Folder that gets weights and model card (RUN/models when not given)."),
    ] = None,
    from_decisions: Annotated[
        Path | None,
        typer.Option(
            help="Survey whose verdicts stage 2 learns from; no stage is named. The weights go "
            "into its folder models, which the setting models = survey makes it use."
        ),
    ] = None,
    survey: Annotated[
        Path | None, typer.Option(help="Train on the spectra of a survey, with --labels.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Table with obsid and label (BHB, A, B, HSD, WD).")
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            help="Without a survey: simulate this many times the paper's counts.",
            min=1e-4,
            max=100,
        ),
    ] = 1.0,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled spectra (.npz); simulated and kept there when missing."),
    ] = None,
    counts: Annotated[
        tuple[int, int, int, int, int] | None,
        typer.Option(help="Simulated spectra of BHB, A, B, HSD, WD; the paper's when not given."),
    ] = None,
    snr: Annotated[
        tuple[float, float], typer.Option(help="Least and largest S/N in g of simulated spectra.")
    ] = (10.0, 200.0),
    shares: Annotated[
        SharesChoice, typer.Option(help="Of the groups within a simulated class.")
    ] = SharesChoice.SURVEY,
    scale: Annotated[
        ScaleChoice, typer.Option(help="Simulated stars look like the models, or as stars differ.")
    ] = ScaleChoice.MODELS,
    epochs1: Epochs1 = 0,
    epochs2: Epochs2 = 0,
    batch: Batch = 96,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at the start.")] = 1e-3,
    patience: Patience = 8,
    schedule: Schedule = ScheduleChoice.PLATEAU,
    start: Annotated[
        Path | None,
        typer.Option(help="Models folder to go on from with stage 1, such as data/models."),
    ] = None,
    new_stars: Annotated[
        bool,
        typer.Option("--new-stars", help="Without a survey: draw new stars for each epoch."),
    ] = False,
    width: Annotated[int, typer.Option(help="Channels after the stem.", min=4)] = 64,
    negatives: Annotated[
        NegativesChoice, typer.Option(help="Not BHB in stage 2: A and HSD, or all classes.")
    ] = NegativesChoice.PAPER,
    noise: Annotated[
        float, typer.Option(help="Augmentation: white noise of the scaled flux.", min=0)
    ] = 0.0,
    shift: Annotated[float, typer.Option(help="Augmentation: shift [pixel].", min=0)] = 0.0,
    slope: Annotated[float, typer.Option(help="Augmentation: continuum slope.", min=0)] = 0.0,
    agreement: Annotated[
        float, typer.Option(help="Weight of two spectra of a star having to agree.", min=0)
    ] = 0.0,
    averaging: Annotated[
        float, typer.Option(help="Share that the mean of the weights keeps a step.", min=0)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of simulation, split and training.", min=0)] = 42,
    device: Device = "auto",
    bf16: MixedPrecision = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, do not resume.")] = False,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train the networks, on simulated spectra or on those of a survey."""
    from msfa_core.networks.msfa_net import MSFANetConfig  # noqa: PLC0415
    from msfa_core.networks.weights import read_stage1  # noqa: PLC0415
    from msfa_core.training.dataset import split_by_star  # noqa: PLC0415
    from msfa_core.training.loss import Augmentation  # noqa: PLC0415
    from msfa_core.training.on_simulations import NewStarsEachEpoch  # noqa: PLC0415
    from msfa_core.training.train import train as train_stage  # noqa: PLC0415
    from msfa_core.training.trainer import TrainConfig  # noqa: PLC0415
    from msfa_core.training.two_stages import train_two_stages  # noqa: PLC0415

    _check_source(stage, from_decisions, survey, labels, data, counts, new_stars=new_stars)
    if from_decisions is not None:
        _learn_from(from_decisions, models, start, seed, workers, quiet=quiet)
        return
    if stage is StageChoice.SECOND and not (run / "stage1.checkpoint").exists():
        raise TrainingError(f"{run} holds no stage 1: give `msfa train 1 --run {run}` first.")
    with show_progress(quiet) as progress:
        if survey is not None and labels is not None:
            training = _spectra_of(survey, labels)
        else:
            wanted = _Simulated(share, seed, counts, snr, shares.value, scale.value)
            training = wanted.read(data or run / wanted.name, workers, progress)
        config = TrainConfig(
            network=MSFANetConfig(width=width),
            epochs=epochs1,
            batch=batch,
            learning_rate=learning_rate,
            schedule=schedule.value,
            plateau_patience=patience,
            seed=seed,
            negatives=negatives.value,
            augmentation=Augmentation(noise, shift, slope),
            agreement=agreement,
            averaging=averaging,
            device=device,
            bf16=bf16,
        )
        begin = None if start is None else read_stage1(start)
        stars = None
        if new_stars:
            stars = NewStarsEachEpoch.like(
                training,
                seed,
                snr,
                workers or 1,
                begin,
                shares=shares.value,
                scale=scale.value,
                pairs=agreement > 0,
            )
        if stage is StageChoice.FIRST:
            trained = train_stage(
                config,
                training,
                run,
                split=split_by_star(training, seed),
                start=begin,
                new_stars=stars,
                resume=not fresh,
                progress=progress,
            )
            score = trained.score
        else:
            result = train_two_stages(
                training,
                run,
                models or run / "models",
                config,
                epochs2=epochs2,
                start=begin,
                new_stars=stars,
                resume=not fresh or stage is StageChoice.SECOND,
                progress=progress,
            )
            score = result.evaluation.two_stage["f1"]
    if stage is StageChoice.FIRST:
        print(f"stage 1: macro-F1 {score:.4f} on the validation stars, epoch {trained.best_epoch}")
        print(f"next: msfa train 2 --run {run}")
    else:
        print(f"both stages: F1 of BHB {score:.4f} on the test stars")
        print(f"weights: {models or run / 'models'} (use them with `models` in msfa.toml)")


def _check_source(
    stage: StageChoice | None,
    from_decisions: Path | None,
    survey: Path | None,
    labels: Path | None,
    data: Path | None,
    counts: tuple[int, ...] | None,
    *,
    new_stars: bool,
) -> None:
    """Refuse options that name two sources of spectra, or none."""
    if (stage is None) == (from_decisions is None):
        raise typer.BadParameter("Name a stage (1, 2 or both), or give --from-decisions SURVEY.")
    others = any(given is not None for given in (survey, labels, data, counts)) or new_stars
    if from_decisions is not None and others:
        raise typer.BadParameter(
            "--from-decisions takes its stars from the survey: leave out --survey, --labels, "
            "--data, --counts and --new-stars."
        )
    if (survey is None) != (labels is None):
        raise typer.BadParameter("Give --survey and --labels together.")
    if survey is not None and new_stars:
        raise typer.BadParameter("--new-stars are simulated; leave it out with --survey.")
    if survey is not None and data is not None:
        raise typer.BadParameter("Give --survey or --data, not both.")


def _learn_from(
    path: Path, models: Path | None, start: Path | None, seed: int, workers: int, *, quiet: bool
) -> None:
    """Let stage 2 learn from the decisions of a survey, and say what came of it."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.training.from_decisions import train_from_decisions  # noqa: PLC0415

    with show_progress(quiet) as progress:
        learnt = train_from_decisions(
            Survey(path), models, start, seed=seed, workers=workers or 1, progress=progress
        )
    for words, counts in (("learnt from", learnt.n_learnt), ("held back", learnt.n_held_back)):
        print(f"{words}: {counts['accept']} accepted, {counts['reject']} rejected stars")
    for reason, number in learnt.left_out.items():
        print(f"left out, {reason}: {number} stars")
    print(learnt.figures.to_string(float_format="{:.3f}".format))
    if not learnt.is_changed:
        print("stage 2 was best left as it was: no change holds on decisions left out of the fit")
    use = "survey" if models is None else str(models)
    print(f'weights: {learnt.models} (use them with `models = "{use}"` in {path / "msfa.toml"})')


@dataclass(frozen=True, slots=True)
class _Simulated:
    """What a simulated training set is made of."""

    share: float
    seed: int
    counts: tuple[int, ...] | None = None
    snr: tuple[float, float] = (10.0, 200.0)
    shares: Shares = "survey"
    scale: Scale = "models"

    @property
    def name(self) -> str:
        """File name of the set: other choices, another file."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        other = [
            f"{field.name}-{str(said[field.name]).replace(' ', '')}"
            for field in fields(self)
            if field.name not in ("share", "seed") and said[field.name] != field.default
        ]
        return "-".join(["simulated", f"{self.share:g}", str(self.seed), *other]) + ".npz"

    def read(self, path: Path, workers: int, progress: Progress) -> LabelledSpectra:
        """Return the set of an earlier call, or simulate it now and keep it."""
        from msfa_core.constants import STELLAR_CLASSES  # noqa: PLC0415
        from msfa_core.machine.parallel import n_cores  # noqa: PLC0415
        from msfa_core.training.dataset import LabelledSpectra  # noqa: PLC0415
        from msfa_core.training.on_simulations import simulated_set  # noqa: PLC0415

        if not path.exists():
            names = map(str, STELLAR_CLASSES)
            simulated_set(
                None if self.counts is None else dict(zip(names, self.counts, strict=True)),
                self.seed,
                multiplier=self.share,
                snr_range=self.snr,
                workers=workers or n_cores(),
                shares=self.shares,
                scale=self.scale,
                progress=progress,
            ).save(path)
        return LabelledSpectra.load(path)  # the very numbers that a resumed run will read


def _spectra_of(survey: Path, labels: Path) -> LabelledSpectra:
    """Return the labelled spectra of a survey."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.training.sources import from_survey  # noqa: PLC0415

    opened = Survey(survey)
    return from_survey(opened, known_classes(opened, labels))


@app.command()
def experiments(
    run: Annotated[
        Path, typer.Option(help="Folder of checkpoints and finished results; resumed if there.")
    ] = Path("experiments"),
    networks: Annotated[
        str, typer.Option(help="Names, separated by commas: all when not given.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Numbers, separated by commas.")] = "1,2,3",
    data: Annotated[
        Path | None, typer.Option(help="Labelled spectra (.npz); simulated when not given.")
    ] = None,
    share: Annotated[
        float, typer.Option(help="Without --data: simulate this many times the paper's counts.")
    ] = 1.0,
    epochs1: Epochs1 = 0,
    epochs2: Epochs2 = 0,
    batch: Batch = 96,
    patience: Patience = 8,
    schedule: Schedule = ScheduleChoice.PLATEAU,
    width_share: Annotated[
        float, typer.Option(help="Of the full width of every network; 1 is the paper's.")
    ] = 1.0,
    device: Device = "auto",
    bf16: MixedPrecision = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Markdown file, a CSV goes beside it (RUN/EXPERIMENTS.md)."),
    ] = None,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Train the networks of the paper's Tables 3, 4 and 5 alike, and compare them."""
    from msfa_core.training.dataset import LabelledSpectra  # noqa: PLC0415
    from msfa_core.training.experiments import (  # noqa: PLC0415
        NETWORKS,
        Protocol,
        run_experiments,
    )

    names = [name.strip() for name in networks.split(",") if name.strip()] or list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise typer.BadParameter(
            f"No network {', '.join(unknown)}; there are {', '.join(NETWORKS)}."
        )
    try:
        numbers = [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--seeds is {seeds!r}; give numbers such as 1,2,3.") from error
    with show_progress(quiet) as progress:
        wanted = _Simulated(share, Protocol().split_seed)
        spectra = (
            LabelledSpectra.load(data)
            if data is not None
            else wanted.read(run / wanted.name, workers, progress)
        )
        table = run_experiments(
            spectra,
            run,
            out or run / "EXPERIMENTS.md",
            protocol=Protocol(
                epochs1=epochs1,
                epochs2=epochs2,
                batch=batch,
                patience=patience,
                schedule=schedule.value,
                width_share=width_share,
                bf16=bf16,
                device=device,
            ),
            networks={name: NETWORKS[name] for name in names},
            seeds=numbers,
            progress=progress,
        )
    scores = table.groupby("network", sort=False)[["stage1_f1", "stage2_f1"]].mean()
    print("F1 of BHB on the test stars, mean over the seeds: five classes, BHB or not")
    for name, (first, second) in zip(scores.index, scores.to_numpy(), strict=True):
        print(f"  {name:<16} {first:.4f}  {second:.4f}")
    print(f"tables: {out or run / 'EXPERIMENTS.md'}")
