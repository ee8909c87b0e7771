"""Weights on disk: safetensors with the architecture and a model card in the header.

A file holds all it takes to rebuild its network, so that a name or a folder is never trusted
for what the network is; ``checksums.json`` beside the files tells whether they were altered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from msfa_core.constants import CLASS_NAMES, StellarClass
from msfa_core.durable import replacing
from msfa_core.errors import ModelError
from msfa_core.networks.msfa_net import MSFANet
from msfa_core.networks.registry import Network, NetworkConfig, build_network, read_config
from msfa_core.shipped import shipped

FORMAT: Final = "msfa-weights-1"
_HEADER: Final = "msfa"
MODELS_FOLDER: Final = shipped("models")
CHECKSUMS_FILE: Final = "checksums.json"
NOVELTY_FILE: Final = "novelty.npz"
LIKELIHOOD_FILE: Final = "likelihood.npz"
STAGE_FILES: Final = {1: "stage1.safetensors", 2: "stage2.safetensors"}
STAGE_CLASSES: Final = {
    1: CLASS_NAMES,
    2: (str(StellarClass.BHB), "not BHB"),
}


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def sha256_of_model(model: nn.Module) -> str:
    """Return the SHA-256 of the weights in memory, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write a file so that it is either the old one or the whole new one, whatever happens.

    Parameters
    ----------
    path : str or Path
        Parent folders are made.
    content : bytes

    Raises
    ------
    OSError
        When the disk is full or the folder read-only; the old file is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def save_weights(model: Network, path: str | Path, card: Mapping[str, Any]) -> Path:
    """Write the weights of a network with its architecture and card.

    Parameters
    ----------
    model : Network
    path : str or Path
        Ends in ``.safetensors``.
    card : mapping
        What to know about the weights, as JSON can hold it: data, seed, figures. Search reads
        ``classes`` (names of the outputs, in order) and ``temperature`` from it.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ModelError
        When the weights are not finite or the card names another number of classes.
    """
    classes = card.get("classes")
    if classes is not None and len(classes) != model.config.n_classes:
        raise ModelError(
            f"the card names {len(classes)} classes but the network has "
            f"{model.config.n_classes}; correct card['classes']."
        )
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    _check_finite(state, "the network to save")
    header = {
        "format": FORMAT,
        "architecture": type(model).__name__,
        "config": model.config.as_dict(),
        "card": dict(card),
    }
    # One entry only: safetensors writes several in any order, and equal weights shall give
    # equal files.
    metadata = {_HEADER: json.dumps(header, sort_keys=True)}
    return write_atomically(path, save(state, metadata=metadata))


def load_weights(
    path: str | Path, expected_sha256: str | None = None
) -> tuple[MSFANet, dict[str, Any]]:
    """Read an MSFA-Net as :func:`save_weights` wrote it.

    Parameters
    ----------
    path : str or Path
    expected_sha256 : str, optional
        Checksum that the file must have.

    Returns
    -------
    model : MSFANet
        In evaluation mode, on the CPU.
    card : dict

    Raises
    ------
    ModelError
        When the file is missing, altered, not of this project or of another architecture.
    """
    model, card = load_network(path, expected_sha256, MSFANet.__name__)
    return cast(MSFANet, model), card


def load_network(
    path: str | Path, expected_sha256: str | None = None, architecture: str | None = None
) -> tuple[Network, dict[str, Any]]:
    """Read a network of any architecture as :func:`save_weights` wrote it.

    Parameters
    ----------
    path : str or Path
    expected_sha256 : str, optional
        Checksum that the file must have.
    architecture : str, optional
        Class of network that the file must hold; any when not given.

    Returns
    -------
    model : Network
        In evaluation mode, on the CPU.
    card : dict

    Raises
    ------
    ModelError
        When the file is missing, altered, not of this project or of another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} does not exist; train with `msfa train` or name another folder.")
    if expected_sha256 is not None and (found := sha256_of(path)) != expected_sha256:
        raise ModelError(
            f"{path} was altered: its SHA-256 is {found}, {CHECKSUMS_FILE} says "
            f"{expected_sha256}. Restore the file (git checkout) or train again."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a safetensors file ({error}); restore it or train again."
        ) from error
    config, card = _read_header(metadata, path, architecture)
    model = build_network(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines()]
        reason = " ".join(lines[:2])  # the first tensor that does not fit stands for all
        raise ModelError(
            f"{path} does not fit the architecture in its own header ({reason}); restore the "
            "file or train again."
        ) from error
    _check_finite(state, str(path))
    return model.eval(), card


def _read_header(
    metadata: Mapping[str, str], path: Path, architecture: str | None
) -> tuple[NetworkConfig, dict[str, Any]]:
    """Architecture and card of a weights file."""
    if _HEADER not in metadata:
        raise ModelError(
            f"{path} was not written by this project; give weights made by `msfa train`."
        )
    try:
        header = json.loads(metadata[_HEADER])
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}, expected {FORMAT!r}")
        found, card = header["architecture"], dict(header["card"])
        fits = architecture in (None, found)
        config = read_config(found, header["config"]) if fits else None
    except (KeyError, TypeError, ValueError, ModelError) as error:
        raise ModelError(
            f"{path} has a header that cannot be understood ({error}); it may come from another "
            "version of the software. Train again."
        ) from error
    if config is None:
        raise ModelError(
            f"{path} holds a {found}, not a {architecture}; give weights of a {architecture}, or "
            "read these with load_network()."
        )
    return config, card


def write_checksums(folder: str | Path) -> dict[str, str]:
    """Write ``checksums.json`` over the weights of a folder and what was fitted beside them.

    Returns
    -------
    dict
        File name -> SHA-256.
    """
    folder = Path(folder)
    beside = [folder / name for name in (NOVELTY_FILE, LIKELIHOOD_FILE)]
    files = [*sorted(folder.glob("*.safetensors")), *beside]
    checksums = {path.name: sha256_of(path) for path in files if path.exists()}
    write_atomically(
        folder / CHECKSUMS_FILE, (json.dumps(checksums, indent=2, sort_keys=True) + "\n").encode()
    )
    return checksums


def read_checksums(folder: str | Path) -> dict[str, str]:
    """Return file name -> SHA-256 of a models folder.

    Raises
    ------
    ModelError
        When ``checksums.json`` is missing or cannot be read.
    """
    path = Path(folder) / CHECKSUMS_FILE
    try:
        checksums = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} does not exist; name a folder made by `msfa train`, or restore data/models."
        ) from error
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} cannot be read ({error}); restore it or train again.") from error
    if not isinstance(checksums, dict):
        raise ModelError(f"{path} holds no table of checksums; restore it or train again.")
    return checksums


def read_stage1(folder: str | Path) -> Network:
    """Return stage 1 of a models folder, to go on training from.

    Raises
    ------
    ModelError
        When a file is missing or was altered.
    """
    name = STAGE_FILES[1]
    model, _ = load_network(Path(folder) / name, read_checksums(folder).get(name))
    return model


def _check_finite(state: Mapping[str, torch.Tensor], what: str) -> None:
    """Refuse weights that would give NaN for every star."""
    bad = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise ModelError(
            f"{what} has weights that are not finite ({', '.join(bad[:3])}); train again."
        )
