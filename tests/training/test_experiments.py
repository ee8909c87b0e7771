"""The comparison of networks: one protocol, honest test figures, resumed runs, right statistics."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.networks.baselines import BaselineConfig
from msfa_core.networks.msfa_net import MSFANetConfig
from msfa_core.networks.transformer import TransformerConfig
from msfa_core.training import experiments
from msfa_core.training.dataset import split_by_star
from msfa_core.training.experiments import NETWORKS, Protocol, run_experiments
from msfa_core.training.experiments_report import TITLES, mean_and_spread, report

TINY = {
    "cnn": BaselineConfig("cnn", width=8),
    "transformer": TransformerConfig(width=16, depth=1, heads=2),
}
QUICK = Protocol(epochs1=2, epochs2=1, batch=20, device="cpu")
# Precision and F1 of the paper, five classes and binary (its Tables 3, 4 and 5)
PAPER = {
    "cnn": ("91.38", "90.78", "91.14", "93.05"),
    "alexnet": ("93.51", "93.92", "94.77", "94.89"),
    "vgg11": ("93.62", "93.21", "95.30", "95.75"),
    "resnet18": ("94.04", "93.67", "95.64", "96.06"),
    "bhbnet": ("93.48", "93.87", "96.01", "96.18"),
    "ms-resnet-gap": ("94.97", "94.12", "95.76", "96.18"),
    "ms-resnet-spp": ("95.02", "94.05", "96.52", "96.60"),
    "msfa-net-layer2": ("96.62", "94.13", "97.13", "97.45"),
    "msfa-net": ("94.67", "96.69", "98.07", "98.28"),
}


@pytest.fixture(scope="module")
def finished(small_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    table = run_experiments(
        small_set,
        folder / "run",
        folder / "EXPERIMENTS.md",
        protocol=QUICK,
        networks=TINY,
        seeds=(1, 2),
    )
    return table, folder


def tables_of(markdown):
    """Heading -> rows as dicts."""
    tables = {}
    for part in re.split(r"^## ", markdown, flags=re.MULTILINE)[1:]:
        rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line[:1] == "|"]
        tables[part.splitlines()[0]] = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    return tables


def test_the_experiments_are_those_of_tables_3_4_and_5():
    assert list(NETWORKS) == list(TITLES)
    assert NETWORKS["msfa-net"] == MSFANetConfig()
    assert NETWORKS["ms-resnet-gap"] == MSFANetConfig(sfa_after=None, pooling="gap")
    assert NETWORKS["ms-resnet-spp"] == MSFANetConfig(sfa_after=None, pooling="spp")
    assert NETWORKS["msfa-net-layer2"] == MSFANetConfig(sfa_after="msfe_layer2")
    for name in ("cnn", "alexnet", "vgg11", "resnet18", "bhbnet"):
        assert NETWORKS[name] == BaselineConfig(name)


def test_each_network_and_seed_has_its_row(finished):
    table, folder = finished
    assert list(zip(table["network"], table["seed"], strict=True)) == [
        ("cnn", 1),
        ("cnn", 2),
        ("transformer", 1),
        ("transformer", 2),
    ]
    assert (table["stage1_n_parameters"] > table["stage2_n_parameters"]).all()
    pd.testing.assert_frame_equal(pd.read_csv(folder / "EXPERIMENTS.csv"), table)
    assert not list(folder.glob("run/*/*/*.checkpoint"))
    assert len(list(folder.glob("run/*/*/stage2_history.csv"))) == 4


def test_the_table_gives_mean_and_spread_over_the_seeds(finished):
    table, folder = finished
    rows = tables_of((folder / "EXPERIMENTS.md").read_text(encoding="utf-8"))
    cells = {row["network"]: row for row in rows["Five classes (paper Table 3): stage 1"]}
    for name in TINY:
        one, other = 100 * table.loc[table["network"] == name, "stage1_accuracy"]
        expected = f"{(one + other) / 2:.2f} ± {abs(one - other) / np.sqrt(2):.2f}"
        assert cells[TITLES[name]]["accuracy"] == expected
        assert cells[TITLES[name]]["seeds"] == "2"


def test_the_spread_is_the_standard_deviation_over_the_seeds():
    assert mean_and_spread(pd.Series([0.90, 0.92, 0.97])) == "93.00 ± 3.61"
    assert mean_and_spread(pd.Series([0.9])) == "90.00"


def test_the_header_states_budget_data_and_protocol(finished, small_set):
    text = (finished[1] / "EXPERIMENTS.md").read_text(encoding="utf-8")
    assert "2 epochs in stage 1 and 1 in stage 2 (paper: 150 and 100), batch 20" in text
    assert "float32, seeds 1, 2." in text
    kind = "simulated" if small_set.provenance.get("simulated") else "labelled"
    assert f"60 {kind} spectra (BHB 12, A 12, B 12, HSD 12, WD 12)" in text
    assert small_set.fingerprint()[:16] in text
    assert "every measured figure is from test stars" in text


def test_the_papers_figures_stand_beside_ours():
    figures = ("precision", "recall", "f1", "accuracy", "macro_f1", "n_parameters", "seconds")
    row = {f"stage{k}_{name}": 0.5 for k in (1, 2) for name in figures}
    table = pd.DataFrame([{"network": name, "seed": 1, **row} for name in NETWORKS])
    budget = Protocol().budget(_Data(), _Split())
    tables = tables_of(report(table, budget))
    by_title = {title: name for name, title in TITLES.items()}
    seen = set()
    for heading, rows in tables.items():
        at = 0 if "stage 1" in heading else 2
        for cells in rows:
            name = by_title[cells["network"]]
            expected = PAPER.get(name, ("—",) * 4)[at : at + 2]
            assert (cells["paper: P"], cells["paper: F1"]) == expected, (heading, name)
            if name == "msfa-net":
                assert cells["paper: R"] == ("98.80" if at == 0 else "98.49")
                if at == 0:
                    assert cells["paper: accuracy"] == "92.80"
            elif "paper: R" in cells:
                assert cells["paper: R"] == "—"
            seen.add((name, at))
    assert seen == {(name, at) for name in NETWORKS for at in (0, 2)}


class _Data:
    class_counts = {"BHB": 3}
    provenance = {"simulated": True}

    def fingerprint(self):
        return "f" * 64


class _Split:
    train = validation = test = np.arange(1)

    def fingerprint(self):
        return "s"


def test_stage_1_and_stage_2_never_share_a_table(finished):
    for heading, rows in tables_of((finished[1] / "EXPERIMENTS.md").read_text()).items():
        assert ("stage 1" in heading) != ("stage 2" in heading)
        assert ("accuracy" in rows[0]) == ("stage 1" in heading)


def test_figures_come_from_test_stars_of_the_classes_of_the_stage(small_set, tmp_path, monkeypatch):
    asked = []
    predict = experiments.predict_logits

    def watched(model, flux, **options):
        asked.append(flux)
        return predict(model, flux, **options)

    monkeypatch.setattr(experiments, "predict_logits", watched)
    run_experiments(
        small_set,
        tmp_path,
        tmp_path / "out.md",
        protocol=replace(QUICK, epochs1=1),
        networks={"cnn": TINY["cnn"]},
        seeds=(1,),
    )
    test = small_set[split_by_star(small_set, 42).test]
    assert np.array_equal(asked[0], test.flux)
    assert np.array_equal(asked[1], test.flux[np.isin(test.label, [0, 1, 3])])  # BHB, A, HSD


def test_finished_results_are_not_trained_again(finished, small_set, tmp_path, monkeypatch):
    table, folder = finished
    monkeypatch.setattr(experiments, "train", lambda *_a, **_k: pytest.fail("trained again"))
    again = run_experiments(
        small_set,
        folder / "run",
        tmp_path / "again.md",
        protocol=replace(QUICK, device="auto"),
        networks=TINY,
        seeds=(1, 2),
    )
    pd.testing.assert_frame_equal(again, table)
    assert (tmp_path / "again.md").read_text() == (folder / "EXPERIMENTS.md").read_text()


def test_a_killed_run_gives_the_figures_of_a_whole_one(finished, small_set, tmp_path):
    class Killed(Exception):
        pass

    def kill(_network, _done, _total, note):
        if note == "seed 2 stage 1 epoch 2":  # told before its checkpoint is written
            raise Killed

    seen = []

    def call(progress):
        return run_experiments(
            small_set,
            tmp_path / "run",
            tmp_path / "out.md",
            protocol=QUICK,
            networks={"cnn": TINY["cnn"]},
            seeds=(1, 2),
            progress=progress,
        )

    with pytest.raises(Killed):
        call(kill)
    assert len(pd.read_csv(tmp_path / "out.csv")) == 1  # the first seed is safe
    resumed = call(lambda *at: seen.append(at))
    notes = dict.fromkeys(note for *_, note in seen if note)
    assert list(notes) == ["seed 2 stage 1 epoch 2", "seed 2 stage 2 epoch 1"]
    assert seen[-1][1] == seen[-1][2]
    whole = finished[0].query("network == 'cnn'").reset_index(drop=True)
    timing = ["stage1_seconds", "stage2_seconds"]
    pd.testing.assert_frame_equal(resumed.drop(columns=timing), whole.drop(columns=timing))


def test_results_of_another_protocol_data_set_or_network_are_refused(finished, small_set, tmp_path):
    run = finished[1] / "run"
    out = tmp_path / "out.md"
    with pytest.raises(TrainingError, match="another protocol: batch, epochs1 differ"):
        run_experiments(small_set, run, out, protocol=replace(QUICK, batch=30, epochs1=3))
    with pytest.raises(TrainingError, match="another protocol: .*data.*differ"):
        run_experiments(small_set[np.arange(59)], run, out, protocol=QUICK)
    with pytest.raises(TrainingError, match="another configuration"):
        run_experiments(
            small_set, run, out, protocol=QUICK, networks={"cnn": BaselineConfig("cnn", width=16)}
        )
    assert not out.exists()


def test_a_damaged_result_is_named(finished, small_set, tmp_path):
    path = tmp_path / "cnn" / "seed-1" / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(TrainingError, match=r"seed-1/result.json cannot be read.*delete it"):
        run_experiments(small_set, tmp_path, tmp_path / "out.md", protocol=QUICK, networks=TINY)


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_are_given_once(seeds, small_set, tmp_path):
    with pytest.raises(TrainingError, match="at least one, and none twice"):
        run_experiments(small_set, tmp_path, tmp_path / "out.md", seeds=seeds)


def test_the_command_compares_networks_of_a_labelled_set(small_set, tmp_path, capsys, monkeypatch):
    from msfa_core.cli import run_cli

    small_set.save(tmp_path / "set.npz")
    monkeypatch.setattr(experiments, "NETWORKS", {**NETWORKS, **TINY})
    options = ["experiments", "--data", str(tmp_path / "set.npz"), "--run", str(tmp_path / "run")]
    options += ["--networks", "cnn", "--seeds", "1", "--epochs1", "1", "--epochs2", "1"]
    assert run_cli([*options, "--batch", "20", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "seed 1 stage 2 epoch 1" in shown
    result = json.loads((tmp_path / "run" / "cnn" / "seed-1" / "result.json").read_text())
    assert f"cnn{' ' * 13} {result['result']['stage1_f1']:.4f}" in shown
    assert (tmp_path / "run" / "EXPERIMENTS.md").exists()
    assert result["budget"]["epochs1"] == 1
    assert result["result"]["stage1_f1"] == approx(
        pd.read_csv(tmp_path / "run" / "EXPERIMENTS.csv")["stage1_f1"][0]
    )


@pytest.mark.parametrize("wrong", [["--networks", "lenet"], ["--seeds", "one"]])
def test_the_command_refuses_unknown_networks_and_seeds(wrong, capsys):
    from msfa_core.cli import run_cli

    assert run_cli(["experiments", *wrong]) == 2
    assert wrong[1] in capsys.readouterr().err
