"""Ranking all entities as tails of (h, r, ?), and nDCG with ties counted right (Section 5.3 of the paper).

The gain of a known tail is its confidence s ("linear") or 2^s - 1 ("exponential"); a rank k is discounted by log2(k + 1). Every
entity is a candidate; tails known from training stay in, as published.

Entities with equal scores share their ranks. "expected" gives each of them the mean discount of the ranks that they occupy, which is
the expectation over all ways to order them; "optimistic", as published, gives each of them the best of these ranks, so that a model
that cannot tell anything apart scores more than 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.triples import Ids

from ukge.counting import count
from ukge.facts import Facts, Floats

GAINS = ("linear", "exponential")
TIES = ("expected", "optimistic")
ScoreTails = Callable[[Ids, Ids], NDArray[np.floating]]
"""(q,) heads and (q,) relations to (q, N) scores, higher is more plausible."""
_BLOCK = 1 << 22  # scores at a time: 16 MB, so that counting finds them in cache


@dataclass(frozen=True)
class Queries:
    """Questions (h, r, ?) with their truth, grouped.

    Attributes:
        head: (q,) int32.
        relation: (q,) int32.
        offsets: (q + 1,) int64; the truth of question i lies at offsets[i] : offsets[i + 1].
        tail: (n,) int32, known tails.
        confidence: (n,) float64, their confidences.
    """

    head: Ids
    relation: Ids
    offsets: NDArray[np.int64]
    tail: Ids
    confidence: Floats

    def __len__(self) -> int:
        return len(self.head)

    @classmethod
    def of(cls, truth: Facts) -> Queries:
        """Every (h, r) of the facts, with their tails as truth; of a tail given twice the last confidence stands, as published.

        Raises:
            InputError: there are no facts.
        """
        if len(truth) == 0:
            raise InputError("ranking needs at least one question with a known tail")
        # Stable, and read backwards: of equal (h, r, t) the last comes first.
        order = np.lexsort((-np.arange(len(truth)), truth.tail, truth.relation, truth.head))
        h, r, t = truth.head[order], truth.relation[order], truth.tail[order]
        new_query = np.ones(len(order), bool)
        new_query[1:] = (h[1:] != h[:-1]) | (r[1:] != r[:-1])
        new_fact = new_query.copy()
        new_fact[1:] |= t[1:] != t[:-1]
        start = np.flatnonzero(new_query[new_fact])
        kept = order[new_fact]
        offsets = np.append(start, len(kept)).astype(np.int64)
        first = kept[start]
        return cls(
            truth.head[first], truth.relation[first], offsets, truth.tail[kept], truth.confidence[kept]
        )

    @classmethod
    def asked_by(
        cls, questions: Facts, truth: Facts, num_relations: int, most: int | None = None, seed: int = 0
    ) -> Queries:
        """The questions (h, r) of some facts, answered by the facts of `truth`.

        Args:
            questions: facts whose (h, r) are asked, such as those of a split.
            truth: facts that count as known, later ones over earlier ones.
            num_relations: M.
            most: draw so many of the questions; None takes all.
            seed: of the draw.
        """
        asked = np.unique(questions.query_keys(num_relations))
        if most is not None and len(asked) > most:
            asked = np.sort(np.random.default_rng(seed).choice(asked, most, replace=False))
        return cls.of(truth[np.isin(truth.query_keys(num_relations), asked)])


@dataclass(frozen=True)
class Places:
    """Where the known tails stand among all entities.

    Attributes:
        better: (n,) int64, entities with a higher score.
        tied: (n,) int64, entities with the same score, itself among them.
    """

    better: NDArray[np.int64]
    tied: NDArray[np.int64]


def places(score_tails: ScoreTails, queries: Queries) -> Places:
    """Count, for each known tail of each question, the entities above and beside it.

    A block of questions is scored by one product, and the scores of each are compared with those of its known tails.

    Args:
        score_tails: scores of all entities.
        queries: the questions.

    Raises:
        InputError: a score is NaN: a diverged model must not look average.
    """
    better = np.empty(len(queries.tail), np.int64)
    tied = np.empty(len(queries.tail), np.int64)
    for first, scores in _blocks(score_tails, queries):
        offsets = queries.offsets[first : first + len(scores) + 1]
        span = slice(offsets[0], offsets[-1])
        better[span], tied[span] = count(scores, offsets - offsets[0], queries.tail[span])
        if (better[span] < 0).any():
            raise InputError("a score is not a number; the model has diverged")
    return Places(better, tied)


def ndcg(
    found: Places, queries: Queries, num_entities: int, gain: str = "linear", ties: str = "expected"
) -> Floats:
    """nDCG of each question, (q,).

    Args:
        found: of `places`.
        queries: the same questions.
        num_entities: N.
        gain: "linear" or "exponential".
        ties: "expected" or "optimistic"; see the module.

    Raises:
        InputError: `gain` or `ties` has no such value.
    """
    if gain not in GAINS or ties not in TIES:
        raise InputError(
            f"gain={gain!r} is one of {', '.join(GAINS)}, ties={ties!r} one of {', '.join(TIES)}"
        )
    discount = 1.0 / np.log2(np.arange(num_entities) + 2.0)
    gains = queries.confidence if gain == "linear" else np.exp2(queries.confidence) - 1.0
    if ties == "optimistic":
        weight = discount[found.better]
    else:
        summed = np.concatenate([[0.0], np.cumsum(discount)])
        weight = (summed[found.better + found.tied] - summed[found.better]) / found.tied
    query = np.repeat(np.arange(len(queries)), np.diff(queries.offsets))
    reached = np.bincount(query, gains * weight, len(queries))
    ideal_order = np.lexsort((-gains, query))
    rank = np.arange(len(gains)) - np.repeat(queries.offsets[:-1], np.diff(queries.offsets))
    ideal = np.bincount(query, gains[ideal_order] * discount[rank], len(queries))
    with np.errstate(invalid="ignore"):
        # A question whose known tails have no confidence at all asks for nothing.
        result: Floats = np.where(ideal > 0, reached / ideal, 1.0)
    return result


def ndcg_metrics(found: Places, queries: Queries, num_entities: int) -> dict[str, float]:
    """Means over the questions: ndcg_linear and ndcg_exp, and both with published ties."""
    values = {}
    for short, gain in (("linear", "linear"), ("exp", "exponential")):
        values[f"ndcg_{short}"] = float(ndcg(found, queries, num_entities, gain).mean())
        published = ndcg(found, queries, num_entities, gain, "optimistic")
        values[f"ndcg_{short}_published_ties"] = float(published.mean())
    return values


def _blocks(score_tails: ScoreTails, queries: Queries) -> Iterator[tuple[int, NDArray[np.floating]]]:
    size = 64
    first = 0
    while first < len(queries):
        rows = slice(first, first + size)
        scores = np.array(score_tails(queries.head[rows], queries.relation[rows]))
        yield first, scores
        first += len(scores)
        size = max(1, _BLOCK // scores.shape[1])
