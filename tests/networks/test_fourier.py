"""Fourier amplitudes by matrix products are those of the fast transform."""

import pytest
import torch

from msfa_core.networks.fourier import amplitude_spectrum


@pytest.mark.parametrize("length", [607, 608, 16, 33])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_products_and_transform_give_the_same_amplitudes(length, dtype, tolerance):
    torch.manual_seed(1)
    x = torch.rand(3, length, 5, dtype=dtype).transpose(1, 2)  # channels innermost
    expected = amplitude_spectrum(x)
    assert expected.shape == (3, 5, length // 2 + 1)
    assert torch.allclose(expected, torch.fft.rfft(x, norm="ortho").abs())
    with torch.no_grad():
        for layout in (x, x.contiguous()):
            found = amplitude_spectrum(layout)
            assert torch.allclose(found, expected, rtol=0, atol=tolerance * float(expected.max()))


def test_the_gradient_of_a_silent_channel_is_finite():
    x = torch.zeros(1, 2, 607, requires_grad=True)
    amplitude_spectrum(x).sum().backward()
    assert torch.isfinite(x.grad).all()
