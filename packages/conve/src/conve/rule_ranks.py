"""Ranks that a rule gives: uniform on a range of places, because a rule orders nothing.

A rule either predicts the target of a query, along with some others, or it does not. In both cases the place of the
target is random within a known range, and every metric has a closed form: no seed is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

Side: TypeAlias = Literal["both", "tail", "head"]
HITS = (1, 3, 10)


@dataclass(frozen=True)
class RuleRanks:
    """Ranks of the inverse model on the test triples, uniform on a range for each query.

    Row 0 of the arrays is the tail side, (h, r, ?), row 1 the head side, (?, r, t).

    Attributes:
        matched: (2, n) bool, the rules predict the target.
        low: (2, n) int64, first place that the target may have.
        high: (2, n) int64, last place that the target may have.
        sampled: (2, n) int64, places drawn from these ranges; None where expected values are meant.
    """

    graph: KnowledgeGraph
    matched: NDArray[np.bool_]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    sampled: NDArray[np.int64] | None = None

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """(2, n), drawn or expected ranks."""
        if self.sampled is not None:
            return self.sampled.astype(np.float64)
        return (self.low + self.high) / 2

    @cached_property
    def reciprocal_ranks(self) -> NDArray[np.float64]:
        """(2, n), drawn or expected 1/rank. The expectation is a difference of harmonic numbers."""
        if self.sampled is not None:
            return 1.0 / self.sampled
        harmonic = np.append(0.0, np.cumsum(1.0 / np.arange(1, self.high.max() + 1)))
        expected: NDArray[np.float64] = (harmonic[self.high] - harmonic[self.low - 1]) / self._places
        return expected

    def hits(self, k: int) -> NDArray[np.float64]:
        """(2, n), whether, or how probably, a target is among the first k."""
        if self.sampled is not None:
            return (self.sampled <= k).astype(np.float64)
        share: NDArray[np.float64] = np.clip(k - self.low + 1, 0, self._places) / self._places
        return share

    def metrics(self, side: Side = "both") -> dict[str, float]:
        """The metrics "mrr", "mr", "hits@1", "hits@3" and "hits@10", and "match", the share of targets predicted."""
        sides = {"both": slice(0, 2), "tail": slice(0, 1), "head": slice(1, 2)}
        if side not in sides:
            raise InputError(f"unknown side {side!r}: one of {', '.join(sides)}")
        rows = sides[side]
        return {
            "mrr": float(self.reciprocal_ranks[rows].mean()),
            "mr": float(self.ranks[rows].mean()),
            **{f"hits@{k}": float(self.hits(k)[rows].mean()) for k in HITS},
            "match": float(self.matched[rows].mean()),
        }

    def excess(self, ranks: NDArray[np.floating]) -> pd.DataFrame:
        """What a model adds to the inverse rule, relation by relation.

        Args:
            ranks: (2, n) or (2n,) ranks of a model on the same test triples, tail sides first.

        Returns:
            One row for each relation of the test split, most frequent first: relation, triples, match, rule_mrr,
            model_mrr, excess = model_mrr - rule_mrr, and unmatched_mrr, the model's on the queries that the rules do
            not answer (NaN where they answer all). Over the queries of a row the means are plain means, so that
            weighting `excess` by `triples` gives the excess over the whole test split.

        Raises:
            InputError: not one rank a query, or a rank below 1.
        """
        if np.size(ranks) != self.matched.size:
            raise InputError(
                f"expected {self.matched.size:,} ranks, both sides of each triple, got {np.size(ranks):,}"
            )
        if not np.all(ranks >= 1):
            raise InputError("a rank below 1, or NaN: the best rank is 1")
        model = 1.0 / np.reshape(ranks, self.matched.shape)
        columns = {
            "relation": np.tile(self.graph.test.relation, 2),
            "match": self.matched.ravel(),
            "rule_mrr": self.reciprocal_ranks.ravel(),
            "model_mrr": model.ravel(),
            "excess": (model - self.reciprocal_ranks).ravel(),
            "unmatched_mrr": np.where(self.matched, np.nan, model).ravel(),
        }
        groups = pd.DataFrame(columns).groupby("relation")
        table = groups.mean()
        table.insert(0, "triples", groups.size() // 2)
        table.insert(0, "relation", [self.graph.relations.names[r] for r in table.index])
        return table.sort_values("triples", ascending=False, kind="stable", ignore_index=True)

    @property
    def _places(self) -> NDArray[np.int64]:
        return self.high - self.low + 1
