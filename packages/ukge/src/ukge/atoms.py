"""Heads of ground rules: unobserved facts, each with the lower bound that a rule gives its confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.triples import Ids

from ukge.facts import Facts, Floats, Keys, contained, fact_keys


@dataclass(frozen=True)
class Atoms:
    """Ground rules by their heads.

    Attributes:
        head: (n,) int32 ids of entities.
        relation: (n,) int32 ids of relations.
        tail: (n,) int32 ids of entities.
        bound: (n,) float64, I(body): the confidence from which on the ground rule is satisfied.
        weight: (n,) float64, w of the rule.
        rule: (n,) int32, which rule it is a ground rule of.
    """

    head: Ids
    relation: Ids
    tail: Ids
    bound: Floats
    weight: Floats
    rule: NDArray[np.int32]

    @classmethod
    def empty(cls) -> Atoms:
        ids = np.zeros(0, np.int32)
        return cls(ids, ids, ids, np.zeros(0), np.zeros(0), ids)

    @classmethod
    def of_facts(cls, facts: Facts) -> Atoms:
        """Published atoms: facts whose confidence is the bound, all of one rule of weight 1."""
        size = len(facts)
        return cls(
            facts.head, facts.relation, facts.tail, facts.confidence, np.ones(size), np.zeros(size, np.int32)
        )

    @classmethod
    def concatenate(cls, parts: list[Atoms]) -> Atoms:
        """All atoms of the parts, in order; of none, none."""
        names = ("head", "relation", "tail", "bound", "weight", "rule")
        return cls(
            *(np.concatenate([getattr(part, name) for part in [cls.empty(), *parts]]) for name in names)
        )

    def __len__(self) -> int:
        return len(self.head)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> Atoms:
        return Atoms(
            self.head[rows],
            self.relation[rows],
            self.tail[rows],
            self.bound[rows],
            self.weight[rows],
            self.rule[rows],
        )

    def keys(self, num_entities: int) -> Keys:
        """(n,) int64, one number for each distinct head atom."""
        return fact_keys(self.head, self.relation, self.tail, num_entities)

    def without(self, known: Keys, num_entities: int, self_loops: bool = True) -> Atoms:
        """The atoms that are not among the known facts: an observed fact has its own confidence (Section 4.2).

        Args:
            known: sorted keys, of training facts and of no others.
            num_entities: N.
            self_loops: leave out atoms whose head and tail are one entity, too.
        """
        keep = ~contained(self.keys(num_entities), known)
        if self_loops:
            keep &= self.head != self.tail
        return self[keep]

    def strongest(self, num_entities: int) -> Atoms:
        """One atom for each distinct fact, the one with the highest bound."""
        keys = self.keys(num_entities)
        order = np.lexsort((-self.bound, keys))
        first = np.ones(len(order), bool)
        first[1:] = keys[order][1:] != keys[order][:-1]
        return self[np.sort(order[first])]
