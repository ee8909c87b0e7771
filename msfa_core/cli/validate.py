"""`msfa validate`: a survey beside a table whose classes, shifts or labels are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msfa_core.cli.app import SurveyArgument, app, spare
from msfa_core.cli.show import say
from msfa_core.errors import SurveyError


@app.command()
def validate(
    survey: SurveyArgument,
    reference: Annotated[
        Path,
        typer.Option(
            help="Table with obsid or position, and class, subclass, z, labels or is_bhb.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder that gets tables, pictures and validation.md.",
            callback=spare,
            file_okay=False,
        ),
    ],
    radius: Annotated[
        float, typer.Option(help="Match radius of positions [arcsec]; 0 for the setting.", min=0)
    ] = 0.0,
) -> None:
    """Compare a survey with a reference table: classes, shifts, labels, candidates, identity."""
    from msfa_core.survey.folder import Survey  # noqa: PLC0415
    from msfa_core.tables.door import open_table  # noqa: PLC0415
    from msfa_core.validation.compare import validate as compare  # noqa: PLC0415
    from msfa_core.validation.reference import REFERENCE_USE  # noqa: PLC0415
    from msfa_core.validation.report import summary_lines, write_validation  # noqa: PLC0415

    opened = Survey(survey)
    found = compare(
        opened.table(),
        open_table(reference, REFERENCE_USE),
        radius_arcsec=radius or opened.settings.match_radius_arcsec,
        what=str(reference),
    )
    paths = write_validation(found, out, opened, reference)
    try:
        with opened.lock():
            opened.record("table", **found.joined.record)
    except SurveyError as error:  # comparing needs no lock, and is done
        say(f"not kept in the provenance: {error}")
    for line in [*summary_lines(found), *(f"not compared: {note}" for note in found.notes)]:
        print(line)
    print(f"{paths[0]}: the report, with {len(paths) - 1} tables and pictures beside it")
