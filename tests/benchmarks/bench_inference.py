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

from msfa_core.constants import PAPER_COUNTS
from msfa_core.networks.fused import short_convolutions
from msfa_core.networks.inference import logits_of, one_thread, predict_logits
from msfa_core.networks.msfa_net import SPP_BINS, MSFANet
from msfa_core.search.two_stages import TwoStageSearch
from msfa_core.training.on_simulations import simulated_set

pytestmark = pytest.mark.benchmark
BATCHES, PEER_BATCHES, ROUNDS, SIZE = (1, 2, 4, 8, 16, 32), (1, 96), 7, 1024
NO_BF16 = "this processor is slower in 16 bits"


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


@pytest.mark.peer
def test_inference_is_faster_than_plain_torch_and_gives_the_same_logits(model, benchmark, beside):
    short = short_convolutions(model)  # as the search does: once for all spectra

    def quick(x):
        return logits_of(model, x, short=short)

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
    for batch, theirs in peers.items():
        given = f"plain torch, batch {batch}"
        beside("one network", given, theirs, rates[best], "spectra/s", limit=limit / work)
    x = torch.rand(16, 1, 2430)
    benchmark.pedantic(lambda: quick(x), rounds=3)
    assert rates[best] > peer


@pytest.mark.peer
def test_bf16_is_faster_and_beside_its_own_limit(model, benchmark, beside):
    work, limit = operations(model), product_rate(torch.bfloat16)
    single = product_rate(torch.float32)
    task, peer, unit = "one network, 16 bits", "ours in 32 bits", "spectra/s"
    if limit < single:
        beside(task, peer, None, None, unit, note="no 16-bit products here")
        pytest.skip(NO_BF16)
    rates = {}
    for batch in BATCHES:
        x = torch.rand(batch, 1, 2430)
        rates[batch] = batch / seconds(lambda x=x: logits_of(model, x, bf16=True))
    best = max(rates, key=rates.get)
    short = short_convolutions(model)
    exact = 4 / seconds(lambda: logits_of(model, torch.rand(4, 1, 2430), short=short))
    beside(task, peer, exact, rates[best], unit, limit=limit / work)
    print(
        f"\nbf16, batch {best}: {rates[best]:.1f} spectra/s, {rates[best] / exact:.2f} times "
        f"float32, {rates[best] * work / single:.2f} of sgemm, {rates[best] * work / limit:.2f} of "
        f"the bf16 limit of {limit / 1e9:.0f} GFLOP/s"
    )
    x = torch.rand(16, 1, 2430)
    benchmark.pedantic(lambda: logits_of(model, x, bf16=True), rounds=3)
    assert rates[best] > exact


@pytest.mark.timeout(3600)  # an hour on a busy machine
def test_bf16_gives_the_same_classes_on_ten_thousand_spectra(benchmark):
    """The shipped weights on unseen simulated stars: the search in both precisions."""
    if product_rate(torch.bfloat16) < product_rate(torch.float32):
        pytest.skip(NO_BF16)
    data = simulated_set(seed=2025, multiplier=10_000 / sum(PAPER_COUNTS.values()))
    exact, short = TwoStageSearch.load(), TwoStageSearch.load(bf16=True)
    began = time.process_time()
    expected = exact.classify(data.prepared)
    middle = time.process_time()
    got = benchmark.pedantic(lambda: short.classify(data.prepared), rounds=1)
    spent = time.process_time() - middle
    differ = int((got.predicted_class != expected.predicted_class).sum())
    other = int((got.are_bhb() != expected.are_bhb()).sum())
    logits = [predict_logits(exact.stage1, data.flux[:2000], bf16=half) for half in (False, True)]
    print(
        f"\n{len(data)} spectra: {differ} other classes, {other} other candidates in bf16; "
        f"{(middle - began) / spent:.2f} times as fast; logits differ by up to "
        f"{np.abs(logits[0] - logits[1]).max():.3f}"
    )
    assert differ == other == 0
