"""`msfa report`: a survey told on one page, on paper, and in the figures of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msfa_core.cli.app import Overwrite, Quiet, SurveyArgument, app, spare
from msfa_core.cli.show import show_progress
from msfa_core.cli.surveys import VerdictChoice
from msfa_core.counting import counted, counted_of


@app.command()
def report(
    survey: SurveyArgument,
    out: Annotated[
        Path,
        typer.Argument(help="File ending in .html.", show_default=False, callback=spare),
    ],
    verdict: Annotated[
        VerdictChoice | None,
        typer.Option(help="Stars told of one by one (accept when not given)."),
    ] = None,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="All candidates instead, whatever their verdict.")
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="The same as a PDF beside it, a page per star.")
    ] = False,
    figures: Annotated[
        Path | None,
        typer.Option(
            help="Folder that gets the figures of a paper, as PNG and PDF.",
            callback=spare,
            file_okay=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained page: funnel, figures, every accepted star, provenance."""
    from msfa_core.products.report import (  # noqa: PLC0415
        gather,
        write_figures,
        write_page,
        write_pdf,
    )
    from msfa_core.products.report.page import checked  # noqa: PLC0415

    if verdict and candidates:
        raise typer.BadParameter("Give --verdict or --candidates, not both.")
    if out.suffix.lower() != ".html":
        raise typer.BadParameter(f"{out} does not end in .html: name the file so.")
    checked(out, ".html", overwrite)  # before anything long begins
    on_paper = out.with_suffix(".pdf")
    if pdf:
        checked(on_paper, ".pdf", overwrite)
    choice = "candidates" if candidates else str(verdict or VerdictChoice.ACCEPT)
    with show_progress(quiet) as progress:
        told = gather(survey, choice, progress)
        write_page(told, out, overwrite)
        if pdf:
            write_pdf(told, on_paper, overwrite, progress)
    print(f"{out}: {counted_of(len(told.stars), told.words)}, {out.stat().st_size / 1e6:.1f} MB")
    if told.why_none:
        print(told.why_none)
    if pdf:
        print(f"{on_paper}: {on_paper.stat().st_size / 1e6:.1f} MB")
    if figures is not None:
        paths = write_figures(told, figures)
        print(f"{figures}: {counted(len(paths), 'file', 'files')}")
