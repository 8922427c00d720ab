"""Hard-attention transformers with weights that anyone gives, run exactly: in whole numbers and fractions.

`exact_run` decides ties by exact arithmetic. In floating point two equal scores may differ in the last digit, and a tie, which average-hard
attention shares and leftmost attention breaks, would be decided by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

Floats = NDArray[np.float64]
Exact: TypeAlias = list[Fraction]
TIES = ("average", "leftmost", "rightmost")
VIEWS = ("none", "future", "strict_future", "past", "strict_past")


@dataclass(frozen=True)
class GivenHead:
    """A head: scores (Wq x_i) . (Wk x_j), without 1/sqrt(d).

    Attributes:
        query: (d_k, d).
        key: (d_k, d).
        value: (d, d).
        mask: none, future (sees j <= i), strict_future (j < i), past (j >= i), strict_past (j > i); a query that sees nothing gets 0.
    """

    query: Floats
    key: Floats
    value: Floats
    mask: str = "none"


@dataclass(frozen=True)
class GivenLayer:
    """C = X + sum of heads; X' = C + W2 relu(W1 C + b1) + b2.

    Attributes:
        heads: side by side.
        w1: (units, d).
        b1: (units,).
        w2: (d, units).
        b2: (d,).
    """

    heads: tuple[GivenHead, ...]
    w1: Floats
    b1: Floats
    w2: Floats
    b2: Floats


@dataclass(frozen=True)
class Network:
    """A hard-attention transformer.

    Attributes:
        layers: from the first to the last.
        ties: average, leftmost or rightmost.
    """

    layers: tuple[GivenLayer, ...]
    ties: str = "average"

    def __post_init__(self) -> None:
        if self.ties not in TIES:
            raise InputError(f"ties={self.ties!r} is unknown: one of {', '.join(TIES)}")
        if not self.layers:
            raise InputError("a network needs one layer or more")
        width = self.layers[0].w1.shape[1]
        for number, layer in enumerate(self.layers):
            units = len(layer.b1)
            shapes = {"w1": (units, width), "w2": (width, units), "b2": (width,)}
            arrays = {"w1": layer.w1, "b1": layer.b1, "w2": layer.w2, "b2": layer.b2}
            for h, head in enumerate(layer.heads):
                if head.mask not in VIEWS:
                    raise InputError(
                        f"layer {number}, head {h}: mask {head.mask!r} is none of {', '.join(VIEWS)}"
                    )
                rows = len(head.query)
                shapes |= {f"head {h} query": (rows, width), f"head {h} key": (rows, width)}
                shapes |= {f"head {h} value": (width, width)}
                arrays |= {
                    f"head {h} query": head.query,
                    f"head {h} key": head.key,
                    f"head {h} value": head.value,
                }
            for name, array in arrays.items():
                if name in shapes and array.shape != shapes[name]:
                    raise InputError(
                        f"layer {number}, {name}: shape {array.shape}, and {shapes[name]} is needed"
                    )
                if not np.isfinite(array).all():
                    raise InputError(f"layer {number}, {name}: numbers that are not finite")

    @property
    def width(self) -> int:
        """d, of the residual stream."""
        return int(self.layers[0].w1.shape[1])


@dataclass(frozen=True)
class ExactRun:
    """What a hard network does on one input, without any rounding.

    Attributes:
        output: (n, d) the last layer's, rounded once.
        weights: (layers, heads, n, n) what each query gives to each key.
        gap: (layers, heads) least distance, over the queries, from the largest score to the next; inf where no query has a next.
        tied: (layers, heads) whether a query has several largest scores, and gives weight to more than one.
        uniform: (layers, heads) whether all scores that each query sees are equal.
        size: (layers,) largest absolute entry of the layer's input.
        value_range: (layers, heads) largest spread of a value's coordinate over the keys.
        exact: (n, d) fractions of the output.
    """

    output: Floats
    weights: Floats
    gap: Floats
    tied: NDArray[np.bool_]
    uniform: NDArray[np.bool_]
    size: Floats
    value_range: Floats
    exact: tuple[tuple[Fraction, ...], ...]


def sees(mask: str, n: int) -> NDArray[np.bool_]:
    """(n, n): whether query i sees key j."""
    i, j = np.arange(n)[:, None], np.arange(n)[None, :]
    views = {"future": j <= i, "strict_future": j < i, "past": j >= i, "strict_past": j > i}
    return views.get(mask, np.ones((n, n), bool))


def exact_run(network: Network, x: Sequence[Sequence[Fraction]] | Floats) -> ExactRun:
    """Run a hard network in exact rational arithmetic.

    Args:
        network: whose weights are floats, and therefore fractions.
        x: (n, d) the embedded input; floats are taken as the fractions that they are.

    Raises:
        InputError: the input's shape does not fit, or it holds numbers that are not finite.
    """
    rows = _fractions(x, network.width)
    n, layers = len(rows), len(network.layers)
    heads = max(len(layer.heads) for layer in network.layers)
    weights = np.zeros((layers, heads, n, n))
    gap, spread = np.full((layers, heads), np.inf), np.zeros((layers, heads))
    tied, uniform = np.zeros((layers, heads), bool), np.ones((layers, heads), bool)
    size = np.zeros(layers)
    for number, layer in enumerate(network.layers):
        size[number] = float(max(abs(v) for row in rows for v in row))
        added = [[Fraction(0)] * network.width for _ in rows]
        for h, head in enumerate(layer.heads):
            queries, keys = _times(head.query, rows), _times(head.key, rows)
            values = _times(head.value, rows)
            spread[number, h] = float(max(max(c) - min(c) for c in zip(*values, strict=True)))
            view = sees(head.mask, n)
            for i in range(n):
                seen = np.flatnonzero(view[i]).tolist()
                if not seen:
                    continue
                score = {
                    j: sum((a * b for a, b in zip(queries[i], keys[j], strict=True)), Fraction(0))
                    for j in seen
                }
                top = max(score.values())
                best = [j for j in seen if score[j] == top]
                below = [s for s in score.values() if s < top]
                uniform[number, h] &= not below
                if below:
                    gap[number, h] = min(gap[number, h], float(top - max(below)))
                if network.ties != "average":
                    best = [best[0 if network.ties == "leftmost" else -1]]
                tied[number, h] |= len(best) > 1
                share = Fraction(1, len(best))
                for j in best:
                    weights[number, h, i, j] = float(share)
                for c in range(network.width):
                    added[i][c] += share * sum((values[j][c] for j in best), Fraction(0))
        middle = [
            [a + b for a, b in zip(row, more, strict=True)] for row, more in zip(rows, added, strict=True)
        ]
        rows = _feed_forward(layer, middle)
    output = np.array([[float(v) for v in row] for row in rows])
    exact = tuple(tuple(row) for row in rows)
    return ExactRun(output, weights, gap, tied, uniform, size, spread, exact)


def soft_run(network: Network, x: Floats, inverse_temperature: float, tie_term: float = 0.0) -> Floats:
    """The same weights with softmax in the place of hard attention, in float64.

    Args:
        network: the weights.
        x: (n, d) the embedded input.
        inverse_temperature: times every score.
        tie_term: added to the scores is tie_term * j / n, which prefers the right (or, negative, the left) of equal scores.

    Returns:
        (n, d).
    """
    n = len(x)
    place = tie_term * np.arange(1, n + 1) / n
    for layer in network.layers:
        mixed = x.copy()
        for head in layer.heads:
            score = (x @ head.query.T) @ (x @ head.key.T).T + place
            score = np.where(sees(head.mask, n), inverse_temperature * score, -np.inf)
            top = score.max(1, keepdims=True)
            top[~np.isfinite(top)] = 0.0  # a query that sees nothing
            weights = np.exp(score - top)
            total = weights.sum(1, keepdims=True)
            mixed += np.divide(weights, total, out=np.zeros_like(weights), where=total > 0) @ (
                x @ head.value.T
            )
        x = mixed + np.maximum(mixed @ layer.w1.T + layer.b1, 0) @ layer.w2.T + layer.b2
    return x


def _fractions(x: Sequence[Sequence[Fraction]] | Floats, width: int) -> list[Exact]:
    if isinstance(x, np.ndarray) and not np.isfinite(x).all():
        raise InputError("the input holds numbers that are not finite")
    rows = [[Fraction(v) for v in row] for row in x]
    if not rows or any(len(row) != width for row in rows):
        raise InputError(f"the input must have one position or more, each of width {width}")
    return rows


def _times(matrix: Floats, rows: list[Exact]) -> list[Exact]:
    """matrix @ row, for each row."""
    sparse = [[(c, Fraction(float(v))) for c, v in enumerate(line) if v] for line in matrix]
    return [[sum((v * row[c] for c, v in line), Fraction(0)) for line in sparse] for row in rows]


def _feed_forward(layer: GivenLayer, rows: list[Exact]) -> list[Exact]:
    b1, b2 = ([Fraction(float(v)) for v in b] for b in (layer.b1, layer.b2))
    hidden = [
        [max(v + b, Fraction(0)) for v, b in zip(row, b1, strict=True)] for row in _times(layer.w1, rows)
    ]
    second = _times(layer.w2, hidden)
    return [
        [c + v + b for c, v, b in zip(row, more, b2, strict=True)]
        for row, more in zip(rows, second, strict=True)
    ]
