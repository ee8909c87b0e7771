"""MSFA-Net: multi-scale convolutions, spectral frequency attention, pyramid pooling (paper §IV).

``MSFANet.forward`` reads top to bottom beside Table 1. Shapes in comments are those of the full
network (``width=64``), as (n, channel, pixel).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.errors import ModelError

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
            nn.Conv1d(channels, channels // len(SCALES), kernel, padding="same")
            for kernel in SCALES
        )
        self.mix = nn.Conv1d(channels, channels, 1)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(BN(mix(branches)) + x), (n, channel, pixel) as given."""
        scales = torch.cat([branch(x) for branch in self.branches], dim=1)
        return functional.relu(self.norm(self.mix(scales)) + x)


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
            signal = x if x.dtype == torch.float64 else x.float()
            spectrum = torch.fft.rfft(signal, norm="ortho")
            amplitude = spectrum.abs()
            weight = self.weights(amplitude)[..., None]
            if self.fourier == "shortcut":
                return (signal * (1 + self.alpha * weight)).to(x.dtype)
            weighed = torch.polar(weight * amplitude, spectrum.angle())
            filtered = torch.fft.irfft(weighed, n=x.shape[-1], norm="ortho")
            return (signal + self.alpha * filtered).to(x.dtype)


class SPPBlock(nn.Module):
    """Spatial pyramid pooling: mean, standard deviation and minimum of 1, 2 and 4 bins."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel·7·3) statistics of (n, channel, pixel) features."""
        with torch.autocast(x.device.type, enabled=False):  # E[x²] − E[x]² needs the digits
            x = x if x.dtype == torch.float64 else x.float()
            square = x * x
            statistics = []
            for bins in SPP_BINS:
                mean = functional.adaptive_avg_pool1d(x, bins)
                variance = functional.adaptive_avg_pool1d(square, bins) - mean * mean
                statistics += [
                    mean,
                    torch.sqrt(functional.relu(variance) + SPP_FLOOR),
                    -functional.adaptive_max_pool1d(-x, bins),
                ]
            return torch.cat([s.flatten(1) for s in statistics], dim=1)


class GAPBlock(nn.Module):
    """Global average pooling, the ablation of pyramid pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel) means of (n, channel, pixel) features."""
        return x.mean(dim=-1)


def _widen(channels_in: int, channels_out: int) -> nn.Sequential:
    """1×1 convolution to more channels, normalised and rectified."""
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_out, 1), nn.BatchNorm1d(channels_out), nn.ReLU()
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
            nn.Conv1d(1, c1, STEM_KERNEL, padding="same", bias=False),
            nn.BatchNorm1d(c1),
            nn.ReLU(),
        )
        self.msfe_layer1 = nn.Sequential(MSBlock(c1), nn.MaxPool1d(2))
        self.msfe_layer2 = nn.Sequential(_widen(c1, c2), MSBlock(c2), nn.MaxPool1d(2))
        self.sfa_after_layer2 = self._sfa(c2, "msfe_layer2")
        self.msfa_layer = nn.Sequential(
            _widen(c2, c3), MSBlock(c3), self._sfa(c3, "msfa_layer"), nn.MaxPool1d(2)
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
