"""The command that reads spectra and tables into a survey, and what it says of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from msfa_core.cli.app import Quiet, SurveyArgument, Workers, app, check_there
from msfa_core.cli.show import say, say_table, show_progress
from msfa_core.counting import counted
from msfa_core.errors import ReadError, SurveyError, typed

if TYPE_CHECKING:
    from msfa_core.survey.folder import Survey
    from msfa_core.survey.ingest import IngestReport

_REASONS: Final = 10  # files, or reasons, named on the screen; all rejected are in rejected.csv
_DIGITS: Final = re.compile(r"\d+")
_MANY: Final = 2  # files that cannot be read: too many for the one line of an error


@app.command()
def ingest(
    survey: SurveyArgument,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="FITS files, or folders searched to any depth.", show_default=False),
    ] = None,
    catalogue: Annotated[
        list[Path] | None,
        typer.Option(help="CSV, FITS, VOTable or MRT joined on obsid or file name; repeatable."),
    ] = None,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Read LAMOST or SDSS spectra, of any layout, and join catalogues to them."""
    from msfa_core.survey.folder import Survey, is_survey  # noqa: PLC0415
    from msfa_core.survey.ingest import find_files  # noqa: PLC0415
    from msfa_core.survey.ingest import ingest as take  # noqa: PLC0415

    paths, catalogues = paths or [], catalogue or []
    if not paths and not catalogues:
        raise typer.BadParameter("Name FITS files or folders, or a table with --catalogue.")
    check_there(catalogues, "catalogue")
    is_new = not is_survey(survey)
    if is_new:
        if not paths:
            raise SurveyError(f"{survey} is no survey yet: name the FITS files it is to hold.")
        find_files(paths)  # before anything is made
    target = Survey.create(survey) if is_new else Survey(survey)
    try:
        with show_progress(quiet) as progress:
            report = take(target, paths, catalogues, progress, workers)
    finally:
        # why one file cannot be read is on the screen; why many cannot, is kept
        if is_new and not len(target.obsid) and len(target.rejected) < _MANY:
            shutil.rmtree(target.path, ignore_errors=True)
    _print_ingest(report, target)


def _print_ingest(report: IngestReport, survey: Survey) -> None:
    """Say what became of the files; raise when nothing came of any."""
    print(
        f"{counted(report.n_files, 'file', 'files')}: "
        f"{counted(report.n_stored, 'spectrum', 'spectra')} stored, {report.n_unchanged:,} stored "
        f"before, {counted(len(report.duplicates), 'duplicate', 'duplicates')}, "
        f"{len(report.rejected):,} rejected "
        f"({report.seconds:.1f} s)"
    )
    for file, obsid, kept in report.duplicates[:_REASONS]:
        how = f"; {report.differing[file]}" if file in report.differing else ""
        print(f"duplicate: {file} has obsid {obsid} of {kept}, which is kept{how}")
    for file, obsid in report.changed[:_REASONS]:
        print(f"changed: {file} (obsid {obsid}) differs from what was stored, and was taken anew")
    for file, words in report.noted[:_REASONS]:
        print(f"noted: {file}: {words}")
    if len(report.noted) > _REASONS:
        print(f"noted: … and {len(report.noted) - _REASONS:,} more")
    if report.passed_over:
        endings = ", ".join(f"{n:,} {ending}" for ending, n in report.passed_over.items())
        print(f"passed over, no spectra by their names: {endings}")
    for line in report.tables:
        say_table(line)
    for name in report.came_before:
        print(
            f"{name} came before the new spectra: give it again with --catalogue to join it to them"
        )
    useful = (
        report.n_stored
        or report.n_unchanged
        or report.duplicates
        or report.joined
        or report.changed
    )
    if report.rejected and not useful:
        first, where = report.rejected[0][1], f"see {survey.path / 'rejected.csv'}"
        if len(report.rejected) == 1:
            raise ReadError(first)
        _say_kinds(report.rejected[1:])
        n = len(report.rejected)
        raise ReadError(f"none of the {n:,} files could be read; {where}. First: {first}")
    _say_kinds(report.rejected)
    if report.rejected:
        print(f"all rejected files are listed in {survey.path / 'rejected.csv'}")
    print(f"next: msfa run {typed(survey.path)}")


def _say_kinds(rejected: Sequence[tuple[str, str]]) -> None:
    """Say why files were rejected, each reason once, with how many more it holds for.

    Reasons are alike when they differ in names of files and in numbers alone.
    """
    kinds: dict[str, list[str]] = {}
    for file, reason in rejected:
        of_any = reason.replace(file, "").replace(Path(file).name, "")
        kinds.setdefault(_DIGITS.sub("0", of_any), []).append(reason)
    often = sorted(kinds.values(), key=len, reverse=True)
    for reasons in often[:_REASONS]:
        more = f" (and {len(reasons) - 1:,} more like it)" if len(reasons) > 1 else ""
        say(f"rejected: {reasons[0]}{more}")
    if len(often) > _REASONS:
        say(f"rejected: … and for {len(often) - _REASONS:,} other reasons")
