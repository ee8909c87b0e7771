"""Fourier amplitudes of feature maps whose channels lie innermost in memory.

With autograd or on a GPU the amplitudes are those of ``torch.fft``. For inference on a processor
they are two matrix products over the even and odd parts of the signal: the length in MSFA-Net,
607, is a prime number, the worst case of a fast transform, and no transposition is needed.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def amplitude_spectrum(x: Tensor) -> Tensor:
    """Amplitudes of the orthonormal real Fourier transform.

    Parameters
    ----------
    x : (n, channel, pixel) float32 or float64 tensor

    Returns
    -------
    (n, channel, frequency) tensor
        pixel // 2 + 1 frequencies.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return torch.fft.rfft(x, norm="ortho").abs()
    return _by_products(x)


def _by_products(x: Tensor) -> Tensor:
    """|X|² = (cos·even part)² + (sin·odd part)²; half the arithmetic of a plain matrix product."""
    length = x.shape[-1]
    cosine, sine = _matrices(length, x.dtype)
    signal = x.transpose(1, 2)  # (n, pixel, channel), contiguous when channels lie innermost
    half = (length - 1) // 2  # pixels 1 … half have a partner: pixel length − k
    partner = signal[:, length - half :].flip(1)
    even = signal[:, : length // 2 + 1].clone()
    even[:, 1 : half + 1] += partner
    odd = signal[:, 1 : half + 1] - partner
    power = torch.matmul(cosine, even).square_()  # (n, frequency, channel)
    power += torch.matmul(sine, odd).square_()
    return power.sqrt_().transpose(1, 2)


@lru_cache(maxsize=8)
def _matrices(length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines of the even and sines of the odd part, orthonormal: (frequency, half pixel)."""
    frequency = torch.arange(length // 2 + 1)[:, None]
    pixel = torch.arange(length // 2 + 1)[None]
    turns = (frequency * pixel % length).double() * (2 * torch.pi / length)
    half = (length - 1) // 2
    scale = length**-0.5
    cosine, sine = turns.cos() * scale, turns[:, 1 : half + 1].sin() * scale
    return cosine.to(dtype), sine.to(dtype).contiguous()
