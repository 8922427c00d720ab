"""Numbers for entities under which neighbours lie close together in memory, so that a gathered row is often still cached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ke_gcn.numba_walk import compiled
from ke_gcn.pattern import Array, starts


@dataclass(frozen=True)
class Numbering:
    """One other number for each entity.

    Attributes:
        place: (N,) int64, the new number of each entity.
        order: (N,) int64, the entity that has each new number.
    """

    place: Array
    order: Array

    def triples(self, triples: Array) -> Array:
        """The triples in new numbers; (E, 3) -> (E, 3)."""
        head, relation, tail = triples.T
        return np.stack([self.place[head], relation, self.place[tail]], 1)


def neighbours_together(triples: Array, num_entities: int) -> Numbering:
    """Number entities in breadth-first order from one of low degree, neighbours of low degree first.

    Args:
        triples: (E, 3) int64.
        num_entities: N.

    Source: Cuthill and McKee 1969, Reducing the Bandwidth of Sparse Symmetric Matrices.
    """
    head, _, tail = triples.T
    receiver, source = np.concatenate([head, tail]), np.concatenate([tail, head])
    degree = np.bincount(receiver, minlength=num_entities)
    sort = np.lexsort((source, degree[source], receiver))
    order = np.empty(num_entities, np.int64)
    seeds = np.argsort(degree, kind="stable")
    _breadth_first(starts(receiver[sort], num_entities), source[sort].astype(np.int64), seeds, order)
    place = np.empty_like(order)
    place[order] = np.arange(num_entities)
    return Numbering(place, order)


@compiled()
def _breadth_first(indptr: Any, column: Any, seeds: Any, order: Any) -> None:
    seen = np.zeros(len(seeds), np.bool_)
    filled = 0
    for seed in seeds:
        if seen[seed]:
            continue
        seen[seed] = True
        order[filled] = seed
        read, filled = filled, filled + 1
        while read < filled:
            here = order[read]
            read += 1
            for entry in range(indptr[here], indptr[here + 1]):
                there = column[entry]
                if not seen[there]:
                    seen[there] = True
                    order[filled] = there
                    filled += 1
