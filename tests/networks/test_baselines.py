"""The networks of comparison have the layers of their papers, along one dimension."""

import pytest
import torch
from torch import nn

from msfa_core.errors import ModelError
from msfa_core.networks.baselines import BASELINES, BaselineConfig, BasicBlock
from msfa_core.networks.msfa_net import n_parameters
from msfa_core.networks.registry import build_network

NAMES = list(BASELINES)


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(7)


def conv(channels_in, channels_out, kernel, bias=True):
    return channels_in * channels_out * kernel + channels_out * bias


def linear(n_in, n_out):
    return n_in * n_out + n_out


def norm(channels):
    return 2 * channels  # scale and shift


def cnn(k):
    convolutions = conv(1, 64, 9) + conv(64, 128, 7) + conv(128, 256, 5)
    return convolutions + linear(256 * 8, 128) + linear(128, k)


def alexnet(k):
    # the five convolutions of torchvision's AlexNet, 6 places, 512 hidden units
    layers = [(1, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3)]
    head = linear(256 * 6, 512) + linear(512, 512) + linear(512, k)
    return sum(conv(*layer) for layer in layers) + head


def vgg11(k):
    # column A: 64, 128, 256 twice, 512 four times, all of kernel 3
    channels = [1, 64, 128, 256, 256, 512, 512, 512, 512]
    layers = zip(channels[:-1], channels[1:], strict=True)
    head = linear(512 * 7, 512) + linear(512, 512) + linear(512, k)
    return sum(conv(i, o, 3) + norm(o) for i, o in layers) + head


def resnet18(k):
    total = conv(1, 64, 7, bias=False) + norm(64)
    for i, o in ((64, 64), (64, 128), (128, 256), (256, 512)):
        total += conv(i, o, 3, bias=False) + 3 * conv(o, o, 3, bias=False) + 4 * norm(o)
        if i != o:
            total += conv(i, o, 1, bias=False) + norm(o)
    return total + linear(512, k)


def bhbnet(k):
    total = 0
    for i, o in ((1, 32), (32, 64), (64, 128), (128, 256)):
        total += conv(i, o, 7, bias=False) + conv(o, o, 7, bias=False) + 2 * norm(o)
        total += linear(o, o // 8) + linear(o // 8, o)
    return total + linear(256, k)


@pytest.mark.parametrize("n_classes", [5, 2])
@pytest.mark.parametrize("count", [cnn, alexnet, vgg11, resnet18, bhbnet])
def test_the_parameters_are_those_of_the_layers(count, n_classes):
    model = build_network(BaselineConfig(count.__name__, n_classes=n_classes))
    assert n_parameters(model) == count(n_classes)


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("cnn", [2432, 608, 152, 38]),
        ("alexnet", [608, 304, 152, 76]),
        ("vgg11", [2432, 1216, 608, 304, 152, 76]),
        ("resnet18", [1216, 608, 304, 152, 76]),
        ("bhbnet", [2432, 608, 152, 38, 9]),
    ],
)
def test_each_stage_divides_the_spectrum_evenly(name, lengths):
    model = build_network(BaselineConfig(name, width=8)).eval()
    seen = []
    for layer in model.layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | BasicBlock):
            layer.register_forward_hook(lambda *args: seen.append(args[-1].shape[-1]))
    with torch.no_grad():
        model(torch.rand(1, 1, 2430))
    assert list(dict.fromkeys(seen)) == lengths


@pytest.mark.parametrize("name", NAMES)
def test_spectra_become_logits(name):
    model = build_network(BaselineConfig(name, n_classes=2, width=8)).eval()
    with torch.no_grad():
        assert model(torch.rand(3, 1, 2430)).shape == (3, 2)
        assert model.features(torch.rand(3, 1, 2430)).shape == (3, model.fc.in_features)


@pytest.mark.parametrize("name", NAMES)
def test_each_spectrum_is_answered_for_itself(name):
    model = build_network(BaselineConfig(name, width=8)).eval()
    x = torch.rand(4, 1, 2430)
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(row[None]) for row in x])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-4 * float(together.abs().max()))
    assert float(together.std(dim=0).max()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    width = 64 if name == "bhbnet" else 16  # its attention needs more than one hidden unit
    model = build_network(BaselineConfig(name, width=width)).train()
    nn.functional.cross_entropy(model(torch.rand(8, 1, 2430)), torch.arange(8) % 5).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # batch normalisation takes the mean away that a bias before it adds
    biases = [name for name in idle if name.endswith("bias")]
    assert idle == biases if name == "vgg11" else not idle


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(name):
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(build_network(BaselineConfig(name, width=8)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["fc.weight"], states[2]["fc.weight"])


@pytest.mark.parametrize("name", NAMES)
def test_weights_start_with_the_variance_of_he(name):
    model = build_network(BaselineConfig(name))
    layers = [m for m in model.layers.modules() if isinstance(m, nn.Conv2d)]
    wide = max(layers, key=lambda layer: layer.weight.numel())
    assert float(wide.weight.detach().var()) == pytest.approx(2 / wide.weight[0].numel(), rel=0.03)


def test_resnet_shortcuts_pass_what_the_branch_leaves():
    block = BasicBlock(8, 8).eval()
    nn.init.zeros_(block.branch[-1].weight)
    x = torch.rand(2, 8, 1, 12)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    "wrong",
    [{"name": "lenet"}, {"n_classes": 1}, {"width": 12}, {"width": 0}, {"dropout": 1.0}],
)
def test_networks_that_cannot_be_built_are_refused(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        BaselineConfig(**{"name": "cnn", **wrong})
