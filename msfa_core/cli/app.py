"""The application that commands register with, and the options that they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from msfa_core.errors import MsfaError, ReadError

JOURNEY: Final = (  # from a catalogue to a published table; then what judges it and makes its tools
    *("demo", "simulate", "select", "download", "ingest", "run", "place", "status", "serve"),
    *("store", "assign", "export", "report", "products", "cite"),
    *("validate", "compare-releases", "evaluate", "train", "experiments", "novelty", "slam"),
    *("templates", "doctor"),
)


class _InOrder(TyperGroup):
    """Commands in the order of the journey, not in that of the files that hold them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        place = {name: k for k, name in enumerate(JOURNEY)}
        return sorted(super().list_commands(ctx), key=lambda name: place.get(name, len(place)))


app = typer.Typer(
    cls=_InOrder,
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")]
GaiaTables = Annotated[
    list[Path] | None, typer.Option(help="Table of Gaia rows; repeatable, its parts add up.")
]
PanstarrsTables = Annotated[
    list[Path] | None, typer.Option(help="Table of Pan-STARRS rows; repeatable, its parts add up.")
]


def check_there(tables: Iterable[Path], what: str = "table") -> None:
    """Refuse a table that is not there before anything is done.

    Raises
    ------
    ReadError
    """
    from msfa_core.tables.packing import split_path  # noqa: PLC0415 (pandas)

    for path in tables:
        if not split_path(path)[0].exists():
            raise ReadError(f"{path}: no such file; check the name of the {what}.")


def spare(out: Path | None) -> Path | None:
    """Refuse, as the callback of an option or argument, to write over what a survey consists of.

    Raises
    ------
    BadParameter
    """
    from msfa_core.survey.folder import OWN, is_survey  # noqa: PLC0415

    where = out.resolve() if out else Path()
    for folder in where.parents if out else ():
        if is_survey(folder) and (first := where.relative_to(folder).parts[0]) in OWN:
            raise typer.BadParameter(
                f"{out} is what the survey {folder} consists of ({first}): name another place"
            )
    return out


@contextmanager
def wrong_usage(option: str) -> Iterator[None]:
    """Call what is wrong with an option or argument wrong usage, whoever found it (exit code 2)."""
    try:
        yield
    except MsfaError as error:
        raise typer.BadParameter(str(error).rstrip("."), param_hint=f"'{option}'") from error
