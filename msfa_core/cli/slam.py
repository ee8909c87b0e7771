"""Commands that make and judge the model of the stellar labels: ``msfa slam train, evaluate``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from msfa_core.cli.app import SurveyArgument, app, spare
from msfa_core.cli.show import say, say_labels
from msfa_core.cli.stop import stop_if_asked
from msfa_core.constants import LABELS
from msfa_core.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.slam.train import TrainingSet

slam_app = typer.Typer(no_args_is_help=True, help="Train and judge the model of stellar labels.")
app.add_typer(slam_app, name="slam")

Out = Annotated[
    Path,
    typer.Argument(help="Model to write (.npz); its checksum goes beside it.", callback=spare),
]
Labels = Annotated[
    Path | None, typer.Option(help="Table with obsid, teff, logg and feh, for --survey.")
]
Seed = Annotated[int, typer.Option(help="Of the draws and the search.", min=0)]


@slam_app.command()
def train(
    out: Out,
    grid: Annotated[
        Path | None, typer.Option(help="Grid of models (.npz: wave, flux, teff, logg, feh).")
    ] = None,
    survey: Annotated[
        Path | None, typer.Option(help="Survey whose labelled spectra train.")
    ] = None,
    labels: Labels = None,
    stars: Annotated[
        int, typer.Option(help="Stars to draw from the shipped model atmospheres.", min=20)
    ] = 640,
    folds: Annotated[
        int, typer.Option(help="Folds of the cross-validation of the labels; 0 for none.", min=0)
    ] = 3,
    colours: Annotated[
        bool, typer.Option("--colours/--no-colours", help="Learn the four colours too.")
    ] = True,
    bins: Annotated[
        tuple[float, float, int],
        typer.Option(help="First and last wavelength [Å], LAMOST pixels in a pixel of the model."),
    ] = (3900.0, 5450.0, 5),
    degree: Annotated[int, typer.Option(help="Of the polynomial continuum.", min=0, max=30)] = 6,
    seed: Seed = 42,
) -> None:
    """Train on the shipped atmospheres, any grid of models, or any survey with labels."""
    from msfa_core.slam.pixels import Bins  # noqa: PLC0415
    from msfa_core.slam.train import Setting, train_slam  # noqa: PLC0415
    from msfa_core.slam.validation import SNR, cross_validate, without_colours  # noqa: PLC0415

    if folds == 1:
        raise typer.BadParameter("--folds takes 0 for none, or 2 and more.")
    data, source = _training_set(grid, survey, labels, stars, seed)
    if not colours:
        data = without_colours(data)
    pixels, began = Bins(*bins), time.monotonic()
    notes = {**source, "seed": seed, "labels": _range_of(data.labels)}
    say(f"training on {len(data.labels):,} stars, {len(pixels)} pixels")
    model = train_slam(
        data, bins=pixels, degree=degree, seed=seed, notes=notes, progress=_tell_tenths
    )
    model.save(out)  # the cross-validation below takes longer than the training
    checked: dict[str, Any] = {}
    if folds:
        setting = Setting(**model.notes["setting"])
        snr = None if survey is not None else SNR
        found = cross_validate(
            data, setting, bins=pixels, degree=degree, folds=folds, snr=snr, seed=seed,
            progress=_tell_tenths,
        )  # fmt: skip
        checked = {"cross_validation": found}
        _print_summaries(found)
    notes = {**model.notes, **checked, "minutes": round((time.monotonic() - began) / 60, 1)}
    model = _with_notes(model, notes)
    checksum = model.save(out)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, SHA-256 {checksum}")


@slam_app.command()
def evaluate(
    survey: SurveyArgument,
    labels: Annotated[Path, typer.Option(help="Table with obsid, teff, logg and feh.")],
    model: Annotated[
        Path | None, typer.Option(help="Model (.npz); the shipped one when not given.")
    ] = None,
) -> None:
    """Compare the labels of a model with those that a table gives for the same spectra."""
    from msfa_core.slam.inversion import predict_labels  # noqa: PLC0415
    from msfa_core.slam.model import SlamModel  # noqa: PLC0415
    from msfa_core.slam.validation import differences, summary  # noqa: PLC0415

    spectra, table = _labelled_spectra(survey, labels)
    chosen = None if model is None else SlamModel.load(model)
    found = predict_labels(spectra, model=chosen, progress=_tell_tenths)
    truth = table[list(LABELS)].to_numpy(np.float64, na_value=np.nan)
    compared = differences(found, truth)
    has = compared[list(LABELS)].notna().all(axis=1)
    if not has.any():
        raise ConfigError(f"no spectrum of {survey} has labels both from SLAM and in {labels}.")
    print(f"{int(has.sum())} of {len(spectra)} spectra have labels from both")
    _print_summaries({"without_colours": summary(compared[has])})


def _training_set(
    grid: Path | None, survey: Path | None, labels: Path | None, stars: int, seed: int
) -> tuple[TrainingSet, dict[str, Any]]:
    from msfa_core.slam.sources import from_survey, read_grid  # noqa: PLC0415

    if grid is not None and survey is not None:
        raise typer.BadParameter("Give --grid or --survey, not both.")
    if (survey is None) != (labels is None):
        raise typer.BadParameter(
            "--survey needs --labels FILE with obsid, teff, logg and feh, and back."
        )
    if grid is not None:
        return read_grid(grid), {"source": f"grid {grid.name}"}
    if survey is not None and labels is not None:
        from msfa_core.spine.label import colours_for_labels  # noqa: PLC0415

        spectra, table = _labelled_spectra(survey, labels)
        found = colours_for_labels(table)
        has = found.notna().all(axis=1).any()
        return from_survey(spectra, table, found if has else None), {"source": "labelled survey"}
    from msfa_core.simulate.atmospheres import grid_checksum  # noqa: PLC0415
    from msfa_core.simulate.labelled_grid import draw_labels, labelled_grid  # noqa: PLC0415
    from msfa_core.slam.inversion import GRID_FILE  # noqa: PLC0415
    from msfa_core.slam.train import TrainingSet  # noqa: PLC0415

    made = labelled_grid(draw_labels(stars, seed))
    data = TrainingSet(
        made.wavelength, made.flux, made.labels, made.colours, alternatives=made.alternatives
    )
    return data, {"source": GRID_FILE, "source_sha256": grid_checksum()}


def _labelled_spectra(survey: Path, labels: Path) -> tuple[Any, pd.DataFrame]:
    """Spectra of a survey that a table of labels names, and their rows of it, in one order."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.validation.labels import LABEL_NAMES, labels_of  # noqa: PLC0415

    opened = Survey(survey)
    found = labels_of(opened, labels)
    say_labels(opened, found)
    rows = found.table.set_index("obsid")
    obsid = rows.index.to_numpy(np.int64)
    known = opened.table().set_index("obsid").loc[obsid].drop(columns=list(LABEL_NAMES))
    return opened.spectra(obsid), known.join(rows).reset_index()


def _with_notes(model: Any, notes: dict[str, Any]) -> Any:
    from dataclasses import replace  # noqa: PLC0415

    return replace(model, notes=notes)


def _range_of(labels: np.ndarray[Any, Any]) -> dict[str, list[float]]:
    low, high = labels.min(axis=0), labels.max(axis=0)
    return {name: [float(low[k]), float(high[k])] for k, name in enumerate(LABELS)}


def _tell_tenths(step: str, done: int, total: int, part: str = "") -> None:
    """Say every tenth part."""
    stop_if_asked()
    if done == total or done % max(total // 10, 1) == 0:
        say(f"{step}: {done:,} of {total:,}")


def _print_summaries(found: Any) -> None:
    for name in ("without_colours", "with_colours"):
        if name in found:
            print(name.replace("_", " "))
            for label, row in found[name].items():
                values = json.dumps({key: round(value, 3) for key, value in row.items()})
                print(f"  {label:<5} {values}")
