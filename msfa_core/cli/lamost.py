"""Commands that ask LAMOST's archive: what to search, and the spectra themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from msfa_core.cli.app import Quiet, app, spare, wrong_usage
from msfa_core.cli.show import say, show_progress
from msfa_core.counting import counted
from msfa_core.errors import DownloadError, SurveyError, typed

if TYPE_CHECKING:
    from msfa_core.lamost.arrivals import Place
    from msfa_core.lamost.download import Downloaded
    from msfa_core.lamost.select import Selected

_SHOWN: Final = 10  # failures named on the screen; all are in the table


@app.command()
def select(
    catalogue: Annotated[
        Path,
        typer.Argument(
            help="General catalogue: CSV, FITS (also gzipped) or Parquet; not with --online.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Argument(help="Table ending in .csv, .fits or .parquet.", show_default=False),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the archive's SQL service, no catalogue file.")
    ] = False,
    dr: Annotated[str, typer.Option(help="Data release; the newest public one.")] = "",
    version: Annotated[str, typer.Option(help="Version of the release; the newest one.")] = "",
    server: Annotated[str, typer.Option(help="OpenAPI in place of LAMOST's.")] = "",
    snr: Annotated[
        float | None,
        typer.Option(help="S/N in g must be greater; the setting snr_min when not given."),
    ] = None,
    star: Annotated[str, typer.Option("--class", help="Class of the spectra.")] = "STAR",
    subclass: Annotated[
        str, typer.Option(help="Beginnings of the subclass, separated by commas.")
    ] = "A,B",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the table if it is there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Choose the spectra of the search domain: stars of subclass A or B above the S/N cut."""
    from msfa_core.config import load_settings  # noqa: PLC0415
    from msfa_core.lamost.select import Cuts, check_format  # noqa: PLC0415
    from msfa_core.lamost.select import select as choose  # noqa: PLC0415

    least = load_settings().snr_min
    with wrong_usage("--snr"):
        least = least if snr is None else load_settings(snr_min=snr).snr_min
    with wrong_usage("--class, --subclass"):
        begins = tuple(part.strip().upper() for part in subclass.split(",") if part.strip())
        cuts = Cuts(least, star.strip().upper(), begins)
    if online != (out is None):
        raise typer.BadParameter("Give CATALOGUE and OUT, or OUT alone with --online.")
    if (dr or version or server) and not online:
        raise typer.BadParameter("--dr, --version and --server go with --online.")
    with wrong_usage("OUT"):
        spare(made := out or catalogue)
        check_format(made)
    if out is not None and out.resolve() == catalogue.resolve():
        raise typer.BadParameter(f"{out} is the catalogue itself: name another file for OUT.")
    with show_progress(quiet) as progress:
        if out is not None:
            _print_selected(choose(catalogue, out, cuts, overwrite, progress))
            return
        from msfa_core.lamost.online import select_online  # noqa: PLC0415
        from msfa_core.lamost.select import check_out  # noqa: PLC0415
        from msfa_core.lamost.service import SERVER, Service  # noqa: PLC0415
        from msfa_core.lamost.token import lamost_token  # noqa: PLC0415

        check_out(catalogue, overwrite)  # before the network is used
        with wrong_usage("--server"):
            service = Service(server or SERVER, lamost_token())
        release = service.release(dr, version)
        _print_selected(select_online(service, release, catalogue, cuts, overwrite, progress))


def _print_selected(selected: Selected) -> None:
    """Say what each cut leaves."""
    for words, n in selected.counts.items():
        print(f"{n:>12,} {words}")
    for n, words in (
        (selected.n_twice, "left out: their obsid came before"),
        (selected.n_nameless, "left out: they have no obsid"),
        (selected.n_strange, "passed no cut: their S/N in g is no number that a spectrum has"),
    ):
        if n:
            print(f"{n:>12,} {words}")
    print(
        f"{selected.path}: {counted(selected.n_rows, 'spectrum', 'spectra')} "
        f"({selected.seconds:.1f} s)"
    )
    print(f"next: msfa download SURVEY --from {selected.path} --ingest")


@app.command()
def download(
    target: Annotated[
        Path,
        typer.Argument(
            help="Folder for files; with --ingest a survey, made if needed.", show_default=False
        ),
    ],
    obsid_file: Annotated[
        Path | None, typer.Option(help="An obsid a line, or a table with a column obsid.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--from", help="Table of msfa select; joined with --ingest.")
    ] = None,
    night: Annotated[
        str, typer.Option(help="Tar file of a night instead, read as a stream; - for a pipe.")
    ] = "",
    dr: Annotated[str, typer.Option(help="Data release; the newest public one.")] = "",
    version: Annotated[str, typer.Option(help="Version of the release; the newest one.")] = "",
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Straight into the survey, keeping no files.")
    ] = False,
    releases: Annotated[
        bool, typer.Option("--releases", help="List what the service has, and stop.")
    ] = False,
    connections: Annotated[
        int, typer.Option(help="Spectra asked for at the same time.", min=1, max=16)
    ] = 4,
    rate: Annotated[
        float, typer.Option(help="Spectra asked for per second.", min=0.01, max=1000)
    ] = 5.0,
    server: Annotated[str, typer.Option(help="OpenAPI in place of LAMOST's.")] = "",
    quiet: Quiet = False,
) -> None:
    """Fetch LAMOST spectra by obsid, or out of a nightly archive; goes on where it stopped."""
    from msfa_core.lamost.download import download as fetch  # noqa: PLC0415
    from msfa_core.lamost.download import read_obsids, take_night  # noqa: PLC0415
    from msfa_core.lamost.service import SERVER, Patience, Service  # noqa: PLC0415
    from msfa_core.lamost.token import lamost_token  # noqa: PLC0415

    with wrong_usage("--server"):
        service = Service(server or SERVER, lamost_token(), Patience(per_second=rate))
    if releases:
        print("\n".join(map(str, service.releases())))
        return
    given = [one for one in (obsid_file, table, night) if one]
    if len(given) != 1:
        raise typer.BadParameter("Give one of --obsid-file, --from and --night.")
    source = obsid_file or table
    obsids = read_obsids(source) if source else []
    release = None if night else service.release(dr, version)
    with _place(target, ingest) as place, show_progress(quiet) as progress:
        if release is None:
            report = take_night(place, night, progress)
        else:
            report = fetch(place, obsids, service, release, progress, connections)
    if ingest and table and (report.n_new or report.n_before):
        _join(target, table)
    _print_downloaded(report, target, ingest)


@contextmanager
def _place(target: Path, ingest: bool) -> Iterator[Place]:
    """Open where spectra go."""
    from msfa_core.lamost.arrivals import folder_of_files, survey_for_spectra  # noqa: PLC0415
    from msfa_core.survey.folder import Survey, is_survey  # noqa: PLC0415

    if not ingest:
        if is_survey(target):
            raise SurveyError(
                f"{target} is a survey: add --ingest to store spectra in it, or name a folder."
            )
        with folder_of_files(target) as folder:
            yield folder
        return
    survey = Survey(target) if is_survey(target) else Survey.create(target)
    with survey_for_spectra(target, survey) as arriving:
        yield arriving


def _join(target: Path, table: Path) -> None:
    """Join the table of a selection to the spectra that it was made for."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.survey.ingest import ingest as join  # noqa: PLC0415

    for line in join(Survey(target), (), (table,)).tables:
        print(line)


def _print_downloaded(report: Downloaded, target: Path, ingest: bool) -> None:
    """Say what came; raise when something failed."""
    print(
        f"{counted(report.n_wanted, 'spectrum', 'spectra')} wanted: "
        f"{report.n_new:,} new, {report.n_before:,} there "
        f"before, {len(report.failed):,} failed ({report.n_bytes / 1e6:,.1f} MB, "
        f"{report.seconds:.0f} s)"
    )
    for obsid, reason in list(report.failed.items())[:_SHOWN]:
        say(f"failed: {reason}" if obsid < 0 else f"failed: obsid {obsid}: {reason}")
    if report.failed:
        raise DownloadError(
            f"{len(report.failed):,} of {counted(report.n_wanted, 'spectrum', 'spectra')} failed, "
            f"listed in "
            f"{target} (download_failed.csv, night_failed.csv), the rest is there. The same "
            "command asks for them again."
        )
    print(f"next: msfa run {typed(target)}" if ingest else f"next: msfa ingest SURVEY {target}")
