"""How long work is shown: bars with rate and time left, or a line per shard."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from msfa_core.cli.stop import stop_if_asked

if TYPE_CHECKING:
    from rich.progress import Task

    from msfa_core.survey.folder import Survey
    from msfa_core.validation.labels import Labels


def say(text: str) -> None:
    """Write a line to standard error."""
    print(text, file=sys.stderr, flush=True)


def say_table(line: str) -> None:
    """Write what became of a table from outside, before anything long begins."""
    print(line, flush=True)


def say_labels(survey: Survey, labels: Labels) -> None:
    """Write what became of a table of labels, and keep it in the provenance of the survey."""
    from msfa_core.validation.labels import keep_record  # noqa: PLC0415

    for text in (str(labels.record["line"]), keep_record(survey, labels)):
        if text:
            say(text)


class _Rate(ProgressColumn):
    """Spectra per second."""

    def render(self, task: Task) -> Text:
        """Return the present speed."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class Bars:
    """A bar per step, with rate and time left."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int, part: str = "") -> None:
        """Move the bar of a step; stop here if that was asked for."""
        stop_if_asked()
        if step not in self.tasks:
            self.tasks[step] = self.bars.add_task(step, total=total)
        self.bars.update(self.tasks[step], completed=done, total=total)


class Lines:
    """A line per shard, for logs."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, step: str, done: int, total: int, part: str = "") -> None:
        """Print a line when a part is finished; stop here if that was asked for."""
        stop_if_asked()
        if part:
            seconds = time.monotonic() - self.began
            print(f"{step} {part}: {done:,} of {total:,} spectra, {seconds:.0f} s", flush=True)


@contextmanager
def show_progress(quiet: bool) -> Iterator[Bars | Lines]:
    """Yield what shows how a step gets on: bars on a terminal, else lines."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Lines()
        return
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Bars(bars)
