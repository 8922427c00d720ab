"""Facts with a confidence, as columns of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offprints.errors import InputError
from offprints.triples import Ids

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """Weighted facts l = (h, r, t) with s in [0, 1] (Section 3 of the paper).

    Attributes:
        head: (n,) int32 ids of entities.
        relation: (n,) int32 ids of relations.
        tail: (n,) int32 ids of entities.
        confidence: (n,) float64, s.
    """

    head: Ids
    relation: Ids
    tail: Ids
    confidence: Floats

    @classmethod
    def of(cls, head: ArrayLike, relation: ArrayLike, tail: ArrayLike, confidence: ArrayLike) -> Facts:
        """Facts from anything array-like.

        Raises:
            InputError: the columns are not vectors of one length, or a confidence is NaN or outside [0, 1].
        """
        h, r, t = (np.ascontiguousarray(column, np.int32) for column in (head, relation, tail))
        share = np.ascontiguousarray(confidence, np.float64)
        shapes = [h.shape, r.shape, t.shape, share.shape]
        if len(set(shapes)) != 1 or share.ndim != 1:
            raise InputError(f"columns must be vectors of one length, got {shapes}")
        wrong = np.flatnonzero(~((share >= 0) & (share <= 1)))
        if len(wrong):
            raise InputError(f"row {wrong[0]}: confidence {share[wrong[0]]} is not in [0, 1]")
        return cls(h, r, t, share)

    @classmethod
    def empty(cls) -> Facts:
        return cls.of([], [], [], [])

    @classmethod
    def concatenate(cls, parts: Iterable[Facts]) -> Facts:
        """All facts of the parts, in order."""
        listed = list(parts)
        names = ("head", "relation", "tail", "confidence")
        return cls(*(np.concatenate([getattr(part, name) for part in listed]) for name in names))

    def __len__(self) -> int:
        return len(self.head)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Facts:
        return Facts(self.head[rows], self.relation[rows], self.tail[rows], self.confidence[rows])

    def reversed(self) -> Facts:
        """(t, r, h) of each fact."""
        return Facts(self.tail, self.relation, self.head, self.confidence)

    def keys(self, num_entities: int) -> Keys:
        """(n,) int64, one number for each distinct (h, r, t)."""
        return fact_keys(self.head, self.relation, self.tail, num_entities)

    def pair_keys(self, num_entities: int) -> Keys:
        """(n,) int64, one number for each unordered pair {h, t}."""
        low, high = np.minimum(self.head, self.tail), np.maximum(self.head, self.tail)
        return low.astype(np.int64) * num_entities + high

    def query_keys(self, num_relations: int) -> Keys:
        """(n,) int64, one number for each question (h, r, ?)."""
        return self.head.astype(np.int64) * num_relations + self.relation


def fact_keys(
    head: NDArray[np.integer], relation: NDArray[np.integer], tail: NDArray[np.integer], num_entities: int
) -> Keys:
    """One int64 for each (h, r, t); broadcasts."""
    key: Keys = (relation.astype(np.int64) * num_entities + head) * num_entities + tail
    return key


def contained(keys: Keys, known: Keys) -> NDArray[np.bool_]:
    """Which keys are among the `known` ones.

    Args:
        keys: any shape, int64.
        known: (m,) int64, sorted.
    """
    if len(known) == 0:
        return np.zeros(keys.shape, bool)
    place = np.searchsorted(known, keys)
    found: NDArray[np.bool_] = known[np.minimum(place, len(known) - 1)] == keys
    return found
