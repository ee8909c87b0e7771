"""The command that compares what the search says with known classes: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msfa_core.cli.app import Quiet, Workers, app, spare
from msfa_core.cli.show import say_labels, show_progress

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.survey.folder import Survey


def known_classes(survey: Survey, path: Path) -> pd.DataFrame:
    """Return obsid and label of a table of classes: label (or true_class), by obsid or place."""
    from msfa_core.validation.labels import CLASS_NAMES, labels_of  # noqa: PLC0415

    found = labels_of(survey, path, CLASS_NAMES)
    say_labels(survey, found)
    return found.table.dropna()


@app.command()
def evaluate(
    survey: Annotated[
        Path | None,
        typer.Argument(help="Survey folder; without one, stars are simulated anew."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Table with obsid and label; a simulated survey knows its own."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Weights to classify with; else what `msfa run` said of the survey."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of tables and pictures (SURVEY/evaluation or ./evaluation).",
            callback=spare,
            file_okay=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Without a survey: of the simulation, unlike the training's.", min=0)
    ] = 2024,
    share: Annotated[
        float,
        typer.Option(
            help="Without a survey: this many times the paper's counts.", min=1e-4, max=100
        ),
    ] = 0.2,
    like_the_paper: Annotated[
        bool,
        typer.Option("--like-the-paper", help="Without a survey: S/N and kinds as on the sky."),
    ] = False,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Compare what the search says of spectra with their known classes: tables and pictures."""
    from msfa_core.cli.evaluation import answers_on_survey, answers_on_unseen  # noqa: PLC0415
    from msfa_core.training.evaluate import evaluate as compare  # noqa: PLC0415
    from msfa_core.training.evaluation_report import (  # noqa: PLC0415
        evaluation_text,
        write_evaluation,
    )

    if survey is None and labels is not None:
        raise typer.BadParameter("--labels needs the survey that its spectra are in.")
    if survey is not None and like_the_paper:
        raise typer.BadParameter("--like-the-paper is of stars simulated anew, not of a survey.")
    with show_progress(quiet) as progress:
        if survey is None:
            answers, notes = answers_on_unseen(
                models, seed, share, workers, progress, like_the_paper=like_the_paper
            )
        else:
            from msfa_core.survey.folder import Survey  # noqa: PLC0415

            known = None if labels is None else known_classes(Survey(survey), labels)
            answers, notes = answers_on_survey(survey, known, models, progress)
        result = compare(answers)
    print(evaluation_text(result))
    for note in notes:
        print(f"\n{note}")
    folder = out or (survey or Path()) / "evaluation"
    n_files = len(write_evaluation(result, folder))
    print(f"\n{n_files} tables and pictures: {folder}")
