"""The application that commands register with, and the options that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="msfa",
    help="Find, vet and publish blue horizontal-branch stars from LAMOST spectra.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SurveyArgument = Annotated[Path, typer.Argument(help="Survey folder.", show_default=False)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="A line per shard instead of a progress bar.")
]
Workers = Annotated[
    int, typer.Option(help="Worker processes; 0 for the setting, then one per core.", min=0)
]
