"""The spectral transformer: tokens that know their wavelength, attention over all of them."""

import math

import pytest
import torch
from pytest import approx
from torch import nn

from msfa_core.constants import NETWORK_GRID
from msfa_core.errors import ModelError
from msfa_core.networks.msfa_net import n_parameters
from msfa_core.networks.transformer import (
    AttentionBlock,
    SpectralTransformer,
    TransformerConfig,
    wavelength_encoding,
)

SMALL = TransformerConfig(width=16, depth=2, heads=2)


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(7)


@pytest.mark.parametrize("n_classes", [5, 2])
def test_the_parameters_are_those_of_the_layers(n_classes):
    d, window = 128, 27 + 2 * 13 + 2  # pixels, mean and spread
    tokens = (window * d + d) + (d * d + d) + (d * d + d)  # embed, refine, place
    attention = (d * 3 * d + 3 * d) + (d * d + d)
    two_layers = (d * 2 * d + 2 * d) + (2 * d * d + d)
    block = attention + two_layers + 2 * (2 * d)  # two layer norms
    expected = tokens + 4 * block + 2 * d + (d * n_classes + n_classes)
    assert n_parameters(SpectralTransformer(TransformerConfig(n_classes=n_classes))) == expected


def test_spectra_become_90_tokens_and_logits():
    model = SpectralTransformer(SMALL).eval()
    shapes = []
    model.blocks[0].register_forward_hook(lambda *args: shapes.append(tuple(args[-1].shape)))
    with torch.no_grad():
        assert model(torch.rand(3, 1, 2430)).shape == (3, 5)
    assert shapes == [(3, 90, 16)]


def test_a_token_sees_its_stretch_and_half_of_its_neighbours():
    model = SpectralTransformer(SMALL)
    x = torch.rand(1, 1, 2430, requires_grad=True)
    kept = []
    model.embed.register_forward_hook(lambda *args: kept.append(args[-1]))
    model(x)
    (gradient,) = torch.autograd.grad(kept[0][0, 10].sum(), x)
    seen = gradient[0, 0].nonzero().flatten()
    assert (int(seen[0]), int(seen[-1])) == (10 * 27 - 13, 11 * 27 + 13 - 1)


def test_the_shape_of_a_stretch_does_not_depend_on_level_and_scale():
    model = SpectralTransformer(SMALL)
    x = torch.rand(2, 1, 2430, dtype=torch.float64)
    stretches, other = model.stretches(x), model.stretches(0.3 + 0.5 * x)
    assert torch.allclose(stretches[..., :53], other[..., :53], rtol=0.02)
    assert torch.allclose(0.3 + 0.5 * stretches[..., 53], other[..., 53])
    window = x[0, 0, 10 * 27 - 13 : 11 * 27 + 13]
    assert torch.allclose(stretches[0, 10, 54] ** 2, window.var(correction=0) + 0.02**2)


def test_a_flat_stretch_has_finite_gradients():
    model = SpectralTransformer(SMALL)
    flat = torch.ones(1, 1, 2430, requires_grad=True)
    model(flat)[0, 0].backward()
    assert torch.isfinite(flat.grad).all()


def test_the_encoding_is_that_of_the_mean_wavelength_of_each_token():
    encoding = wavelength_encoding(27, 16)
    grid = NETWORK_GRID.wavelength
    longest = 2 * (grid[-1] - grid[0])
    for token in (0, 41, 89):
        centre = grid[27 * token : 27 * (token + 1)].mean() - grid[0]
        assert float(encoding[token, 0]) == approx(
            math.sin(2 * math.pi * centre / longest), abs=1e-6
        )
        assert float(encoding[token, 8]) == approx(
            math.cos(2 * math.pi * centre / longest), abs=1e-6
        )
    assert float(torch.cdist(encoding, encoding).fill_diagonal_(9).min()) > 0.1


def test_the_same_line_elsewhere_is_another_star():
    model = SpectralTransformer(SMALL).eval()
    spectrum = torch.ones(2, 1, 2430)
    spectrum[0, 0, 310:320] = 0.4
    spectrum[1, 0, 310 + 27 * 30 : 320 + 27 * 30] = 0.4  # at the same place within a token
    with torch.no_grad():
        here, there = model(spectrum)
        assert not torch.allclose(here, there, atol=1e-4)
        nn.init.zeros_(model.place.weight)  # without its wavelength a token is like any other
        here, there = model(spectrum)
    assert torch.allclose(here, there, atol=1e-5)


def test_attention_is_the_mean_of_values_weighed_by_the_fit_of_query_and_key():
    block = AttentionBlock(6, heads=1, expansion=2)
    x = torch.rand(2, 5, 6)
    query, key, value = block.queries_keys_values(x).chunk(3, dim=-1)
    weight = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(6), dim=-1)
    assert torch.allclose(block._attend(x), block.mix(weight @ value), atol=1e-6)


def test_gradients_reach_every_parameter():
    model = SpectralTransformer(SMALL).train()
    nn.functional.cross_entropy(model(torch.rand(8, 1, 2430)), torch.arange(8) % 5).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_bf16_gives_nearly_the_same_logits():
    model = SpectralTransformer().eval()
    x = torch.rand(4, 1, 2430)
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            short = model(x)
    assert torch.allclose(short.float(), exact, atol=0.03)


@pytest.mark.parametrize(
    "wrong",
    [{"n_classes": 1}, {"patch": 28}, {"width": 100}, {"depth": 0}, {"dropout": -0.1}],
)
def test_networks_that_cannot_be_built_are_refused(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        TransformerConfig(**wrong)
