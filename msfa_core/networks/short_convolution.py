"""The seven-pixel convolution of a multi-scale block in fewer products, for single precision.

Four neighbouring pixels of the result need ten products a channel pair instead of twenty-eight
(Winograd 1980, Arithmetic Complexity of Computations: F(4, 7)): ten pixels of the map and the
kernel are read as polynomials, taken at ten points, multiplied there as matrices, and turned back.
The turning is what memory passes cost; normalisation, residual, ReLU and halving ride on the way
back. Of the sets of points tried, these lose least in rounding (3e-6 of the result; a direct sum
loses 2e-7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from msfa_core.machine.compiled import compiled

POINTS: Final = (0.5, 0.8, 1.25, 2.0)  # each with its negative; and zero, and infinity
_TAPS: Final = 7
_REACH: Final = _TAPS // 2
_TILE: Final = 4  # pixels of the result at a time
_SEEN: Final = _TILE + _TAPS - 1  # pixels of the map that they see


def _polynomials() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of x²: products of x² − b² over all pairs (zero, infinity), and over all but each one."""
    squares = [point**2 for point in POINTS]
    rest = [np.poly(squares[:k] + squares[k + 1 :])[::-1] for k in range(len(squares))]
    return np.poly(squares)[::-1].astype(np.float32), np.array(rest, np.float32)


def _kernel_turn() -> NDArray[np.float64]:
    """(10, 7): values of a kernel at the points, over the points' distances from each other."""
    points = [0.0, *(sign * point for point in POINTS for sign in (1, -1))]
    turn = np.zeros((_SEEN, _TAPS))
    for row, point in enumerate(points):
        distances = [point - other for other in points if other != point]
        turn[row] = point ** np.arange(_TAPS) / np.prod(distances)
    turn[-1, -1] = 1
    return turn


_ALL, _REST = _polynomials()
_AT: Final = np.array(POINTS, np.float32)


@dataclass(frozen=True, slots=True)
class ShortConvolution:
    """A convolution with its normalisation, ready for :meth:`rectified`.

    Attributes
    ----------
    kernel : (10, channel, channel) float32 tensor
        Turned, from channel to channel.
    bias : (channel,) float32 array
    """

    kernel: Tensor
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> ShortConvolution:
        """Prepare scale·(weight * x + bias) + shift.

        Parameters
        ----------
        weight : (channel, channel, 7) tensor
        bias, scale, shift : (channel,) tensors
        """
        scale = scale.detach().double()
        scaled = weight.detach().double() * scale[:, None, None]
        turned = scaled @ torch.from_numpy(_kernel_turn()).T
        total = scale * bias.detach().double() + shift.detach().double()
        return cls(turned.float().permute(2, 1, 0).contiguous(), total.float().numpy())

    def rectified(self, x: Tensor, n_rows: int, *, halve: bool) -> Tensor:
        """ReLU(convolution + x), the larger of each two rows on request.

        Parameters
        ----------
        x : (n, row, channel) float32 tensor
            Rows from ``n_rows`` on hold no pixels.
        n_rows : int
            Rows that hold pixels.
        halve : bool

        Returns
        -------
        (n, row, channel) float32 tensor
            Of an even number of rows; those without pixels are zero.
        """
        n, _, channels = x.shape
        n_kept = n_rows // 2 if halve else n_rows
        out = x.new_empty(n, n_kept + n_kept % 2, channels)
        values, result = x.detach().contiguous().numpy(), out.numpy()
        tiles = -(-n_rows // _TILE)
        turned = torch.empty(_SEEN, tiles, channels)
        product = torch.empty(_SEEN, tiles, channels)
        back = _turn_back_halved if halve else _turn_back
        for i in range(n):
            _turn(values[i], n_rows, turned.numpy())
            torch.bmm(turned, self.kernel, out=product)
            back(product.numpy(), values[i], self.bias, n_rows, result[i])
            result[i, n_kept:] = 0
        return out


@compiled(finite=True)
def _turn(x: Any, n_rows: int, out: Any) -> None:
    """Turn the ten rows that four rows see: (row, channel) to (10, tile, channel)."""
    channels = x.shape[1]
    d = np.empty((_SEEN, channels), np.float32)
    c0, c1, c2, c3, c4 = _ALL
    for tile in range(out.shape[1]):
        row = _TILE * tile - _REACH
        for k in range(_SEEN):
            is_seen = 0 <= row + k < n_rows
            here, there = d[k], x[row + k if is_seen else 0]
            for c in range(channels):  # an array set to an array costs seconds to compile
                here[c] = there[c] if is_seen else np.float32(0)
        for c in range(channels):
            out[0, tile, c] = (
                c0 * d[0, c] + c1 * d[2, c] + c2 * d[4, c] + c3 * d[6, c] + c4 * d[8, c]
            )
            out[9, tile, c] = (
                c0 * d[1, c] + c1 * d[3, c] + c2 * d[5, c] + c3 * d[7, c] + c4 * d[9, c]
            )
        for pair in range(_AT.size):
            q0, q1, q2, q3 = _REST[pair]
            at = _AT[pair]
            plus, minus = out[1 + 2 * pair, tile], out[2 + 2 * pair, tile]
            for c in range(channels):
                even = q0 * d[2, c] + q1 * d[4, c] + q2 * d[6, c] + q3 * d[8, c]
                odd = q0 * d[1, c] + q1 * d[3, c] + q2 * d[5, c] + q3 * d[7, c]
                plus[c] = even + at * odd
                minus[c] = even - at * odd


@compiled(finite=True, part=True)
def _four(product: Any, tile: int, x: Any, row: int, n_rows: int, y: Any) -> None:
    """Turn products into four rows, with the residual."""
    channels = y.shape[1]
    zero, infinite = product[0, tile], product[9, tile]
    for c in range(channels):
        y[0, c] = zero[c]
        y[1, c] = 0
        y[2, c] = 0
        y[3, c] = infinite[c]
    for pair in range(_AT.size):
        at = _AT[pair]
        plus, minus = product[1 + 2 * pair, tile], product[2 + 2 * pair, tile]
        for c in range(channels):
            even, odd = plus[c] + minus[c], at * (plus[c] - minus[c])
            y[0, c] += even
            y[1, c] += odd
            y[2, c] += at * at * even
            y[3, c] += at * at * odd
    for k in range(min(_TILE, n_rows - row)):
        residual = x[row + k]
        for c in range(channels):
            y[k, c] += residual[c]


@compiled(finite=True)
def _turn_back(product: Any, x: Any, bias: Any, n_rows: int, out: Any) -> None:
    """Turn products into rows; add bias and residual; rectify."""
    channels = x.shape[1]
    y = np.empty((_TILE, channels), np.float32)
    for tile in range(product.shape[1]):
        row = _TILE * tile
        _four(product, tile, x, row, n_rows, y)
        for k in range(min(_TILE, n_rows - row)):
            for c in range(channels):
                out[row + k, c] = max(y[k, c] + bias[c], np.float32(0))


@compiled(finite=True)
def _turn_back_halved(product: Any, x: Any, bias: Any, n_rows: int, out: Any) -> None:
    """As :func:`_turn_back`, then the larger row of each two; a last single one is dropped."""
    channels = x.shape[1]
    y = np.empty((_TILE, channels), np.float32)
    for tile in range(product.shape[1]):
        row = _TILE * tile
        _four(product, tile, x, row, n_rows, y)
        for k in range(min(_TILE, n_rows - row) // 2):
            for c in range(channels):
                larger = max(y[2 * k, c], y[2 * k + 1, c])
                out[row // 2 + k, c] = max(larger + bias[c], np.float32(0))
