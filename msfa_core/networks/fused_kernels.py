"""Single passes over feature maps on a processor: normalise, add, rectify, halve, and back.

A convolution on matrix units is faster than the memory that feeds it, so the time of a training
step is that of the passes between the convolutions. Here each is one pass. Feature maps are (n,
row, channel) arrays with channels innermost, float32, or bf16 as its bits in uint16; only the
first ``n_rows`` rows hold pixels, the others stay zero.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from msfa_core.machine.compiled import compiled

_TINY: Final = 1e-12  # under a root whose slope is needed


@intrinsic
def _float_of_bits(_context: Any, _bits: Any = None) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), code


@intrinsic
def _bits_of_float(_context: Any, _value: Any = None) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), code


def _load(row: Any, channel: int) -> Any:
    """Value of a channel as float32."""
    raise NotImplementedError


def _store(row: Any, channel: int, value: Any) -> None:
    """Write a float32 into a channel, rounded to even where the row holds bf16."""
    raise NotImplementedError


@overload(_load, inline="always")
def _load_typed(row: Any, channel: int) -> Any:
    if row.dtype == types.uint16:

        def load(row: Any, channel: int) -> Any:
            return _float_of_bits(np.uint32(row[channel]) << np.uint32(16))

        return load

    def load_plain(row: Any, channel: int) -> Any:
        return row[channel]

    return load_plain


@overload(_store, inline="always")
def _store_typed(row: Any, channel: int, value: Any) -> Any:
    if row.dtype == types.uint16:

        def store(row: Any, channel: int, value: Any) -> Any:
            bits: Any = _bits_of_float(np.float32(value))
            rounding = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
            row[channel] = np.uint16(np.uint32(bits + rounding) >> np.uint32(16))

        return store

    def store_plain(row: Any, channel: int, value: Any) -> Any:
        row[channel] = value

    return store_plain


@compiled(finite=True)
def moments(z: Any, n_rows: int) -> tuple[Any, Any]:
    """Mean and variance of each channel: two (channel,) float64 arrays."""
    n, _, channels = z.shape
    pivot = np.empty(channels, np.float32)
    for c in range(channels):
        pivot[c] = _load(z[0, 0], c)
    first = np.zeros(channels)
    second = np.zeros(channels)
    total = np.empty(channels, np.float32)
    square = np.empty(channels, np.float32)
    for i in range(n):
        total[:] = 0
        square[:] = 0
        for row in range(n_rows):
            values = z[i, row]
            for c in range(channels):
                value = _load(values, c) - pivot[c]
                total[c] += value
                square[c] += value * value
        for c in range(channels):
            first[c] += total[c]
            second[c] += square[c]
    count = n * n_rows
    for c in range(channels):
        first[c] /= count
        second[c] = max(second[c] / count - first[c] * first[c], 0.0)
        first[c] += pivot[c]
    return first, second


@compiled(finite=True)
def rectify(z: Any, residual: Any, scale: Any, shift: Any, n_rows: int, out: Any) -> None:
    """Out = ReLU(scale·z + shift + residual); a residual without channels is none."""
    n, rows, channels = out.shape
    adds = residual.shape[2] > 0
    for i in range(n):
        for row in range(n_rows):
            values, to = z[i, row], out[i, row]
            if adds:
                extra = residual[i, row]
                for c in range(channels):
                    y = _load(values, c) * scale[c] + shift[c] + _load(extra, c)
                    _store(to, c, max(y, np.float32(0)))
            else:
                for c in range(channels):
                    y = _load(values, c) * scale[c] + shift[c]
                    _store(to, c, max(y, np.float32(0)))
        for row in range(n_rows, rows):
            out[i, row] = 0


@compiled(finite=True)
def rectify_halve(z: Any, residual: Any, scale: Any, shift: Any, n_rows: int, out: Any) -> None:
    """As :func:`rectify`, then the larger of each two rows."""
    n, rows, channels = out.shape
    half = n_rows // 2
    for i in range(n):
        for row in range(half):
            z0, z1 = z[i, 2 * row], z[i, 2 * row + 1]
            x0, x1, to = residual[i, 2 * row], residual[i, 2 * row + 1], out[i, row]
            for c in range(channels):
                y0 = _load(z0, c) * scale[c] + _load(x0, c)
                y1 = _load(z1, c) * scale[c] + _load(x1, c)
                _store(to, c, max(max(y0, y1) + shift[c], np.float32(0)))
        for row in range(half, rows):
            out[i, row] = 0


@compiled(finite=True)
def rectify_back(
    gradient: Any,
    z: Any,
    residual: Any,
    mean: Any,
    scale: Any,
    shift: Any,
    n_rows: int,
    out: Any,
) -> tuple[Any, Any]:
    """Write the gradient before ReLU; return its sum and its sum times z − mean, per channel."""
    n, rows, channels = out.shape
    adds = residual.shape[2] > 0
    plain = np.zeros(channels)
    product = np.zeros(channels)
    total = np.empty(channels, np.float32)
    weighed = np.empty(channels, np.float32)
    zero = np.float32(0)
    for i in range(n):
        total[:] = 0
        weighed[:] = 0
        for row in range(n_rows):
            g, values, to = gradient[i, row], z[i, row], out[i, row]
            if adds:
                extra = residual[i, row]
                for c in range(channels):
                    value = _load(values, c)
                    y = value * scale[c] + shift[c] + _load(extra, c)
                    slope = _load(g, c) if y > zero else zero
                    total[c] += slope
                    weighed[c] += slope * (value - mean[c])
                    _store(to, c, slope)
            else:
                for c in range(channels):
                    value = _load(values, c)
                    slope = _load(g, c) if value * scale[c] + shift[c] > zero else zero
                    total[c] += slope
                    weighed[c] += slope * (value - mean[c])
                    _store(to, c, slope)
        for row in range(n_rows, rows):
            out[i, row] = 0
        for c in range(channels):
            plain[c] += total[c]
            product[c] += weighed[c]
    return plain, product


@compiled(finite=True)
def rectify_halve_back(
    gradient: Any,
    z: Any,
    residual: Any,
    mean: Any,
    scale: Any,
    shift: Any,
    n_rows: int,
    out: Any,
) -> tuple[Any, Any]:
    """As :func:`rectify_back`, for the larger of each two rows."""
    n, rows, channels = out.shape
    half = n_rows // 2
    plain = np.zeros(channels)
    product = np.zeros(channels)
    total = np.empty(channels, np.float32)
    weighed = np.empty(channels, np.float32)
    zero = np.float32(0)
    for i in range(n):
        total[:] = 0
        weighed[:] = 0
        for row in range(half):
            z0, z1 = z[i, 2 * row], z[i, 2 * row + 1]
            x0, x1 = residual[i, 2 * row], residual[i, 2 * row + 1]
            to0, to1, g = out[i, 2 * row], out[i, 2 * row + 1], gradient[i, row]
            for c in range(channels):
                v0, v1 = _load(z0, c), _load(z1, c)
                y0 = v0 * scale[c] + _load(x0, c)
                y1 = v1 * scale[c] + _load(x1, c)
                slope = _load(g, c) if max(y0, y1) + shift[c] > zero else zero
                left = slope if y0 >= y1 else zero
                right = slope - left
                total[c] += slope
                weighed[c] += left * (v0 - mean[c]) + right * (v1 - mean[c])
                _store(to0, c, left)
                _store(to1, c, right)
        for row in range(2 * half, rows):
            out[i, row] = 0
        for c in range(channels):
            plain[c] += total[c]
            product[c] += weighed[c]
    return plain, product


@compiled(finite=True)
def normalise_back(
    gradient: Any, z: Any, factor: Any, level: Any, slope: Any, n_rows: int, out: Any
) -> None:
    """Gradient of a normalisation over the batch: factor·g + level + slope·z per channel."""
    n, rows, channels = out.shape
    for i in range(n):
        for row in range(n_rows):
            g, values, to = gradient[i, row], z[i, row], out[i, row]
            for c in range(channels):
                _store(to, c, factor[c] * _load(g, c) + level[c] + slope[c] * _load(values, c))
        for row in range(n_rows, rows):
            out[i, row] = 0


@compiled(finite=True)
def scale_halve(x: Any, scale: Any, n_rows: int, out: Any) -> None:
    """Multiply each spectrum's channels by (n, channel) scales, then the larger of each two."""
    n, rows, channels = out.shape
    half = n_rows // 2
    for i in range(n):
        for row in range(half):
            x0, x1, to = x[i, 2 * row], x[i, 2 * row + 1], out[i, row]
            for c in range(channels):
                _store(to, c, max(_load(x0, c) * scale[i, c], _load(x1, c) * scale[i, c]))
        for row in range(half, rows):
            out[i, row] = 0


@compiled(finite=True)
def scale_halve_back(
    gradient: Any, x: Any, scale: Any, n_rows: int, out: Any, of_scale: Any
) -> None:
    """Gradients of :func:`scale_halve` for x (into ``out``) and for the scales."""
    n, rows, channels = out.shape
    half = n_rows // 2
    zero = np.float32(0)
    for i in range(n):
        of_scale[i] = 0
        for row in range(half):
            x0, x1, g = x[i, 2 * row], x[i, 2 * row + 1], gradient[i, row]
            to0, to1 = out[i, 2 * row], out[i, 2 * row + 1]
            for c in range(channels):
                v0, v1, by = _load(x0, c), _load(x1, c), _load(g, c)
                left = by if v0 * scale[i, c] >= v1 * scale[i, c] else zero
                right = by - left
                of_scale[i, c] += left * v0 + right * v1
                _store(to0, c, left * scale[i, c])
                _store(to1, c, right * scale[i, c])
        for row in range(2 * half, rows):
            out[i, row] = 0


@compiled(finite=True)
def band_amplitudes(waves: Any, out: Any) -> None:
    """Mean amplitude of each band: (2·frequency, n, channel) cosine and sine parts to bands."""
    twice, n, channels = waves.shape
    n_frequencies = twice // 2
    per_band = n_frequencies // out.shape[1]
    for i in range(n):
        for band in range(out.shape[1]):
            to = out[i, band]
            to[:] = 0
            for k in range(band * per_band, (band + 1) * per_band):
                real, imaginary = waves[k, i], waves[n_frequencies + k, i]
                for c in range(channels):
                    re, im = _load(real, c), _load(imaginary, c)
                    to[c] += np.sqrt(re * re + im * im)
            for c in range(channels):
                to[c] /= np.float32(per_band)


@compiled(finite=True)
def band_amplitudes_back(gradient: Any, waves: Any, out: Any) -> None:
    """Gradient of :func:`band_amplitudes` for the waves."""
    twice, n, channels = waves.shape
    n_frequencies = twice // 2
    per_band = n_frequencies // gradient.shape[1]
    for i in range(n):
        for band in range(gradient.shape[1]):
            g = gradient[i, band]
            for k in range(band * per_band, (band + 1) * per_band):
                real, imaginary = waves[k, i], waves[n_frequencies + k, i]
                to_real, to_imaginary = out[k, i], out[n_frequencies + k, i]
                for c in range(channels):
                    re, im = _load(real, c), _load(imaginary, c)
                    part = g[c] / (
                        np.float32(per_band) * np.sqrt(re * re + im * im + np.float32(_TINY))
                    )
                    _store(to_real, c, re * part)
                    _store(to_imaginary, c, im * part)
