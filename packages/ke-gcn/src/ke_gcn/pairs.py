"""Two knowledge graphs in one numbering, with the pairs of entities and relations that mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np

from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

from ke_gcn.pattern import Array

SplitKind: TypeAlias = Literal["jape", "shuffle"]
NamedPair: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class AlignmentData:
    """Two graphs as one, and what is known to be the same in both.

    Attributes:
        name: of the data set.
        triples: (E, 3) int64 of both graphs.
        num_entities: of both graphs together.
        num_relations: of both graphs together.
        left: (N,) bool, entities of the first graph.
        pairs: (P, 2) int64, entities that are the same: left, right.
        relation_pairs: (Q, 2) int64, relations that are the same.
        relations_shared: the two graphs were given common relation ids, so that the alignment of relations is an input
            and no longer a question.
        entity_names: N names; empty where the data have none.
        relation_names: R names; empty where the data have none.
        checksums: file -> sha256 of what the data were read from.
    """

    name: str
    triples: Array
    num_entities: int
    num_relations: int
    left: Array
    pairs: Array
    relation_pairs: Array
    relations_shared: bool
    entity_names: Sequence[str] = ()
    relation_names: Sequence[str] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_pairs("entity pairs", self.pairs, self.left)

    def entity_name(self, entity: int) -> str:
        """The name of an entity, or its number."""
        return self.entity_names[entity] if len(self.entity_names) else f"entity {entity}"

    def relation_name(self, relation: int) -> str:
        """The name of a relation, or its number."""
        return self.relation_names[relation] if len(self.relation_names) else f"relation {relation}"

    @classmethod
    def merge(
        cls,
        name: str,
        left: KnowledgeGraph,
        right: KnowledgeGraph,
        pairs: Sequence[NamedPair],
        relation_pairs: Sequence[NamedPair] = (),
        *,
        checksums: Mapping[str, str] | None = None,
    ) -> AlignmentData:
        """One numbering for two graphs: the left one's ids, then the right one's behind them.

        Args:
            name: of the data set.
            left: its training triples are used.
            right: its training triples are used.
            pairs: names of entities that are the same, left then right.
            relation_pairs: names of relations that are the same; they are kept for evaluation, not given away.
            checksums: of the files that all this was read from.

        Raises:
            UnknownName: a pair names an entity or relation that its graph does not have.
            InputError: an entity is in two pairs.
        """
        shift = np.array([left.num_entities, left.num_relations, left.num_entities])
        columns = [
            np.stack([g.train.head, g.train.relation, g.train.tail], 1).astype(np.int64)
            for g in (left, right)
        ]
        both = left.num_entities + right.num_entities

        def numbered(named: Sequence[NamedPair], kind: str, offset: int) -> Array:
            first, second = (getattr(g, kind) for g in (left, right))
            ids = [(first.id(a), second.id(b) + offset) for a, b in named]
            return np.array(ids, np.int64).reshape(-1, 2)

        return cls(
            name,
            np.concatenate([columns[0], columns[1] + shift]),
            both,
            left.num_relations + right.num_relations,
            np.arange(both) < left.num_entities,
            numbered(pairs, "entities", left.num_entities),
            numbered(relation_pairs, "relations", left.num_relations),
            False,
            [g.label(n) for g in (left, right) for n in g.entities.names],
            [g.label(n) for g in (left, right) for n in g.relations.names],
            checksums or {},
        )


@dataclass(frozen=True)
class Split:
    """Disjoint parts of the known pairs, each (n, 2) int64.

    Attributes:
        train: the seeds.
        valid: held out of the seeds, to choose epochs and settings on.
        test: to be found.
    """

    train: Array
    valid: Array
    test: Array

    def __post_init__(self) -> None:
        seen = [
            set(part[:, side].tolist()) for part in (self.train, self.valid, self.test) for side in (0, 1)
        ]
        for side in (0, 1):
            train, valid, test = seen[side::2]
            if leaked := (train & test) | (train & valid) | (valid & test):
                raise InputError(f"entity {min(leaked)} is in two parts of the split: test pairs would leak")


def split_pairs(
    pairs: Array, seed_share: float = 0.3, valid_share: float = 0.0, kind: SplitKind = "jape", seed: int = 0
) -> Split:
    """Seeds, validation and test.

    Args:
        pairs: (P, 2) int64.
        seed_share: share of the pairs that are seeds; of DBP15K 0.3.
        valid_share: share of the seeds that is held out for validation.
        kind: "jape" takes the last pairs of the file as seeds, the split of JAPE that other papers use; "shuffle" mixes
            all pairs first, as the published program does.
        seed: of the shuffle, and of the choice of validation pairs.

    Raises:
        InputError: a share is not in its range, or the kind is unknown.
    """
    if kind not in get_args(SplitKind):
        raise InputError(f"split {kind!r} is unknown: one of {', '.join(get_args(SplitKind))}")
    if not 0 < seed_share <= 1 or not 0 <= valid_share < 1:
        raise InputError(f"seed_share={seed_share} must be in (0, 1] and valid_share={valid_share} in [0, 1)")
    rng = np.random.default_rng(seed)
    if kind == "shuffle":
        pairs = rng.permutation(pairs)
    count = round(seed_share * len(pairs))
    test, seeds = pairs[: len(pairs) - count], pairs[len(pairs) - count :]
    held_out = np.zeros(len(seeds), bool)
    held_out[rng.permutation(len(seeds))[: round(valid_share * len(seeds))]] = True
    return Split(seeds[~held_out], seeds[held_out], test)


def _check_pairs(what: str, pairs: Array, left: Array) -> None:
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise InputError(f"{what} must be integers of shape (P, 2), got {pairs.dtype} {pairs.shape}")
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(left):
        raise InputError(f"{what}: an id is not one of the {len(left)} entities")
    for side, name in enumerate(("left", "right")):
        column = pairs[:, side]
        wrong = left[column] if side else ~left[column]
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{what}: row {row}, entity {column[row]} is not of the {name} graph")
        ids, counts = np.unique(column, return_counts=True)
        if (counts > 1).any():
            raise InputError(
                f"{what}: {name} entity {ids[counts > 1][0]} has {counts.max()} partners; one is allowed"
            )
