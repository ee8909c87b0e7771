"""A spectral transformer of our own: stretches of the spectrum that look at each other.

A convolution sees the lines in its reach; whether a star is on the horizontal branch shows in
lines that lie far apart (Balmer wings against Ca II K, Mg II, He I). Here each stretch of 27 pixels
(33 Å) becomes a token that knows its wavelength, and every token weighs every other. The network
has about as many parameters as MSFA-Net and needs a seventh of its arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.constants import NETWORK_GRID
from msfa_core.errors import ModelError

SPREAD_FLOOR: Final = 0.02  # of the [0, 1] flux, so that noise alone is not blown up
_LONGEST_PERIOD: Final = 2  # of the encoding, in lengths of the grid


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Size of the transformer.

    Attributes
    ----------
    n_classes : int
        5 in stage 1, 2 in stage 2.
    patch : int
        Pixels from token to token; divides 2430. A token sees half as many more at either side,
        so that no line is cut in two.
    width : int
        Length of a token; a multiple of twice the heads.
    depth : int
        Blocks.
    heads : int
    expansion : int
        Hidden units of a block's second half, in widths.
    dropout : float
        Before ``fc``.
    """

    n_classes: int = 5
    patch: int = 27
    width: int = 128
    depth: int = 4
    heads: int = 4
    expansion: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check that the values name a network that can be built."""
        if self.n_classes <= 1:
            raise ModelError(f"n_classes is {self.n_classes}; a classifier needs at least 2.")
        if self.patch < 1 or NETWORK_GRID.n_pixels % self.patch:
            raise ModelError(
                f"patch is {self.patch}; give a divisor of {NETWORK_GRID.n_pixels}, e.g. 27 or 30."
            )
        if min(self.width, self.depth, self.heads, self.expansion) < 1:
            raise ModelError(f"{self}: width, depth, heads and expansion are at least 1.")
        if self.width % (2 * self.heads):
            raise ModelError(
                f"width is {self.width}; give a multiple of twice the heads ({2 * self.heads})."
            )
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}; it lies in [0, 1).")

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for cards and checkpoints."""
        return asdict(self)


def wavelength_encoding(patch: int, width: int) -> Tensor:
    """Sines and cosines of the mean wavelength of each token.

    Parameters
    ----------
    patch : int
        Pixels of a token.
    width : int
        Even.

    Returns
    -------
    (token, width) float32 tensor
        Periods from two tokens to twice the grid, even in the logarithm.
    """
    wavelength = torch.from_numpy(NETWORK_GRID.wavelength).double()  # Å
    centre = wavelength.reshape(-1, patch).mean(dim=1) - wavelength[0]
    longest = _LONGEST_PERIOD * (wavelength[-1] - wavelength[0])
    shortest = 2 * patch * (wavelength[1] - wavelength[0])
    share = torch.linspace(0, 1, width // 2, dtype=torch.float64)
    period = longest * (shortest / longest) ** share
    phase = 2 * math.pi * centre[:, None] / period
    return torch.cat([phase.sin(), phase.cos()], dim=1).float()


class AttentionBlock(nn.Module):
    """Self-attention, then two layers per token, each beside a shortcut and normalised before.

    Parameters
    ----------
    width, heads, expansion : int
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, token, width) of (n, token, width)."""
        x = x + self._attend(self.norm1(x))
        return x + self.contract(functional.gelu(self.expand(self.norm2(x))))

    def _attend(self, x: Tensor) -> Tensor:
        """Each token's mean of all values, weighed by how its query fits their keys."""
        n, n_tokens, width = x.shape
        together = self.queries_keys_values(x).view(n, n_tokens, 3, self.heads, -1)
        together = together.to(torch.promote_types(together.dtype, torch.float32))
        query, key, value = together.permute(2, 0, 3, 1, 4)  # each (n, head, token, width/heads)
        with torch.autocast(x.device.type, enabled=False):  # bf16 is slower here on a processor
            seen = functional.scaled_dot_product_attention(query, key, value)
        return self.mix(seen.transpose(1, 2).reshape(n, n_tokens, width).to(x.dtype))


class SpectralTransformer(nn.Module):
    """Tokens of 27 pixels, four blocks of attention, mean of the tokens.

    Parameters
    ----------
    config : TransformerConfig
    """

    encoding: Tensor

    def __init__(self, config: TransformerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TransformerConfig()
        width = config.width
        self.margin = config.patch // 2
        self.embed = nn.Linear(config.patch + 2 * self.margin + 2, width)
        self.refine = nn.Linear(width, width)
        self.place = nn.Linear(width, width)
        self.register_buffer("encoding", wavelength_encoding(config.patch, width), persistent=False)
        self.blocks = nn.Sequential(
            *(AttentionBlock(width, config.heads, config.expansion) for _ in range(config.depth))
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(width, config.n_classes)

    def stretches(self, x: Tensor) -> Tensor:
        """Shape, mean and spread of each stretch, apart: lines count, whatever the continuum does.

        Returns
        -------
        (n, 90, 55) tensor
            53 pixels from which the mean is taken and which are divided by the spread, then both.
        """
        x = functional.pad(x, (self.margin, self.margin), mode="replicate").squeeze(1)
        x = x.unfold(-1, self.config.patch + 2 * self.margin, self.config.patch)  # (n, 90, 53)
        mean = x.mean(dim=-1, keepdim=True)
        spread = torch.sqrt((x - mean).square().mean(dim=-1, keepdim=True) + SPREAD_FLOOR**2)
        return torch.cat([(x - mean) / spread, mean, spread], dim=-1)

    def features(self, x: Tensor) -> Tensor:
        """Return the (n, 128) mean token of (n, 1, 2430) prepared spectra."""
        x = self.stretches(x)  # (n, 90, 55)
        x = self.refine(functional.gelu(self.embed(x)))  # (n, 90, 128)
        x = x + self.place(self.encoding)  # (n, 90, 128)
        x = self.blocks(x)  # (n, 90, 128)
        return self.norm(x).mean(dim=1)  # (n, 128)

    def forward(self, x: Tensor) -> Tensor:
        """Return the (n, n_classes) logits of (n, 1, 2430) prepared spectra."""
        return self.fc(self.dropout(self.features(x)))
