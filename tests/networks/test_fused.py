"""The fused passes are the same function of the same weights as the network read top to bottom."""

import copy

import numpy as np
import pytest
import torch
from pytest import approx

from msfa_core.networks import fused_kernels as kernels
from msfa_core.networks.fused import composite, fused_logits, is_fusible
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.registry import build_network
from msfa_core.networks.transformer import TransformerConfig

CONFIGS = [
    MSFANetConfig(width=8, dropout=0.0),
    MSFANetConfig(width=8, dropout=0.0, pooling="gap"),
    MSFANetConfig(width=8, dropout=0.0, sfa_after="msfe_layer2"),
    MSFANetConfig(width=8, dropout=0.0, sfa_after=None, n_classes=2),
]


def varied(config):
    """A network whose normalisations do something, and its twin."""
    torch.manual_seed(1)
    model = MSFANet(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    return model, copy.deepcopy(model)


def spectra(n=5):
    """Smooth spectra with lines, as the network sees them."""
    rng = np.random.default_rng(3)
    pixel = np.arange(2430)
    flux = 0.8 - rng.uniform(0, 1e-4, (n, 1)) * pixel
    for centre in (80, 270, 700, 2000):
        width = rng.uniform(5, 30, (n, 1))
        flux -= rng.uniform(0.1, 0.5, (n, 1)) * np.exp(-np.abs((pixel - centre) / width))
    flux += rng.normal(0, 0.01, flux.shape)
    return torch.from_numpy(flux[:, None].astype(np.float32))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_fused_logits_statistics_and_gradients_are_those_of_the_plain_network(config):
    plain, fused = varied(config)
    exact = copy.deepcopy(plain).double()
    x = spectra()
    label = torch.arange(len(x)) % config.n_classes
    logits = {"plain": plain(x), "fused": fused_logits(fused, x), "exact": exact(x.double())}
    torch.testing.assert_close(logits["fused"], logits["plain"], rtol=1e-4, atol=1e-4)
    for value in logits.values():
        torch.nn.functional.cross_entropy(value, label).backward()
    for (name, a), (_, b) in zip(fused.named_buffers(), plain.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
    # A rectifier or a maximum near its edge may fall to either side: that bounds the agreement.
    for (name, a), b in zip(fused.named_parameters(), exact.parameters(), strict=True):
        if name.endswith("bias") and ".norm" not in name and not name.startswith("fc"):
            continue  # before a normalisation: its gradient is zero but for rounding
        assert float((a.grad - b.grad).norm()) <= 0.02 * float(b.grad.norm()), name


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_fused_evaluation_equals_the_plain_one_and_bf16_is_near(config):
    model, _ = varied(config)
    model(spectra())  # running statistics that differ from channel to channel
    model.eval()
    with torch.inference_mode():
        plain = model(spectra())
        torch.testing.assert_close(fused_logits(model, spectra()), plain, rtol=1e-4, atol=1e-4)
        rough = fused_logits(model, spectra(), bf16=True)
    assert float((rough - plain).abs().max()) < 0.05 * max(1.0, float(plain.abs().max()))


def test_a_block_of_four_branches_is_one_convolution_of_seven_pixels():
    torch.manual_seed(2)
    block = MSFANet(MSFANetConfig(width=8)).msfe_layer1[0]
    x = torch.randn(2, 8, 1, 40)
    branches = torch.cat([branch(x) for branch in block.branches], dim=1)
    weight, bias = composite(block)
    together = torch.nn.functional.conv2d(x, weight, bias, padding=(0, 3))
    torch.testing.assert_close(together, block.mix(branches), rtol=1e-4, atol=1e-5)


def test_sixteen_bit_values_are_rounded_as_torch_rounds_them():
    x = torch.randn(1, 64, 16) * 10.0 ** torch.arange(-8, 8)
    out = torch.empty_like(x, dtype=torch.bfloat16)
    one, none = np.ones(16, np.float32), np.zeros(16, np.float32)
    bits = out.view(torch.int16).numpy().view(np.uint16)
    kernels.rectify(x.numpy(), np.zeros((1, 1, 0), np.float32), one, none, 64, bits)
    assert torch.equal(out, torch.relu(x).to(torch.bfloat16))


def test_padding_rows_stay_zero_and_do_not_enter_the_statistics():
    x = np.random.default_rng(0).normal(5.0, 2.0, (3, 8, 4)).astype(np.float32)
    x[:, 7:] = 1e6
    mean, variance = kernels.moments(x, 7)
    assert mean == approx(x[:, :7].mean(axis=(0, 1)), rel=1e-5)
    assert variance == approx(x[:, :7].var(axis=(0, 1)), rel=1e-5)
    out = np.ones((3, 4, 4), np.float32)
    kernels.rectify_halve(
        x, np.zeros_like(x), np.ones(4, np.float32), np.zeros(4, np.float32), 7, out
    )
    assert (out[:, 3] == 0).all()
    assert (out[:, :3] < 100).all()


def test_only_msfa_net_in_single_precision_on_a_processor_is_fused():
    assert is_fusible(MSFANet(MSFANetConfig(width=4)))
    assert not is_fusible(MSFANet(MSFANetConfig(width=4)).double())
    assert not is_fusible(build_network(TransformerConfig()))
