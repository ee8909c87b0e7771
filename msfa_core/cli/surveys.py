"""Commands that deal with a survey: simulate, run, status, export, serve."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msfa_core.cli.app import (
    GaiaTables,
    Overwrite,
    PanstarrsTables,
    Quiet,
    SurveyArgument,
    Workers,
    app,
    check_there,
    spare,
    wrong_usage,
)
from msfa_core.cli.show import Until, say_table, show_progress
from msfa_core.counting import counted, counted_spectra
from msfa_core.errors import ExportError, SurveyError, typed

if TYPE_CHECKING:
    import pandas as pd

    from msfa_core.survey.folder import Survey


class LayoutChoice(StrEnum):
    """Layouts of LAMOST files."""

    TABLE = "table"
    IMAGE = "image"


class VerdictChoice(StrEnum):
    """Verdicts that can be exported."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNSURE = "unsure"
    DISPUTED = "disputed"


@app.command()
def simulate(
    survey: SurveyArgument,
    stars: Annotated[int, typer.Option(help="How many stars.", min=1)] = 1500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same survey.", min=0)] = 20,
    write_fits: Annotated[
        Path | None,
        typer.Option(
            help="Folder that gets LAMOST files, gaia.csv and truth.csv as well.",
            callback=spare,
            file_okay=False,
        ),
    ] = None,
    fits_layout: Annotated[
        LayoutChoice,
        typer.Option(help="Of those files: table as since DR8, image as in DR2 to DR7."),
    ] = LayoutChoice.TABLE,
    sky_fibres: Annotated[
        Path | None,
        typer.Option(help="Draw sky residuals from spectra of real sky fibres in this folder."),
    ] = None,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Make a survey of simulated stars with known truth (columns true_*)."""
    from msfa_core.simulate.filling import simulate as fill  # noqa: PLC0415
    from msfa_core.simulate.survey import demo_plan  # noqa: PLC0415
    from msfa_core.survey.folder import Survey, is_survey  # noqa: PLC0415

    fibres = None if sky_fibres is None else str(sky_fibres.absolute())
    plan = replace(demo_plan(seed), n_stars=stars, sky_fibres=fibres)
    made = Survey(survey) if is_survey(survey) else Survey.create(survey, simulated=True)
    with show_progress(quiet) as progress:
        n_new = fill(
            made, plan, write_fits, progress, workers, layout=f"lamost-{fits_layout.value}"
        )
    print(
        f"{made.path}: {counted(n_new, 'simulated spectrum', 'simulated spectra')} "
        f"of {counted(stars, 'star', 'stars')} stored (seed {seed})"
    )
    print(f"next: msfa run {typed(made.path)}")


@app.command()
def run(
    survey: SurveyArgument,
    steps: Annotated[
        str,
        typer.Option(help="Steps to do, separated by commas: all when not given."),
    ] = "",
    known: Annotated[
        list[Path] | None,
        typer.Option(help="Table of known stars, by obsid or position; repeatable."),
    ] = None,
    gaia: GaiaTables = None,
    panstarrs: PanstarrsTables = None,
    workers: Workers = 0,
    scheduler: Annotated[
        str, typer.Option(help="Address of a Dask scheduler, e.g. tcp://host:8786.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Do again what was done.")] = False,
    selection: Annotated[
        str, typer.Option(help="D0.2–fm selection in place of the setting: a name, or limits.")
    ] = "",
    prior: Annotated[
        str,
        typer.Option(help="Class shares in place of the setting: lamost, or BHB 0.05, A 0.8 …"),
    ] = "",
    max_hours: Annotated[
        float,
        typer.Option(min=0.0, help="Stop after the shard in hand when they are over; 0 for never."),
    ] = 0.0,
    quiet: Quiet = False,
) -> None:
    """Match, classify, measure, place, check, label and identify the spectra of a survey."""
    from msfa_core.balmer.region import check_selection  # noqa: PLC0415
    from msfa_core.search.prior import shares_of  # noqa: PLC0415
    from msfa_core.spine.run import check_steps  # noqa: PLC0415
    from msfa_core.spine.run import run as run_spine  # noqa: PLC0415

    check_there([*(known or []), *(gaia or []), *(panstarrs or [])])
    if scheduler and workers:
        raise typer.BadParameter("Give --workers or --scheduler, not both.")
    chosen = steps.split(",") if steps else None
    with wrong_usage("--steps"):
        check_steps(chosen, ())
    if selection:
        with wrong_usage("--selection"):
            check_selection(selection)
    if prior:
        with wrong_usage("--prior"):
            shares_of(prior)
    with show_progress(quiet) as progress:
        report = run_spine(
            survey,
            chosen,
            known or (),
            gaia or (),
            workers,
            scheduler or None,
            force,
            Until(progress, max_hours, f"msfa run {typed(survey)}") if max_hours > 0 else progress,
            selection or None,
            prior or None,
            tell=say_table,
            panstarrs=panstarrs,
        )
    seconds = sum(step.seconds for step in report.steps) or 1.0
    for step in report.steps:
        if step.note:
            print(f"{step.step}: {step.note}")
        elif not step.n_done:
            print(f"{step.step}: done before")
        else:
            share = f"{100 * step.seconds / seconds:.0f} % of the time"
            print(f"{step.step}: done ({step.seconds:.1f} s, {share})")
    found = "not known yet"
    if report.n_candidates is not None:
        found = f"{report.n_candidates:,}"
        if report.n_in_region is not None:
            words = f"of them in the D0.2–fm region ({report.selection})"
            found += f", {report.n_in_region:,} {words}"
    print(
        f"{counted(report.n_spectra, 'spectrum', 'spectra')}, "
        f"{report.n_in_domain:,} in the search domain, candidates: {found}"
    )
    onward = "run" if report.n_candidates is None else "serve"
    print(f"next: msfa {onward} {typed(survey)}")


@app.command()
def status(
    survey: SurveyArgument,
    funnel: Annotated[
        bool,
        typer.Option("--funnel", help="What each step of the search leaves, beside the paper."),
    ] = False,
) -> None:
    """Show what is in a survey, what has been done, and what is flagged or missing."""
    from msfa_core.survey.funnel import funnel_lines  # noqa: PLC0415
    from msfa_core.survey.status import status as report  # noqa: PLC0415

    if funnel:
        print("\n".join(funnel_lines(survey)))
        return
    for line in report(survey).lines():
        print(line)


@app.command()
def export(
    survey: SurveyArgument,
    out: Annotated[
        Path,
        typer.Argument(
            help="File ending in .mrt, .fits, .vot, .csv or .parquet.",
            show_default=False,
            callback=spare,
        ),
    ],
    every: Annotated[
        bool, typer.Option("--all", help="All spectra, whatever their verdict.")
    ] = False,
    verdict: Annotated[
        VerdictChoice | None,
        typer.Option(help="Spectra of stars with this verdict (accept when not given)."),
    ] = None,
    subset: Annotated[
        str,
        typer.Option(
            help="Spectra of a named subset, or of several: 'halo and not bright'; with --verdict "
            "those of them.",
            show_default=False,
        ),
    ] = "",
    columns: Annotated[
        str, typer.Option(help="paper (Table 6), full, steps or names, separated by commas.")
    ] = "paper",
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Reviewers as R1, R2 …, in columns and header.")
    ] = False,
    mec: Annotated[
        bool,
        typer.Option(
            "--mec", help="The multiple-epoch catalogue instead: a row per star, as LAMOST's."
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the table: the spectra of accepted stars, unless told otherwise."""
    from msfa_core.rules import n_stars, unidentified_sentence  # noqa: PLC0415 (pandas)
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.survey.status import not_followed  # noqa: PLC0415
    from msfa_core.tables.export import export as write  # noqa: PLC0415
    from msfa_core.tables.export import named_columns, writer_of  # noqa: PLC0415

    if every and (verdict or subset):
        raise typer.BadParameter("Give --all alone, without --verdict and --subset.")
    if mec and columns != "paper":
        raise typer.BadParameter("Give --mec without --columns: it has columns of its own.")
    with wrong_usage("OUT"):
        writer_of(out)
    opened = Survey(survey)
    table = opened.table_with_verdicts()
    with wrong_usage("--columns"):
        named_columns(columns, table)
    words = "all spectra"
    if verdict or not (every or subset):
        chosen = str(verdict or VerdictChoice.ACCEPT)
        words = f"stars with verdict {chosen}"
        table = table[(table["verdict"] == chosen).fillna(False).astype(bool)]
        if table.empty:
            raise ExportError(
                f"{out} not written: {survey} has no star with verdict {chosen}. Vet stars with "
                f"`msfa serve {typed(survey)}`, or export all spectra with --all."
            )
    if subset:
        from msfa_core.survey.subsets import subset_filter, subsets  # noqa: PLC0415

        known = subsets(opened.path)
        with wrong_usage("--subset"):
            named = subset_filter(subset, known)
        words = f"{words if verdict else 'spectra'} {named.sentence}"
        table = table[named.predicate(table)]
        if table.empty:
            raise ExportError(
                f"{out} not written: there are no {words}; the names of subsets are on the page "
                f"of `msfa serve {typed(survey)}`, behind + filter."
            )
    if anonymous:
        from msfa_core.vetting.by_reviewer import anonymous as unnamed  # noqa: PLC0415

        table = unnamed(table)
    if mec:
        _write_epochs(table, out, opened, words, overwrite)
        return
    write(
        table,
        out,
        columns=columns,
        header=_header(opened, words, table),
        overwrite=overwrite,
    )
    doubt = unidentified_sentence(table)
    held = counted_spectra(len(table), n_stars(table)) + (f", {doubt}" if doubt else "")
    print(f"{out}: {held} ({words})")
    for line in not_followed(opened):
        print(line)


def _header(opened: Survey, words: str, rows: pd.DataFrame) -> dict[str, str]:
    """Return what an export says of itself, the funnel of the whole survey included."""
    from msfa_core.survey.funnel import funnel_in_words  # noqa: PLC0415

    counts = funnel_in_words(opened.table(), opened.settings_used)
    return {**opened.export_header(words, rows), "funnel": counts}


def _write_epochs(
    table: pd.DataFrame, out: Path, opened: Survey, words: str, overwrite: bool
) -> None:
    """Write the multiple-epoch catalogue of these spectra."""
    from msfa_core.stars.multi_epoch import MEC_COLUMNS, multi_epoch_table  # noqa: PLC0415
    from msfa_core.tables.export import export as write  # noqa: PLC0415

    stars = multi_epoch_table(table)
    words = f"stars with two spectra or more, of {words}"
    header = _header(opened, words, table)
    header["lists"] = "values of the epochs joined by -; -9999 is missing; minutes are UTC + 8 h"
    write(stars, out, columns=MEC_COLUMNS, header=header, overwrite=overwrite)
    print(
        f"{out}: {counted(len(stars), 'star', 'stars')}, "
        f"{counted(int(stars['obs_number'].sum()), 'epoch', 'epochs')} ({words})"
    )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    survey: Annotated[
        Path | None, typer.Argument(help="Survey folder; the demo survey when not given.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the server.", min=1, max=65535)] = 5006,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "localhost",
    show: Annotated[bool, typer.Option("--show", help="Open a browser.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Table of stars drawn behind the survey's own in the planes.", show_default=False
        ),
    ] = None,
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Learn to vet: lessons, and the truth after each verdict."),
    ] = False,
) -> None:
    """Open the dashboard: `panel serve dashboard --args SURVEY`; its other options work too."""
    from msfa_core.survey.demo import (  # noqa: PLC0415
        FIRST_STARS,
        STARS_AT_ONCE,
        check_place,
        demo_path,
    )
    from msfa_core.survey.folder import Survey, is_survey  # noqa: PLC0415

    path = survey or demo_path()
    if survey is not None or is_survey(path):
        opened = Survey(path)  # a clear message here, before a server starts
        is_simulated = opened.is_simulated
        if learn:
            from msfa_core.spine.lessons import lessons  # noqa: PLC0415

            lessons(opened.table())
    else:
        check_place(path)
        is_simulated = True
        print(
            f"making the demo survey in {path}: the page opens on its first {STARS_AT_ONCE} "
            f"simulated stars in a quarter of a minute (a whole one the first time), the other "
            f"{FIRST_STARS - STARS_AT_ONCE} follow",
            flush=True,
        )
    if reference is not None:
        from msfa_core.stars.reference import reference_stars  # noqa: PLC0415

        reference_stars(reference)
    _check_port(address, port)
    kind = "SIMULATED stars" if is_simulated else "survey"
    host = "localhost" if address in ("", "0.0.0.0") else address
    print(f"{kind} {path}: http://{host}:{port}/dashboard (Ctrl-C stops)", flush=True)
    command = [
        *(sys.executable, "-m", "panel", "serve", str(_dashboard_folder())),
        *("--port", str(port), "--address", address),
        *("--unused-session-lifetime", "600000", "--check-unused-sessions", "10000"),
        *(["--show"] if show else []),
        *context.args,
        *("--args", str(path.absolute())),
        *(["--reference", str(reference.absolute())] if reference is not None else []),
        *(["--learn"] if learn else []),
    ]
    # in place of this process: signals reach the server, and nothing is left behind
    os.execve(sys.executable, command, {"BOKEH_RESOURCES": "server", **os.environ})


@app.command()
def demo(
    survey: Annotated[
        Path | None,
        typer.Argument(help="Where it is made; beside the small demo survey when not given."),
    ] = None,
    stars: Annotated[int, typer.Option(help="How many stars.", min=1)] = 1500,
    quiet: Quiet = False,
) -> None:
    """Make a demo survey, larger than the one that `msfa serve` makes: simulated, and done."""
    from msfa_core.spine.demo import make_demo  # noqa: PLC0415
    from msfa_core.survey.demo import demo_path  # noqa: PLC0415

    path = survey or demo_path().with_name(f"demo-{stars}")
    with show_progress(quiet) as progress:
        made = make_demo(path, progress, stars)
    print(f"SIMULATED stars {made.path}: {counted(len(made.table()), 'spectrum', 'spectra')}")
    print(f"next: msfa serve {typed(made.path)}")


def _check_port(address: str, port: int) -> None:
    """Raise when the server could not listen there."""
    host = address or "0.0.0.0"
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise SurveyError(
            f"cannot listen on {host}:{port} ({error.strerror or error}): name another --port."
        ) from error


def _dashboard_folder() -> Path:
    """Return the folder of the dashboard, installed beside this package."""
    folder = Path(__file__).resolve().parents[2] / "dashboard"
    if not (folder / "main.py").exists():
        raise SurveyError(f"{folder} holds no dashboard: install the project again.")
    return folder
