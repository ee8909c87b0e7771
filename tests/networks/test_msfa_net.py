"""MSFA-Net: parameters and shapes of Table 1, the Fourier identity, the pooling statistics."""

import numpy as np
import pytest
import torch
from pytest import approx
from torch import nn

from msfa_core.errors import ModelError
from msfa_core.networks.msfa_net import (
    Halve,
    MSFANet,
    MSFANetConfig,
    SFABlock,
    SPPBlock,
    n_parameters,
)

TINY = {"width": 8}


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(7)


@pytest.mark.parametrize(("n_classes", "expected"), [(5, 519_366), (2, 503_235)])
def test_the_full_network_has_the_parameters_of_the_paper(n_classes, expected):
    assert n_parameters(MSFANet(MSFANetConfig(n_classes=n_classes))) == expected


def test_the_defaults_are_the_five_class_network_of_the_paper():
    assert MSFANet().config == MSFANetConfig(
        n_classes=5, pooling="spp", sfa_after="msfa_layer", width=64, dropout=0.5
    )


def test_each_layer_has_the_shape_of_table_1():
    model = MSFANet().eval()
    shapes = {}
    for name in ("stem", "msfe_layer1", "msfe_layer2", "msfa_layer", "pooling", "fc"):
        getattr(model, name).register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape)})
        )
    with torch.no_grad():
        model(torch.rand(2, 1, 2430))
    assert shapes == {
        "stem": (2, 64, 1, 2430),
        "msfe_layer1": (2, 64, 1, 1215),
        "msfe_layer2": (2, 128, 1, 607),
        "msfa_layer": (2, 256, 1, 303),
        "pooling": (2, 5376),
        "fc": (2, 5),
    }


def test_the_four_branches_have_kernels_3_5_7_1_in_that_order():
    block = MSFANet().msfe_layer1[0]
    x = torch.rand(1, 64, 1, 40)
    for first, (branch, kernel) in enumerate(zip(block.branches, (3, 5, 7, 1), strict=True)):
        spike = torch.zeros(1, 64, 1, 41)
        spike[..., 20] = 1
        touched = (branch(spike) - branch(torch.zeros_like(spike))).abs().sum(dim=1)[0, 0] > 0
        assert int(touched.sum()) == kernel, first
        assert branch(x).shape == (1, 16, 1, 40)
        assert branch.bias is not None


def test_a_block_is_relu_of_normalised_mixture_plus_input():
    block = MSFANet().msfe_layer1[0].eval()
    block.norm.running_mean.normal_()
    x = torch.randn(2, 64, 1, 50)
    with torch.no_grad():
        flat = [
            nn.functional.conv1d(
                x[:, :, 0],
                branch.weight.reshape(16, 64, -1),
                branch.bias,
                padding=branch.weight.reshape(16, 64, -1).shape[-1] // 2,
            )
            for branch in block.branches
        ]
        mixed = nn.functional.conv1d(
            torch.cat(flat, dim=1), block.mix.weight[..., None], block.mix.bias
        )
        mean, variance = block.norm.running_mean, block.norm.running_var
        normalised = (mixed - mean[:, None]) / torch.sqrt(variance[:, None] + 1e-5)
        expected = torch.relu(normalised + x[:, :, 0])
        assert torch.allclose(block(x)[:, :, 0], expected, atol=1e-5)


def test_inference_halves_like_training():
    x = torch.randn(2, 3, 1, 607)
    with torch.no_grad():
        quick = Halve()(x)
    assert torch.equal(quick, nn.functional.max_pool2d(x, (1, 2)))
    assert torch.equal(quick, Halve()(x))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-10)])
def test_the_explicit_fourier_path_and_its_shortcut_are_one_function(dtype, tolerance):
    shortcut = SFABlock(256).to(dtype)
    explicit = SFABlock(256, fourier="explicit").to(dtype)
    explicit.load_state_dict(shortcut.state_dict())
    x = torch.rand(3, 256, 1, 607, dtype=dtype)
    assert torch.allclose(shortcut(x), explicit(x), rtol=0, atol=tolerance)


@pytest.mark.parametrize("length", [607, 608])
def test_both_fourier_paths_have_the_same_gradients(length):
    gradients = {}
    start = SFABlock(32).double().state_dict()
    x = torch.randn(2, 32, 1, length, dtype=torch.float64)
    target = torch.randn(2, 32, 1, length, dtype=torch.float64)
    for fourier in ("shortcut", "explicit"):
        block = SFABlock(32, fourier=fourier).double()
        block.load_state_dict(start)
        flux = x.clone().requires_grad_()
        ((block(flux) - target) ** 2).mean().backward()
        gradients[fourier] = [flux.grad, *(p.grad for p in block.parameters())]
    for one, other in zip(gradients["shortcut"], gradients["explicit"], strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-10)
        assert float(one.abs().max()) > 0


def test_the_whole_network_gives_the_same_logits_either_way_to_1e_6():
    shortcut = MSFANet().eval()
    explicit = MSFANet(MSFANetConfig(fourier="explicit")).eval()
    explicit.load_state_dict(shortcut.state_dict())
    x = torch.rand(2, 1, 2430)
    with torch.no_grad():
        assert torch.allclose(shortcut(x), explicit(x), rtol=0, atol=1e-6)
        assert torch.allclose(
            shortcut.double()(x.double()), explicit.double()(x.double()), rtol=0, atol=1e-10
        )


def test_attention_weighs_a_channel_by_its_fourier_bands():
    block = SFABlock(4, reduction=1).double()
    nn.init.eye_(block.squeeze.weight)
    nn.init.eye_(block.excite.weight)
    x = torch.zeros(1, 4, 607, dtype=torch.float64)
    pixel = torch.arange(607, dtype=torch.float64)
    x[0, 1] = 2.0  # all its amplitude, 2·sqrt(607), in frequency 0: band 0 of 16 × 19
    x[0, 2] = torch.cos(2 * torch.pi * 100 * pixel / 607)  # sqrt(607)/2 in band 5
    x[0, 3, 0] = 3.0  # a spike: 3/sqrt(607) in every frequency
    root = 607**0.5
    descriptor = np.array([0, 2 * root / 19 / 16, root / 2 / 19 / 16, 3 / root * 1.3])
    weight = 1 / (1 + np.exp(-descriptor))
    found = block(x[:, :, None])[:, :, 0] / x
    assert found[0, 1].detach().numpy() == approx(1 + 0.1 * weight[1])
    assert found[0, 2, 1:].detach().numpy() == approx(1 + 0.1 * weight[2])
    assert float(found[0, 3, 0].detach()) == approx(1 + 0.1 * weight[3])


def test_pyramid_pooling_gives_mean_deviation_and_minimum_of_each_bin():
    x = torch.rand(2, 3, 303, dtype=torch.float64)
    pooled = SPPBlock()(x[:, :, None]).numpy()
    assert pooled.shape == (2, 3 * 7 * 3)
    row = x[1].numpy()
    expected = []
    for bins in (1, 2, 4):
        for i in range(bins):  # as adaptive pooling: bins may overlap by a pixel
            part = row[:, i * 303 // bins : -(-(i + 1) * 303 // bins)]
            expected += [part.mean(axis=1), part.std(axis=1), part.min(axis=1)]
    assert pooled[1] == approx(np.concatenate(expected), abs=1e-6)


@pytest.mark.parametrize("pooling", ["spp", "gap"])
@pytest.mark.parametrize("sfa_after", ["msfa_layer", "msfe_layer2", None])
def test_every_ablation_is_a_configuration(pooling, sfa_after):
    model = MSFANet(MSFANetConfig(pooling=pooling, sfa_after=sfa_after, **TINY)).eval()
    attention = [m for m in model.modules() if isinstance(m, SFABlock)]
    assert len(attention) == (sfa_after is not None)
    assert model.fc.in_features == (32 * 21 if pooling == "spp" else 32)
    with torch.no_grad():
        assert model(torch.rand(2, 1, 2430)).shape == (2, 5)


def test_attention_after_layer_2_sees_304_frequencies():
    model = MSFANet(MSFANetConfig(sfa_after="msfe_layer2", **TINY)).eval()
    seen = []
    model.sfa_after_layer2.register_forward_hook(lambda _m, x, _y: seen.append(x[0].shape))
    with torch.no_grad():
        model(torch.rand(1, 1, 2430))
    assert seen == [(1, 16, 1, 607)]


def test_training_in_bf16_keeps_the_statistics_in_float32():
    model = MSFANet(MSFANetConfig(**TINY)).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = model.features(torch.rand(2, 1, 2430))
        assert features.dtype == torch.float32
        model(torch.rand(2, 1, 2430)).float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pooling": "max"},
        {"sfa_after": "stem"},
        {"fourier": "fast"},
        {"width": 6},
        {"width": 0},
        {"n_classes": 1},
        {"dropout": 1.0},
        {"reduction": 0},
    ],
)
def test_a_configuration_that_names_no_network_is_refused(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        MSFANetConfig(**wrong)
