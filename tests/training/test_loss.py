"""The loss of the paper, by hand, and augmentation that is off unless asked for."""

import math

import numpy as np
import pytest
import torch
from pytest import approx

from msfa_core.errors import TrainingError
from msfa_core.training.loss import Augmentation, SmoothedLoss, class_weights, disagreement


def test_class_weights_are_one_over_ln_of_the_count_plus_two():
    label = np.array([0] * 10 + [1] * 4581)
    assert class_weights(label, 3) == approx(
        [1 / math.log(12), 1 / math.log(4583), 1 / math.log(2)]
    )


def test_the_loss_equals_the_sum_written_out_by_hand():
    logits = [[2.0, -1.0, 0.5], [0.0, 0.3, -0.2]]
    labels = [0, 2]
    weights = [0.2, 0.5, 0.9]
    by_hand = 0.0
    for row, label in zip(logits, labels, strict=True):
        norm = sum(math.exp(v) for v in row)
        for k, value in enumerate(row):
            q = 0.9 if k == label else 0.1 / 2
            by_hand -= weights[k] * q * math.log(math.exp(value) / norm)
    loss = SmoothedLoss(np.array(weights))(torch.tensor(logits), torch.tensor(labels))
    assert float(loss) == approx(by_hand / 2, rel=1e-6)


def test_without_smoothing_and_weights_the_loss_is_cross_entropy():
    torch.manual_seed(1)
    logits, label = torch.randn(9, 5), torch.arange(9) % 5
    loss = SmoothedLoss(np.ones(5), smoothing=0.0)(logits, label)
    assert float(loss) == approx(float(torch.nn.functional.cross_entropy(logits, label)), rel=1e-6)


def test_the_loss_of_half_precision_outputs_is_taken_in_float32():
    logits = torch.tensor([[8.0, -8.0]], dtype=torch.bfloat16)
    loss = SmoothedLoss(np.ones(2))(logits, torch.tensor([1]))
    assert loss.dtype == torch.float32
    assert float(loss) == approx(0.9 * 16, rel=1e-4)


def test_augmentation_is_off_by_default():
    flux = torch.rand(3, 50)
    assert Augmentation().is_off
    assert Augmentation()(flux) is flux


def test_noise_has_the_standard_deviation_asked_for():
    torch.manual_seed(2)
    ramp = torch.linspace(0, 1000, 2000)
    noisy = Augmentation(noise=0.5)(ramp.repeat(400, 1))
    assert torch.all((noisy >= 0) & (noisy <= 1))
    residual = noisy * 1000 - ramp
    residual -= residual.mean(dim=1, keepdim=True)  # the new scale moves and tilts the ramp
    tilt = (ramp - ramp.mean()) / (ramp - ramp.mean()).norm()
    residual -= (residual @ tilt)[:, None] * tilt
    deviation = residual.std(dim=1)  # each spectrum draws its own below 0.5
    assert float(deviation.max()) == approx(0.5, abs=0.02)
    assert float(deviation.mean()) == approx(0.25, abs=0.04)


def test_a_shift_moves_the_line_by_no_more_than_asked():
    torch.manual_seed(3)
    pixel = torch.arange(400.0)
    flux = (1 - torch.exp(-(((pixel - 200) / 15) ** 2))).repeat(200, 1)
    moved = Augmentation(shift=5.0)(flux)
    depth = 1 - moved
    centre = (depth * pixel).sum(dim=1) / depth.sum(dim=1)
    assert float((centre - 200).abs().max()) < 5.1
    assert float((centre - 200).abs().max()) > 4.0
    assert float((centre - 200).mean()) == approx(0, abs=0.6)


def test_a_slope_tilts_the_continuum_by_no_more_than_asked():
    torch.manual_seed(4)
    flux = torch.full((300, 101), 0.5)
    flux[:, 50] = 0.0
    tilted = Augmentation(slope=0.2)(flux)
    ratio = tilted[:, -1] / tilted[:, 0]
    assert float(ratio.max()) == approx(1.1 / 0.9, rel=0.02)
    assert float(ratio.min()) == approx(0.9 / 1.1, rel=0.02)


def test_negative_augmentation_is_refused():
    with pytest.raises(TrainingError, match="negative"):
        Augmentation(noise=-0.1)


def test_disagreement_is_the_divergence_of_pairs_and_none_where_they_agree():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [1.0, -1.0], [1.0, -1.0]])
    p = math.exp(2) / (math.exp(2) + 1)
    by_hand = (p - 0.5) * (math.log(p) - math.log(0.5))
    by_hand += (1 - p - 0.5) * (math.log(1 - p) - math.log(0.5))
    assert float(disagreement(logits)) == approx(by_hand / 2, rel=1e-6)
    assert float(disagreement(logits[2:])) == approx(0.0, abs=1e-7)
