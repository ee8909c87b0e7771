"""MSFA-Net inference beside plain one-dimensional torch, and beside the limit of the processor.

The limit is what matrix products of this very process reach: single precision for float32, brain
floats for bf16. The peer is the network as one would write it first: Conv1d, BatchNorm1d,
adaptive pooling, fast Fourier transform, in a batch of 96 as in training.
"""

import statistics
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from msfa_core.networks.inference import folded, one_thread
from msfa_core.networks.msfa_net import SPP_BINS, MSFANet

pytestmark = pytest.mark.benchmark
BATCHES, PEER_BATCHES, ROUNDS, SIZE = (1, 2, 4, 8, 16, 32), (1, 96), 7, 1024


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    network = MSFANet().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread(), torch.inference_mode():
        yield


def seconds(function, rounds=ROUNDS):
    """Median seconds of CPU time."""
    function()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        spent.append(time.process_time() - began)
    return statistics.median(spent)


def product_rate(dtype):
    """Operations per second of square matrix products."""
    one, other = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / seconds(lambda: one @ other)


def operations(model):
    """Operations of all convolutions and matrix products of one spectrum, counted by hooks."""
    count, handles = 0, []

    def add(module, inputs, output):
        nonlocal count
        taps = int(np.prod(getattr(module, "kernel_size", (1,))))
        channels_in = module.weight.shape[1]
        count += 2 * channels_in * taps * output.numel() // len(inputs[0])

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            handles.append(module.register_forward_hook(add))
    model(torch.rand(1, 1, 2430))
    for handle in handles:
        handle.remove()
    return count


def plain(model, x):
    """The same network in the plain operations of sequences."""

    def conv(layer, signal):
        weight = layer.weight
        weight = weight[:, :, 0] if weight.dim() == 4 else weight[:, :, None]
        return functional.conv1d(signal, weight, layer.bias, padding=weight.shape[-1] // 2)

    def norm(layer, signal):
        return functional.batch_norm(
            signal, layer.running_mean, layer.running_var, layer.weight, layer.bias
        )

    def block(layer, signal):
        scales = torch.cat([conv(branch, signal) for branch in layer.branches], dim=1)
        return torch.relu(norm(layer.norm, conv(layer.mix, scales)) + signal)

    def widen(layers, signal):
        return torch.relu(norm(layers[1], conv(layers[0], signal)))

    def attend(layer, signal):
        weight = layer.weights(torch.fft.rfft(signal, norm="ortho").abs())
        return signal * (1 + layer.alpha * weight[..., None])

    x = widen(model.stem, x)
    x = functional.max_pool1d(block(model.msfe_layer1[0], x), 2)
    x = functional.max_pool1d(block(model.msfe_layer2[1], widen(model.msfe_layer2[0], x)), 2)
    x = block(model.msfa_layer[1], widen(model.msfa_layer[0], x))
    x = functional.max_pool1d(attend(model.msfa_layer[2], x), 2)
    parts = []
    for bins in SPP_BINS:
        mean = functional.adaptive_avg_pool1d(x, bins)
        variance = functional.adaptive_avg_pool1d(x * x, bins) - mean * mean
        least = -functional.adaptive_max_pool1d(-x, bins)
        deviation = torch.sqrt(torch.relu(variance) + 1e-8)
        parts += [torch.stack([mean, deviation, least], dim=1).permute(0, 3, 1, 2).flatten(1)]
    return model.fc(torch.cat(parts, dim=1))


def test_inference_is_faster_than_plain_torch_and_gives_the_same_logits(model, benchmark):
    quick = folded(model)
    spectra = torch.rand(8, 1, 2430)
    assert torch.allclose(quick(spectra), plain(model, spectra), atol=1e-5)
    work = operations(model)
    limit = product_rate(torch.float32)
    peers = {}
    for batch in PEER_BATCHES:
        x = torch.rand(batch, 1, 2430)
        peers[batch] = batch / seconds(lambda x=x: plain(model, x), 3)
    rates = {}
    for batch in BATCHES:
        x = torch.rand(batch, 1, 2430)
        rates[batch] = batch / seconds(lambda x=x: quick(x))
    limit = (limit + product_rate(torch.float32)) / 2
    best = max(rates, key=rates.get)
    peer = max(peers.values())
    print(f"\n{work / 1e9:.3f} GFLOP a spectrum; sgemm here {limit / 1e9:.0f} GFLOP/s")
    for batch, rate in peers.items():
        print(
            f"plain torch, batch {batch:3d} {rate:7.1f} spectra/s {rate * work / 1e9:6.1f} GFLOP/s"
        )
    for batch, rate in rates.items():
        figures = f"{rate:7.1f} spectra/s {rate * work / 1e9:6.1f} GFLOP/s"
        print(f"ours, batch {batch:3d}        {figures}, {rate * work / limit:.2f} of sgemm")
    print(f"best: batch {best}, ratio to plain torch {rates[best] / peer:.2f}")
    x = torch.rand(16, 1, 2430)
    benchmark.pedantic(lambda: quick(x), rounds=3)
    assert rates[best] > peer


def test_bf16_is_faster_and_gives_the_same_classes(model, benchmark):
    quick = folded(model)
    x = torch.rand(16, 1, 2430)

    def short():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return quick(x)

    exact, limit = seconds(lambda: quick(x)), product_rate(torch.bfloat16)
    bf16 = seconds(short)
    work = operations(model)
    print(
        f"\nbf16, batch 16: {16 / bf16:.1f} spectra/s, {exact / bf16:.2f} times float32, "
        f"{16 / bf16 * work / limit:.2f} of the bf16 limit of {limit / 1e9:.0f} GFLOP/s"
    )
    benchmark.pedantic(short, rounds=3)
    logits = quick(x)
    ordered = logits.sort(dim=1).values
    clear = ordered[:, -1] - ordered[:, -2] > 0.05
    assert torch.equal(short()[clear].argmax(dim=1), logits[clear].argmax(dim=1))
