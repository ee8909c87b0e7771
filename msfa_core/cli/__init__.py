"""The command line of surveys and networks: ``msfa --help`` names the commands.

Exit codes: 0 done, 1 something failed (one line on standard error says what), 2 wrong usage,
130 stopped with Ctrl-C. Commands import what they need, so that ``msfa --help`` is quick.
"""

from __future__ import annotations

import logging
import sys
from enum import IntEnum
from typing import Annotated, Any, Final

import typer

from msfa_core import __version__
from msfa_core.cli import (  # noqa: F401 (they register their commands)
    doctor,
    evaluate,
    ingest,
    lamost,
    novelty,
    place,
    products,
    releases,
    report,
    slam,
    store,
    surveys,
    team,
    templates,
    training,
    validate,
)
from msfa_core.cli.app import app
from msfa_core.cli.show import say
from msfa_core.cli.stop import heed_signals, nobody_reads
from msfa_core.errors import MsfaError

# typer brings its own copy of click, or the library, depending on its version
_USAGE_ERROR: Final[Any] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(f"msfa {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line and end the process with its exit code."""
    logging.basicConfig(level=logging.WARNING, format="msfa: %(message)s")
    heed_signals()
    for stream in (sys.stdout, sys.stderr):  # a path that is no UTF-8, a terminal that is ASCII
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run_cli(sys.argv[1:]))


def run_cli(arguments: list[str]) -> int:
    """Run one command; say in one line what went wrong, if anything.

    Returns
    -------
    int
        One of `Exit`.
    """
    try:
        code = int(app(arguments, standalone_mode=False) or Exit.DONE)
    except typer.Exit as stop:
        code = int(stop.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except _USAGE_ERROR as error:
        error.show()
        code = Exit.USAGE
    except MsfaError as error:
        say(f"msfa: {' '.join(str(error).split())}")
        code = Exit.FAILED
    except BrokenPipeError:  # `msfa status S | head`
        nobody_reads()
        code = Exit.DONE
    except OSError as error:  # the disk, a folder or a permission, wherever it was met
        where = error.filename or error.filename2
        reason = error.strerror or str(error)
        say(f"msfa: {where}: {reason}" if where else f"msfa: {reason}")
        code = Exit.FAILED
    if code == Exit.INTERRUPTED:
        say("msfa: stopped; what was finished is kept, and the same command goes on from there")
    return code
