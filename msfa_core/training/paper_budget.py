"""Train with the paper's whole budget, wherever a GPU is at hand for a few minutes.

``python -m msfa_core.training.paper_budget OUT`` simulates the paper's training set on all cores,
trains both stages with its epochs (2.3 and 1.2 million spectra), adds the model stars of the
likelihood, evaluates on unseen stars, hard ones and such as the paper's, and compares the networks
of Tables 3 to 5 at full width. Each part is a command that users have; one that ran out of time
goes on when the same line is given again, here or on another machine that OUT was copied to.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from msfa_core.durable import write_whole
from msfa_core.errors import MsfaError, TrainingError
from msfa_core.networks.inference import pick_device

logger = logging.getLogger(__name__)

MINUTES: Final = 9.0
RECORD_FILE: Final = "paper_budget.json"
_GRACE: Final = 20.0  # s to end cleanly after an interrupt
_LEAST: Final = 1.0  # s that are worth a start
_MSFA: Final = ("-m", "msfa_core.cli")
_TRAIN, _STARS = "train", "model stars"
PARTS: Final = (_TRAIN, _STARS, "evaluate", "like the paper", "compare")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is done; as it stands, the paper's.

    Attributes
    ----------
    epochs1, epochs2 : int
        0 for the paper's 150 and 100.
    share : float
        Of the paper's counts of spectra.
    test_share : float
        The same, of the test of unseen stars.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    seeds : str
        Of the comparison of networks, with commas.
    workers : int
        Processes that simulate; 0 for one per core.
    """

    epochs1: int = 0
    epochs2: int = 0
    share: float = 1.0
    test_share: float = 0.2
    device: str = "auto"
    seeds: str = "1,2,3"
    workers: int = 0

    def command(self, part: str, out: Path) -> list[str]:
        """Return the arguments of Python for one part, with its files below a folder.

        Raises
        ------
        TrainingError
            For a part that does not exist.
        """
        models = out / "models"
        learn = [
            *("--epochs1", str(self.epochs1), "--epochs2", str(self.epochs2)),
            *("--device", self.device, "--workers", str(self.workers), "--quiet"),
        ]
        if pick_device(self.device).type == "cuda":
            learn.append("--bf16")
        test = ["--models", str(models), "--workers", str(self.workers), "--quiet"]
        share, test_share = f"{self.share:g}", f"{self.test_share:g}"
        commands = {
            _TRAIN: [
                *_MSFA, "train", "both", "--run", str(out / "run"), "--models", str(models),
                "--share", share, *learn,
            ],
            _STARS: ["-m", "msfa_core.training.star_models", str(models)],
            "evaluate": [
                *_MSFA, "evaluate", "--share", test_share, "--out", str(out / "evaluation"), *test,
            ],
            "like the paper": [
                *_MSFA, "evaluate", "--like-the-paper", "--share", test_share,
                "--out", str(out / "like-the-paper"), *test,
            ],
            "compare": [
                *_MSFA, "experiments", "--run", str(out / "experiments"), "--share", share,
                "--seeds", self.seeds, *learn,
            ],
        }  # fmt: skip
        if part not in commands:
            raise TrainingError(f"no part {part!r}; there are {', '.join(PARTS)}.")
        return commands[part]


def run_budget(
    out: Path,
    budget: Budget,
    minutes: float = MINUTES,
    parts: Sequence[str] = PARTS,
) -> Iterator[str]:
    """Do part after part until the time is up; what is done already is passed over.

    Parameters
    ----------
    out : Path
        Gets weights, card, evaluations, comparison, and a record of what took how long.
    budget : Budget
    minutes : float
        After which the part at work is interrupted; 0 for no end.
    parts : sequence of str
        Of `PARTS`, in their order.

    Yields
    ------
    str
        A line on each part.

    Raises
    ------
    TrainingError
        When a part fails, or the record is of another budget.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = _read_record(out, budget)
    end = time.monotonic() + (minutes * 60.0 if minutes else float("inf"))
    for part in parts:
        arguments = budget.command(part, out)
        if part in done:
            yield f"{part}: done before, in {done[part]:.0f} s"
            continue
        if end - time.monotonic() < _LEAST:
            yield f"{part}: no time left; the same line goes on from here"
            return
        began = time.monotonic()
        code = _run_until(end, [sys.executable, *arguments])
        took = time.monotonic() - began
        if code is None:
            yield f"{part}: time is up after {took:.0f} s of it; the same line goes on from here"
            return
        if code:
            raise TrainingError(
                f"{part} ended with {code}; its words stand above. The same line tries it again, "
                "and passes over what is done."
            )
        done[part] = took
        _write_record(out, budget, done)
        yield f"{part}: done in {took:.0f} s"
    yield f"weights and card: {out / 'models'}"


def _run_until(end: float, command: list[str]) -> int | None:
    """Return the exit code of a command; None when it was interrupted at the end of the time."""
    left = end - time.monotonic()
    with subprocess.Popen(command) as process:
        try:
            return process.wait(None if left == float("inf") else left)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait(_GRACE)
            raise
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
        return None


def _what(budget: Budget) -> dict[str, object]:
    """Return what makes two calls the same work; where it is done does not."""
    return {
        name: getattr(budget, name)
        for name in ("epochs1", "epochs2", "share", "test_share", "seeds")
    }


def _read_record(out: Path, budget: Budget) -> dict[str, float]:
    path = out / RECORD_FILE
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
        seconds = {str(part): float(took) for part, took in record["seconds"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); name another folder.") from error
    if record.get("budget") != _what(budget):
        raise TrainingError(
            f"{out} holds work of another budget, {record.get('budget')}; give the same one, or "
            "another folder."
        )
    return seconds


def _write_record(out: Path, budget: Budget, seconds: dict[str, float]) -> None:
    text = json.dumps({"budget": _what(budget), "seconds": seconds}, indent=1)
    write_whole(out / RECORD_FILE, text.encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m msfa_core.training.paper_budget",
        description="Train, evaluate and compare with the paper's whole budget.",
    )
    parser.add_argument("out", type=Path, help="folder of everything; gone on with if there")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="stop then; 0 for no end")
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas; all when not given")
    for field in fields(Budget):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default)
    given = vars(parser.parse_args(arguments))
    out, minutes, parts = (given.pop(name) for name in ("out", "minutes", "parts"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for line in run_budget(out, Budget(**given), minutes, parts.split(",")):
            logger.info("%s", line)
    except MsfaError as problem:
        logger.error("%s", problem)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
