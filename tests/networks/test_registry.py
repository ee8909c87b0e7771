"""Any network can be built, transferred, written and read; another architecture is refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from msfa_core.errors import ModelError
from msfa_core.networks.baselines import BASELINES, BaselineConfig
from msfa_core.networks.msfa_net import MSFANetConfig
from msfa_core.networks.registry import architecture, build_network, read_config
from msfa_core.networks.transformer import TransformerConfig
from msfa_core.networks.weights import load_network, load_weights, save_weights, sha256_of_model
from msfa_core.training.trainer import transfer

SMALL = {
    "MSFANet": MSFANetConfig(width=8),
    "SpectralTransformer": TransformerConfig(width=16, depth=1, heads=2),
    **{kind.__name__: BaselineConfig(name, width=8) for name, kind in BASELINES.items()},
}


@pytest.fixture(params=SMALL)
def model(request):
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return build_network(SMALL[request.param])


def test_the_architecture_is_the_class_of_the_network(model):
    name = type(model).__name__
    assert architecture(model.config) == name
    assert read_config(name, model.config.as_dict()) == model.config == SMALL[name]


def test_weights_come_back_with_their_architecture(model, tmp_path):
    card = {"classes": ["BHB", "A", "B", "HSD", "WD"]}
    path = save_weights(model, tmp_path / "weights.safetensors", card)
    loaded, read = load_network(path)
    assert type(loaded) is type(model)
    assert (loaded.config, read) == (model.config, card)
    assert sha256_of_model(loaded) == sha256_of_model(model)
    x = torch.rand(2, 1, 2430)
    with torch.no_grad():
        assert torch.equal(loaded(x), model.eval()(x))


def test_the_search_is_not_given_another_architecture(model, tmp_path):
    path = save_weights(model, tmp_path / "weights.safetensors", {})
    name = type(model).__name__
    if name == "MSFANet":
        assert load_weights(path)[0].config == model.config
        with pytest.raises(ModelError, match=r"holds a MSFANet, not a VGG11; give weights of"):
            load_network(path, architecture="VGG11")
        return
    with pytest.raises(ModelError, match=rf"holds a {name}, not a MSFANet; give weights of"):
        load_weights(path)


def test_stage_2_keeps_everything_but_fc(model):
    second = transfer(model, 2)
    assert second.fc.out_features == 2
    states = model.state_dict(), second.state_dict()
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        if not name.startswith("fc."):
            assert torch.equal(tensor, states[1][name]), name
    assert not torch.equal(states[0]["fc.weight"][:2], states[1]["fc.weight"])


def _rewrite(path, changes):
    with safe_open(path, framework="pt") as file:
        header = {**json.loads(file.metadata()["msfa"]), **changes}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(state, path, metadata={"msfa": json.dumps(header)})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "Perceptron"}, "unknown architecture 'Perceptron'.*VGG11"),
        ({"architecture": "AlexNet"}, "configuration is of CNN, not of AlexNet"),
        ({"architecture": "SpectralTransformer"}, "header that cannot be understood"),
        ({"config": {"name": "vgg19"}}, "choose one of cnn"),
        ({"config": {"name": "cnn", "width": 16}}, "does not fit"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(changes, reason, tmp_path):
    path = save_weights(build_network(SMALL["CNN"]), tmp_path / "cnn.safetensors", {})
    _rewrite(path, changes)
    with pytest.raises(ModelError, match=reason) as refused:
        load_network(path)
    assert str(path) in str(refused.value)
