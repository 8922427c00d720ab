"""The compiled loops of scan.py: one string after the other, all of its columns in the cache."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_compiled = functools.partial(numba.njit, nogil=True, cache=True, error_model="numpy")
_NEAREST, _COUNT, _SIGN, _COMPARE = 0, 1, 2, 3
_BEFORE, _AFTER, _UP_TO, _FROM, _ALL = 0, 1, 2, 3, 4
_KEY, _VALUE = 5, 10
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@_compiled()
def evaluate(
    ids: Ints,
    lengths: Ints,
    letters: Floats,
    positions: Floats,
    beta: Floats,
    start: Ints,
    column: Ints,
    factor: Floats,
    heads: Ints,
    head_forms: Ints,
    layer_heads: Ints,
    units: Ints,
    bias: Floats,
    layer_units: Ints,
    outputs: Ints,
    layer_outputs: Ints,
    readout: int,
    width: int,
    values: Floats,
    raw: Floats,
) -> bool:
    """Evaluate strings; arguments as `scan.Weights` has them. Returns whether a head was not of the form that can be scanned."""
    size = ids.shape[1] + 1
    alphabet = letters.shape[1]
    widest = 1
    for layer in range(len(layer_units) - 1):
        widest = max(widest, layer_units[layer + 1] - layer_units[layer])
    x = np.zeros((width, size), factor.dtype)
    hidden = np.zeros((widest, size), factor.dtype)
    work = np.zeros((11, size), factor.dtype)
    refused = False
    for b in range(len(ids)):
        n = lengths[b]
        last = n + 1
        table = positions[b if len(positions) > 1 else 0]
        scale = beta[b if len(beta) > 1 else 0]
        x[:, :last] = 0
        for c in range(alphabet):
            x[c, 0] = letters[alphabet, c]
            for i in range(n):
                x[c, i + 1] = letters[ids[b, i], c]
        for c in range(len(table)):
            x[alphabet + c, :last] = table[c, :last]
        for layer in range(len(layer_heads) - 1):
            for h in range(layer_heads[layer], layer_heads[layer + 1]):
                for f in range(11):
                    _form(x, last, head_forms[h, f], start, column, factor, work[f])
                    if f < _KEY:
                        work[f, :last] *= scale
                out = raw[b, h]
                kind, mask = heads[h, 0], heads[h, 1]
                if kind == _NEAREST:
                    refused |= _nearest(work, n, mask, out)
                elif kind == _COMPARE:
                    refused |= _compare(work, n, out)
                else:
                    refused |= _sink(work, n, mask, out)
                out[last:] = 0
            for h in range(layer_heads[layer], layer_heads[layer + 1]):
                x[heads[h, 2], :last] += raw[b, h, :last]
            first = layer_units[layer]
            for u in range(first, layer_units[layer + 1]):
                _form(x, last, units[u], start, column, factor, hidden[u - first])
                for i in range(last):
                    hidden[u - first, i] = max(hidden[u - first, i] + bias[u], 0)
            for o in range(layer_outputs[layer], layer_outputs[layer + 1]):
                form = outputs[o, 0]
                if form >= 0:
                    into = x[outputs[o, 1]]
                    for e in range(start[form], start[form + 1]):
                        for i in range(last):
                            into[i] += factor[e] * hidden[column[e], i]
        _form(x, last, readout, start, column, factor, work[0])
        values[b, :n] = work[0, 1:last]
        values[b, n:] = 0
    return refused


@_compiled()
def _form(x: Floats, last: int, form: int, start: Ints, column: Ints, factor: Floats, out: Floats) -> None:
    """A sum of columns."""
    if form < 0:
        out[:last] = 0
        return
    first = start[form]
    for i in range(last):
        out[i] = factor[first] * x[column[first], i]
    for e in range(first + 1, start[form + 1]):
        for i in range(last):
            out[i] += factor[e] * x[column[e], i]


@_compiled()
def _nearest(work: Floats, n: int, mask: int, out: Floats) -> bool:
    """Keys (k, g) with g = 0 or 1 and k growing along the walk, queries (1, q): two running softmax sums."""
    out[0] = work[_VALUE, 0]
    forward = mask == _BEFORE
    kept_top = work[_KEY, 0]  # the sink
    kept_sum, kept_value = 1.0, work[_VALUE, 0]
    past_top, past_sum, past_value = -np.inf, 0.0, 0.0
    scale = work[0, 1]
    refused = mask != _BEFORE and mask != _AFTER
    for step in range(n):
        i = step + 1 if forward else n - step
        # What has been looked past stands the lower, the further on the query is.
        top = max(kept_top, past_top + work[1, i])
        down, up = np.exp(kept_top - top), np.exp(past_top + work[1, i] - top)
        out[i] = (kept_value * down + past_value * up) / (kept_sum * down + past_sum * up)
        score, gone = scale * work[_KEY, i], work[_KEY + 1, i]
        refused |= (gone != 0 and gone != 1) or work[0, i] != scale
        if gone == 0:
            top = max(kept_top, score)
            down, up = np.exp(kept_top - top), np.exp(score - top)
            kept_sum, kept_value = kept_sum * down + up, kept_value * down + up * work[_VALUE, i]
            kept_top = top
        else:
            top = max(past_top, score)
            down, up = np.exp(past_top - top), np.exp(score - top)
            past_sum, past_value = past_sum * down + up, past_value * down + up * work[_VALUE, i]
            past_top = top
    return refused


@_compiled()
def _sink(work: Floats, n: int, mask: int, out: Floats) -> bool:
    """Keys that are zero but for the sink's: all positions weigh the same."""
    refused = False
    out[0] = work[_VALUE, 0]
    total = out.dtype.type(0)
    for j in range(1, n + 1):
        total += work[_VALUE, j]
        for d in range(_KEY):
            refused |= work[_KEY + d, j] != 0
    sofar = out.dtype.type(0)
    for i in range(1, n + 1):
        sofar += work[_VALUE, i]
        if mask == _UP_TO:
            seen, count = sofar, i
        elif mask == _FROM:
            seen, count = total - sofar + work[_VALUE, i], n - i + 1
        else:
            seen, count = total, n
        score = out.dtype.type(0)
        for d in range(_KEY):
            score += work[d, i] * work[_KEY + d, 0]
        top = score if score > 0 else out.dtype.type(0)
        sink, other = np.exp(score - top), np.exp(-top)
        out[i] = (sink * work[_VALUE, 0] + other * seen) / (sink + other * count)
    return refused or mask in (_BEFORE, _AFTER)


@_compiled()
def _compare(work: Floats, n: int, out: Floats) -> bool:
    """Scores that rise evenly up to the position itself; all values are alike but the sink's."""
    out[0] = work[_VALUE, 0]
    refused: Any = False
    for i in range(1, n + 1):
        own, sink, behind = out.dtype.type(0), out.dtype.type(0), out.dtype.type(0)
        for d in range(_KEY):
            own += work[d, i] * work[_KEY + d, i]
            sink += work[d, i] * work[_KEY + d, 0]
            behind += work[d, i] * work[_KEY + d, i - 1]
        rise = own - behind
        refused |= work[_VALUE, i] != work[_VALUE, 1] or (i > 1 and rise <= 0)
        many = (1 - np.exp(-rise * i)) / (1 - np.exp(-rise)) if i > 1 else 1.0
        top = max(own, sink)
        down, up = np.exp(sink - top), np.exp(own - top) * many
        out[i] = (down * work[_VALUE, 0] + up * work[_VALUE, i]) / (down + up)
    return bool(refused)
