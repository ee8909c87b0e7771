"""Networks that MSFA-Net is compared with (paper Tables 3 and 4), along one dimension.

Depth, kernels and channels are the classical ones. What had to be chosen is chosen alike for all:
convolutions pad to keep the length, spectra get one pixel of padding at each end (2432 = 2⁷·19
pixels, which halve evenly), weights start as He et al. (2015) draw them, and the first fully
connected layers of AlexNet and VGG11, made for images of 6×6 or 7×7 places, have an eighth of
their 4096 units for the 6 or 7 places of a spectrum.

The plain CNN and BHBNet are **our reading**: the paper names them without their layers, and no
public description of BHBNet was found. Their figures say how networks of this kind and size do,
not how the published ones do.

As in MSFA-Net, convolutions are those of images of height one: (n, channel, 1, pixel). Shapes in
comments are those of ``width=64``, as (n, channel, pixel).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.errors import ModelError

BaselineName = Literal["cnn", "alexnet", "vgg11", "resnet18", "bhbnet"]

WIDTH_STEP: Final = 8  # widths are halved and divided by the reduction of the attention
CNN_PLACES: Final = 8
ALEXNET_PLACES: Final = 6  # Krizhevsky et al. (2012), as in torchvision
VGG_PLACES: Final = 7  # Simonyan & Zisserman (2015)
BHBNET_KERNEL: Final = 7
BHBNET_REDUCTION: Final = 8


@dataclass(frozen=True, slots=True)
class BaselineConfig:
    """One of the networks of comparison; the defaults have their classical size.

    Attributes
    ----------
    name : {"cnn", "alexnet", "vgg11", "resnet18", "bhbnet"}
    n_classes : int
        5 in stage 1, 2 in stage 2.
    width : int
        Channels of the first layer (twice those of BHBNet's); all others follow. A multiple
        of 8.
    dropout : float
        In the fully connected layers and before ``fc``; ResNet18 has none.
    """

    name: BaselineName
    n_classes: int = 5
    width: int = 64
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Check that the values name a network that can be built."""
        if self.name not in get_args(BaselineName):
            raise ModelError(
                f"name is {self.name!r}; choose one of {', '.join(get_args(BaselineName))}."
            )
        if self.n_classes <= 1:
            raise ModelError(f"n_classes is {self.n_classes}; a classifier needs at least 2.")
        if self.width <= 0 or self.width % WIDTH_STEP:
            raise ModelError(f"width is {self.width}; give a positive multiple of {WIDTH_STEP}.")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}; it lies in [0, 1).")

    def as_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values, for cards and checkpoints."""
        return asdict(self)


def _conv(
    channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, bias: bool = True
) -> nn.Conv2d:
    """Convolution along the spectrum; a stride divides an even length exactly."""
    conv = nn.Conv2d(
        channels_in,
        channels_out,
        (1, kernel),
        stride=(1, stride),
        padding=(0, kernel // 2),
        bias=bias,
    )
    conv.weight.data = conv.weight.data.contiguous(memory_format=torch.channels_last)
    return conv


def _pool(kernel: int, stride: int | None = None) -> nn.MaxPool2d:
    """Maximum of each ``kernel`` pixels; an even length is divided exactly."""
    stride = stride or kernel
    return nn.MaxPool2d((1, kernel), (1, stride), (0, (kernel - stride + 1) // 2))


def _places(n_places: int) -> nn.AdaptiveAvgPool2d:
    """Means of so many stretches of the spectrum."""
    return nn.AdaptiveAvgPool2d((1, n_places))


def _rectified(conv: nn.Conv2d) -> list[nn.Module]:
    """Convolution and ReLU."""
    return [conv, nn.ReLU(inplace=True)]


def _normalised(conv: nn.Conv2d) -> list[nn.Module]:
    """Convolution, batch normalisation and ReLU."""
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True)]


class Baseline(nn.Module):
    """Layers that give features of (n, 1, 1, 2432) spectra, then ``fc``.

    Parameters
    ----------
    config : BaselineConfig
    layers : Sequential
        Ends in (n, feature).
    n_features : int
    """

    def __init__(self, config: BaselineConfig, layers: nn.Sequential, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.layers = layers
        self.fc = nn.Linear(n_features, config.n_classes)
        self.apply(_draw_weights)

    def features(self, x: Tensor) -> Tensor:
        """Return the (n, feature) input of ``fc`` of (n, 1, 2430) prepared spectra."""
        x = functional.pad(x[:, :, None], (1, 1))  # (n, 1, 2432)
        return self.layers(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        """Return the (n, n_classes) logits of (n, 1, 2430) prepared spectra."""
        return self.fc(self.features(x))


def _draw_weights(module: nn.Module) -> None:
    """Weights as He et al. (2015) draw them for ReLU; no bias."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class CNN(Baseline):
    """Plain convolutional network, our reading: three convolutions and a hidden layer."""

    def __init__(self, config: BaselineConfig) -> None:
        w = config.width
        layers = nn.Sequential(
            *_rectified(_conv(1, w, 9)),  # (n, 64, 2432)
            _pool(4),  # (n, 64, 608)
            *_rectified(_conv(w, 2 * w, 7)),  # (n, 128, 608)
            _pool(4),  # (n, 128, 152)
            *_rectified(_conv(2 * w, 4 * w, 5)),  # (n, 256, 152)
            _pool(4),  # (n, 256, 38)
            _places(CNN_PLACES),  # (n, 256, 8)
            nn.Flatten(),  # (n, 2048)
            nn.Linear(4 * w * CNN_PLACES, 2 * w),  # (n, 128)
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
        )
        super().__init__(config, layers, 2 * w)


class AlexNet(Baseline):
    """AlexNet (Krizhevsky et al. 2012) in the one-column form of torchvision."""

    def __init__(self, config: BaselineConfig) -> None:
        w, hidden = config.width, 8 * config.width
        layers = nn.Sequential(
            *_rectified(_conv(1, w, 11, stride=4)),  # (n, 64, 608)
            _pool(3, 2),  # (n, 64, 304)
            *_rectified(_conv(w, 3 * w, 5)),  # (n, 192, 304)
            _pool(3, 2),  # (n, 192, 152)
            *_rectified(_conv(3 * w, 6 * w, 3)),  # (n, 384, 152)
            *_rectified(_conv(6 * w, 4 * w, 3)),  # (n, 256, 152)
            *_rectified(_conv(4 * w, 4 * w, 3)),  # (n, 256, 152)
            _pool(3, 2),  # (n, 256, 76)
            _places(ALEXNET_PLACES),  # (n, 256, 6)
            *_classical_head(4 * w * ALEXNET_PLACES, hidden, config.dropout),  # (n, 512)
        )
        super().__init__(config, layers, hidden)


class VGG11(Baseline):
    """VGG11 (Simonyan & Zisserman 2015, column A), with the batch normalisation of later years."""

    def __init__(self, config: BaselineConfig) -> None:
        w, hidden = config.width, 8 * config.width
        layers = nn.Sequential(
            *_normalised(_conv(1, w, 3)),  # (n, 64, 2432)
            _pool(2),  # (n, 64, 1216)
            *_normalised(_conv(w, 2 * w, 3)),  # (n, 128, 1216)
            _pool(2),  # (n, 128, 608)
            *_normalised(_conv(2 * w, 4 * w, 3)),  # (n, 256, 608)
            *_normalised(_conv(4 * w, 4 * w, 3)),
            _pool(2),  # (n, 256, 304)
            *_normalised(_conv(4 * w, 8 * w, 3)),  # (n, 512, 304)
            *_normalised(_conv(8 * w, 8 * w, 3)),
            _pool(2),  # (n, 512, 152)
            *_normalised(_conv(8 * w, 8 * w, 3)),  # (n, 512, 152)
            *_normalised(_conv(8 * w, 8 * w, 3)),
            _pool(2),  # (n, 512, 76)
            _places(VGG_PLACES),  # (n, 512, 7)
            *_classical_head(8 * w * VGG_PLACES, hidden, config.dropout),  # (n, 512)
        )
        super().__init__(config, layers, hidden)


def _classical_head(n_features: int, hidden: int, dropout: float) -> list[nn.Module]:
    """Two fully connected layers before the last, as in AlexNet and VGG."""
    return [
        nn.Flatten(),
        nn.Linear(n_features, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
    ]


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016).

    Parameters
    ----------
    channels_in, channels_out : int
    stride : int
        Of the first convolution; the shortcut is then a 1×1 convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_normalised(_conv(channels_in, channels_out, 3, stride, bias=False)),
            _conv(channels_out, channels_out, 3, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                _conv(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return ReLU(branch + shortcut)."""
        return functional.relu(self.branch(x) + self.shortcut(x))


class ResNet18(Baseline):
    """ResNet18 (He et al. 2016)."""

    def __init__(self, config: BaselineConfig) -> None:
        w = config.width
        layers = nn.Sequential(
            *_normalised(_conv(1, w, 7, stride=2, bias=False)),  # (n, 64, 1216)
            _pool(3, 2),  # (n, 64, 608)
            BasicBlock(w, w),
            BasicBlock(w, w),  # (n, 64, 608)
            BasicBlock(w, 2 * w, stride=2),
            BasicBlock(2 * w, 2 * w),  # (n, 128, 304)
            BasicBlock(2 * w, 4 * w, stride=2),
            BasicBlock(4 * w, 4 * w),  # (n, 256, 152)
            BasicBlock(4 * w, 8 * w, stride=2),
            BasicBlock(8 * w, 8 * w),  # (n, 512, 76)
            _places(1),
            nn.Flatten(),  # (n, 512)
        )
        super().__init__(config, layers, 8 * w)


class ChannelAttention(nn.Module):
    """Channels weighed by their means (squeeze and excitation, Hu et al. 2018).

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // BHBNET_REDUCTION)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (n, channel, 1, pixel) features times weights in (0, 1)."""
        mean = x.mean(dim=(-2, -1))  # (n, channel)
        weight = torch.sigmoid(self.excite(functional.relu(self.squeeze(mean))))
        return x * weight[..., None, None]


class BHBNet(Baseline):
    """BHBNet, our reading: four stages of two wide convolutions with channel attention.

    A network made for the broad Balmer lines of BHB stars by someone else; its layers could not
    be read, so this stands for a compact network of its time: kernels of 7 pixels, batch
    normalisation, squeeze and excitation, global average pooling.
    """

    def __init__(self, config: BaselineConfig) -> None:
        w = config.width // 2
        layers = nn.Sequential(
            *_bhbnet_stage(1, w),  # (n, 32, 608)
            *_bhbnet_stage(w, 2 * w),  # (n, 64, 152)
            *_bhbnet_stage(2 * w, 4 * w),  # (n, 128, 38)
            *_bhbnet_stage(4 * w, 8 * w),  # (n, 256, 9)
            _places(1),
            nn.Flatten(),  # (n, 256)
            nn.Dropout(config.dropout),
        )
        super().__init__(config, layers, 8 * w)


def _bhbnet_stage(channels_in: int, channels_out: int) -> list[nn.Module]:
    """Two convolutions, attention, a quarter of the pixels."""
    return [
        *_normalised(_conv(channels_in, channels_out, BHBNET_KERNEL, bias=False)),
        *_normalised(_conv(channels_out, channels_out, BHBNET_KERNEL, bias=False)),
        ChannelAttention(channels_out),
        _pool(4),
    ]


BASELINES: Final[dict[BaselineName, type[CNN | AlexNet | VGG11 | ResNet18 | BHBNet]]] = {
    "cnn": CNN,
    "alexnet": AlexNet,
    "vgg11": VGG11,
    "resnet18": ResNet18,
    "bhbnet": BHBNet,
}
