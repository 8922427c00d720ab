"""Probabilities that mean what they say: the logits of a model, calibrated on the validation split.

A sigmoid trained with 1/N of smoothing on 14,541 entities is not the chance that a fact is true. Two numbers, fitted on
the validation triples against the entities not known to be true, make it one (Platt scaling): a slope and an offset
of the logit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from offprints.errors import InputError
from offprints.triples import Answers, KnowledgeGraph, Triples

from conve.evaluation import scoring
from conve.scorer import Scorer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """P(true | logit) = sigmoid(slope * logit + offset); the default is the sigmoid itself."""

    slope: float = 1.0
    offset: float = 0.0

    def probability(self, logits: ArrayLike) -> Floats:
        """Probability of each logit, of the same shape."""
        chances: Floats = expit(self.slope * np.asarray(logits, float) + self.offset)
        return chances


@dataclass(frozen=True)
class Candidates:
    """Logits of true facts and of a sample of the others.

    Attributes:
        logits: (n,) float64.
        true: (n,) bool.
        weight: (n,) float64, how many candidates each one stands for.
    """

    logits: Floats
    true: NDArray[np.bool_]
    weight: Floats


def calibrate(model: Scorer, graph: KnowledgeGraph, *, negatives: int = 100, seed: int = 0) -> Calibration:
    """Fit slope and offset on the validation split.

    Args:
        negatives: entities drawn for each query to stand for all that are not known to be true.

    Raises:
        InputError: the graph has no validation triples.
    """
    if len(graph.valid) == 0:
        raise InputError(f"graph {graph.name!r} has no validation triples to calibrate on")
    seen = candidates(model, graph, "valid", negatives=negatives, seed=seed)
    fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(
        seen.logits[:, None], seen.true, sample_weight=seen.weight / seen.weight.mean()
    )
    return Calibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


def candidates(
    model: Scorer,
    graph: KnowledgeGraph,
    split: str,
    *,
    negatives: int = 100,
    seed: int = 0,
    batch_size: int = 512,
) -> Candidates:
    """Logits of the triples of a split, both sides, and of entities drawn against them.

    Facts of train and of the split count as true and are not drawn; those of the other held-out split are unknown at
    this point and may be.
    """
    triples = graph.split(split).with_reciprocals(graph.num_relations)
    seen = Triples.concatenate([graph.train, graph.split(split)]).with_reciprocals(graph.num_relations)
    known = Answers.of(seen, 2 * graph.num_relations)
    draw = np.random.default_rng(seed)
    device = next(model.parameters()).device
    parts: list[tuple[Floats, NDArray[np.bool_], Floats]] = []
    with scoring(model) as score_tails:
        for begin in range(0, len(triples), batch_size):
            part = triples[begin : begin + batch_size]
            asked = (torch.from_numpy(ids.astype(np.int64)).to(device) for ids in (part.head, part.relation))
            scores = score_tails(*asked).double().cpu().numpy()  # (B, N)
            offsets, answers = known.gather(known.rows(part.head, part.relation))
            unknown = np.ones_like(scores, bool)
            unknown[np.repeat(np.arange(len(part)), np.diff(offsets)), answers] = False
            drawn = draw.integers(0, graph.num_entities, (len(part), negatives))
            rows = np.arange(len(part))[:, None]
            usable = unknown[rows, drawn]
            each = unknown.sum(1) / np.maximum(usable.sum(1), 1)  # what a drawn one stands for
            wrong = scores[rows, drawn][usable]
            right = scores[rows[:, 0], part.tail]
            parts.append((right, np.ones(len(right), bool), np.ones(len(right))))
            parts.append(
                (wrong, np.zeros(len(wrong), bool), np.broadcast_to(each[:, None], drawn.shape)[usable])
            )
    return Candidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed frequency, in bins of equal numbers of true facts.

    Attributes:
        predicted: (bins,) float64, mean predicted probability.
        observed: (bins,) float64, share of true answers.
        weight: (bins,) float64, the candidates that a bin stands for.
        error: expected calibration error, the mean distance of the two weighted by the true facts of a bin.
    """

    predicted: Floats
    observed: Floats
    weight: Floats
    error: float


def reliability(seen: Candidates, calibration: Calibration, bins: int = 10) -> Reliability:
    """How well probabilities match frequencies; bins hold equally many true facts, for nearly all candidates are false."""
    chance = calibration.probability(seen.logits)
    edges = np.unique(np.quantile(chance[seen.true], np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, chance, side="right")
    weight, predicted, true = (
        np.bincount(place, values, minlength=len(edges) + 1)
        for values in (seen.weight, seen.weight * chance, seen.weight * seen.true)
    )
    mean, share = predicted / np.maximum(weight, 1e-12), true / np.maximum(weight, 1e-12)
    error = float((np.abs(mean - share) * true).sum() / true.sum())
    return Reliability(mean, share, weight.astype(np.float64), error)
