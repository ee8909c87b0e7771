"""The paper's budget: part after part, until the time is up, and on from there."""

import json

import pytest
import typer

from msfa_core.cli.app import app
from msfa_core.errors import TrainingError
from msfa_core.training import paper_budget
from msfa_core.training.paper_budget import PARTS, RECORD_FILE, Budget, main, run_budget

WRITES = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2])"
SLEEPS = "import time; time.sleep(86400)"


@pytest.fixture
def short(monkeypatch, tmp_path):
    """Parts that write a letter each, in place of an hour's work; one can be made to do else."""
    instead = {}

    def command(self, part, out):
        return ["-c", instead.get(part, WRITES), str(tmp_path / "letters"), part[0]]

    monkeypatch.setattr(Budget, "command", command)
    return instead


def test_each_part_is_a_command_that_there_is(tmp_path):
    commands = typer.main.get_command(app)
    for part in PARTS:
        arguments = Budget(device="cpu", workers=2).command(part, tmp_path)
        if arguments[1] == "msfa_core.training.star_models":
            continue
        name, *rest = arguments[2:]
        context = commands.commands[name].make_context(name, list(rest))
        assert not context.args
        assert context.params["workers"] == 2
    assert "--bf16" not in arguments  # a processor has no use for it
    with pytest.raises(TrainingError, match="no part 'tea'; there are train"):
        Budget().command("tea", tmp_path)


def test_what_is_done_is_passed_over(short, tmp_path):
    out = tmp_path / "out"
    list(run_budget(out, Budget(), parts=PARTS[:2]))
    said = list(run_budget(out, Budget()))
    assert (tmp_path / "letters").read_text() == "".join(part[0] for part in PARTS)
    assert [line.split(": ")[1][:11] for line in said[:3]] == ["done before"] * 2 + ["done in 0 s"]
    assert said[-1].endswith("models")
    assert set(json.loads((out / RECORD_FILE).read_text())["seconds"]) == set(PARTS)


def test_time_that_is_up_interrupts_and_the_same_line_goes_on(short, tmp_path):
    short["evaluate"] = SLEEPS
    list(run_budget(tmp_path / "out", Budget(), parts=PARTS[:2]))  # however long they take
    said = list(run_budget(tmp_path / "out", Budget(), minutes=2 / 60))
    assert "time is up" in said[-1] and said[-1].startswith("evaluate")
    short.clear()
    said = list(run_budget(tmp_path / "out", Budget()))
    assert (tmp_path / "letters").read_text() == "".join(part[0] for part in PARTS)
    assert "no time left" in list(run_budget(tmp_path / "new", Budget(), minutes=1e-9))[0]


def test_a_part_that_fails_says_so_and_is_tried_again(short, tmp_path):
    short["train"] = "raise SystemExit(3)"
    with pytest.raises(TrainingError, match="train ended with 3"):
        list(run_budget(tmp_path / "out", Budget()))
    short.clear()
    assert "train: done in" in next(run_budget(tmp_path / "out", Budget()))


def test_work_of_another_budget_is_not_gone_on_with(short, tmp_path, caplog):
    list(run_budget(tmp_path / "out", Budget(), parts=["train"]))
    assert main([str(tmp_path / "out"), "--epochs1", "3"]) == 1
    assert "another budget" in caplog.text
    assert main([str(tmp_path / "out"), "--parts", "train", "--device", "cpu"]) == 0
    (tmp_path / "out" / RECORD_FILE).write_text("[]")
    with pytest.raises(TrainingError, match="cannot be read"):
        list(run_budget(tmp_path / "out", Budget()))


def test_no_end_is_an_end_that_never_comes(short, tmp_path):
    assert len(list(run_budget(tmp_path, Budget(), minutes=0))) == len(PARTS) + 1
    assert paper_budget.MINUTES < 10
