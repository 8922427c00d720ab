"""A knowledge graph as the layers read it: triples, degrees, and the same edges in the orders that the kernels need."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from offprints.errors import InputError

from ke_gcn.checks import check_triples
from ke_gcn.kernels import Kernels, kernels
from ke_gcn.pattern import Array, ByRelation, Edges, Groups, Pattern, starts

Direction: TypeAlias = Literal["in", "out", "both"]
T = TypeVar("T")

# Column of the receiver, column of the source, sign.
_ALONG, _AGAINST = (2, 0, 1), (0, 2, -1)
_WAYS = {"in": (_ALONG,), "out": (_AGAINST,), "both": (_ALONG, _AGAINST)}


class Graph:
    """Triples in one direction each, as they are given: no inverse relation and no self-loop is added.

    A triple that stands twice counts twice. A relation without triples and an entity without edges are allowed.

    Args:
        triples: (E, 3) integers: head, relation, tail.
        num_entities: None takes the highest id plus one.
        num_relations: None takes the highest id plus one.
        backend: "numba" (CPU), "torch" (any device), "triton" (GPU), "dgl" (CPU, needs the extra [dgl]), or "auto".
        device: where the layers compute.

    Raises:
        InputError: no triples, ids that are no integers, out of range or beyond what kernels can number, or a backend that cannot run there.
    """

    def __init__(
        self,
        triples: Any,
        num_entities: int | None = None,
        num_relations: int | None = None,
        *,
        backend: str = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.backend = backend
        self._triples = check_triples(triples, num_entities, num_relations)
        head, relation, tail = self._triples.max(0).tolist()
        self.num_entities = max(head, tail) + 1 if num_entities is None else num_entities
        self.num_relations = relation + 1 if num_relations is None else num_relations
        self._made: dict[str, Any] = {}
        self.kernels: Kernels = kernels(backend, self.device)

    def __len__(self) -> int:
        return len(self._triples)

    @property
    def triples(self) -> Array:
        """(E, 3) int64: head, relation, tail."""
        return self._triples

    def to(self, device: torch.device | str) -> Graph:
        """The same graph on another device."""
        sizes = (self.num_entities, self.num_relations)
        return Graph(self._triples, *sizes, backend=self.backend, device=device)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the triples and sizes, in hexadecimal; the order of the triples matters."""
        digest = hashlib.sha256(f"{self.num_entities} {self.num_relations}\n".encode())
        digest.update(self._triples.tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def degree(self) -> Tensor:
        """(N,) float64: ends of triples at each entity; a self-loop counts 2."""
        return self._tensor(
            np.bincount(self._triples[:, [0, 2]].ravel(), minlength=self.num_entities).astype(float)
        )

    @cached_property
    def count(self) -> Tensor:
        """(R,) float64: triples of each relation."""
        return self._tensor(np.bincount(self._triples[:, 1], minlength=self.num_relations).astype(float))

    def inverse_degree(self, dtype: torch.dtype) -> Tensor:
        """(N, 1): 1 / degree, 0 for an entity without edges."""
        return _inverse(self.degree)[:, None].to(dtype)

    def inverse_count(self, dtype: torch.dtype) -> Tensor:
        """(R, 1): 1 / number of triples, 0 for a relation without any."""
        return _inverse(self.count)[:, None].to(dtype)

    def edges(self, direction: Direction) -> Edges:
        """Messages along the triples ("in": from head to tail), against them ("out"), or both ways."""
        return self.once(f"edges {_checked_direction(direction)}", lambda: self._edges(direction))

    def message_pattern(self, direction: Direction) -> Pattern:
        """The messages of `edges(direction)` as a matrix of N x N, one entry a message."""

        def make() -> Pattern:
            edges = self.edges(direction)
            row, column = edges.receiver.cpu().numpy(), edges.source.cpu().numpy()
            return Pattern.of(row, column, (self.num_entities, self.num_entities), self.device)

        return self.once(f"pattern {_checked_direction(direction)}", make)

    @cached_property
    def groups(self) -> Groups:
        """The messages of both directions, those with one receiver, relation and direction together."""
        head, relation, tail = (column.astype(np.int32) for column in self._triples.T)
        receiver, source = np.concatenate([tail, head]), np.concatenate([head, tail])
        kind = np.concatenate([2 * relation + 1, 2 * relation])
        order = np.lexsort((source, kind, receiver))
        receiver, source, kind = receiver[order], source[order], kind[order]
        begins = np.ones(len(order), bool)
        begins[1:] = (receiver[1:] != receiver[:-1]) | (kind[1:] != kind[:-1])
        first = np.flatnonzero(begins)
        return Groups(
            self._tensor(starts(receiver[first], self.num_entities)),
            self._tensor(np.append(first, len(order))),
            self._tensor(kind[first] // 2),
            self._tensor((2 * (kind[first] % 2) - 1).astype(np.int8)),
            self._tensor(source),
        )

    @cached_property
    def by_relation(self) -> ByRelation:
        """The triples, relation by relation."""
        head, relation, tail = self._triples[np.lexsort(self._triples[:, [2, 0, 1]].T)].T
        return ByRelation(
            self._tensor(starts(relation, self.num_relations)),
            *(self._tensor(column.astype(np.int32)) for column in (head, relation, tail)),
        )

    @cached_property
    def incidence(self) -> Incidence:
        """Which entity meets which relation, and at which end."""
        head, relation, tail = self._triples.T
        size = self.num_relations
        pairs, place = np.unique(
            np.concatenate([head, tail]) * size + np.tile(relation, 2), return_inverse=True
        )
        at_head, at_tail = place[: len(self)], place[len(self) :]
        shape = (self.num_entities, size)
        return Incidence(
            Pattern.of(pairs // size, pairs % size, shape, self.device),
            self._tensor(at_head),
            self._tensor(at_tail),
            self._tensor(np.bincount(at_head, minlength=len(pairs)).astype(float)),
            self._tensor(np.bincount(at_tail, minlength=len(pairs)).astype(float)),
        )

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made the first time and kept with the graph under that name."""
        if name not in self._made:
            self._made[name] = make()
        made: T = self._made[name]
        return made

    def _edges(self, direction: Direction) -> Edges:
        ways = _WAYS[direction]
        receiver = np.concatenate([self._triples[:, to] for to, _, _ in ways])
        source = np.concatenate([self._triples[:, start] for _, start, _ in ways])
        sign = np.repeat(np.array([sign for _, _, sign in ways], np.int8), len(self))
        triple = np.tile(np.arange(len(self)), len(ways))
        relation = self._triples[triple, 1]
        # By source within a receiver: the messages of one neighbour stand together.
        order = np.lexsort((relation, source, receiver))
        return Edges(
            self._tensor(starts(receiver[order], self.num_entities)),
            self._tensor(receiver[order].astype(np.int32)),
            self._tensor(source[order].astype(np.int32)),
            self._tensor(relation[order].astype(np.int32)),
            self._tensor(sign[order]),
            self._tensor(triple[order]),
        )

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


@dataclass(frozen=True)
class Incidence:
    """The distinct pairs (entity, relation) that stand in a triple together, as a matrix of N x R.

    Attributes:
        pattern: one entry a pair.
        head_pair: (E,) int64, entry of each triple's (head, relation).
        tail_pair: (E,) int64, entry of each triple's (tail, relation).
        heads: (entries,) float64, triples of the relation that have the entity as head: the matrix C_h.
        tails: (entries,) float64, those that have it as tail: C_t.
    """

    pattern: Pattern
    head_pair: Tensor
    tail_pair: Tensor
    heads: Tensor
    tails: Tensor


def _checked_direction(direction: str) -> str:
    if direction not in get_args(Direction):
        raise InputError(f"direction {direction!r} is unknown: one of {', '.join(get_args(Direction))}")
    return direction


def _inverse(count: Tensor) -> Tensor:
    return torch.where(count > 0, 1 / count.clamp_min(1), 0)
