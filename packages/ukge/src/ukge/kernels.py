"""Loss and gradients of one batch with its own negatives, as compiled loops for the CPU.

A batch of B facts with K corrupted heads and K corrupted tails touches 2 B K rows of the entity table. Gathering them, as the plain
way does, writes and reads (B, K, dim) arrays several times over. Here

    the walk over the facts    reads every row once: while it is in cache it gives a logit, the slope of the loss there, and its share
                               of the gradient of the question that it answers
    the sum over the entities  orders the slopes by entity (a counting sort) and makes each row of the gradient by itself

so that nothing of size (B, K, dim) exists. A row is always made by one thread in one order: the number of threads changes no bit.
`ukge.scorers` and `ukge.loss` say what is computed; the tests hold these loops to them through autograd.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.threads import on_threads, shares

from ukge.loss import Targets
from ukge.prefetch import prefetch

# What a user of the package names by words is a number in a compiled loop.
_SCORERS = {"distmult": 0, "complex": 1, "urge": 2, "transe": 3, "transe_l1": 4}
_COMPLEX, _URGE, _SQUARED, _ABSOLUTE = (_SCORERS[name] for name in ("complex", "urge", "transe", "transe_l1"))
_OBJECTIVES = {"published": 0, "paper": 1, "logistic": 2}
_PAPER, _LOGISTIC = _OBJECTIVES["paper"], _OBJECTIVES["logistic"]

# What the walk leaves of each fact, one row each: both questions, and the gradients of its three rows.
_TAIL_QUESTION, _HEAD_QUESTION, _HEAD, _TAIL, _RELATION = range(5)
_PARTS = 5

# Sums may be reordered, which lets them be vectorised; a NaN must stay one, so that divergence is seen.
compiled = functools.partial(numba.njit, nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
inlined = functools.partial(compiled, forceinline=True)
Floats32 = NDArray[np.float32]


def gradients(
    tables: tuple[Tensor, Tensor, float, float],
    facts: tuple[Tensor, Tensor, Tensor],
    negatives: tuple[Tensor, Tensor],
    targets: Targets,
    out: tuple[Tensor, Tensor],
    *,
    scorer: str,
    logistic_map: bool,
    objective: str,
    negative_weight: float,
    psl_weight: float,
    l2: float,
) -> tuple[float, float, float]:
    """Loss of a batch and its gradients; the arguments are those of `ukge.step.add_gradients`, taken apart.

    Args:
        tables: entities (N, dim) and relations (M, dim), float32 on the CPU; w; b.
        facts: heads, relations and tails, (B + S,) int64 each: facts, then atoms.
        negatives: corrupted heads and tails, (B, K) int64 each.
        targets: of the loss.
        out: written: the gradients of both tables.
        scorer: a key of `ukge.scorers.SCORERS`.
        logistic_map: the kind is "logi".
        objective: see `ukge.loss`.
        negative_weight: see `ukge.loss.batch_loss`.
        psl_weight: see `ukge.loss.batch_loss`.
        l2: see `ukge.step.add_gradients`.

    Returns:
        The loss and its derivatives by w and b.
    """
    entity, relation, weight, bias = tables[0].numpy(), tables[1].numpy(), *tables[2:]
    head, kind, tail = (ids.numpy() for ids in facts)
    # Side 0 are the tails, of the question (h, r, ?), and side 1 the heads.
    drawn = np.stack([ids.numpy() for ids in reversed(negatives)])
    kept = np.empty((0, 0, 0), np.float32)  # stands for a weight of 1
    if targets.tail_weight is not None and targets.head_weight is not None:
        kept = np.stack([targets.tail_weight.numpy(), targets.head_weight.numpy()])
    _, size, width = drawn.shape
    atoms = len(head) - size
    # The factor of each term: of a fact, a negative, an atom.
    factors = np.array([1.0, negative_weight, psl_weight]) / (size, size, max(1, atoms))
    if objective == "published":
        factors[1] /= 2 * max(1, width)
    if objective == "paper":
        factors[2] *= targets.atoms_per_fact
    made = np.empty((len(head) * _PARTS, entity.shape[1]), np.float32)
    slopes = np.empty(drawn.shape, np.float32)
    sums = np.empty((len(head), 3))
    _shared_out(
        _walk, len(head), entity, relation, np.array([weight, bias], np.float32), head, kind, tail, drawn, kept,
        targets.confidence.numpy(), targets.bound.numpy(), targets.atom_weight.numpy(), factors.astype(np.float32),
        np.float32(l2 / size), np.array([_SCORERS[scorer], _OBJECTIVES[objective], logistic_map]), made, slopes, sums,
    )  # fmt: skip
    code = _SCORERS[scorer]
    by_entity = _ordered(head, tail, drawn, slopes, len(entity))
    _shared_out(_sum_rows, len(entity), *by_entity, made, entity, code, out[0].numpy())
    by_relation = _ordered_members(kind, len(relation))
    _shared_out(_sum_rows, len(relation), *by_relation, made, relation, code, out[1].numpy())
    loss, by_weight, by_bias = sums.sum(axis=0)
    return float(loss), float(by_weight), float(by_bias)


def _shared_out(kernel: Callable[..., None], rows: int, *arguments: Any) -> None:
    """Run a kernel over all rows, which are equally much work, on as many threads as torch has."""
    threads = torch.get_num_threads() if rows >= 64 else 1
    on_threads(kernel, [(*arguments, *part) for part in shares(np.arange(rows + 1), threads)])


@compiled()
def _walk(
    entity: Any, relation: Any, affine: Any, head: Any, kind: Any, tail: Any, drawn: Any, kept: Any, confidence: Any,
    bound: Any, atom_weight: Any, factors: Any, l2: Any, options: Any, made: Any, slopes: Any, sums: Any,
    begin: int, end: int,
) -> None:  # fmt: skip
    """Questions, slopes and member gradients of the facts and atoms begin .. end."""
    # Rows are given by table and number: a view of a row would be counted in and out, which costs more than what is done with it.
    scorer, objective, logistic = options[0], options[1], options[2] == 1
    w, b = affine[0], affine[1]
    size, width, dim = drawn.shape[1], drawn.shape[2], entity.shape[1]
    towards = np.empty((2, dim), np.float32)
    for i in range(begin, end):
        if i + 1 < min(size, end):  # rows at random places: the memory is told of them one fact ahead
            for side in range(2):
                for k in range(width):
                    prefetch(entity, drawn[side, i + 1, k])
        h, r, t, first = head[i], kind[i], tail[i], i * _PARTS
        _ask(scorer, entity, h, relation, r, t, made, first)
        x = _plausibility(scorer, made, first + _TAIL_QUESTION, entity, t)
        if i < size:
            value, slope = _of_fact(objective, logistic, w * x + b, confidence[i])
            factor = factors[0]
        else:
            value, slope = _of_atom(objective, logistic, w * x + b, bound[i - size], atom_weight[i - size])
            factor = factors[2]
        loss, own = np.float64(factor * value), factor * slope
        by_weight, by_bias = np.float64(own * x), np.float64(own)
        for j in range(dim):
            towards[_TAIL_QUESTION, j] = 0
            towards[_HEAD_QUESTION, j] = 0
        if scorer >= _SQUARED:
            # A distance falls for the one as it rises for the other.
            _to_candidate(scorer, -own * w, made, first + _TAIL_QUESTION, entity, t, towards, _TAIL_QUESTION)
        else:
            for j in range(dim):
                towards[_TAIL_QUESTION, j] += own * w * entity[t, j]
        if i < size:
            for side in range(2):
                _score(scorer, made, first + side, entity, drawn, side, i, slopes)
                for k in range(width):
                    x = slopes[side, i, k]
                    value, slope = _of_negative(objective, logistic, w * x + b)
                    factor = factors[1] * kept[side, i, k] if kept.size > 0 else factors[1]
                    slope *= factor
                    loss += factor * value
                    by_weight += slope * x
                    by_bias += slope
                    slopes[side, i, k] = slope * w
                _to_question(scorer, slopes, made, first + side, entity, drawn, side, i, towards)
        _to_members(scorer, entity, h, relation, r, t, towards, made, first)
        _to_candidate(scorer, own * w, made, first + _TAIL_QUESTION, entity, t, made, first + _TAIL)
        if i < size and l2 > 0:
            square = np.float32(0)
            for j in range(dim):
                square += entity[h, j] ** 2 + relation[r, j] ** 2 + entity[t, j] ** 2
                made[first + _HEAD, j] += l2 * entity[h, j]
                made[first + _RELATION, j] += l2 * relation[r, j]
                made[first + _TAIL, j] += l2 * entity[t, j]
            loss += l2 / 2 * square
        sums[i, 0], sums[i, 1], sums[i, 2] = loss, by_weight, by_bias


@compiled()
def _sum_rows(
    offsets: Any, source: Any, weight: Any, made: Any, table: Any, scorer: int, out: Any, begin: int, end: int
) -> None:
    """out[e] = the gradient of row e of a table, from what lies at offsets[e] : offsets[e + 1]."""
    dim = out.shape[1]
    for e in range(begin, end):
        for j in range(dim):
            out[e, j] = 0
        entry, end_of_row = offsets[e], offsets[e + 1]
        if scorer >= _SQUARED:
            for entry in range(offsets[e], end_of_row):
                row = source[entry]
                if row % _PARTS <= _HEAD_QUESTION:
                    _to_candidate(scorer, weight[entry], made, row, table, e, out, e)
                else:
                    for j in range(dim):
                        out[e, j] += made[row, j]
            continue
        while entry + 1 < end_of_row:
            one, other, a, b = source[entry], source[entry + 1], weight[entry], weight[entry + 1]
            for j in range(dim):
                out[e, j] += a * made[one, j] + b * made[other, j]
            entry += 2
        if entry < end_of_row:
            last, a = source[entry], weight[entry]
            for j in range(dim):
                out[e, j] += a * made[last, j]


@compiled()
def _ordered(head: Any, tail: Any, drawn: Any, slopes: Any, num_entities: int) -> Any:
    """Where each entity takes part: offsets (N + 1,), the row of `made` and the slope of each part."""
    _, size, width = drawn.shape
    offsets = np.zeros(num_entities + 2, np.int64)
    for i in range(len(head)):
        offsets[head[i] + 2] += 1
        offsets[tail[i] + 2] += 1
    for side in range(2):
        for i in range(size):
            for k in range(width):
                offsets[drawn[side, i, k] + 2] += 1
    for e in range(2, num_entities + 2):
        offsets[e] += offsets[e - 1]
    total = offsets[num_entities + 1]
    source, weight = np.empty(total, np.int32), np.ones(total, np.float32)
    # offsets[e + 1] is where the next part of e goes, and ends as where e + 1 begins.
    for i in range(len(head)):
        place = offsets[head[i] + 1]
        offsets[head[i] + 1] = place + 1
        source[place] = i * _PARTS + _HEAD
        place = offsets[tail[i] + 1]
        offsets[tail[i] + 1] = place + 1
        source[place] = i * _PARTS + _TAIL
    for side in range(2):
        for i in range(size):
            for k in range(width):
                place = offsets[drawn[side, i, k] + 1]
                offsets[drawn[side, i, k] + 1] = place + 1
                source[place], weight[place] = i * _PARTS + side, slopes[side, i, k]
    return offsets, source, weight


def _ordered_members(kind: NDArray[np.int64], num_relations: int) -> tuple[Any, Any, Any]:
    """As `_ordered`, of the relations, which are never candidates."""
    offsets = np.zeros(num_relations + 1, np.int64)
    np.cumsum(np.bincount(kind, minlength=num_relations), out=offsets[1:])
    source = (np.argsort(kind, kind="stable") * _PARTS + _RELATION).astype(np.int32)
    return offsets, source, np.ones(len(kind), np.float32)


# The terms of the loss at a logit y, without their factor: value and slope.


@inlined()
def _fitted(logistic: bool, y: Any) -> Any:
    """What is compared with a confidence, and its slope."""
    if not logistic:
        return y, np.float32(1)
    f = np.float32(1) / (np.float32(1) + np.float32(math.exp(-y)))
    return f, f * (np.float32(1) - f)


@inlined()
def _softplus(y: Any) -> Any:
    """log(1 + e^y) and its slope."""
    small = np.float32(math.exp(-abs(y)))
    value = max(y, np.float32(0)) + np.float32(math.log1p(small))
    return value, (np.float32(1) if y >= 0 else small) / (np.float32(1) + small)


@inlined()
def _of_fact(objective: int, logistic: bool, y: Any, confidence: Any) -> Any:
    if objective == _LOGISTIC:
        value, slope = _softplus(-y)
        return value, -slope
    f, slope = _fitted(logistic, y)
    return (f - confidence) * (f - confidence), np.float32(2) * (f - confidence) * slope


@inlined()
def _of_negative(objective: int, logistic: bool, y: Any) -> Any:
    if objective == _LOGISTIC:
        return _softplus(y)
    f, slope = _fitted(logistic, y)
    if objective == _PAPER and f < 0:
        return np.float32(0), np.float32(0)
    return f * f, np.float32(2) * f * slope


@inlined()
def _of_atom(objective: int, logistic: bool, y: Any, bound: Any, weight: Any) -> Any:
    f, slope = _fitted(logistic, y)
    distance = bound - f
    if objective == _LOGISTIC or distance < 0:
        return np.float32(0), np.float32(0)
    weight = weight * weight if objective == _PAPER else weight
    return weight * distance * distance, np.float32(-2) * weight * distance * slope


# The scorers: questions, plausibility of an answer, and the way back. A row is a table and a number.


@inlined()
def _ask(scorer: int, entity: Any, h: int, relation: Any, r: int, t: int, made: Any, first: int) -> None:
    dim, tails, heads = entity.shape[1], first + _TAIL_QUESTION, first + _HEAD_QUESTION
    if scorer == _COMPLEX:
        for j in range(dim // 2):
            k = j + dim // 2
            real, imaginary = relation[r, j], relation[r, k]
            made[tails, j] = entity[h, j] * real - entity[h, k] * imaginary
            made[tails, k] = entity[h, j] * imaginary + entity[h, k] * real
            made[heads, j] = entity[t, j] * real + entity[t, k] * imaginary
            made[heads, k] = entity[t, k] * real - entity[t, j] * imaginary
    elif scorer == _URGE:
        for j in range(dim):
            made[tails, j] = entity[h, j]
            made[heads, j] = entity[t, j]
    elif scorer >= _SQUARED:
        for j in range(dim):
            made[tails, j] = entity[h, j] + relation[r, j]
            made[heads, j] = entity[t, j] - relation[r, j]
    else:
        for j in range(dim):
            made[tails, j] = entity[h, j] * relation[r, j]
            made[heads, j] = entity[t, j] * relation[r, j]


@inlined()
def _plausibility(scorer: int, made: Any, question: int, table: Any, candidate: int) -> Any:
    total = np.float32(0)
    if scorer == _SQUARED:
        for j in range(table.shape[1]):
            total -= (made[question, j] - table[candidate, j]) ** 2
    elif scorer == _ABSOLUTE:
        for j in range(table.shape[1]):
            total -= abs(made[question, j] - table[candidate, j])
    else:
        for j in range(table.shape[1]):
            total += made[question, j] * table[candidate, j]
    return total


@inlined()
def _score(
    scorer: int, made: Any, question: int, table: Any, drawn: Any, side: int, i: int, out: Any
) -> None:
    """out[side, i] = the plausibilities of all that was drawn for one question."""
    if scorer >= _SQUARED:
        for k in range(drawn.shape[2]):
            out[side, i, k] = _plausibility(scorer, made, question, table, drawn[side, i, k])
        return
    for k in range(drawn.shape[2]):
        candidate = drawn[side, i, k]
        total = np.float32(0)
        for j in range(table.shape[1]):
            total += made[question, j] * table[candidate, j]
        out[side, i, k] = total


@inlined()
def _to_question(
    scorer: int, slopes: Any, made: Any, question: int, table: Any, drawn: Any, side: int, i: int, out: Any
) -> None:
    """out[side] += the gradient of one question, from the slopes at all that was drawn for it."""
    width = drawn.shape[2]
    if scorer >= _SQUARED:
        for k in range(width):
            _to_candidate(scorer, -slopes[side, i, k], made, question, table, drawn[side, i, k], out, side)
        return
    # Two rows at a time: the sum is then read and written once for both.
    for k in range(0, width - 1, 2):
        one, other, a, b = (
            drawn[side, i, k],
            drawn[side, i, k + 1],
            slopes[side, i, k],
            slopes[side, i, k + 1],
        )
        for j in range(table.shape[1]):
            out[side, j] += a * table[one, j] + b * table[other, j]
    if width % 2:
        last, a = drawn[side, i, width - 1], slopes[side, i, width - 1]
        for j in range(table.shape[1]):
            out[side, j] += a * table[last, j]


@inlined()
def _to_candidate(
    scorer: int, slope: Any, made: Any, question: int, table: Any, candidate: int, out: Any, row: int
) -> None:
    """out[row] += slope times the derivative of the plausibility by the candidate."""
    if scorer == _SQUARED:
        for j in range(table.shape[1]):
            out[row, j] += np.float32(2) * slope * (made[question, j] - table[candidate, j])
    elif scorer == _ABSOLUTE:
        for j in range(table.shape[1]):
            out[row, j] += slope * np.sign(made[question, j] - table[candidate, j])
    else:
        for j in range(table.shape[1]):
            out[row, j] += slope * made[question, j]


@inlined()
def _to_members(
    scorer: int, entity: Any, h: int, relation: Any, r: int, t: int, towards: Any, made: Any, first: int
) -> None:
    """Gradients of a fact's three rows, from those of its two questions."""
    dim, of_head, of_tail, of_relation = entity.shape[1], first + _HEAD, first + _TAIL, first + _RELATION
    tails, heads = _TAIL_QUESTION, _HEAD_QUESTION
    if scorer == _COMPLEX:
        for j in range(dim // 2):
            k = j + dim // 2
            u, v, x, y = towards[tails, j], towards[tails, k], towards[heads, j], towards[heads, k]
            real, imaginary = relation[r, j], relation[r, k]
            made[of_head, j], made[of_head, k] = real * u + imaginary * v, real * v - imaginary * u
            made[of_tail, j], made[of_tail, k] = real * x - imaginary * y, imaginary * x + real * y
            made[of_relation, j] = entity[h, j] * u + entity[h, k] * v + entity[t, j] * x + entity[t, k] * y
            made[of_relation, k] = entity[h, j] * v - entity[h, k] * u + entity[t, k] * x - entity[t, j] * y
    elif scorer == _URGE:
        for j in range(dim):
            made[of_head, j], made[of_tail, j], made[of_relation, j] = towards[tails, j], towards[heads, j], 0
    elif scorer >= _SQUARED:
        for j in range(dim):
            made[of_head, j], made[of_tail, j] = towards[tails, j], towards[heads, j]
            made[of_relation, j] = towards[tails, j] - towards[heads, j]
    else:
        for j in range(dim):
            made[of_head, j] = relation[r, j] * towards[tails, j]
            made[of_tail, j] = relation[r, j] * towards[heads, j]
            made[of_relation, j] = entity[h, j] * towards[tails, j] + entity[t, j] * towards[heads, j]
