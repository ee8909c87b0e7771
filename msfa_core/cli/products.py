"""`msfa products`: one FITS file per spectrum, and per co-added star."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from msfa_core.cli.app import Quiet, SurveyArgument, app, spare
from msfa_core.cli.show import say, show_progress
from msfa_core.cli.surveys import VerdictChoice
from msfa_core.counting import counted
from msfa_core.errors import ExportError

_REASONS: Final = 10  # products that failed, named on the screen


@app.command()
def products(
    survey: SurveyArgument,
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder that gets the files.", show_default=False, callback=spare, file_okay=False
        ),
    ],
    every: Annotated[
        bool, typer.Option("--all", help="All spectra: what is done when nothing is chosen.")
    ] = False,
    candidates: Annotated[bool, typer.Option("--candidates", help="Candidates only.")] = False,
    verdict: Annotated[
        VerdictChoice | None, typer.Option(help="Only spectra of stars with this verdict.")
    ] = None,
    coadd: Annotated[
        bool,
        typer.Option("--coadd", help="Add up the epochs of each star at rest, in files beside."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write a FITS file per spectrum: flux, masks, class, velocity, labels, provenance."""
    from msfa_core.products import write_products  # noqa: PLC0415

    if every + candidates + (verdict is not None) > 1:
        raise typer.BadParameter("Give one of --all, --candidates and --verdict.")
    choice = "candidates" if candidates else str(verdict) if verdict else "all"
    with show_progress(quiet) as progress:
        made = write_products(survey, folder, choice, coadd, progress)
    what = counted(made.n_spectra, "spectrum", "spectra")
    what += f" and {made.n_stars:,} co-added stars" if coadd else ""
    print(
        f"{folder}: products of {what}; {counted(made.n_written, 'file', 'files')} written, "
        f"{made.n_unchanged:,} there before"
    )
    for name, reason in made.failed[:_REASONS]:
        say(f"not written: {name}: {reason}")
    if made.failed:
        raise ExportError(
            f"{counted(len(made.failed), 'product', 'products')} could not be made, the others are "
            f"in {folder}."
        )
