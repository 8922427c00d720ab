"""The recursions of `ufg.recursion` on a CPU, as compiled walks over the rows of the Laplacian.

Sixteen columns go through all levels before the next sixteen: the signal that a product gathers from is then a quarter of one of 64
columns, and stays in a cache that the whole would not fit. One walk makes a Chebyshev term and adds it, with those before it that are at
hand, to the blocks, so that these are written every third term.

    blocks = analyze(matrix, dilations, table, x)
    x = synthesize(matrix, dilations, table, blocks, gain)      # of gain * blocks, which is not made

Rows are shared out to as many threads as torch has. A row is always made by one thread in one order, so that the number of
threads changes no bit of the result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.threads import by_rows

from ufg.lanes import WIDTH, add_scaled, load, store, weighted_sum, zeros

Array = NDArray[Any]
Floats = NDArray[np.float64]
compiled = functools.partial(numba.njit, nogil=True, error_model="numpy", cache=True)

_AHEAD = 24  # entries between the request for a row and its use
_CACHE = 1 << 19  # bytes that are near enough without asking: a second-level cache
_FEW = 1 << 16  # entries that are not worth waking a thread for


class Matrix(NamedTuple):
    """A CSR matrix as compiled loops read it.

    Attributes:
        starts: (rows + 1,) int32.
        columns: (nnz,) int32.
        values: (nnz,) float32 or float64.
    """

    starts: Array
    columns: Array
    values: Array

    @classmethod
    def of(cls, starts: Tensor, columns: Tensor, values: Tensor) -> Matrix:
        """From tensors on the CPU, which it shares."""
        return cls(starts.numpy(), columns.numpy(), values.numpy())


def are_for(device: torch.device) -> bool:
    """Whether tensors of this device are computed with here; others take torch's own products."""
    return device.type == "cpu"


def multiply(matrix: Matrix, dense: Tensor) -> Tensor:
    """(rows, C), the product with (columns, C)."""
    x = _array(dense)
    rows, columns = len(matrix.starts) - 1, x.shape[1]
    out = empty((rows, columns), x.dtype)
    last = empty((len(x), WIDTH), x.dtype) if columns % WIDTH else x
    for first, width in _strips(columns):
        ahead = _ahead(last)
        if width == WIDTH:
            by_rows(_multiply, *matrix, x, out, first, first, width, ahead, few=_FEW)
        else:
            _copy(x, first, width, last)
            by_rows(_multiply, *matrix, last, out, 0, first, width, ahead, few=_FEW)
    return torch.from_numpy(out)


def analyze(matrix: Matrix, dilations: Sequence[float], table: Floats, x: Tensor) -> Tensor:
    """All blocks of coefficients.

    Args:
        matrix: the scaled Laplacian, with spectrum on [0, 2].
        dilations: t of each level.
        table: (r, n) Chebyshev coefficients.
        x: (N, C) float32 or float64, as the matrix.

    Returns:
        (K, N, C), in the order of `ufg.recursion.analyze`.
    """
    signal = _array(x)
    nodes, columns = signal.shape
    filters, terms = table.shape
    levels = len(dilations)
    blocks = empty(((filters - 1) * levels + 1, nodes, columns), signal.dtype)
    even, odd, low = empty((3, nodes, WIDTH), signal.dtype)
    ahead, halved = _ahead(even), _halved(table, signal.dtype)
    in_place = columns == WIDTH and terms == 2  # then nothing is written over the signal
    for first, width in _strips(columns):
        if not in_place:
            _copy(signal, first, width, even)
        for level, dilation in enumerate(dilations):
            for k in range(1, terms):
                at = (halved, level, levels, k, dilation, first, width, ahead)
                source, target = (even, odd) if k % 2 else (odd, even)
                source = signal if in_place and level == 0 else source
                made = blocks.reshape(-1, columns)
                by_rows(_analysis_walk, *matrix, source, target, low, made, *at, few=_FEW)
            even, low = low, even
    return torch.from_numpy(blocks)


def synthesize(
    matrix: Matrix, dilations: Sequence[float], table: Floats, blocks: Tensor, gain: Tensor | None = None
) -> Tensor:
    """The transpose of `analyze`, of blocks that are scaled on the way.

    Args:
        matrix: the scaled Laplacian, with spectrum on [0, 2].
        dilations: t of each level.
        table: (r, n) Chebyshev coefficients.
        blocks: (K, N, C).
        gain: (K, N), one factor for each row; None means 1.

    Returns:
        (N, C).
    """
    given = _array(blocks)
    _, nodes, columns = given.shape
    terms = table.shape[1]
    levels = len(dilations)
    out = empty((nodes, columns), given.dtype)
    low, term, after = empty((3, nodes, WIDTH), given.dtype)
    factors = np.empty(0, given.dtype) if gain is None else _array(gain).ravel()
    ahead, halved = _ahead(low), _halved(table, given.dtype)
    for first, width in _strips(columns):
        for level in range(levels - 1, -1, -1):
            for k in range(terms - 1, -1, -1):
                at = (halved, level, levels, k, dilations[level], first, width, ahead)
                read = given.reshape(-1, columns)
                by_rows(_synthesis_walk, *matrix, term, after, low, read, factors, out, *at, few=_FEW)
                term, after = after, term
            low, term = term, low
    return torch.from_numpy(out)


def row_products(x: Tensor, y: Tensor) -> Tensor:
    """(K, N) sums over columns of x * y, both (K, N, C) contiguous."""
    out = np.empty(x.shape[:2], _array(x).dtype)
    _row_products(_array(x), _array(y), out)
    return torch.from_numpy(out)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array to be filled, whose rows of sixteen do not cross a cache line; a large one is in huge pages.

    Rows gathered at random miss the page table as often as the cache, and torch's own memory has small pages.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.__array_interface__["data"][0] % 64
    return np.ndarray(shape, dtype, raw, start)


def _array(x: Tensor) -> Array:
    found: Array = x.detach().contiguous().numpy()
    return found


def _halved(table: Floats, dtype: Any) -> Array:
    """The coefficients with that of T_0 halved, as the series has it."""
    halved = table.astype(dtype)
    halved[:, 0] /= 2
    return halved


def _strips(columns: int) -> list[tuple[int, int]]:
    """First column and number of columns of each pass over the graph."""
    return [(first, min(WIDTH, columns - first)) for first in range(0, columns, WIDTH)]


def _ahead(gathered: Array) -> int:
    return _AHEAD if gathered.shape[0] * WIDTH * gathered.itemsize > _CACHE else 0


@compiled()
def _copy(x: Any, first: int, width: int, out: Any) -> None:
    for row in range(len(x)):
        store(out, row, 0, WIDTH, load(x, row, first, width))


@compiled()
def _multiply(
    starts: Any,
    columns: Any,
    values: Any,
    x: Any,
    out: Any,
    first: int,
    place: int,
    width: int,
    ahead: int,
    begin: int,
    end: int,
) -> None:
    """Columns of x from `first` on make columns of the product from `place` on."""
    for row in range(begin, end):
        total = weighted_sum(values, columns, starts[row], starts[row + 1], x, first, ahead)
        store(out, row, place, width, total)


@compiled()
def _analysis_walk(
    starts: Any,
    columns: Any,
    values: Any,
    source: Any,
    target: Any,
    low: Any,
    blocks: Any,
    table: Any,
    level: int,
    levels: int,
    k: int,
    dilation: float,
    first: int,
    width: int,
    ahead: int,
    begin: int,
    end: int,
) -> None:
    """T_k = 2 M T_(k-1) - T_(k-2) with M = dilation * L - I, over T_(k-2); every third time, and the last, all into the blocks.

    source: T_(k-1). target: T_(k-2), or nothing where k is 1. low: of the level, unless it is the last.
    """
    filters, terms = table.shape
    nodes = len(source)
    twice = 1 if k == 1 else 2
    pending = k % 3  # terms that the blocks do not have yet, before this one
    for row in range(begin, end):
        here = load(source, row, 0, WIDTH)
        older = load(target, row, 0, WIDTH) if k > 1 else zeros(source)
        product = weighted_sum(values, columns, starts[row], starts[row + 1], source, 0, ahead)
        term = add_scaled(zeros(source), twice * dilation, product)
        term = add_scaled(term, -twice, here)
        term = add_scaled(term, -1, older)
        if k < terms - 1:
            store(target, row, 0, WIDTH, term)
            if pending < 2:
                continue
        for j in range(filters):
            total = add_scaled(zeros(source), table[j, k], term)
            if pending > 0:
                total = add_scaled(total, table[j, k - 1], here)
            if pending > 1:
                total = add_scaled(total, table[j, k - 2], older)
            if j == 0 and level < levels - 1:
                if k > 2:
                    total = add_scaled(total, 1, load(low, row, 0, WIDTH))
                store(low, row, 0, WIDTH, total)
                continue
            place = (0 if j == 0 else 1 + (j - 1) * levels + level) * nodes + row
            if k > 2:
                total = add_scaled(total, 1, load(blocks, place, first, width))
            store(blocks, place, first, width, total)


@compiled()
def _synthesis_walk(
    starts: Any,
    columns: Any,
    values: Any,
    term: Any,
    after: Any,
    low: Any,
    blocks: Any,
    gain: Any,
    out: Any,
    table: Any,
    level: int,
    levels: int,
    k: int,
    dilation: float,
    first: int,
    width: int,
    ahead: int,
    begin: int,
    end: int,
) -> None:
    """Clenshaw's b_k = g_k + 2 M b_(k+1) - b_(k+2), over b_(k+2); at last g_0 + M b_1 - b_2, which is the level's signal.

    term: b_(k+1). after: b_(k+2). low: output of the level above, which the last level has from the blocks.
    """
    filters, terms = table.shape
    nodes = len(term)
    twice = 2 if k > 0 else 1
    for row in range(begin, end):
        total = zeros(term)
        for j in range(filters):
            if j == 0 and level < levels - 1:
                total = add_scaled(total, table[0, k], load(low, row, 0, WIDTH))
                continue
            place = (0 if j == 0 else 1 + (j - 1) * levels + level) * nodes + row
            factor = table[j, k]
            if len(gain) > 0:
                factor *= gain[place]
            total = add_scaled(total, factor, load(blocks, place, first, width))
        if k < terms - 1:
            product = weighted_sum(values, columns, starts[row], starts[row + 1], term, 0, ahead)
            total = add_scaled(total, twice * dilation, product)
            total = add_scaled(total, -twice, load(term, row, 0, WIDTH))
        if k < terms - 2:
            total = add_scaled(total, -1, load(after, row, 0, WIDTH))
        if k == 0 and level == 0:
            store(out, row, first, width, total)
        else:
            store(after, row, 0, WIDTH, total)


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _row_products(x: Any, y: Any, out: Any) -> None:
    for block in range(x.shape[0]):
        for row in range(x.shape[1]):
            total = x.dtype.type(0)
            for j in range(x.shape[2]):
                total += x[block, row, j] * y[block, row, j]
            out[block, row] = total
