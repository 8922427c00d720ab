"""What must be true of ids and rows before a compiled walk reads them, which checks nothing and would read beyond an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from offprints.errors import InputError

from ke_gcn.pattern import Array

MOST_IDS = 1 << 30
"""More entities or relations than fit the kernels' 32-bit columns, in which a relation takes two numbers."""


def check_triples(triples: Any, num_entities: int | None = None, num_relations: int | None = None) -> Array:
    """Triples as (E, 3) int64, head, relation, tail.

    Args:
        triples: an array, tensor or nested list of integers.
        num_entities: ids are below it; None takes any that the kernels can hold.
        num_relations: the same of relations.

    Raises:
        InputError: another shape, no triples, or ids that are no integers, negative or too high.
    """
    if isinstance(triples, Tensor):
        triples = triples.detach().cpu().numpy()
    try:
        array = np.asarray(triples)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"triples must be of shape (E, 3): head, relation, tail ({error})") from None
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"triples must be of shape (E, 3): head, relation, tail; got {array.shape}")
    if len(array) == 0:
        raise InputError("triples: there are none, and a graph without edges has no messages")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"triples must hold integer ids, got {array.dtype}")
    if array.min() < 0:
        row = int(np.argmax((array < 0).any(1)))
        raise InputError(f"triples: row {row} has a negative id: {array[row].tolist()}")
    for kind, columns, given in (("entity", [0, 2], num_entities), ("relation", [1], num_relations)):
        highest = int(array[:, columns].max())
        if given is not None and highest >= given:
            raise InputError(f"triples: the highest {kind} id is {highest}, but there are {given} of them")
        if highest >= MOST_IDS:
            raise InputError(
                f"triples: {kind} id {highest} is too high: ids are positions in a table, numbered from 0"
            )
    return np.ascontiguousarray(array, np.int64)


def check_pairs(what: str, pairs: Array, left: Array) -> None:
    """Pairs of a left and a right entity, each entity in one pair at most.

    Args:
        what: the pairs are, for messages.
        pairs: (P, 2) integers.
        left: (N,) bool, entities of the first graph.

    Raises:
        InputError: another shape or type, an id that is none, an entity of the wrong graph, or one with two partners.
    """
    check_pair_ids(what, pairs, len(left), "entities")
    for side, name in enumerate(("left", "right")):
        column = pairs[:, side]
        wrong = left[column] if side else ~left[column]
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{what}: row {row}, entity {column[row]} is not of the {name} graph")
        check_one_partner(what, column, f"{name} entity")


def check_one_partner(what: str, ids: Array, kind: str) -> None:
    """No id stands twice; (P,) integers.

    Raises:
        InputError: one does.
    """
    found, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{what}: {kind} {found[counts > 1][0]} is in {counts.max()} pairs; one is allowed")


def check_pair_ids(what: str, pairs: Array, count: int, kind: str) -> None:
    """Two columns of ids below a count.

    Raises:
        InputError: another shape or type, or an id that is none.
    """
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise InputError(f"{what} must be integers of shape (P, 2), got {pairs.dtype} {pairs.shape}")
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < count:
        raise InputError(f"{what}: an id is not one of the {count} {kind}")


def check_rows(e: Tensor, r: Tensor, num_entities: int, num_relations: int, device: torch.device) -> None:
    """Embeddings that belong to a graph: its numbers of rows, float32 or float64 both, its device.

    Args:
        e: (N, entity width).
        r: (R, relation width).
        num_entities: N.
        num_relations: R.
        device: of the graph.

    Raises:
        InputError: they do not.
    """
    for kind, x, count in (("entities", e, num_entities), ("relations", r, num_relations)):
        if x.dim() != 2 or len(x) != count:
            raise InputError(f"{kind}: rows {tuple(x.shape)}, but the graph has {count} {kind}")
        if x.dtype not in (torch.float32, torch.float64):
            raise InputError(f"{kind}: rows of {x.dtype}, expected float32 or float64")
        if x.device.type != device.type:
            raise InputError(
                f"{kind}: rows on {x.device}, but the graph computes on {device}; move one of them"
            )
    if e.dtype != r.dtype:
        raise InputError(f"entities are {e.dtype} and relations {r.dtype}: they must be of one type")


def check_finite(*rows: Tensor) -> None:
    """Numbers that comparisons mean something for.

    Raises:
        InputError: one is not finite.
    """
    if not all(bool(torch.isfinite(x).all()) for x in rows):
        raise InputError("an embedding is not finite: the model has diverged, its ranks would mean nothing")
