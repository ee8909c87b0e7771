"""Weights on disk come back the same, and anything else is refused."""

import errno
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from msfa_core import durable
from msfa_core.errors import ModelError
from msfa_core.networks.msfa_net import MSFANet, MSFANetConfig
from msfa_core.networks.weights import (
    load_weights,
    read_checksums,
    save_weights,
    sha256_of,
    sha256_of_model,
    write_atomically,
    write_checksums,
)

CARD = {"classes": ["BHB", "not BHB"], "temperature": 1.25, "note": "Teff ≤ 20000 K"}


@pytest.fixture
def model():
    torch.manual_seed(3)
    network = MSFANet(MSFANetConfig(n_classes=2, width=8, sfa_after=None, pooling="gap"))
    network.stem[1].running_mean.fill_(0.25)
    return network.eval()


@pytest.fixture
def path(model, tmp_path):
    return save_weights(model, tmp_path / "models" / "stage2.safetensors", CARD)


def test_weights_architecture_and_card_come_back(model, path):
    loaded, card = load_weights(path, sha256_of(path))
    assert card == CARD
    assert loaded.config == model.config
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    assert sha256_of_model(loaded) == sha256_of_model(model)


def test_the_same_weights_give_the_same_file(model, path, tmp_path):
    again = save_weights(model, tmp_path / "again.safetensors", CARD)
    assert again.read_bytes() == path.read_bytes()


def test_one_altered_bit_is_noticed_by_the_checksum(path):
    expected = sha256_of(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="altered"):
        load_weights(path, expected)


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(ModelError, match="msfa train"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x08\x00\x00"])
def test_a_file_that_is_not_safetensors_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_weights(path)


def test_a_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="not a safetensors file"):
        load_weights(path)


def _rewrite(path, changes):
    with safe_open(path, framework="pt") as file:
        header = {**json.loads(file.metadata()["msfa"]), **changes}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = json.dumps({k: v for k, v in header.items() if v is not None})
    save_file(state, path, metadata={"msfa": text})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": None}, "header"),
        ({"format": "msfa-weights-9"}, "header"),
        ({"architecture": "ResNet18"}, "holds a ResNet18"),
        ({"config": "small"}, "header"),
        ({"config": {"depth": 3}}, "header"),
        ({"card": None}, "header"),
        ({"config": {"n_classes": 5, "width": 8}}, "does not fit"),
        ({"config": {"n_classes": 2, "width": 16}}, "does not fit"),
    ],
)
def test_another_architecture_is_refused(path, changes, reason):
    _rewrite(path, changes)
    with pytest.raises(ModelError, match=reason):
        load_weights(path)


def test_safetensors_of_someone_else_are_refused(path):
    save_file({"weight": torch.ones(3)}, path)
    with pytest.raises(ModelError, match="not written by this project"):
        load_weights(path)


def test_weights_that_are_not_finite_are_neither_written_nor_read(model, path, tmp_path):
    with torch.no_grad():
        model.fc.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"not finite \(fc.weight"):
        save_weights(model, tmp_path / "nan.safetensors", CARD)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata=metadata)
    with pytest.raises(ModelError, match="not finite"):
        load_weights(path)


def test_a_card_must_name_as_many_classes_as_the_network_has(model, tmp_path):
    with pytest.raises(ModelError, match="5 classes"):
        save_weights(model, tmp_path / "x.safetensors", {"classes": list("ABCDE")})


def test_checksums_are_those_of_the_files(path):
    assert write_checksums(path.parent) == {"stage2.safetensors": sha256_of(path)}
    assert read_checksums(path.parent) == {"stage2.safetensors": sha256_of(path)}


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "does not exist"), ("{", "cannot be read"), ("[]", "no table")]
)
def test_damaged_checksums_are_refused(path, content, reason):
    if content is not None:
        (path.parent / "checksums.json").write_text(content)
    with pytest.raises(ModelError, match=reason):
        read_checksums(path.parent)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "file", b"old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
