"""Logits and probabilities of many spectra, in batches that suit the processor."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from msfa_core.errors import ModelError
from msfa_core.networks.fused import Short, fused_logits, is_fusible, short_convolutions
from msfa_core.networks.msfa_net import MSFANet
from msfa_core.typing import Progress, no_progress

BATCH: Final = 4  # on one core the feature maps of a small batch stay in the caches
BF16_BATCH: Final = 32  # making the composite kernels costs as much as a few spectra
GPU_BATCH: Final = 512
_AHEAD: Final = 1e-9  # by which share the most probable class stays ahead


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: threads collapse on a busy machine, processes do not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where there is one, else the CPU.

    Raises
    ------
    ModelError
        When the name is unknown or CUDA is asked for and absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device {name!r}; choose auto, cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "no CUDA device here; choose the device auto or cpu, or install torch for CUDA."
        )
    return device


def predict_logits(
    model: nn.Module,
    flux: NDArray[np.float32] | torch.Tensor,
    *,
    device: torch.device | None = None,
    bf16: bool = False,
    batch: int | None = None,
    progress: Progress = no_progress,
) -> NDArray[np.float64]:
    """Run a network over prepared spectra.

    Parameters
    ----------
    model : Module
        Put into evaluation mode; stays on ``device``.
    flux : (n, 2430) float32 array or tensor
        Prepared spectra, finite.
    device : torch.device, optional
        Where to compute; the CPU when not given.
    bf16 : bool
        Convolutions and products in 16-bit brain floats.
    batch : int, optional
        Spectra at a time; 4 on the CPU (32 in bf16), 512 on a GPU.
    progress : callable, optional
        Called with ``classify``, spectra done and in all, after each batch.

    Returns
    -------
    (n, n_classes) float64 array
        Logits.
    """
    device = device or torch.device("cpu")
    on_cpu = BF16_BATCH if bf16 else BATCH
    batch = batch or (on_cpu if device.type == "cpu" else GPU_BATCH)
    spectra = torch.from_numpy(flux) if isinstance(flux, np.ndarray) else flux
    model = model.to(device).eval()
    logits = []
    with one_thread(), torch.inference_mode():
        short = None if bf16 or not is_fusible(model) else short_convolutions(model)
        for start in range(0, max(len(spectra), 1), batch):  # no spectra: one empty batch
            rows = spectra[start : start + batch].to(device)  # (batch, 2430)
            logits.append(logits_of(model, rows[:, None], bf16=bf16, short=short).double())
            progress("classify", min(start + batch, len(spectra)), len(spectra))
    everything: NDArray[np.float64] = torch.cat(logits).cpu().numpy()
    return everything


def predict_features(
    model: MSFANet, flux: NDArray[np.float32], *, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Return what the last layer of a network sees of prepared spectra, on one core.

    Parameters
    ----------
    model : MSFANet
        Put into evaluation mode.
    flux : (n, 2430) float32 array
    progress : callable, optional

    Returns
    -------
    (n, 5376) float32 array
    """
    trunk = copy.copy(model)
    trunk._modules = {**model._modules, "fc": nn.Identity()}  # the other layers are shared
    return predict_logits(trunk, flux, progress=progress).astype(np.float32)


def logits_of(
    model: nn.Module, x: torch.Tensor, *, bf16: bool = False, short: Short | None = None
) -> torch.Tensor:
    """Run a network by the fastest way that there is for it here.

    Parameters
    ----------
    model : Module
        In training or evaluation mode.
    x : (n, 1, 2430) tensor
        Prepared spectra, where the network is.
    bf16 : bool
        Convolutions and products in 16-bit brain floats.
    short : mapping, optional
        As :func:`msfa_core.networks.fused.short_convolutions` gives it for this network.

    Returns
    -------
    (n, n_classes) tensor
        Logits.
    """
    if is_fusible(model) and x.dtype == torch.float32 and len(x):
        return fused_logits(model, x, bf16=bf16, short=short)
    with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits: torch.Tensor = model(x)
    return logits


def class_probabilities(
    logits: NDArray[np.float64], temperature: float, temperature_among_others: float | None = None
) -> NDArray[np.float64]:
    """Return probabilities of stage 1, the classes other than the first with their own temperature.

    How sure the search is of BHB, and how sure it is which of the other classes a star has, are
    two questions: on real stars white dwarfs, hot subdwarfs and B stars are taken for each other
    more often than in simulations. No most probable class changes.

    Parameters
    ----------
    logits : (n, n_classes) array
    temperature : float
        Divides the outputs.
    temperature_among_others : float, optional
        Divides those of the other classes where their probability is shared among them; never
        less than ``temperature``, and this when not given.

    Returns
    -------
    (n, n_classes) array
    """
    hard = softmax(logits, temperature)
    if temperature_among_others is None:
        return hard
    first = hard[:, :1]
    rest = (1 - first) * softmax(logits[:, 1:], max(temperature, temperature_among_others))
    best = hard[:, 1:].argmax(axis=1)[:, None]
    likely, softer = (np.take_along_axis(p, best, axis=1) for p in (hard[:, 1:], rest))
    least = np.where(likely > first, np.minimum(likely, first * (1 + _AHEAD)), 0.0)
    room = np.where(likely > softer, likely - softer, 1.0)
    share = np.clip((least - softer) / room, 0, 1)  # of the harder one, to stay ahead of the first
    mixed: NDArray[np.float64] = np.hstack([first, share * hard[:, 1:] + (1 - share) * rest])
    return mixed


def softmax(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """(n, n_classes) probabilities of logits divided by a temperature."""
    scaled = logits / temperature
    exponential = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probability: NDArray[np.float64] = exponential / exponential.sum(axis=1, keepdims=True)
    return probability
