"""The short convolution is the convolution, normalised, with its residual, rectified and halved."""

import pytest
import torch
from torch.nn import functional

from msfa_core.networks.short_convolution import ShortConvolution


def drawn(channels, seed=1):
    torch.manual_seed(seed)
    weight = torch.randn(channels, channels, 7) * 0.1
    return weight, torch.randn(channels), torch.rand(channels) + 0.5, torch.randn(channels)


def expected(x, weight, bias, scale, shift):
    """(n, row, channel) in double precision, by the definition."""
    signal = x.double().transpose(1, 2)
    out = functional.conv1d(signal, weight.double(), bias.double(), padding=3)
    out = out * scale.double()[:, None] + shift.double()[:, None]
    return torch.relu(out + signal).transpose(1, 2)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 7, 11, 12, 13, 14, 30, 607])
def test_it_is_the_convolution_for_any_number_of_rows(n_rows):
    parts = drawn(8)
    x = torch.randn(2, n_rows + n_rows % 2, 8)
    x[:, n_rows:] = 1e3  # no pixels: whatever stands there is not seen
    truth = expected(x[:, :n_rows], *parts)
    whole = ShortConvolution.of(*parts).rectified(x, n_rows, halve=False)
    assert whole.shape == x.shape
    assert torch.allclose(whole[:, :n_rows].double(), truth, rtol=1e-5, atol=2e-5)
    assert (whole[:, n_rows:] == 0).all()
    halved = ShortConvolution.of(*parts).rectified(x, n_rows, halve=True)
    kept = n_rows // 2
    pairs = truth[:, : 2 * kept].unflatten(1, (kept, 2)).amax(dim=2)
    assert halved.shape == (2, kept + kept % 2, 8)
    assert torch.allclose(halved[:, :kept].double(), pairs, rtol=1e-5, atol=2e-5)
    assert (halved[:, kept:] == 0).all()


def test_its_rounding_is_that_of_single_precision_in_the_widest_block():
    parts = drawn(256, seed=3)
    x = torch.relu(torch.randn(1, 100, 256))
    truth = expected(x, *parts)
    found = ShortConvolution.of(*parts).rectified(x, 100, halve=False)
    assert (found - truth).abs().max() < 2e-5 * truth.abs().max()
