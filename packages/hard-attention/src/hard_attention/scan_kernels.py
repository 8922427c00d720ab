"""The compiled loops of scan.py: strings of one length side by side in a block, all of their columns in the cache.

A column of a block is one row, position after position and in each position string after string, so that every inner loop runs over
neighbours in memory. Whatever depends on the position alone, such as the exponentials of a nearest head's rungs, is taken once for a
length.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_compiled = functools.partial(numba.njit, nogil=True, cache=True, error_model="numpy")
_NEAREST, _COUNT, _SIGN, _COMPARE, _LOOKUP = 0, 1, 2, 3, 4
_BEFORE, _AFTER, _UP_TO, _FROM, _ALL = 0, 1, 2, 3, 4
_KEY, _VALUE = 5, 10
_DECAY, _REACH, _LEVEL = 0, 1, 2
"""Of a nearest head, in the place of its keys: exp of one rung less the next, of the rung behind less the query's, of less the rung."""
_ENTRIES, _LANES = 4096, 64
"""Entries of a column in a block, and strings in it at most."""
_TINY, _FAR = 1e-30, 80.0
"""Weights below `_TINY` of the largest are dropped: they change no digit, and numbers that small are slow."""
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@_compiled()
def evaluate(
    ids: Ints,
    order: Ints,
    lengths: Ints,
    tables: Ints,
    letters: Floats,
    positions: Floats,
    beta: Floats,
    start: Ints,
    column: Ints,
    factor: Floats,
    heads: Ints,
    targets: Ints,
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
    """Evaluate the strings `order`, sorted by length; arguments as `scan.Weights` has them, raw may hold no string.

    Returns whether a head was not of the form that can be scanned.
    """
    size, alphabet = ids.shape[1] + 1, letters.shape[1]
    room = max(size, _ENTRIES)
    widest = 1
    for layer in range(len(layer_units) - 1):
        widest = max(widest, layer_units[layer + 1] - layer_units[layer])
    x = np.zeros((width, room), factor.dtype)
    hidden = np.zeros((widest, room), factor.dtype)
    work = np.zeros((_KEY + 1, room), factor.dtype)
    state = np.zeros(8 * _LANES, factor.dtype)
    held = np.zeros((len(heads), _KEY + 1, size), factor.dtype)
    tokens = np.zeros(room, np.int64)
    refused = False
    at, table, many = 0, -1, 0
    while at < len(order):
        n = lengths[order[at]]
        most = max(1, min(_LANES, _ENTRIES // (n + 1)))
        stop = at + 1
        while stop < len(order) and stop - at < most and lengths[order[stop]] == n:
            stop += 1
        fresh = tables[order[at]] != table
        if fresh:
            table = tables[order[at]]
            for h in range(len(heads)):
                if heads[h, 0] == _LOOKUP:
                    continue
                refused |= _hold(
                    heads[h],
                    head_forms[h],
                    n,
                    positions[table],
                    beta[table],
                    start,
                    column,
                    factor,
                    alphabet,
                    held[h],
                )
        if fresh or stop - at != many:
            many = stop - at
            for c in range(positions.shape[1]):
                for i in range(n + 1):
                    x[alphabet + c, i * many : (i + 1) * many] = positions[table, c, i]
        used = (n + 1) * many
        for s in range(many):
            for i in range(n):
                tokens[i * many + s] = ids[order[at + s], i]
        for c in range(alphabet):
            into = x[c]
            into[:many] = letters[alphabet, c]
            for p in range(n * many):
                into[many + p] = letters[tokens[p], c]
        for layer in range(len(layer_heads) - 1):
            for h in range(layer_heads[layer], layer_heads[layer + 1]):
                kind, mask, out = heads[h, 0], heads[h, 1], x[heads[h, 2]]
                forms = head_forms[h]
                if kind == _LOOKUP:
                    _form(x, used, forms[_VALUE], start, column, factor, work[0])
                    _taken(targets[table, heads[h, 3]], n, many, work[0], out)
                elif kind == _NEAREST:
                    _form(x, used, forms[_KEY + 1], start, column, factor, work[0])
                    _form(x, used, forms[_VALUE], start, column, factor, work[1])
                    refused |= _nearest(held[h], n, many, mask == _BEFORE, work[0], work[1], out, state)
                else:
                    for d in range(_KEY):
                        _form(x, used, forms[d], start, column, factor, work[d])
                        for p in range(used):
                            work[d, p] *= beta[table]
                    _form(x, used, forms[_VALUE], start, column, factor, work[_KEY])
                    if kind == _COMPARE:
                        refused |= _compare(held[h], n, many, work, out)
                    else:
                        _uniform(held[h], n, many, mask, kind == _SIGN, work, out, state)
                if len(raw):
                    for s in range(many):
                        for i in range(n + 1):
                            raw[order[at + s], h, i] = out[i * many + s]
            first = layer_units[layer]
            for u in range(first, layer_units[layer + 1]):
                _unit(x, used, units[u], bias[u], start, column, factor, hidden[u - first])
            for o in range(layer_outputs[layer], layer_outputs[layer + 1]):
                _form(hidden, used, outputs[o, 0], start, column, factor, x[outputs[o, 1]])
        _form(x, used, readout, start, column, factor, work[0])
        for s in range(many):
            for i in range(n):
                values[order[at + s], i] = work[0, (i + 1) * many + s]
        at = stop
    return refused


@_compiled()
def _form(x: Floats, used: int, form: int, start: Ints, column: Ints, factor: Floats, out: Floats) -> None:
    """A sum of columns."""
    if form < 0:
        out[:used] = 0
        return
    first = start[form]
    k, row = factor[first], x[column[first]]
    for p in range(used):
        out[p] = k * row[p]
    for e in range(first + 1, start[form + 1]):
        k, row = factor[e], x[column[e]]
        for p in range(used):
            out[p] += k * row[p]


@_compiled()
def _unit(
    x: Floats, used: int, form: int, bias: Any, start: Ints, column: Ints, factor: Floats, out: Floats
) -> None:
    """A hidden unit: relu of a sum of columns and its bias."""
    _form(x, used, form, start, column, factor, out)
    zero = out.dtype.type(0)
    for p in range(used):
        found = out[p] + bias
        out[p] = found if found > zero else zero


@_compiled()
def _hold(
    head: Ints,
    forms: Ints,
    n: int,
    positions: Floats,
    beta: Any,
    start: Ints,
    column: Ints,
    factor: Floats,
    alphabet: int,
    out: Floats,
) -> bool:
    """What a head takes from the position alone: its keys, or of a nearest head the exponentials of its rungs."""
    keys = np.zeros((2 + _KEY, n + 1), out.dtype)
    wanted = (0, 1, _KEY, _KEY + 1, _KEY + 2, _KEY + 3, _KEY + 4)
    nearest = head[0] == _NEAREST
    for f in range(7):
        form = forms[wanted[f]]
        if form < 0 or (nearest and f > 2) or (not nearest and f < 2):
            continue
        for e in range(start[form], start[form + 1]):
            for i in range(n + 1):
                keys[f, i] += factor[e] * positions[column[e] - alphabet, i]
    refused: Any = False
    if not nearest:
        out[:_KEY, : n + 1] = keys[2:]
        if head[0] != _COMPARE:  # all positions weigh the same
            for d in range(_KEY):
                for i in range(1, n + 1):
                    refused |= out[d, i] != 0
            refused |= head[1] == _BEFORE or head[1] == _AFTER
        return bool(refused)
    forward = head[1] == _BEFORE
    refused |= not forward and head[1] != _AFTER
    behind = beta * keys[0, 1] * keys[2, 0]  # the sink's score
    refused |= behind != 0
    for step in range(1, n + 1):
        i = step if forward else n + 1 - step
        score = beta * keys[0, i] * keys[2, i]
        refused |= keys[0, i] != keys[0, 1] or score < behind
        out[_DECAY, i] = _weight(behind - score, out)
        out[_REACH, i] = _weight(behind + beta * keys[1, i], out)
        out[_LEVEL, i] = _weight(-score, out)
        behind = score
    return bool(refused)


@_compiled()
def _weight(score: Any, like: Floats) -> Any:
    """exp, and 0 where it is tiny."""
    found = np.exp(score)
    return found if found > _TINY else like.dtype.type(0)


@_compiled()
def _nearest(
    held: Floats, n: int, many: int, forward: bool, gone: Floats, value: Floats, out: Floats, state: Floats
) -> bool:
    """Keys (rung, gone), gone 0 or 1, and queries (1, -rung): two running softmax sums, of what is kept and of what is looked past.

    The first sum stands relative to the last kept key, which has the largest score, and `run` goes on decaying from there; the second
    stands relative to the rung behind the query.
    """
    # The loop over strings keeps its state in one array at constant distances, which lets the compiler see that nothing overlaps.
    total, total_value, run, run_value, past, past_value, level, odd = (
        0,
        _LANES,
        2 * _LANES,
        3 * _LANES,
        4 * _LANES,
        5 * _LANES,
        6 * _LANES,
        7 * _LANES,
    )
    zero, one, tiny = out.dtype.type(0), out.dtype.type(1), out.dtype.type(_TINY)
    for s in range(many):
        out[s] = value[s]
        state[total + s] = state[run + s] = state[level + s] = one
        state[total_value + s] = state[run_value + s] = value[s]
        state[past + s] = state[past_value + s] = state[odd + s] = zero
    for step in range(1, n + 1):
        i = step if forward else n + 1 - step
        decay, reach, here = held[_DECAY, i], held[_REACH, i], held[_LEVEL, i]
        at = i * many
        for s in range(many):
            far = reach * state[level + s]
            out[at + s] = (state[total_value + s] + far * state[past_value + s]) / (
                state[total + s] + far * state[past + s]
            )
            g, v = gone[at + s], value[at + s]
            kept = one - g
            a, b = decay * state[run + s] + kept, decay * state[run_value + s] + kept * v
            c, d = decay * state[past + s] + g, decay * state[past_value + s] + g * v
            state[run + s] = a if a > tiny else zero
            state[run_value + s] = b if abs(b) > tiny else zero
            state[past + s] = c if c > tiny else zero
            state[past_value + s] = d if abs(d) > tiny else zero
            state[total + s] = a if g == zero else state[total + s]
            state[total_value + s] = b if g == zero else state[total_value + s]
            state[level + s] = here if g == zero else state[level + s]
            state[odd + s] += abs(g * kept)
    refused = False
    for s in range(many):
        refused |= state[odd + s] != zero
    return refused


@_compiled()
def _uniform(
    held: Floats, n: int, many: int, mask: int, weighed: bool, work: Floats, out: Floats, state: Floats
) -> None:
    """Keys that are zero but for the sink's: all positions weigh the same, and the sink what its score says."""
    value = work[_KEY]
    zero, one = out.dtype.type(0), out.dtype.type(1)
    state[:many] = 0
    for s in range(many):
        out[s] = value[s]
    for step in range(1, n + 1):  # sums of what each query sees
        at = (n + 1 - step if mask == _FROM else step) * many
        for s in range(many):
            state[s] += value[at + s]
            out[at + s] = state[s]
    for i in range(1, n + 1):
        count = out.dtype.type(n if mask == _ALL else n - i + 1 if mask == _FROM else i)
        at = i * many
        for s in range(many):
            seen = state[s] if mask == _ALL else out[at + s]
            if not weighed:
                out[at + s] = (value[s] + seen) / (one + count)
                continue
            score = zero
            for d in range(_KEY):
                score += work[d, at + s] * held[d, 0]
            small = np.exp(-abs(score)) if abs(score) < _FAR else zero
            if score > zero:
                out[at + s] = (value[s] + small * seen) / (one + small * count)
            else:
                out[at + s] = (small * value[s] + seen) / (small + count)


@_compiled()
def _taken(target: Ints, n: int, many: int, value: Floats, out: Floats) -> None:
    """The value at the place that each query looks for; what other keys add is below the last digit."""
    for i in range(n + 1):
        at, taken = i * many, target[i] * many
        for s in range(many):
            out[at + s] = value[taken + s]


@_compiled()
def _compare(held: Floats, n: int, many: int, work: Floats, out: Floats) -> bool:
    """Scores that rise evenly up to the position itself; all values are alike but the sink's."""
    value = work[_KEY]
    one = out.dtype.type(1)
    for s in range(many):
        out[s] = value[s]
    refused: Any = False
    for i in range(1, n + 1):
        at = i * many
        for s in range(many):
            own, sink, behind = out.dtype.type(0), out.dtype.type(0), out.dtype.type(0)
            for d in range(_KEY):
                own += work[d, at + s] * held[d, i]
                sink += work[d, at + s] * held[d, 0]
                behind += work[d, at + s] * held[d, i - 1]
            rise = own - behind
            refused |= value[at + s] != value[many + s] or (i > 1 and not rise > 0)
            sum_ = (one - np.exp(-rise * i)) / (one - np.exp(-rise)) if i > 1 else one
            top = max(own, sink)
            down, up = np.exp(sink - top), np.exp(own - top) * sum_
            out[at + s] = (down * value[s] + up * value[at + s]) / (down + up)
    return bool(refused)
