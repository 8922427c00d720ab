"""In which order the factors of a product are multiplied: exactly the best for a few, the cheapest pair first for many.

Sources: Lam, Sadayappan, Wenger, On Optimizing a Class of Multi-Dimensional Loops with Reductions (1997), for the problem; the exact
order is found by dynamic programming over subsets of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Tree: TypeAlias = "int | tuple[Tree, Tree]"

_MOST_EXACT = 8  # 3^8 splits are looked at in milliseconds
_WRITTEN = 16  # multiplications of a matrix product in the time in which one number is written to memory


def contraction_tree(factors: Sequence[frozenset[int]], free: frozenset[int], length: Sequence[int]) -> Tree:
    """Which two are multiplied, down to single factors.

    Args:
        factors: the indices of each, at least one factor.
        free: indices that are left in the end.
        length: elements along each index.
    """
    if len(factors) == 1:
        return 0
    return (_exact if len(factors) <= _MOST_EXACT else _greedy)(factors, free, length)


def _cost(one: frozenset[int], other: frozenset[int], kept: frozenset[int], length: Sequence[int]) -> int:
    return math.prod(length[index] for index in one | other) + _WRITTEN * math.prod(
        length[index] for index in kept
    )


def _exact(factors: Sequence[frozenset[int]], free: frozenset[int], length: Sequence[int]) -> Tree:
    everything = (1 << len(factors)) - 1
    union = [frozenset[int]()] * (everything + 1)
    for group in range(1, everything + 1):
        low = group & -group
        union[group] = union[group ^ low] | factors[low.bit_length() - 1]
    kept = [union[group] & (free | union[everything ^ group]) for group in range(everything + 1)]
    best: dict[int, tuple[int, Tree]] = {1 << at: (0, at) for at in range(len(factors))}
    for group in range(1, everything + 1):
        if group in best:
            continue
        low = group & -group
        part = (group - 1) & group
        found: tuple[int, int] | None = None
        while part:  # every split once: the part with the first factor, and the rest
            if part & low:
                rest = group ^ part
                total = best[part][0] + best[rest][0]
                if found is None or total < found[0]:
                    total += _cost(kept[part], kept[rest], kept[group], length)
                    if found is None or total < found[0]:
                        found = total, part
            part = (part - 1) & group
        assert found is not None
        best[group] = found[0], (best[found[1]][1], best[group ^ found[1]][1])
    return best[everything][1]


def _greedy(factors: Sequence[frozenset[int]], free: frozenset[int], length: Sequence[int]) -> Tree:
    items: list[tuple[frozenset[int], Tree]] = list(zip(factors, range(len(factors)), strict=True))
    while len(items) > 1:
        choices = []
        for at, (one, _) in enumerate(items):
            for later in range(at + 1, len(items)):
                other = items[later][0]
                rest = frozenset[int]().union(*(i for n, (i, _) in enumerate(items) if n not in (at, later)))
                kept = (one | other) & (free | rest)
                choices.append((not one & other, _cost(one, other, kept, length), at, later, kept))
        _, _, at, later, kept = min(choices, key=lambda choice: choice[:4])
        items[at] = kept, (items[at][1], items[later][1])
        del items[later]
    return items[0][1]
