"""From nothing to models in one command."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from msfa_core.cli import run_cli
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.training.dataset import LabelledSpectra
from msfa_core.training.on_simulations import NewStarsEachEpoch


@pytest.mark.slow
def test_one_command_simulates_trains_and_writes_models_that_the_search_loads(
    tmp_path, monkeypatch
):
    arguments = [
        *("train", "both", "--quiet"),
        *("--run", str(tmp_path / "run"), "--models", str(tmp_path / "models")),
        *("--data", str(tmp_path / "set.npz"), "--share", "0.003", "--workers", "1"),
        *("--epochs1", "1", "--epochs2", "1", "--batch", "16", "--width", "4", "--device", "cpu"),
    ]
    assert run_cli(arguments) == 0
    data = LabelledSpectra.load(tmp_path / "set.npz")
    assert data.class_counts == {"BHB": 14, "A": 14, "B": 14, "HSD": 10, "WD": 14}
    assert data.provenance["simulated"] is True
    assert data.provenance["seed"] == 42
    search = TwoStageSearch.load(tmp_path / "models")
    assert len(search.classify(data.prepared)) == len(data)
    figures = json.loads((tmp_path / "models" / "evaluation.json").read_text())
    assert "MSFA-Net, two stages" in figures["plane"]
    assert list((tmp_path / "models").glob("*.png"))
    monkeypatch.setattr("msfa_core.training.model_card.write_figures", lambda *_: [])  # as before
    assert run_cli(arguments) == 0  # resumes: nothing left to do
    assert run_cli([*arguments, "--batch", "8"]) == 1  # another run in the same folder
    on = [*arguments, "--run", str(tmp_path / "on"), "--models", str(tmp_path / "on" / "models")]
    assert run_cli([*on, "--start", str(tmp_path / "models")]) == 0
    card = (tmp_path / "on" / "models" / "MODEL_CARD.md").read_text()
    assert re.search(r"started from \(SHA-256\) \| [0-9a-f]{12} \|", card)


def test_what_goes_on_from_weights_sees_other_stars_than_they_saw():
    anew = NewStarsEachEpoch({"BHB": 2, "A": 2}, seed=42)
    on = replace(anew, start="0123456789abcdef" * 4)
    assert not np.array_equal(anew(1, 1).flux, on(1, 1).flux)
    assert np.array_equal(on(1, 1).flux, on(1, 1).flux)
    assert anew.fingerprint != on.fingerprint


def test_new_stars_come_in_pairs_where_asked():
    stars = NewStarsEachEpoch({"BHB": 4, "A": 2}, seed=42, pairs=True, shares="border")
    data = stars(1, 1)
    assert data.class_counts["BHB"] == 4
    assert data.class_counts["A"] == 2
    assert (data.star[0::2] == data.star[1::2]).all()
    assert stars.fingerprint != replace(stars, pairs=False).fingerprint


@pytest.mark.slow
def test_training_needs_neither_astropy_nor_the_dashboard():
    script = (
        "import sys, msfa_core.cli, msfa_core.training.on_simulations, msfa_core.search.two_stages;"
        "print([m for m in ('astropy', 'panel', 'bokeh', 'specutils', 'dask', 'sqlalchemy')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
