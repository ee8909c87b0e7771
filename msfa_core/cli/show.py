"""How long work is shown: bars with rate and time left, or a line per shard."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from msfa_core.cli.stop import nobody_reads, stop_if_asked
from msfa_core.constants import STEPS
from msfa_core.errors import MsfaError

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


_COUNTED: Final = {  # what a step counts, if not spectra
    "ingest": "files", "select": "rows", "simulate": "chunks", "learn": "parts", "report": "stars",
}  # fmt: skip


class Lines:
    """A line per shard, for logs: share, rate and time left of its step."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.steps: dict[str, tuple[float, int]] = {}  # when it began, and with how many done

    def __call__(self, step: str, done: int, total: int, part: str = "") -> None:
        """Print a line when a part is finished; stop here if that was asked for."""
        stop_if_asked()
        now = time.monotonic()
        since, before = self.steps.setdefault(step, (now, 0 if part else done))
        if part:
            of = _COUNTED.get(step, "spectra")
            words = f"{step} {part}: {done:,} of {total:,} {of}, {now - self.began:.0f} s"
            try:
                print(words + pace_words(done, total, done - before, now - since), flush=True)
            except BrokenPipeError:  # `msfa run S | head`: work must not end unsaid
                nobody_reads()
                raise KeyboardInterrupt from None


def pace_words(done: int, total: int, n_now: int, seconds: float) -> str:
    """Say what share of a step is done, how fast it goes, and how long what is left takes."""
    words = [f"{100 * done // total} %"] if total else []
    if n_now > 0 and seconds > 0:
        rate = n_now / seconds
        words.append(f"{rate:,.0f}/s")
        if done < total:
            words.append(f"{(total - done) / rate / 60:,.0f} min left")
    return f" ({', '.join(words)})" if words else ""


class Until:
    """Another progress, until so many hours are over: then the work stops after a shard.

    Parameters
    ----------
    progress : Bars or Lines
    hours : float
    command : str
        What goes on where it stopped.
    """

    def __init__(self, progress: Bars | Lines, hours: float, command: str) -> None:
        self.progress, self.hours, self.command = progress, hours, command
        self.ends = time.monotonic() + 3600 * hours

    def __call__(self, step: str, done: int, total: int, part: str = "") -> None:
        """Pass it on; stop when the time is over and there is something left to do.

        Raises
        ------
        MsfaError
            What is done is kept.
        """
        self.progress(step, done, total, part)
        is_over = step == STEPS[-1] and done == total
        if part and not is_over and time.monotonic() > self.ends:
            raise MsfaError(
                f"stopped after {self.hours:g} h as asked (--max-hours), in the step {step} with "
                f"{done:,} of {total:,} spectra done; all of it is kept. To go on: {self.command}"
            )


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
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Bars(bars)
