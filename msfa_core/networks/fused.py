"""MSFA-Net in few passes over memory: the same function of the same weights, several times faster.

The four branches of a multi-scale block and the 1×1 convolution that mixes them have nothing
between them, so together they are one convolution of seven pixels, whose kernel is made of their
weights at each step. What follows it (normalisation, residual, ReLU, halving) is one pass of
:mod:`msfa_core.networks.fused_kernels`. In bf16 this uses the matrix units of processors that have
them; the weights, their gradients and all sums stay in float32. In single precision, where products
are what costs, a trained block is a :mod:`msfa_core.networks.short_convolution`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from msfa_core.networks import fused_kernels as kernels
from msfa_core.networks.fourier import amplitude_spectrum
from msfa_core.networks.msfa_net import (
    SCALES,
    SFA_BANDS,
    SFA_MIN_WEIGHT,
    Halve,
    MSBlock,
    MSFANet,
    SFABlock,
)
from msfa_core.networks.short_convolution import ShortConvolution

_REACH: Final = max(SCALES) // 2
_NONE: Final = np.zeros((1, 1, 0), np.float32)  # no residual
Short = Mapping[MSBlock, ShortConvolution]


def _array(x: Tensor) -> NDArray[Any]:
    """Memory of a float32 tensor, or that of a bf16 one as bits."""
    x = x.detach()
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16)
    return x.numpy()


def even(n_rows: int) -> int:
    """Rows that a map of so many pixels is kept in: matrix units are slow on odd lengths."""
    return n_rows + n_rows % 2


def composite(block: Any) -> tuple[Tensor, Tensor]:
    """Kernel (channel, channel, 1, 7) and bias of a block's branches and their mixing as one."""
    mix: Tensor = block.mix.weight
    parts, start = [], 0
    biases = []
    for branch in block.branches:
        weight = branch.weight.flatten(1).unflatten(1, (mix.shape[0], -1))  # (C/4, C, kernel)
        size = weight.shape[0]
        part = torch.einsum("on,nik->oik", mix[:, start : start + size], weight)
        margin = _REACH - weight.shape[-1] // 2
        parts.append(functional.pad(part, (margin, margin)))
        biases.append(branch.bias)
        start += size
    bias = block.mix.bias + mix @ torch.cat(biases)
    return torch.stack(parts).sum(dim=0).unsqueeze(2), bias


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve (n, row, channel) maps along their rows, at the precision of the maps."""
    reach = weight.shape[-1] // 2
    image = x.unsqueeze(1).permute(0, 3, 1, 2)  # (n, channel, 1, row), channels innermost
    weight = weight.to(x.dtype).contiguous(memory_format=torch.channels_last)
    bias = None if bias is None else bias.to(x.dtype)
    out = functional.conv2d(image, weight, bias, padding=(0, reach))
    return out.permute(0, 2, 3, 1).squeeze(1).contiguous()


def _stem(x: Tensor, stem: Any) -> Tensor:
    """Convolve the one channel of (n, row, 1) spectra: the pixels around each one, as a product."""
    if x.dtype != torch.float32 or stem.weight.requires_grad and torch.is_grad_enabled():
        return _convolve(x, stem.weight, stem.bias)
    taps = stem.weight.shape[-1]
    around = functional.pad(x.squeeze(2), (taps // 2, taps // 2)).unfold(1, taps, 1)
    return functional.linear(around, stem.weight.flatten(1), stem.bias)


def short_convolutions(model: MSFANet) -> Short:
    """Blocks of a trained network, ready for single precision: once for many spectra."""
    ready = {}
    for block in model.modules():
        if isinstance(block, MSBlock):
            kernel, bias = composite(block)
            ready[block] = ShortConvolution.of(kernel.squeeze(2), bias, *_trained(block.norm))
    return ready


class _NormRectify(torch.autograd.Function):
    """Normalise over the batch, add the residual, rectify, and halve on request."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        residual: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        n_rows: int,
        halve: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = kernels.moments(_array(z), n_rows)
        inverse = 1 / np.sqrt(variance + eps)
        scale = (_array(weight) * inverse).astype(np.float32)
        shift = (_array(bias) - mean * _array(weight) * inverse).astype(np.float32)
        out = _rectified(z, residual, scale, shift, n_rows, halve=halve)
        ctx.save_for_backward(z, weight, *([residual] if residual is not None else []))
        ctx.rest = (mean, inverse, scale, shift, n_rows, halve)
        ctx.set_materialize_grads(False)
        statistics = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
        ctx.mark_non_differentiable(*statistics)
        return out, *statistics

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        z, weight, *rest = ctx.saved_tensors
        mean, inverse, scale, shift, n_rows, halve = ctx.rest
        before = torch.empty_like(z)
        back = kernels.rectify_halve_back if halve else kernels.rectify_back
        total, product = back(
            _array(gradient.contiguous()),
            _array(z),
            _array(rest[0]) if rest else _NONE,
            mean.astype(np.float32),
            scale,
            shift,
            n_rows,
            _array(before),
        )
        gamma = _array(weight).astype(np.float64)
        of_gamma = product * inverse  # Σ g·ẑ
        count = z.shape[0] * n_rows
        factor = gamma * inverse
        slope = -factor * of_gamma * inverse / count
        level = -factor * total / count - slope * mean
        out = torch.empty_like(z)
        kernels.normalise_back(
            _array(before),
            _array(z),
            factor.astype(np.float32),
            level.astype(np.float32),
            slope.astype(np.float32),
            n_rows,
            _array(out),
        )
        of_weight = torch.from_numpy(of_gamma).to(weight.dtype)
        of_bias = torch.from_numpy(total).to(weight.dtype)
        return out, before if rest else None, of_weight, of_bias, None, None, None


def _rectified(
    z: Tensor,
    residual: Tensor | None,
    scale: NDArray[np.float32],
    shift: NDArray[np.float32],
    n_rows: int,
    *,
    halve: bool,
) -> Tensor:
    """One pass after a convolution."""
    n, rows, channels = z.shape
    extra = _NONE if residual is None else _array(residual)
    if halve:
        out = z.new_empty(n, even(n_rows // 2), channels)
        kernels.rectify_halve(_array(z), extra, scale, shift, n_rows, _array(out))
    else:
        out = z.new_empty(n, rows, channels)
        kernels.rectify(_array(z), extra, scale, shift, n_rows, _array(out))
    return out


def _trained(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch normalisation with its running statistics."""
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _norm_rectify(
    norm: Any, z: Tensor, residual: Tensor | None, n_rows: int, *, halve: bool
) -> Tensor:
    """Batch normalisation (with its running statistics), residual, ReLU, halving."""
    if not norm.training:
        scale, shift = (_array(part.float()) for part in _trained(norm))
        return _rectified(z, residual, scale, shift, n_rows, halve=halve)
    out, mean, variance = _NormRectify.apply(
        z, residual, norm.weight, norm.bias, norm.eps, n_rows, halve
    )
    with torch.no_grad():
        count = z.shape[0] * n_rows
        share = norm.momentum
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
        norm.num_batches_tracked += 1
    return out


class _ScaleHalve(torch.autograd.Function):
    """Channels times a number of each spectrum, then the larger of each two pixels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, n_rows: int) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.n_rows = n_rows
        out = x.new_empty(x.shape[0], even(n_rows // 2), x.shape[2])
        kernels.scale_halve(_array(x), _array(scale.contiguous()), n_rows, _array(out))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale = ctx.saved_tensors
        of_x, of_scale = torch.empty_like(x), torch.empty_like(scale)
        kernels.scale_halve_back(
            _array(gradient.contiguous()),
            _array(x),
            _array(scale.contiguous()),
            ctx.n_rows,
            _array(of_x),
            _array(of_scale),
        )
        return of_x, of_scale, None


class _BandAmplitudes(torch.autograd.Function):
    """Mean Fourier amplitude of each band, from the cosine and sine parts."""

    @staticmethod
    def forward(ctx: Any, waves: Tensor) -> Tensor:
        ctx.save_for_backward(waves)
        out = torch.empty(waves.shape[1], SFA_BANDS, waves.shape[2])
        kernels.band_amplitudes(_array(waves), _array(out))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (waves,) = ctx.saved_tensors
        out = torch.empty_like(waves)
        kernels.band_amplitudes_back(_array(gradient.contiguous()), _array(waves), _array(out))
        return out


@lru_cache(maxsize=8)
def _waves(n_rows: int, dtype: torch.dtype) -> Tensor:
    """Orthonormal cosines and sines, (2·frequency, row); rows beyond the pixels are zero."""
    with torch.inference_mode(False):  # kept for training as well
        frequency = torch.arange(n_rows // 2 + 1)[:, None]
        turns = (frequency * torch.arange(n_rows)[None] % n_rows).double() * (2 * torch.pi / n_rows)
        matrix = torch.cat([turns.cos(), turns.sin()]) * n_rows**-0.5
        return functional.pad(matrix, (0, even(n_rows) - n_rows)).to(dtype)


def _attention(block: SFABlock, x: Tensor, n_rows: int) -> Tensor:
    """(n, channel) factors 1 + α·w of the frequency attention."""
    if x.dtype == torch.float32 and not block.training:
        return 1 + block.alpha * block.weights(amplitude_spectrum(x[:, :n_rows].transpose(1, 2)))
    rows = x.transpose(0, 1).flatten(1)  # (row, n·channel): one product for all spectra
    waves = (_waves(n_rows, x.dtype) @ rows).unflatten(1, (x.shape[0], x.shape[2]))
    bands = _BandAmplitudes.apply(waves)
    descriptor = bands.mean(dim=1) + SFA_MIN_WEIGHT * bands.amin(dim=1)
    weight = torch.sigmoid(block.excite(functional.relu(block.squeeze(descriptor))))
    return 1 + block.alpha * weight


def is_fusible(model: nn.Module) -> TypeGuard[MSFANet]:
    """Whether this module knows the network; its weights are float32 on a processor."""
    first = next(model.parameters())
    return (
        isinstance(model, MSFANet) and first.device.type == "cpu" and first.dtype == torch.float32
    )


def fused_logits(
    model: MSFANet, x: Tensor, *, bf16: bool = False, short: Short | None = None
) -> Tensor:
    """Logits of a network in training or evaluation mode, as ``model(x)`` gives them.

    Parameters
    ----------
    model : MSFANet
        On the CPU, in float32. Gradients reach its parameters in training mode only.
    x : (n, 1, 2430) float32 tensor
        Prepared spectra.
    bf16 : bool
        Feature maps and products in 16-bit brain floats.
    short : mapping, optional
        As :func:`short_convolutions` gives it for this network; made where it is needed.

    Returns
    -------
    (n, n_classes) float32 tensor
    """
    if short is None:
        short = {} if bf16 or model.training else short_convolutions(model)
    x = x.transpose(1, 2).to(torch.bfloat16 if bf16 else torch.float32)  # (n, 2430, 1)
    n_rows = x.shape[1]
    stem: Any = model.stem[0]
    norm: Any = model.stem[1]
    z = _stem(functional.pad(x, (0, 0, 0, even(n_rows) - n_rows)), stem)
    x = _norm_rectify(norm, z, None, n_rows, halve=False)  # (n, 2430, 64)
    x, n_rows = _layer(model.msfe_layer1, x, n_rows, short)  # (n, 1216, 64)
    x, n_rows = _layer(model.msfe_layer2, x, n_rows, short)  # (n, 608, 128)
    if isinstance(model.sfa_after_layer2, SFABlock):
        x = x * _attention(model.sfa_after_layer2, x, n_rows)[:, None].to(x.dtype)
    x, n_rows = _layer(model.msfa_layer, x, n_rows, short)  # (n, 304, 256)
    maps = x[:, :n_rows].transpose(1, 2).unsqueeze(2)  # (n, 256, 1, 303)
    return model.fc(model.dropout(model.pooling(maps)))


def _layer(layer: nn.Sequential, x: Tensor, n_rows: int, short: Short) -> tuple[Tensor, int]:
    """One layer of the network, with the rows that hold pixels."""
    attention = any(isinstance(module, SFABlock) for module in layer)
    module: Any
    for module in layer:
        if isinstance(module, nn.Sequential):  # more channels
            wider: Any = module[0]
            norm: Any = module[1]
            z = functional.linear(x, wider.weight.to(x.dtype), wider.bias.to(x.dtype))
            x = _norm_rectify(norm, z, None, n_rows, halve=False)
        elif isinstance(module, MSBlock):
            halve = not attention
            if module in short:
                x = short[module].rectified(x, n_rows, halve=halve)
            else:
                z = _convolve(x, *composite(module))
                x = _norm_rectify(module.norm, z, x, n_rows, halve=halve)
            n_rows = n_rows // 2 if halve else n_rows
        elif isinstance(module, SFABlock):
            x = _ScaleHalve.apply(x, _attention(module, x, n_rows), n_rows)
            n_rows //= 2
        elif not isinstance(module, Halve | nn.Identity):  # halved with the block before
            raise TypeError(f"{type(module).__name__} in a layer of MSFA-Net is not known here.")
    return x, n_rows
