"""Command that places the stars of a survey in the CMD, with rows of an archive if asked."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from msfa_core.cli.app import GaiaTables, PanstarrsTables, Quiet, SurveyArgument, app, check_there
from msfa_core.cli.show import say_table, show_progress
from msfa_core.counting import counted
from msfa_core.errors import typed

_STEPS: Final = ("place", "check", "identify")  # a star's name may hang on its source
_ARCHIVES: Final = ("gaia", "panstarrs")
_BATCH: Final = 1000  # stars of one question


@app.command()
def place(
    survey: SurveyArgument,
    online: Annotated[
        bool,
        typer.Option("--online", help="Fetch what the survey's own tables lack from an archive."),
    ] = False,
    gaia: GaiaTables = None,
    panstarrs: PanstarrsTables = None,
    server: Annotated[
        str, typer.Option(help="TAP service in place of the Gaia archive, with its tables.")
    ] = "",
    archives: Annotated[
        str, typer.Option(help="What --online asks for: gaia, panstarrs, or both.")
    ] = "",
    batch: Annotated[
        int | None,
        typer.Option(help="Stars of one question.", min=1, max=20_000, show_default=str(_BATCH)),
    ] = None,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Fetch for candidates of the search only.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Place the stars in the colour–magnitude diagram: Gaia, 2MASS, Pan-STARRS, dust, motions."""
    from msfa_core.spine.place import fetch_online, fetch_panstarrs_online  # noqa: PLC0415
    from msfa_core.spine.run import run as run_spine  # noqa: PLC0415
    from msfa_core.survey.folder import Survey  # noqa: PLC0415

    check_there([*(gaia or []), *(panstarrs or [])])
    if (server or candidates or archives or batch) and not online:
        raise typer.BadParameter(
            "--server, --archives, --batch and --candidates say what to fetch and how: "
            "add --online."
        )
    stars = batch or _BATCH
    asked = [one.strip() for one in (archives or ",".join(_ARCHIVES)).split(",") if one.strip()]
    if not asked or set(asked) - set(_ARCHIVES):
        raise typer.BadParameter("--archives takes gaia, panstarrs, or gaia,panstarrs.")
    opened = Survey(survey)
    reports = {}
    with show_progress(quiet) as progress:
        if gaia or panstarrs:
            run_spine(
                opened, ("place",), gaia=gaia, panstarrs=panstarrs, progress=progress,
                tell=say_table,
            )  # fmt: skip
        if online and "gaia" in asked:
            reports["Gaia"] = fetch_online(opened, progress, server, stars, candidates)
        if online and "panstarrs" in asked:
            reports["Pan-STARRS"] = fetch_panstarrs_online(
                opened, progress, server, stars, candidates
            )
        run_spine(opened, _STEPS, progress=progress)
    for name, report in reports.items():
        print(
            f"{counted(report.n_stars, 'star', 'stars')} wanted, "
            f"{report.n_before:,} of them asked for before; "
            f"{report.n_rows:,} {name} sources kept in {opened.path}"
        )
    table = opened.table()
    placed = int((table["bp_rp"].notna() & table["abs_mag_g"].notna()).sum())
    print(
        f"{counted(len(table), 'spectrum', 'spectra')}: "
        f"{int(table['g_mag'].notna().sum()):,} with Gaia photometry, "
        f"{placed:,} in the CMD, {int(table['in_cmd_trapezoid'].fillna(False).sum()):,} in the "
        "trapezoid"
    )
    print(f"next: msfa status {typed(opened.path)} --funnel")
