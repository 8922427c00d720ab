"""Two knowledge graphs in one numbering, with the pairs of entities and relations that mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

from ke_gcn.checks import check_one_partner, check_pair_ids, check_pairs, check_triples
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
        test: (n,) int64, rows of `pairs` that are given for testing; None where that is left open.
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
    test: Array | None = None

    def __post_init__(self) -> None:
        if self.left.shape != (self.num_entities,) or self.left.dtype != bool:
            raise InputError(
                f"{self.name}: left must be bool of shape ({self.num_entities},), "
                f"got {self.left.dtype} {self.left.shape}"
            )
        triples = check_triples(self.triples, self.num_entities, self.num_relations)
        for kind, names, count in (
            ("entity", self.entity_names, self.num_entities),
            ("relation", self.relation_names, self.num_relations),
        ):
            if len(names) not in (0, count):
                raise InputError(f"{self.name}: {len(names)} {kind} names for {count}")
        check_pairs("entity pairs", self.pairs, self.left)
        check_pair_ids("relation pairs", self.relation_pairs, self.num_relations, "relations")
        self._check_leaks(triples)

    def _check_leaks(self, triples: Array) -> None:
        """Nothing but the seeds joins the two graphs."""
        of_left = self.left[triples[:, 0]]
        if (joined := of_left != self.left[triples[:, 2]]).any():
            row = int(np.argmax(joined))
            raise InputError(
                f"{self.name}: triple {row}, {triples[row].tolist()}, joins the two graphs: it would give pairs away"
            )
        if self.relations_shared:
            return
        left, right = (np.unique(triples[part, 1]) for part in (of_left, ~of_left))
        if len(common := np.intersect1d(left, right)):
            raise InputError(
                f"{self.name}: relation {common[0]} is in both graphs, but relations_shared is False"
            )
        for column, other, side in ((0, right, "left"), (1, left, "right")):
            ids = self.relation_pairs[:, column]
            if len(wrong := np.intersect1d(ids, other)):
                raise InputError(f"relation pairs: relation {wrong[0]} is not of the {side} graph")
            check_one_partner("relation pairs", ids, f"{side} relation")

    def entity_name(self, entity: int) -> str:
        """The name of an entity, or its number."""
        return self.entity_names[entity] if len(self.entity_names) else f"entity {entity}"

    def relation_name(self, relation: int) -> str:
        """The name of a relation, or its number."""
        return self.relation_names[relation] if len(self.relation_names) else f"relation {relation}"

    def check_relations_open(self, *, answers: bool = False) -> None:
        """See that which relations are the same is to be found; with `answers`, that pairs are known to compare with.

        Raises:
            InputError: the graphs share relation ids, so that it was given, or no pairs are known.
        """
        if self.relations_shared:
            raise InputError(
                f"{self.name}: relation ids are shared, so that their alignment was given, not found"
            )
        if answers and not len(self.relation_pairs):
            raise InputError(f"{self.name}: no pairs of relations are known")

    @classmethod
    def merge(
        cls,
        name: str,
        left: KnowledgeGraph,
        right: KnowledgeGraph,
        pairs: Sequence[NamedPair],
        relation_pairs: Sequence[NamedPair] = (),
        *,
        test_pairs: Sequence[NamedPair] = (),
        checksums: Mapping[str, str] | None = None,
    ) -> AlignmentData:
        """One numbering for two graphs: the left one's ids, then the right one's behind them.

        Args:
            name: of the data set.
            left: its training triples are used.
            right: its training triples are used.
            pairs: names of entities that are the same, left then right.
            relation_pairs: names of relations that are the same; they are kept for evaluation, not given away.
            test_pairs: names of further entities that are the same, which are given for testing.
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
            numbered([*pairs, *test_pairs], "entities", left.num_entities),
            numbered(relation_pairs, "relations", left.num_relations),
            False,
            [g.label(n) for g in (left, right) for n in g.entities.names],
            [g.label(n) for g in (left, right) for n in g.relations.names],
            checksums or {},
            np.arange(len(pairs), len(pairs) + len(test_pairs)) if test_pairs else None,
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
        for name in ("train", "valid", "test"):
            part = getattr(self, name)
            if part.ndim != 2 or part.shape[1] != 2 or not np.issubdtype(part.dtype, np.integer):
                raise InputError(f"{name} must be integers of shape (n, 2), got {part.dtype} {part.shape}")
        seen = [
            set(part[:, side].tolist()) for part in (self.train, self.valid, self.test) for side in (0, 1)
        ]
        for side in (0, 1):
            train, valid, test = seen[side::2]
            if leaked := (train & test) | (train & valid) | (valid & test):
                raise InputError(f"entity {min(leaked)} is in two parts of the split: test pairs would leak")


def given_split(data: AlignmentData, valid_share: float = 0.0, seed: int = 0) -> Split:
    """The pairs that are given for testing, and all others as seeds.

    Args:
        data: with its pairs.
        valid_share: share of the seeds that is held out for validation.
        seed: of the choice of validation pairs.

    Raises:
        InputError: the share is not in [0, 1).
    """
    test = np.zeros(0, np.int64) if data.test is None else data.test
    split = split_pairs(np.delete(data.pairs, test, axis=0), 1.0, valid_share, seed=seed)
    return replace(split, test=data.pairs[test])


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
