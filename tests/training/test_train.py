"""Training: the paper's protocol, resumed runs, transfer to stage 2."""

import errno
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pytest import approx

from msfa_core import durable
from msfa_core.errors import TrainingError
from msfa_core.networks.inference import predict_logits
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.weights import sha256_of_model
from msfa_core.training.dataset import split_by_star
from msfa_core.training.loss import Augmentation, disagreement
from msfa_core.training.train import train
from msfa_core.training.trainer import TrainConfig, Trainer, transfer

TINY = MSFANetConfig(width=4, dropout=0.3)
QUICK = TrainConfig(network=TINY, epochs=3, batch=20, device="cpu")


def test_the_defaults_are_the_protocol_of_the_paper():
    one, two = TrainConfig(stage=1), TrainConfig(stage=2)
    assert (one.epochs, two.epochs) == (150, 100)
    assert (one.batch, one.learning_rate, one.weight_decay) == (96, 1e-3, 1e-4)
    assert (one.plateau_factor, one.plateau_patience, one.least_learning_rate) == (0.5, 8, 1e-6)
    assert (one.smoothing, one.seed, one.negatives) == (0.1, 42, "paper")
    assert (one.network.n_classes, two.network.n_classes) == (5, 2)
    assert one.augmentation.is_off


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(small_set, tmp_path):
    config = replace(QUICK, augmentation=Augmentation(noise=0.02, shift=1.0))
    whole = train(config, small_set, tmp_path / "whole")
    train(replace(config, epochs=1), small_set, tmp_path / "cut")  # killed after an epoch
    resumed = train(config, small_set, tmp_path / "cut")
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    columns = ["epoch", "train_loss", "validation_loss", "score", "learning_rate"]
    pd.testing.assert_frame_equal(whole.history[columns], resumed.history[columns])
    assert whole.best_epoch == resumed.best_epoch


def test_a_device_that_goes_away_is_named_and_the_run_goes_on(small_set, tmp_path, monkeypatch):
    run_epoch = Trainer.run_epoch

    def lose(trainer, meter):
        if trainer.epoch == 2:
            trainer.device = torch.device("cuda")
            raise RuntimeError("CUDA error: the launch timed out\nCompile with …")
        run_epoch(trainer, meter)

    monkeypatch.setattr(Trainer, "run_epoch", lose)
    with pytest.raises(TrainingError, match=r"cuda failed in epoch 3 \(CUDA error"):
        train(QUICK, small_set, tmp_path / "cut")
    monkeypatch.undo()
    resumed, whole = (train(QUICK, small_set, tmp_path / name) for name in ("cut", "whole"))
    assert sha256_of_model(resumed.model) == sha256_of_model(whole.model)


def test_a_fault_on_the_processor_is_no_fault_of_a_device(small_set, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Trainer, "run_epoch", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(QUICK, small_set, tmp_path)


def test_a_run_killed_within_an_epoch_resumes_from_the_last_whole_one(small_set, tmp_path):
    class Killed(Exception):
        pass

    def kill(_step, done, _total, _part=""):
        if done > 60:
            raise Killed

    with pytest.raises(Killed):
        train(QUICK, small_set, tmp_path / "cut", progress=kill)
    done = []
    resumed = train(QUICK, small_set, tmp_path / "cut", progress=lambda *at: done.append(at[1]))
    assert min(done) >= len(split_by_star(small_set).train)
    whole = train(QUICK, small_set, tmp_path / "whole")
    assert sha256_of_model(resumed.model) == sha256_of_model(whole.model)


def test_the_mean_of_the_weights_is_kept_and_resumed(small_set, tmp_path):
    plain = train(QUICK, small_set, tmp_path / "plain")
    config = replace(QUICK, averaging=0.9)
    whole = train(config, small_set, tmp_path / "whole")
    train(replace(config, epochs=1), small_set, tmp_path / "cut")
    resumed = train(config, small_set, tmp_path / "cut")
    assert sha256_of_model(resumed.model) == sha256_of_model(whole.model)
    assert sha256_of_model(whole.model) != sha256_of_model(plain.model)
    # the steps themselves are those of the run without it
    assert (whole.history["train_loss"] == plain.history["train_loss"]).all()


def test_spectra_of_one_star_must_agree_where_the_loss_says_so(small_set, paired_set, tmp_path):
    config = replace(QUICK, epochs=4, learning_rate=3e-3)
    apart = []
    for weight in (0.0, 5.0):
        chosen = replace(config, agreement=weight)
        model = train(chosen, paired_set, tmp_path / str(weight)).model
        logits = torch.from_numpy(predict_logits(model, paired_set.flux))
        apart.append(float(disagreement(logits)))
    assert 0 < apart[1] < 0.5 * apart[0]
    with pytest.raises(TrainingError, match="pairs"):
        train(replace(config, agreement=1.0), small_set, tmp_path / "single")
    for wrong in ({"agreement": -1.0}, {"averaging": 1.0}, {"agreement": 1.0, "batch": 21}):
        with pytest.raises(TrainingError):
            replace(config, **wrong)


def test_a_finished_run_is_not_trained_again(small_set, tmp_path):
    first = train(QUICK, small_set, tmp_path)
    seen = []
    again = train(QUICK, small_set, tmp_path, progress=lambda *at: seen.append(at))
    assert seen == []
    assert sha256_of_model(again.model) == sha256_of_model(first.model)


def test_training_learns_and_keeps_the_best_epoch_by_validation(small_set, tmp_path):
    config = replace(QUICK, epochs=6, learning_rate=5e-3, network=replace(TINY, width=8))
    result = train(config, small_set, tmp_path)
    history = result.history
    assert history["train_loss"].iloc[-1] < 0.8 * history["train_loss"].iloc[0]
    assert result.score == history["score"].max()
    assert result.best_epoch == history["epoch"][history["score"].idxmax()]
    assert not result.model.training


def test_learning_curves_are_a_table_and_a_picture(small_set, tmp_path):
    result = train(QUICK, small_set, tmp_path)
    table = pd.read_csv(tmp_path / "stage1_history.csv")
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["score"].tolist() == approx(result.history["score"].tolist())
    assert (tmp_path / "stage1_curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_learning_rate_halves_when_the_score_stands_still(small_set, tmp_path):
    config = replace(QUICK, epochs=5, learning_rate=1e-12, plateau_patience=1)
    config = replace(config, least_learning_rate=0.0)
    rates = train(config, small_set, tmp_path).history["learning_rate"]
    assert rates.tolist() == approx([1e-12, 1e-12, 1e-12, 0.5e-12, 0.5e-12])


def test_stage_2_starts_from_all_of_stage_1_except_fc():
    torch.manual_seed(1)
    stage1 = MSFANet(TINY)
    stage1.stem[1].running_var.fill_(3.0)
    stage2 = transfer(stage1, 2)
    for name, tensor in stage1.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(tensor, stage2.state_dict()[name]), name
    assert stage2.fc.out_features == 2
    assert stage2.config == replace(stage1.config, n_classes=2)


def test_stage_2_moves_all_weights_and_scores_bhb(small_set, tmp_path):
    split = split_by_star(small_set)
    stage1 = train(replace(QUICK, epochs=1), small_set, tmp_path, split=split).model
    config = replace(QUICK, stage=2, epochs=1)
    result = train(config, small_set, tmp_path, split=split, start=stage1)
    start = transfer(stage1, 2).state_dict()
    for name, parameter in result.model.named_parameters():
        assert not torch.equal(parameter, start[name]), name
    assert 0 <= result.score <= 1


def test_training_goes_on_from_given_weights_and_says_so(small_set, tmp_path):
    before = train(replace(QUICK, epochs=1), small_set, tmp_path / "before").model
    frozen = replace(QUICK, epochs=1, learning_rate=1e-30, least_learning_rate=0.0)
    after = train(frozen, small_set, tmp_path / "after", start=before)
    for name, parameter in after.model.named_parameters():  # fc too: the classes are the same
        assert torch.equal(parameter, before.get_parameter(name)), name
    assert after.started_from == sha256_of_model(before)
    with pytest.raises(TrainingError, match="start differ"):
        train(frozen, small_set, tmp_path / "after")


def test_weights_of_another_architecture_are_no_start(small_set, tmp_path):
    other = MSFANet(replace(TINY, width=8))
    with pytest.raises(TrainingError, match="give the same architecture"):
        train(QUICK, small_set, tmp_path, start=other)


def test_stage_2_without_stage_1_is_refused(small_set, tmp_path):
    with pytest.raises(TrainingError, match="train stage 1 first"):
        train(replace(QUICK, stage=2), small_set, tmp_path)


def test_a_checkpoint_of_other_settings_data_or_stage_1_is_refused(small_set, tmp_path):
    train(replace(QUICK, epochs=1), small_set, tmp_path)
    with pytest.raises(TrainingError, match="another run: learning_rate differ"):
        train(replace(QUICK, learning_rate=2e-3), small_set, tmp_path)
    rows = np.arange(len(small_set) - 1)
    with pytest.raises(TrainingError, match="data, split differ"):
        train(QUICK, small_set[rows], tmp_path)
    afresh = train(replace(QUICK, epochs=1, seed=1), small_set, tmp_path, resume=False)
    assert len(afresh.history) == 1


def test_what_stage_2_learns_as_not_bhb_may_be_chosen_after_stage_1(small_set, tmp_path):
    first = train(replace(QUICK, negatives="all"), small_set, tmp_path)
    again = train(replace(QUICK, negatives="paper"), small_set, tmp_path)
    assert sha256_of_model(again.model) == sha256_of_model(first.model)


def test_a_damaged_checkpoint_is_refused(small_set, tmp_path):
    train(replace(QUICK, epochs=1), small_set, tmp_path)
    path = tmp_path / "stage1.checkpoint"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="damaged.*delete it"):
        train(QUICK, small_set, tmp_path)


def test_a_disk_that_fills_leaves_the_last_checkpoint(small_set, tmp_path, monkeypatch):
    train(replace(QUICK, epochs=1), small_set, tmp_path)
    before = (tmp_path / "stage1.checkpoint").read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", full)
        with pytest.raises(TrainingError, match="No space left.*resumes there"):
            train(QUICK, small_set, tmp_path)
    assert (tmp_path / "stage1.checkpoint").read_bytes() == before
    assert len(train(QUICK, small_set, tmp_path).history) == 3


def test_a_loss_that_is_not_finite_stops_the_run(small_set, tmp_path):
    with pytest.raises(TrainingError, match="loss of epoch 1 is"):
        train(replace(QUICK, learning_rate=1e30), small_set, tmp_path)
    assert not (tmp_path / "stage1.checkpoint").exists()


def test_progress_tells_the_spectra_seen_and_the_epochs_that_ended(small_set, tmp_path):
    seen = []
    train(QUICK, small_set, tmp_path, progress=lambda *at: seen.append(at))
    n_train = len(split_by_star(small_set).train)
    ended = [(step, done, total, part.split(" (")[0]) for step, done, total, part in seen if part]
    assert ended == [
        ("stage 1", epoch * n_train, 3 * n_train, f"epoch {epoch}") for epoch in (1, 2, 3)
    ]


def test_a_class_without_spectra_is_refused(small_set, tmp_path):
    with pytest.raises(TrainingError, match="no spectra of class WD"):
        train(QUICK, small_set[small_set.label != 4], tmp_path)


def test_a_last_batch_of_one_spectrum_is_left_out(small_set, tmp_path):
    n_train = len(split_by_star(small_set).train)
    result = train(replace(QUICK, epochs=1, batch=n_train - 1), small_set, tmp_path)
    assert np.isfinite(result.history["train_loss"]).all()


def test_training_leaves_torchs_generator_alone(small_set, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(replace(QUICK, epochs=1), small_set, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_bf16_training_follows_float32(small_set, tmp_path):
    exact = train(replace(QUICK, epochs=2), small_set, tmp_path / "float32")
    short = train(replace(QUICK, epochs=2, bf16=True), small_set, tmp_path / "bf16")
    assert short.history["train_loss"].to_numpy() == approx(
        exact.history["train_loss"].to_numpy(), rel=0.05
    )


@pytest.mark.parametrize(
    "wrong", [{"stage": 3}, {"epochs": -1}, {"batch": 1}, {"negatives": "none"}]
)
def test_settings_that_cannot_be_trained_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        TrainConfig(**wrong)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_run_moves_between_cuda_and_the_cpu(small_set, tmp_path):
    train(replace(QUICK, epochs=1, device="cuda", bf16=True), small_set, tmp_path)
    moved = train(replace(QUICK, epochs=2, device="cpu"), small_set, tmp_path)
    assert len(moved.history) == 2


class TheSame:
    """A source of training spectra that remembers what it was asked."""

    fingerprint = "the same"

    def __init__(self, data):
        self.data = data
        self.asked = []

    def __call__(self, epoch, stage):
        self.asked.append((epoch, stage))
        rows = np.random.default_rng(epoch).permutation(len(self.data))[:40]
        return self.data[rows]


def test_new_stars_are_drawn_for_each_epoch_and_a_resumed_run_draws_the_same(small_set, tmp_path):
    stars = TheSame(small_set)
    whole = train(QUICK, small_set, tmp_path / "whole", new_stars=stars)
    assert stars.asked == [(1, 1), (2, 1), (3, 1)]
    train(replace(QUICK, epochs=1), small_set, tmp_path / "cut", new_stars=TheSame(small_set))
    resumed = train(QUICK, small_set, tmp_path / "cut", new_stars=TheSame(small_set))
    assert sha256_of_model(resumed.model) == sha256_of_model(whole.model)
    with pytest.raises(TrainingError, match="new_stars differ"):
        train(QUICK, small_set, tmp_path / "whole")


def test_the_cosine_schedule_rises_briefly_and_ends_near_zero(small_set, tmp_path):
    config = replace(QUICK, epochs=10, schedule="cosine", learning_rate=2e-3)
    rates = train(config, small_set, tmp_path).history["learning_rate"].to_numpy()
    assert rates.max() <= 2e-3
    assert rates[0] == approx(2e-3, rel=0.05)
    assert (np.diff(rates) < 0).all()
    assert rates[-1] < 0.02 * 2e-3
    with pytest.raises(TrainingError, match="plateau or cosine"):
        replace(QUICK, schedule="linear")
