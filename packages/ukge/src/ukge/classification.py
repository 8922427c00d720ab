"""Which facts are strong, s > tau (Section 5.4 of the paper): F1 of the strong ones, and accuracy.

The paper fits a logistic regression on the predicted confidence and does not say on which facts; here on training facts and as many
random negatives. Since that predicts next to nothing as strong where strong facts are few, the threshold that has the best F1 on the
validation facts and their negatives stands beside it. Neither sees the test set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from ukge.facts import Floats

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Counts of a classification.

    Attributes:
        precision: share of the facts called strong that are; 0 when none is called so.
        recall: share of the strong facts that are called so; 0 when there are none.
        f1: their harmonic mean; 0 when either is.
        accuracy: share of right calls.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float


def classification_scores(called: Mask, strong: Mask) -> Scores:
    """Compare calls with the truth, (n,) each."""
    both = float((called & strong).sum())
    precision = both / max(1, called.sum())
    recall = both / max(1, strong.sum())
    f1 = 2 * both / max(1, called.sum() + strong.sum())
    return Scores(float(precision), float(recall), float(f1), float((called == strong).mean()))


def fit_logistic(score: Floats, strong: Mask) -> tuple[float, float]:
    """Slope and offset of P(strong | score) = σ(slope · score + offset), one feature, hardly regularised.

    Args:
        score: (n,) predictions.
        strong: (n,) which are strong; facts of one class only give slope 0 and call all of that class.
    """
    if strong.all() or not strong.any():
        return 0.0, 1.0 if strong.all() else -1.0
    # Scores of a plausibility may be of any size; the regression sees them standardised.
    mean, deviation = float(score.mean()), float(score.std()) or 1.0
    fitted = LogisticRegression(C=1e4).fit(((score - mean) / deviation)[:, None], strong)
    slope = float(fitted.coef_[0, 0]) / deviation
    return slope, float(fitted.intercept_[0]) - slope * mean


def best_threshold(score: Floats, strong: Mask) -> float:
    """The threshold whose calls, score > threshold, have the highest F1; the lowest of several.

    Args:
        score: (n,) predictions.
        strong: (n,) which are strong.
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    hits = np.cumsum(strong[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + strong.sum())
    # A cut is possible only between different scores.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1
    last = len(f1) - 1 - int(np.argmax(f1[::-1]))
    return float((ranked[last] + ranked[last + 1]) / 2) if last + 1 < len(ranked) else float(ranked[-1]) - 1.0
