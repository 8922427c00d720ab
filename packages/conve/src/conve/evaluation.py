"""Filtered ranking of a model on a graph, and comparisons between two models.

Source: Section 5.2 of the paper; both sides of every triple are ranked, against all entities not known to be true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError
from offprints.ranking import Ranking, rank_triples
from offprints.triples import KnowledgeGraph, Triples

from conve.scorer import Scorer


def evaluate(
    model: Scorer,
    graph: KnowledgeGraph,
    split: str | Triples = "test",
    *,
    filtered: bool = True,
    batch_size: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Ranking:
    """Rank both sides of every triple of a split; see `offprints.ranking.Ranking` for what can be asked of it.

    Args:
        model: its relations are numbered with their reciprocals.
        split: "train", "valid", "test", or triples of the graph's ids.
        filtered: leave out all other answers known from any split, as the paper does.
        batch_size: queries at a time; see `offprints.ranking.rank_triples`.
        advance: told the number of queries done.

    Raises:
        InputError: the model is of another size than the graph, the split is empty, or a score is NaN.
    """
    if (model.num_entities, model.num_relations) != (graph.num_entities, 2 * graph.num_relations):
        raise InputError(
            f"the model has {model.num_entities} entities and {model.num_relations} relations with reciprocals, "
            f"graph {graph.name!r} has {graph.num_entities} and {2 * graph.num_relations}: they do not belong together"
        )
    triples = graph.split(split) if isinstance(split, str) else split
    with scoring(model) as score_tails:
        device = next(model.parameters()).device
        return rank_triples(
            score_tails,
            triples,
            graph.known,
            graph.num_relations,
            batch_size=batch_size,
            device=device,
            filtered=filtered,
            advance=advance,
        )


class scoring:
    """Context in which a model scores for evaluation: no dropout, running statistics, no gradients; then as before."""

    def __init__(self, model: Scorer) -> None:
        self.model = model
        self.no_grad = torch.inference_mode()

    def __enter__(self) -> Callable[[Tensor, Tensor], Tensor]:
        self.was_training = bool(getattr(self.model, "training", False))
        self.model.eval()
        self.no_grad.__enter__()
        return self.model.score_tails

    def __exit__(self, *error: object) -> None:
        self.no_grad.__exit__(*error)
        self.model.train(self.was_training)


@dataclass(frozen=True)
class Difference:
    """Difference of a metric between two models, and the interval that resampling the queries gives.

    Attributes:
        first: the metric of the first.
        second: the metric of the second.
        low: lower bound of the confidence interval of first - second.
        high: its upper bound.
        confidence: of the interval.
        share_better: share of the resamples in which the first is better.
    """

    first: float
    second: float
    low: float
    high: float
    confidence: float
    share_better: float


def paired_bootstrap(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    metric: Callable[[NDArray[np.float64]], NDArray[np.float64]] = np.reciprocal,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Compare two models on the same queries: resample the queries, keep the pairs.

    Args:
        first: (2n,) ranks from `Ranking.ranks()`: tails, then heads.
        second: (2n,) ranks of the same queries in the same order.
        metric: rank -> contribution of a query; the reciprocal gives the MRR, `lambda r: r <= 10` gives Hits@10.
        resamples: number of resamples; both queries of a triple are drawn together, for they are not independent.

    Raises:
        InputError: the ranks are not of the same queries.
    """
    if first.shape != second.shape or len(first) == 0 or len(first) % 2:
        raise InputError(
            f"ranks of {len(first)} and {len(second)} queries: compare the same triples, both sides"
        )
    gain = np.stack([np.asarray(metric(ranks), float).reshape(2, -1).mean(0) for ranks in (first, second)])
    difference = gain[0] - gain[1]  # (n,) per triple
    generator = np.random.default_rng(seed)
    # A resample is how often each triple is drawn; multinomial counts cost no (resamples, n) index array.
    means = np.array(
        [
            generator.multinomial(len(difference), np.full(len(difference), 1 / len(difference))) @ difference
            for _ in range(resamples)
        ]
    ) / len(difference)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    first_mean, second_mean = gain.mean(1)
    better = float((means > 0).mean())
    return Difference(float(first_mean), float(second_mean), float(low), float(high), confidence, better)
