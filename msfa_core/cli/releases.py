"""`msfa compare-releases`: what changed between two releases of one field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msfa_core.cli.app import app, spare
from msfa_core.constants import MATCH_RADIUS_ARCSEC


@app.command("compare-releases")
def compare_releases(
    a: Annotated[
        Path, typer.Argument(help="Survey, or a full export: as it was.", show_default=False)
    ],
    b: Annotated[
        Path, typer.Argument(help="Survey, or a full export: as it is now.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder that gets the page and tables.", callback=spare, file_okay=False),
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(help="File of limits (.toml); beyond one of them the exit code is 1."),
    ] = None,
    radius: Annotated[
        float, typer.Option(help="Of spectra that share no obsid [arcsec].", min=0.0)
    ] = float(MATCH_RADIUS_ARCSEC),
) -> None:
    """Compare two releases of one field: classes, subtypes, velocities, labels, identity."""
    from msfa_core.validation.releases import (  # noqa: PLC0415 (scipy)
        Release,
        read_limits,
    )
    from msfa_core.validation.releases import compare_releases as compare  # noqa: PLC0415
    from msfa_core.validation.releases_page import verdict, write_comparison  # noqa: PLC0415

    allowed = read_limits(limits) if limits else {}
    found = compare(Release.read(a), Release.read(b), allowed, radius)
    print(
        f"{found.by_obsid + found.by_place:,} spectra in common ({found.by_obsid:,} by obsid, "
        f"{found.by_place:,} by place and night), {len(found.lost):,} lost, {len(found.new):,} new"
    )
    for row in found.summary[found.summary["n"] > 0].itertuples():
        print(f"{row.value:10.4g}  {row.words}")
    if out:
        print(f"{write_comparison(found, out)[0]}: the page, with tables beside it")
    print(verdict(found))
    if found.failed:
        raise typer.Exit(1)
