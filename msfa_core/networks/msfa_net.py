"""MSFA-Net: multi-scale convolutions, spectral frequency attention, pyramid pooling (paper §IV).

``MSFANet.forward`` reads top to bottom beside Table 1. Shapes in comments are those of the full
network (``width=64``), as (n, channel, pixel).

The convolutions along the spectrum are written as those of images of height one, with channels
innermost in memory: the same numbers and weights, at the speed of matrix products, where the
one-dimensional ones of torch reach about half of it. Between layers, tensors therefore have the
shape (n, channel, 1, pixel).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.errors import ModelError
from msfa_core.networks.fourier import amplitude_spectrum

Pooling = Literal["spp", "gap"]
SFAPlace = Literal["msfa_layer", "msfe_layer2"]
Fourier = Literal["shortcut", "explicit"]

STEM_KERNEL: Final = 31
SCALES: Final = (3, 5, 7, 1)  # kernels of the four branches, in the order of concatenation
SFA_BANDS: Final = 16
SFA_MIN_WEIGHT: Final = 0.3  # of the least band in the descriptor, beside the mean of all
SFA_ALPHA: Final = 0.1  # where the learnable share of the filtered signal starts
SPP_BINS: Final = (1, 2, 4)
SPP_FLOOR: Final = 1e-8  # under the root of the variance
SPP_STATISTICS: Final = 3  # mean, standard deviation, minimum


@dataclass(frozen=True, slots=True)
class MSFANetConfig:
    """One member of the family; the defaults are the network of the paper.

    Attributes
    ----------
    n_classes : int
        5 in stage 1 (BHB, A, B, HSD, WD), 2 in stage 2 (BHB, not BHB).
    pooling : {"spp", "gap"}
        Spatial pyramid pooling, or global average pooling (ablation).
    sfa_after : {"msfa_layer", "msfe_layer2", None}
        Where spectral frequency attention acts: in the MSFA-Layer, after MSFE-Layer2
        (ablation), or nowhere (MS-ResNet, ablation).
    width : int
        Channels of the stem; the layers have 1, 2 and 4 times as many. A multiple of 4.
    fourier : {"shortcut", "explicit"}
        How the attention is computed: x·(1 + α·w), or by way of the inverse transform. Both
        are the same function of the same weights.
    dropout : float
        Share of pooled features dropped in training.
    reduction : int
        Bottleneck of the attention: 256 → 256/reduction → 256.
    """

    n_classes: int = 5
    pooling: Pooling = "spp"
    sfa_after: SFAPlace | None = "msfa_layer"
    width: int = 64
    fourier: Fourier = "shortcut"
    dropout: float = 0.5
    reduction: int = 8

    def __post_init__(self) -> None:
        """Check that the values name a network that can be built."""
        for name, allowed in (
            ("pooling", get_args(Pooling)),
            ("sfa_after", (*get_args(SFAPlace), None)),
            ("fourier", get_args(Fourier)),
        ):
            if getattr(self, name) not in allowed:
                raise ModelError(
                    f"{name} is {getattr(self, name)!r}; choose one of "
                    f"{', '.join(map(repr, allowed))}."
                )
        if self.width <= 0 or self.width % len(SCALES):
            raise ModelError(f"width is {self.width}; give a positive multiple of {len(SCALES)}.")
        if self.n_classes <= 1:
            raise ModelError(f"n_classes is {self.n_classes}; a classifier needs at least 2.")
        if not 0 <= self.dropout < 1 or self.reduction < 1:
            raise ModelError(
                f"dropout is {self.dropout} and reduction {self.reduction}; dropout lies in "
                "[0, 1), reduction is at least 1."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for cards and checkpoints."""
        return asdict(self)


class PixelConv(nn.Linear):
    """1×1 convolution as the matrix product that it is: every pixel's channels are mixed alike."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel, 1, pixel) of (n, channel, 1, pixel)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _conv(channels_in: int, channels_out: int, kernel: int, *, bias: bool = True) -> nn.Module:
    """Convolution along the spectrum that keeps its length."""
    if kernel == 1:
        return PixelConv(channels_in, channels_out, bias=bias)
    conv = nn.Conv2d(channels_in, channels_out, (1, kernel), padding=(0, kernel // 2), bias=bias)
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    return conv


class Halve(nn.MaxPool2d):
    """Maximum of each two pixels; an odd last one is dropped."""

    def __init__(self) -> None:
        super().__init__((1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel, 1, pixel // 2)."""
        if torch.is_grad_enabled():
            return super().forward(x)
        even = x.shape[-1] // 2 * 2  # without the search for indices that gradients need
        return torch.maximum(x[..., 0:even:2], x[..., 1:even:2])


def _full_precision(x: Tensor) -> Tensor:
    """Half-precision features as float32; float32 and float64 as they are."""
    return x if x.dtype == torch.float64 else x.float()


class MSBlock(nn.Module):
    """Multi-scale residual block: four kernel sizes side by side, mixed by a 1×1 convolution.

    Parameters
    ----------
    channels : int
        Channels in and out; each branch gives a quarter of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _conv(channels, channels // len(SCALES), kernel) for kernel in SCALES
        )
        self.mix = _conv(channels, channels, 1)
        self.norm: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(BN(mix(branches)) + x), of the shape of x."""
        scales = torch.cat([branch(x) for branch in self.branches], dim=1)
        mixed = self.norm(self.mix(scales))
        return functional.relu(mixed.add_(x), inplace=True)


class SFABlock(nn.Module):
    """Spectral frequency attention: channels weighed by the strength of their Fourier bands.

    The weight w is one number per channel and the phase is kept, so the filtered signal
    irfft(w·A·e^{iφ}) is w·x: ``fourier="shortcut"`` uses that, ``"explicit"`` transforms back.

    Parameters
    ----------
    channels : int
    reduction : int
        Bottleneck of the two weight matrices.
    fourier : {"shortcut", "explicit"}
    """

    def __init__(self, channels: int, reduction: int = 8, fourier: Fourier = "shortcut") -> None:
        super().__init__()
        self.fourier = fourier
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)
        self.alpha = nn.Parameter(torch.tensor(SFA_ALPHA))

    def weights(self, amplitude: Tensor) -> Tensor:
        """Return the (n, channel) weights in (0, 1) of (n, channel, frequency) amplitudes."""
        bands = functional.adaptive_avg_pool1d(amplitude, SFA_BANDS)
        descriptor = bands.mean(dim=-1) + SFA_MIN_WEIGHT * bands.amin(dim=-1)
        return torch.sigmoid(self.excite(functional.relu(self.squeeze(descriptor))))

    def forward(self, x: Tensor) -> Tensor:
        """Return x + α·x_f, where x_f holds the channels weighed in Fourier space."""
        with torch.autocast(x.device.type, enabled=False):  # no FFT in half precision
            signal = _full_precision(x).squeeze(2)  # (n, channel, pixel)
            if self.fourier == "shortcut":
                weight = self.weights(amplitude_spectrum(signal))[..., None]
                out = signal * (1 + self.alpha * weight)
            else:
                spectrum = torch.fft.rfft(signal, norm="ortho")
                amplitude = spectrum.abs()
                weight = self.weights(amplitude)[..., None]
                weighed = torch.polar(weight * amplitude, spectrum.angle())
                filtered = torch.fft.irfft(weighed, n=x.shape[-1], norm="ortho")
                out = signal + self.alpha * filtered
            return out.to(x.dtype).unsqueeze(2)


class SPPBlock(nn.Module):
    """Spatial pyramid pooling: mean, standard deviation and minimum of 1, 2 and 4 bins."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel·7·3) statistics of (n, channel, 1, pixel) features."""
        with torch.autocast(x.device.type, enabled=False):  # E[x²] − E[x]² needs the digits
            x = _full_precision(x).squeeze(2)  # (n, channel, pixel)
            length = x.shape[-1]
            bins = [
                slice(i * length // n, -(-(i + 1) * length // n))
                for n in SPP_BINS
                for i in range(n)
            ]
            # Bins overlap by pixels, so each statistic is first taken between all their edges.
            edges = sorted({edge for b in bins for edge in (b.start, b.stop)})
            parts = x.split([stop - start for start, stop in pairwise(edges)], dim=-1)
            total = torch.stack([part.sum(dim=-1) for part in parts], dim=-1)
            square = torch.stack([part.square().sum(dim=-1) for part in parts], dim=-1)
            least = torch.stack([part.amin(dim=-1) for part in parts], dim=-1)
            statistics = []
            for b in bins:
                inside = slice(edges.index(b.start), edges.index(b.stop))
                n_pixels = b.stop - b.start
                mean = total[..., inside].sum(dim=-1) / n_pixels
                variance = square[..., inside].sum(dim=-1) / n_pixels - mean * mean
                deviation = torch.sqrt(functional.relu(variance) + SPP_FLOOR)
                statistics += [mean, deviation, least[..., inside].amin(dim=-1)]
            return torch.cat(statistics, dim=1)


class GAPBlock(nn.Module):
    """Global average pooling, the ablation of pyramid pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel) means of (n, channel, 1, pixel) features."""
        return _full_precision(x).mean(dim=(-2, -1))


def _widen(channels_in: int, channels_out: int) -> nn.Sequential:
    """1×1 convolution to more channels, normalised and rectified."""
    return nn.Sequential(
        _conv(channels_in, channels_out, 1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class MSFANet(nn.Module):
    """The classifier of both stages.

    Parameters
    ----------
    config : MSFANetConfig
    """

    def __init__(self, config: MSFANetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MSFANetConfig()
        c1, c2, c3 = config.width, 2 * config.width, 4 * config.width
        self.stem = nn.Sequential(
            _conv(1, c1, STEM_KERNEL, bias=False), nn.BatchNorm2d(c1), nn.ReLU(inplace=True)
        )
        self.msfe_layer1 = nn.Sequential(MSBlock(c1), Halve())
        self.msfe_layer2 = nn.Sequential(_widen(c1, c2), MSBlock(c2), Halve())
        self.sfa_after_layer2 = self._sfa(c2, "msfe_layer2")
        self.msfa_layer = nn.Sequential(
            _widen(c2, c3), MSBlock(c3), self._sfa(c3, "msfa_layer"), Halve()
        )
        features = c3 * sum(SPP_BINS) * SPP_STATISTICS if config.pooling == "spp" else c3
        self.pooling = SPPBlock() if config.pooling == "spp" else GAPBlock()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(features, config.n_classes)

    def _sfa(self, channels: int, place: SFAPlace) -> nn.Module:
        """Attention where the configuration wants it, else nothing."""
        if self.config.sfa_after != place:
            return nn.Identity()
        return SFABlock(channels, self.config.reduction, self.config.fourier)

    def features(self, x: Tensor) -> Tensor:
        """Return the (n, 5376) pooled features of (n, 1, 2430) prepared spectra."""
        x = x[:, :, None].contiguous(memory_format=torch.channels_last)
        x = self.stem(x)  # (n, 64, 2430)
        x = self.msfe_layer1(x)  # (n, 64, 1215)
        x = self.msfe_layer2(x)  # (n, 128, 607)
        x = self.sfa_after_layer2(x)  # (n, 128, 607), only in the ablation
        x = self.msfa_layer(x)  # (n, 256, 303)
        return self.pooling(x)  # (n, 5376)

    def forward(self, x: Tensor) -> Tensor:
        """Return the (n, n_classes) logits of (n, 1, 2430) prepared spectra."""
        x = self.features(x)  # (n, 5376)
        x = self.dropout(x)  # (n, 5376)
        return self.fc(x)  # (n, n_classes)


def n_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
