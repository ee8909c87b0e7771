"""The loss of the paper (§IV.5) and what can be done to spectra while training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.errors import TrainingError

LABEL_SMOOTHING: Final = 0.1


def class_weights(label: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """(n_classes,) weights 1/ln(N_c + 2) of the training spectra per class."""
    return 1 / np.log(np.bincount(label, minlength=n_classes) + 2.0)


class SmoothedLoss(nn.Module):
    """Weighted cross-entropy with label smoothing: −(1/N) Σ_i Σ_k w_k q_i(k) ln p_i(k).

    The target q is 1 − ε for the true class and ε/(K − 1) for each other; the weights multiply
    it class by class and are not normalised.

    Parameters
    ----------
    weight : (n_classes,) array
    smoothing : float
        ε.
    """

    weight: Tensor

    def __init__(self, weight: NDArray[np.float64], smoothing: float = LABEL_SMOOTHING) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("weight", torch.as_tensor(weight, dtype=torch.float32))

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of (n, n_classes) logits and (n,) labels."""
        n_classes = logits.shape[1]
        target = torch.full_like(logits, self.smoothing / (n_classes - 1), dtype=torch.float32)
        target.scatter_(1, label[:, None], 1 - self.smoothing)
        log_p = functional.log_softmax(logits.float(), dim=1)
        return -(self.weight * target * log_p).sum(dim=1).mean()


def disagreement(logits: Tensor) -> Tensor:
    """Mean symmetric Kullback–Leibler divergence of what is said of two spectra of one star.

    Parameters
    ----------
    logits : (2n, n_classes) tensor
        Rows 2k and 2k + 1 are of one star.

    Returns
    -------
    Tensor
        Scalar; 0 where all pairs agree.
    """
    log_p = functional.log_softmax(logits.float(), dim=1)
    first, second = log_p[0::2], log_p[1::2]
    return ((first.exp() - second.exp()) * (first - second)).sum(dim=1).mean()


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Changes drawn anew for each spectrum and epoch; all off is the paper's protocol.

    Attributes
    ----------
    noise : float
        Largest standard deviation of added white noise, in units of the [0, 1] flux; each
        spectrum draws its own below it.
    shift : float
        Largest shift along the wavelength axis [pixel], by linear interpolation.
    slope : float
        Largest change of the continuum from end to end, as a share of the flux.
    """

    noise: float = 0.0
    shift: float = 0.0
    slope: float = 0.0

    def __post_init__(self) -> None:
        """Check that no amount is negative."""
        if min(self.noise, self.shift, self.slope) < 0:
            raise TrainingError(f"{self}: amounts of augmentation cannot be negative.")

    @property
    def is_off(self) -> bool:
        """True when spectra pass unchanged."""
        return not (self.noise or self.shift or self.slope)

    def __call__(self, flux: Tensor) -> Tensor:
        """Return changed (n, pixel) spectra, scaled to [0, 1] again.

        Draws from torch's generator of the device.
        """
        if self.is_off:
            return flux
        n, n_pixels = flux.shape

        def draw() -> Tensor:
            return torch.rand(n, 1, device=flux.device, dtype=flux.dtype)

        if self.shift:
            pixel = torch.arange(n_pixels, device=flux.device, dtype=flux.dtype)
            at = (pixel + self.shift * (2 * draw() - 1)).clamp(0, n_pixels - 1)
            low = at.floor().clamp(max=n_pixels - 2)
            share, left = at - low, low.long()
            flux = (1 - share) * flux.gather(1, left) + share * flux.gather(1, left + 1)
        if self.slope:
            along = torch.linspace(-0.5, 0.5, n_pixels, device=flux.device, dtype=flux.dtype)
            flux = flux * (1 + self.slope * (2 * draw() - 1) * along)
        if self.noise:
            flux = flux + self.noise * draw() * torch.randn_like(flux)
        low_end, high_end = flux.amin(dim=1, keepdim=True), flux.amax(dim=1, keepdim=True)
        return (flux - low_end) / (high_end - low_end)
