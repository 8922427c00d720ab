"""The frequency baseline: answer every question with what its relation has most often.

(h, r, ?) is answered with the most frequent tails of r in train, (?, r, t) with its most frequent heads; the entity in
the question plays no part. A model that does not beat it has learnt nothing about entities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.ranking import Ranking
from offprints.triples import Ids, KnowledgeGraph

from conve.keys import distinct, places, query_keys


@dataclass(frozen=True)
class FrequencyModel:
    """Counts of the tails of every relation in train, reciprocal relations included.

    Attributes:
        keys: (k,) int64, relation * entities + tail, sorted; relation r + relations asks for the heads of r.
        counts: (k,) int64, distinct training facts with that relation and tail.
    """

    graph: KnowledgeGraph
    keys: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, graph: KnowledgeGraph) -> FrequencyModel:
        """Count the training facts of a graph."""
        number, relations = graph.num_entities, 2 * graph.num_relations
        query, tail = np.divmod(
            distinct(query_keys(graph.train.with_reciprocals(graph.num_relations), number, relations)), number
        )
        keys = np.sort(query % relations * number + tail)
        starts = (
            np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.int64)
        )
        return cls(graph, keys[starts], np.diff(np.append(starts, len(keys))))

    def score(self, relation: Ids, tail: Ids) -> NDArray[np.int64]:
        """How often each relation (below 2 * relations) has each tail in train; (n,)."""
        wanted = relation * np.int64(self.graph.num_entities) + tail
        if len(self.keys) == 0:
            return np.zeros(len(wanted), np.int64)
        place = np.minimum(places(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[place] == wanted, self.counts[place], 0)

    def top(self, relation: int, count: int = 10) -> tuple[Ids, NDArray[np.int64]]:
        """The most frequent tails of a relation (r + relations: heads of r), and how often; ties by entity id."""
        first, last = np.searchsorted(self.keys, np.array([relation, relation + 1]) * self.graph.num_entities)
        order = np.argsort(-self.counts[first:last], kind="stable")[:count]
        return (self.keys[first:last][order] % self.graph.num_entities).astype(np.int32), self.counts[
            first:last
        ][order]

    def rank(self, split: str = "test") -> Ranking:
        """Exact filtered ranking of both sides of every triple of a split; ties are counted, not broken.

        Scores are never laid out over all entities: candidates above a target are counted in the sorted counts of its
        relation, and those of them that are known answers in the sorted counts of its question.

        Raises:
            InputError: the split is empty.
        """
        graph = self.graph
        triples = graph.split(split)
        if len(triples) == 0:
            raise InputError(f"{graph.name}: nothing to rank, the {split} split is empty")
        asked = triples.with_reciprocals(graph.num_relations)
        level = self.score(asked.relation, asked.tail)
        above, at_level = _above_and_at(
            self.keys // graph.num_entities, self.counts, asked.relation.astype(np.int64), level
        )
        # Entities that a relation never has score 0, and no count stands for them.
        at_level = np.where(level == 0, graph.num_entities - self._distinct_tails[asked.relation], at_level)

        known = graph.known
        row = known.rows(asked.head, asked.relation)
        answers = np.diff(known.offsets)
        score = self.score(np.repeat(known.relation, answers), known.tails)
        known_above, known_at_level = _above_and_at(
            np.repeat(np.arange(len(known)), answers), score, row, level
        )
        counts = above - known_above, at_level - known_at_level, graph.num_entities - answers[row] + 1
        better, tied, candidates = (count.reshape(2, len(triples)) for count in counts)
        return Ranking(triples, graph.num_relations, better, tied, candidates)

    @cached_property
    def _distinct_tails(self) -> NDArray[np.int64]:
        return np.bincount(self.keys // self.graph.num_entities, minlength=2 * self.graph.num_relations)


def _above_and_at(
    group: NDArray[np.int64], value: NDArray[np.int64], wanted: NDArray[np.int64], level: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many values of a group are above, and how many exactly at, a level.

    Args:
        group: (k,), the group of each value.
        value: (k,), values from 0 on.
        wanted: (n,), the group of each question.
        level: (n,), the level of each question.

    Returns:
        (n,) each.
    """
    width = max(int(value.max(initial=0)), int(level.max(initial=0))) + 2
    ordered = np.sort(group * width + value)
    base = wanted * width
    not_above = places(ordered, base + level + 1)
    return places(ordered, base + width) - not_above, not_above - places(ordered, base + level)
