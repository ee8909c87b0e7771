"""Commands that make and describe template sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msfa_core.cli.app import app, spare

templates = typer.Typer(help="List or make the templates of the step match.", no_args_is_help=True)
app.add_typer(templates, name="templates")


@templates.command("list")
def list_kinds(
    which: Annotated[
        str,
        typer.Argument(
            help="Template set as in the setting: a file, a folder, or +FOLDER; else the shipped."
        ),
    ] = "",
) -> None:
    """List the kinds of a template set, their wavelengths and sources, and what is missing."""
    from msfa_core.workshop.templates_builder import kind_lines  # noqa: PLC0415 (scipy)

    for line in kind_lines(which):
        print(line)


@templates.command()
def build(
    out: Annotated[
        Path, typer.Argument(help="File to write (.npz).", show_default=False, callback=spare)
    ],
    stelib: Annotated[
        Path | None,
        typer.Option(help="Folder of the STELIB spectra; else the stars of the shipped set."),
    ] = None,
) -> None:
    """Compose the templates anew: stars O to M, white dwarfs, subdwarfs, BHB, galaxies, QSOs."""
    from msfa_core.errors import ConfigError  # noqa: PLC0415
    from msfa_core.workshop.templates_builder import build_templates  # noqa: PLC0415

    if out.suffix != ".npz":
        raise ConfigError(f"{out}: a template set is a .npz file; give the name that ending.")
    made = build_templates(stelib, print)
    made.save(out)
    print(f"wrote {out}: {out.stat().st_size / 1e6:.1f} MB")
