"""Facts and pairs as single integers, so that sets of them are sorted arrays.

Membership, intersection and "how many answers has this query" are then one `searchsorted`, and a set of a million facts
is made by one sort. (np.unique hashes since numpy 2.3 and takes some hundred times as long on such keys.)
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.triples import Triples

Keys: TypeAlias = NDArray[np.int64]


def query_keys(triples: Triples, num_entities: int, num_relations: int) -> Keys:
    """One integer for each fact: (head, relation) first, tail last.

    The answers of a query (h, r, ?) are consecutive, from its key for tail 0 on. For (?, r, t) pass the reversed triples.

    Returns:
        (n,) int64, not sorted.

    Raises:
        InputError: the graph is too large for 64-bit keys.
    """
    if num_entities * num_entities * num_relations >= 2**63:
        raise InputError(
            f"{num_entities:,} entities and {num_relations:,} relations do not fit 64-bit fact keys"
        )
    query = triples.head.astype(np.int64) * num_relations + triples.relation
    return query * num_entities + triples.tail


def pair_keys(triples: Triples, num_entities: int) -> Keys:
    """One integer for each (head, tail), whatever the relation; (n,) int64, not sorted."""
    return triples.head.astype(np.int64) * num_entities + triples.tail


def distinct(keys: Keys) -> Keys:
    """The keys sorted and without repeats."""
    ordered = np.sort(keys)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def places(ordered: Keys, wanted: Keys) -> NDArray[np.int64]:
    """Where each wanted key stands in a sorted set, or would stand; (len(wanted),) int64.

    The wanted keys are looked up in their own order: neighbours are then in the cache, which makes it several times as
    fast as looking them up as they come.
    """
    order = np.argsort(wanted)
    found = np.empty(len(wanted), np.int64)
    found[order] = np.searchsorted(ordered, wanted[order])
    return found


def contains(ordered: Keys, wanted: Keys) -> NDArray[np.bool_]:
    """Which of the wanted keys are in a sorted set; (len(wanted),) bool."""
    if len(ordered) == 0:
        return np.zeros(len(wanted), bool)
    found: NDArray[np.bool_] = ordered[np.minimum(places(ordered, wanted), len(ordered) - 1)] == wanted
    return found


def count_answers(ordered: Keys, wanted: Keys, num_entities: int) -> NDArray[np.int64]:
    """How many facts of a sorted set have the (head, relation) of each wanted key; (len(wanted),) int64."""
    first = wanted - wanted % num_entities
    return places(ordered, first + num_entities) - places(ordered, first)
