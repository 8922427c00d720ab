"""`tiles.TorchTiles` for single precision on the CPU: what is not a matrix product is one compiled pass over a tile in the cache.

The exponential is a polynomial of degree 5 on [-1/2, 1/2] times a power of two that is put together from its bits, so that a
processor makes eight at a time; its error is below 2e-7 of the value.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from offprints.threads import on_threads

from supcon_simplex.tiles import KEPT, Tile, tiles

PARTS = 8
"""Of a tile's rows, each with sums of its columns of its own: threads share the parts out, and no bit depends on how many there are."""
_FASTMATH = {"reassoc", "contract", "arcp", "nsz"}  # any order of sums, but what is not a number must stay so
_compiled = functools.partial(numba.njit, nogil=True, fastmath=_FASTMATH, error_model="numpy", cache=True)
_f = np.float32
_LOWEST = _f(-126)
_MAGIC = _f(3 << 22)  # added to a whole number, it leaves that number in the lowest bits
# Least squares of the relative error of 2^x at Chebyshev's nodes of [-1/2, 1/2].
_C0, _C1, _C2, _C3, _C4, _C5 = (
    _f(c) for c in (1.00000007, 0.69314695, 0.24022122, 0.05550743, 0.00967546, 0.0013267)
)


class CompiledTiles:
    """See `tiles.TorchTiles`; positives count as the others do."""

    def __init__(self, rows: int) -> None:
        self._tiles = list(tiles(rows, 256 if rows > 512 else rows, 1024))
        self._kept: list[Tensor] = []

    def sums(self, scaled: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        total = np.zeros(len(scaled), np.float32)
        columns = np.zeros((PARTS, len(scaled)), np.float32)
        room = _room(min(KEPT, sum(t.size for t in self._tiles)) if keep else 0)
        spare = _room(max(t.size for t in self._tiles))
        used = 0
        for number, tile in enumerate(self._tiles):
            fits = len(self._kept) == number and used + tile.size <= len(
                room
            )  # the first ones, without a gap
            e = _product(scaled, tile, room[used : used + tile.size] if fits else spare)
            if fits:
                used += tile.size
                self._kept.append(e)
            _in_parts(
                _exponentiate, tile, e.numpy(), tile.square, total[tile.rows], columns, tile.columns.start
            )
        return torch.from_numpy(total + columns.sum(0)), scaled[:0, 0]

    def add_gradient(self, to: Tensor, scaled: Tensor, share: Tensor, positive_share: Tensor) -> None:
        s = share.numpy()
        room = _room(max(t.size for t in self._tiles))
        turned = (
            scaled.T.contiguous()
        )  # a product with a tile from the left is quicker than one with its transpose
        turned_to = torch.zeros_like(turned)
        for number, tile in enumerate(self._tiles):
            given = s[tile.rows], s[tile.columns]
            if number < len(self._kept):
                g = room[: tile.size].view(tile.rows.stop - tile.rows.start, -1)
                _in_parts(_weigh, tile, self._kept[number].numpy(), g.numpy(), *given)
            else:
                g = _product(scaled, tile, room)
                _in_parts(_exponentiate_and_weigh, tile, g.numpy(), tile.square, *given)
            to[tile.rows].addmm_(g, scaled[tile.columns])
            if tile.beyond.start < tile.beyond.stop:
                turned_to[:, tile.beyond].addmm_(turned[:, tile.rows], g[:, tile.square :])
        to += turned_to.T


def _room(size: int) -> Tensor:
    """Memory from numpy, which asks the system for huge pages."""
    return torch.from_numpy(np.empty(size, np.float32))


def _product(scaled: Tensor, tile: Tile, room: Tensor) -> Tensor:
    out = room[: tile.size].view(tile.rows.stop - tile.rows.start, -1)
    return torch.mm(scaled[tile.rows], scaled[tile.columns].T, out=out)


def _in_parts(kernel: Any, tile: Tile, *given: Any) -> None:
    threads = min(torch.get_num_threads(), PARTS) if tile.size > 1 << 16 else 1
    edges = [PARTS * number // threads for number in range(threads + 1)]
    on_threads(kernel, [(*given, *part) for part in itertools.pairwise(edges)])


def _whole(typing_context: Any, x: Any) -> Any:
    """The nearest whole number, as one instruction."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()]), arguments)

    return types.float32(types.float32), make


def _power(typing_context: Any, shifted: Any) -> Any:
    """2^k of k + _MAGIC: the number k in the lowest bits is moved to where a float has its exponent."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        bits = builder.shl(builder.bitcast(arguments[0], integer), ir.Constant(integer, 23))
        return builder.bitcast(builder.add(bits, ir.Constant(integer, 127 << 23)), ir.FloatType())

    return types.float32(types.float32), make


_rounded: Any = intrinsic(_whole)
_power_of_two: Any = intrinsic(_power)


@numba.njit(inline="always")
def _exp2(x: Any) -> Any:
    """2^x, and 0 where that is below the normal numbers."""
    whole = _rounded(x)
    rest = x - whole
    value = ((((_C5 * rest + _C4) * rest + _C3) * rest + _C2) * rest + _C1) * rest + _C0
    return _f(0) if x < _LOWEST else value * _power_of_two(whole + _MAGIC)


@_compiled()
def _exponentiate(s: Any, square: int, total: Any, columns: Any, start: int, first: int, last: int) -> None:
    """Similarities become exponentials in place; their sums are added to those of the rows and of the columns beyond them."""
    height, width = s.shape
    for part in range(first, last):
        of_columns = columns[part, start + square : start + width]
        for i in range(part * height // PARTS, (part + 1) * height // PARTS):
            own, beyond, row = s[i, :square], s[i, square:], _f(0)
            if square:
                own[i] = -np.inf
            for j in range(len(own)):
                e = _exp2(own[j])
                own[j] = e
                row += e
            for j in range(len(beyond)):
                e = _exp2(beyond[j])
                beyond[j] = e
                of_columns[j] += e
                row += e
            total[i] += row


@_compiled()
def _exponentiate_and_weigh(
    s: Any, square: int, of_rows: Any, of_columns: Any, first: int, last: int
) -> None:
    height, width = s.shape
    for i in range(first * height // PARTS, last * height // PARTS):
        here, share = s[i], of_rows[i]
        if square:
            here[i] = -np.inf
        for j in range(width):
            here[j] = _exp2(here[j]) * (share + of_columns[j])


@_compiled()
def _weigh(e: Any, g: Any, of_rows: Any, of_columns: Any, first: int, last: int) -> None:
    height, width = e.shape
    for i in range(first * height // PARTS, last * height // PARTS):
        here, out, share = e[i], g[i], of_rows[i]
        for j in range(width):
            out[j] = here[j] * (share + of_columns[j])
