"""An uncertain knowledge graph: vocabularies, splits of weighted facts, and what an evaluation needs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from offprints.checkpoint import fingerprint
from offprints.errors import InputError
from offprints.triples import Vocabulary

from ukge.facts import Facts, Keys

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class UncertainGraph:
    """Entities, relations, and three splits of facts with their confidences.

    Attributes:
        name: of the data set.
        entities: N names.
        relations: M names.
        train: the facts to learn from.
        valid: the facts to choose by.
        test: the facts to report.
        strong: tau; a fact is strong when its confidence is larger (Section 5.4).
        negatives: the published false facts of the test set, confidence 0; None where nobody published any.
        queries: the truth of the published ranking queries, (h, r) with every tail known in any split; None likewise.
        atoms: the published heads of ground rules, whose confidence is the lower bound; None likewise.
        labels: name -> text for people, where it differs.
        checksums: file -> sha256 of what was read.
    """

    name: str
    entities: Vocabulary
    relations: Vocabulary
    train: Facts
    valid: Facts
    test: Facts
    strong: float = 0.7
    negatives: Facts | None = None
    queries: Facts | None = None
    atoms: Facts | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.train) == 0:
            raise InputError(f"{self.name}: there are no training facts")
        if not 0 <= self.strong < 1:
            raise InputError(f"{self.name}: strong={self.strong} must be in [0, 1)")
        for split in SPLITS:
            facts = self.split(split)
            for column, size, kind in (
                (facts.head, self.num_entities, "entity"),
                (facts.tail, self.num_entities, "entity"),
                (facts.relation, self.num_relations, "relation"),
            ):
                wrong = np.flatnonzero((column < 0) | (column >= size))
                if len(wrong):
                    raise InputError(
                        f"{self.name}: {split} fact {wrong[0]}: {kind} id {column[wrong[0]]} is not in 0 .. {size - 1}"
                    )

    @property
    def num_entities(self) -> int:
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        return len(self.relations)

    def split(self, name: str) -> Facts:
        """The facts of "train", "valid" or "test".

        Raises:
            InputError: there is no such split.
        """
        if name not in SPLITS:
            raise InputError(f"split {name!r} is unknown: one of {', '.join(SPLITS)}")
        facts: Facts = getattr(self, name)
        return facts

    @cached_property
    def all_facts(self) -> Facts:
        """Train, valid and test, in this order."""
        return Facts.concatenate([self.train, self.valid, self.test])

    def known(self, *splits: str) -> Keys:
        """Sorted distinct keys of the facts of some splits, for `facts.contained`."""
        return np.unique(np.concatenate([self.split(split).keys(self.num_entities) for split in splits]))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of both vocabularies: what a model's tables belong to."""
        return fingerprint(entities=list(self.entities.names), relations=list(self.relations.names))

    def label(self, name: str) -> str:
        """The text for people of an entity or relation."""
        return self.labels.get(name, name)

    def text(self, head: int, relation: int, tail: int) -> str:
        """A fact in words."""
        names = (self.entities.names[head], self.relations.names[relation], self.entities.names[tail])
        return " ".join(self.label(name) for name in names)
