"""Inference: the fastest way, batches, devices."""

import numpy as np
import pytest
import torch
from pytest import approx
from torch import nn

from msfa_core.errors import ModelError
from msfa_core.networks.inference import logits_of, pick_device, predict_logits, softmax
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig


@pytest.fixture
def model():
    torch.manual_seed(4)
    network = MSFANet(MSFANetConfig(width=8)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 3)
            with torch.no_grad():
                module.weight.uniform_(0.5, 2)
                module.bias.normal_(0, 0.2)
    return network


@pytest.fixture
def flux():
    return np.random.default_rng(3).random((21, 2430), dtype=np.float32)


def test_the_fastest_way_gives_the_logits_of_the_network(model, flux):
    x = torch.from_numpy(flux)[:, None]
    with torch.inference_mode():
        plain = model(x)
        assert torch.allclose(logits_of(model, x), plain, atol=1e-5)
        exact = logits_of(model.double(), x.double())
    assert exact.dtype == torch.float64
    assert torch.allclose(exact.float(), plain, atol=1e-5)


def test_the_batch_size_does_not_matter(model, flux):
    one = predict_logits(model, flux, batch=1)
    assert predict_logits(model, flux, batch=7) == approx(one, abs=1e-5)
    assert predict_logits(model, flux) == approx(one, abs=1e-5)


def test_no_spectra_give_no_logits(model, flux):
    assert predict_logits(model, flux[:0]).shape == (0, 5)


def test_the_softmax_of_large_logits_is_finite():
    probability = softmax(np.array([[1000.0, 998.0], [-1000.0, 0.0]]), temperature=2.0)
    assert probability[0, 0] == approx(1 / (1 + np.exp(-1)))
    assert probability.sum(axis=1) == approx(1)


def test_an_unknown_or_absent_device_is_refused():
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match="unknown device"):
        pick_device("abacus")
    if not torch.cuda.is_available():
        assert pick_device("auto") == torch.device("cpu")
        with pytest.raises(ModelError, match="no CUDA"):
            pick_device("cuda")
