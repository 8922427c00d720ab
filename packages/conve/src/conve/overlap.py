"""How many (head, tail) pairs two relations share in train, straight or reversed, for all relations at once.

Relations are the rows and distinct pairs the columns of a sparse 0/1 matrix; one product of two such matrices counts the
shared pairs of every two relations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from offprints.triples import KnowledgeGraph, Triples

from conve.keys import Keys, contains, distinct, pair_keys, places


@dataclass(frozen=True)
class PairOverlap:
    """Ordered pairs of relations that share (head, tail) pairs, sorted; k of them.

    Attributes:
        first: (k,) int64, relation ids.
        second: (k,) int64, relation ids.
        support: (k,) int64, distinct pairs of `first` that are pairs of `second` too (after reversal, if that was asked).
        sizes: (relations,) int64, distinct training pairs of each relation.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    support: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def share(self) -> NDArray[np.float64]:
        """(k,), the part of the pairs of `first` that is shared."""
        return self.support / self.sizes[self.first]

    @property
    def share_of_second(self) -> NDArray[np.float64]:
        """(k,), the part of the pairs of `second` that is shared."""
        return self.support / self.sizes[self.second]


def pair_overlap(graph: KnowledgeGraph, *, reverse: bool) -> PairOverlap:
    """Count the training pairs that two relations share; with `reverse`, those of one that the other has swapped.

    Relations without training facts are in no pair.
    """
    train = graph.train
    pairs = distinct(pair_keys(train, graph.num_entities))
    straight = _incidence(graph, train, pairs)
    other = _incidence(graph, train.reversed(), pairs) if reverse else straight
    shared = sparse.coo_array(straight @ other.T)
    order = np.lexsort((shared.col, shared.row))
    first, second = shared.row[order].astype(np.int64), shared.col[order].astype(np.int64)
    return PairOverlap(first, second, shared.data[order], np.asarray(straight.sum(axis=1)).ravel())


def _incidence(graph: KnowledgeGraph, triples: Triples, pairs: Keys) -> sparse.csr_array:
    """Which relation holds between which of the sorted pairs; (relations, pairs) of 0 and 1."""
    keys = pair_keys(triples, graph.num_entities)
    inside = contains(pairs, keys)
    width = max(len(pairs), 1)
    cells = distinct(triples.relation[inside] * np.int64(width) + places(pairs, keys[inside]))
    ones = np.ones(len(cells), np.int64)  # a repeated triple counts once
    return sparse.csr_array((ones, np.divmod(cells, width)), (graph.num_relations, width))
