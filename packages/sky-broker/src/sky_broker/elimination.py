"""Exact minimisation of pairwise energies by eliminating one task after the other; on chains and trees this is Viterbi's recursion.

Eliminating a task replaces the energies that it is in by their minimum over its states, a table over its neighbours. The largest table decides
the cost: k^2 numbers on a tree, k^(w+1) on a graph of width w.

Source: bucket elimination of Dechter 1999; the order is greedy by the size of the table.
"""

from __future__ import annotations

import math

import numpy as np

from sky_broker.energy import Energies
from sky_broker.problem import Floats, Ints

MOST_ENTRIES = 1 << 24
"""Largest table by default, of 8 bytes an entry."""

Factor = tuple[tuple[int, ...], Floats]


def order_of(sizes: list[int], neighbours: list[set[int]], most: int = MOST_ENTRIES) -> list[int] | None:
    """An order to eliminate the tasks in, the smallest next table first.

    Args:
        sizes: states of each task.
        neighbours: of each task.
        most: entries of the largest table that may be made.

    Returns:
        The order; None if a table would be larger.
    """
    joined = [set(near) for near in neighbours]
    left = set(range(len(sizes)))
    order = []
    while left:
        entries, task = min((math.prod(sizes[other] for other in (*joined[one], one)), one) for one in left)
        if entries > most:
            return None
        for one in joined[task]:
            joined[one] |= joined[task]
            joined[one] -= {one, task}
        left.discard(task)
        order.append(task)
    return order


def eliminate(energies: Energies, most: int = MOST_ENTRIES) -> tuple[float, list[int]] | None:
    """The least energy and a choice that has it.

    Args:
        energies: of states and pairs.
        most: entries of the largest table that may be made.

    Returns:
        Energy, infinite if every choice breaks a rule, and the index of each task's state; None if a table would be larger.
    """
    n = len(energies.unary)
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for u, v in energies.pairs:
        neighbours[u].add(v)
        neighbours[v].add(u)
    order = order_of([len(unary) for unary in energies.unary], neighbours, most)
    if order is None:
        return None
    buckets: list[list[Factor]] = [[((task,), unary)] for task, unary in enumerate(energies.unary)]
    place = {task: rank for rank, task in enumerate(order)}
    for ends, pair in energies.pairs.items():
        buckets[min(ends, key=place.__getitem__)].append((ends, pair))
    value, best = 0.0, {}
    for task in order:
        scope, table = _sum(buckets[task], task)
        best[task] = scope, table.argmin(axis=-1)
        rest: Floats = table.min(axis=-1)
        if scope:
            buckets[min(scope, key=place.__getitem__)].append((scope, rest))
        else:
            value += float(rest)
    chosen = [0] * n
    for task in reversed(order):
        scope, table_of = best[task]
        chosen[task] = int(table_of[tuple(chosen[other] for other in scope)])
    return value, chosen


def _sum(factors: list[Factor], task: int) -> tuple[tuple[int, ...], Floats]:
    """The sum of some factors as a table over the other tasks of them, with `task` as its last axis."""
    others = tuple(sorted({other for scope, _ in factors for other in scope} - {task}))
    axes = (*others, task)
    total: Floats | None = None
    for scope, table in sorted(factors, key=lambda factor: factor[1].size):
        order: list[int] | Ints = sorted(range(len(scope)), key=lambda axis: axes.index(scope[axis]))
        spread = [slice(None) if one in scope else None for one in axes]
        aligned = table.transpose(order)[tuple(spread)]
        total = aligned if total is None else total + aligned
    assert total is not None
    shape = [0] * len(axes)
    for scope, table in factors:
        for one, size in zip(scope, table.shape, strict=True):
            shape[axes.index(one)] = size
    return others, np.broadcast_to(total, shape)
