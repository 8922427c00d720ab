"""What is done to each row by itself, as compiled loops: the gate of a ReLU, scaling to length 1, finding rows of zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ke_gcn.numba_walk import arrays, compiled, new


def live_rows(x: Tensor) -> Any:
    """Which rows have a number that is not 0; (n,) bool. Most of a loss's gradient is zero rows, not worth a gather."""
    live = np.empty(len(x), np.bool_)
    (rows,) = arrays(x)
    _live_rows(rows, live)
    return live


def stacked(e: Tensor, r: Tensor) -> Tensor:
    """Both in one array; (N, d), (R, d) -> (N + R, d)."""
    out = new(e, len(e) + len(r), e.shape[1])
    out[: len(e)], out[len(e) :] = e.detach(), r.detach()
    return out


def gated(g: Tensor, gate: Tensor) -> Tensor:
    """g where the gate is above 0, and 0 elsewhere; (n, d), (n, d) -> (n, d)."""
    out = new(g)
    _gated(*arrays(g, gate, out))
    return out


def unit_rows(x: Tensor, shortest_squared: float) -> tuple[Tensor, Tensor]:
    """Rows scaled to length 1, and the factors that did it."""
    out, inverse = new(x), x.new_empty(len(x))
    rows, scaled, factors = arrays(x, out, inverse)
    _unit_rows(rows, rows.dtype.type(shortest_squared), scaled, factors)
    return out, inverse


def unit_rows_back(unit: Tensor, inverse: Tensor, g: Tensor, shortest_squared: float) -> Tensor:
    """The gradient of `unit_rows` in x; a row that was too short has a constant factor."""
    out = new(g)
    rows, factors, by, there = arrays(unit, inverse, g, out)
    longest = rows.dtype.type((1 - 1e-5) * shortest_squared**-0.5)
    _unit_rows_back(rows, factors, longest, by, there)
    return out


@compiled()
def _gated(g: Any, gate: Any, out: Any) -> None:
    width, zero = g.shape[1], g.dtype.type(0)
    for row in range(len(g)):
        by, opened, there = g[row], gate[row], out[row]
        for j in range(width):
            there[j] = by[j] if opened[j] > 0 else zero


@compiled()
def _live_rows(x: Any, live: Any) -> None:
    for row in range(len(x)):
        here, found = x[row], False
        for j in range(len(here)):
            if here[j] != 0:
                found = True
                break
        live[row] = found


@compiled()
def _unit_rows(x: Any, shortest_squared: Any, out: Any, inverse: Any) -> None:
    width = x.shape[1]
    for row in range(len(x)):
        here, there, squares = x[row], out[row], x.dtype.type(0)
        for j in range(width):
            squares += here[j] * here[j]
        factor = x.dtype.type(1) / np.sqrt(shortest_squared if squares < shortest_squared else squares)
        inverse[row] = factor
        for j in range(width):
            there[j] = here[j] * factor


@compiled()
def _unit_rows_back(unit: Any, inverse: Any, longest: Any, g: Any, out: Any) -> None:
    width = g.shape[1]
    for row in range(len(g)):
        here, by, there, dot = unit[row], g[row], out[row], g.dtype.type(0)
        if inverse[row] < longest:
            for j in range(width):
                dot += here[j] * by[j]
        for j in range(width):
            there[j] = inverse[row] * (by[j] - dot * here[j])
