"""What confidences can be guessed without learning an embedding; a model has to be better than these to have learnt something.

    constant       the mean confidence of the training facts
    relation mean  the mean of the relation's training facts
    lookup         the mean of (h, r, t) and (t, r, h) in train, else of {h, t} under any relation, else the relation's mean

As scores for ranking, lookup puts what it knows of the question in order and knows nothing of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offprints.triples import Ids

from ukge.facts import Facts, Floats, Keys


@dataclass(frozen=True)
class Constant:
    """One confidence for all facts."""

    value: float
    num_entities: int

    @classmethod
    def of(cls, train: Facts, num_entities: int) -> Constant:
        return cls(float(train.confidence.mean()), num_entities)

    def predict(self, facts: Facts) -> Floats:
        return np.full(len(facts), self.value)

    def scores(self, facts: Facts) -> Floats:
        return self.predict(facts)

    def score_tails(self, head: Ids, relation: Ids) -> NDArray[np.floating]:
        return np.full((len(head), self.num_entities), self.value)


@dataclass(frozen=True)
class RelationMean:
    """One confidence for each relation; the overall mean for one that train does not have."""

    mean: Floats
    num_entities: int

    @classmethod
    def of(cls, train: Facts, num_entities: int, num_relations: int) -> RelationMean:
        count = np.bincount(train.relation, minlength=num_relations)
        total = np.bincount(train.relation, train.confidence, num_relations)
        overall = train.confidence.mean()
        return cls(np.where(count > 0, total / np.maximum(count, 1), overall), num_entities)

    def predict(self, facts: Facts) -> Floats:
        found: Floats = self.mean[facts.relation]
        return found

    def scores(self, facts: Facts) -> Floats:
        return self.predict(facts)

    def score_tails(self, head: Ids, relation: Ids) -> NDArray[np.floating]:
        return np.repeat(self.mean[relation][:, None], self.num_entities, axis=1)


@dataclass(frozen=True)
class Lookup:
    """Reading the training facts forwards and backwards.

    Attributes:
        train: the facts.
        num_entities: N.
        means: for what is not found.
        unseen: factor of the relation's mean for a pair that train does not have; 1 where all facts are known to be true to some
            degree, less where false ones are among them. `Lookup.tuned` chooses it on validation facts.
    """

    train: Facts
    num_entities: int
    means: RelationMean
    unseen: float = 1.0

    @classmethod
    def of(cls, train: Facts, num_entities: int, num_relations: int) -> Lookup:
        return cls(train, num_entities, RelationMean.of(train, num_entities, num_relations))

    def tuned(self, facts: Facts) -> Lookup:
        """The same with the factor of least squared error on some facts and negatives, such as the validation's."""
        unseen = ~self._known(facts)
        mean, target = self.means.predict(facts)[unseen], facts.confidence[unseen]
        factor = float(mean @ target / (mean @ mean)) if unseen.any() else self.unseen
        return Lookup(self.train, self.num_entities, self.means, factor)

    def predict(self, facts: Facts) -> Floats:
        value = self.means.predict(facts) * self.unseen
        for table, keys in self._levels(facts):
            place, known = _find(table[0], keys)
            value[known] = table[1][place[known]]
        return value

    def scores(self, facts: Facts) -> Floats:
        return self.predict(facts)

    def score_tails(self, head: Ids, relation: Ids) -> NDArray[np.floating]:
        scores = np.zeros((len(head), self.num_entities), np.float32)
        keys, mean = self._facts
        by_question, tail = np.divmod(keys, self.num_entities)
        question = relation.astype(np.int64) * self.num_entities + head
        low, high = np.searchsorted(by_question, question), np.searchsorted(by_question, question, "right")
        for row, (first, last) in enumerate(zip(low, high, strict=True)):
            scores[row, tail[first:last]] = mean[first:last]
        return scores

    def _known(self, facts: Facts) -> NDArray[np.bool_]:
        known = np.zeros(len(facts), bool)
        for table, keys in self._levels(facts):
            known |= _find(table[0], keys)[1]
        return known

    def _levels(self, facts: Facts) -> list[tuple[tuple[Keys, Floats], Keys]]:
        """From the vaguest to the surest, so that the surest is written last."""
        n = self.num_entities
        return [(self._pairs, facts.pair_keys(n)), (self._facts, facts.keys(n))]

    @cached_property
    def _facts(self) -> tuple[Keys, Floats]:
        both = np.concatenate(
            [self.train.keys(self.num_entities), self.train.reversed().keys(self.num_entities)]
        )
        return _means(both, np.tile(self.train.confidence, 2))

    @cached_property
    def _pairs(self) -> tuple[Keys, Floats]:
        return _means(self.train.pair_keys(self.num_entities), self.train.confidence)


def _means(keys: Keys, values: Floats) -> tuple[Keys, Floats]:
    distinct, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return distinct, np.bincount(inverse, values) / counts


def _find(table: Keys, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return place, table[place] == keys
