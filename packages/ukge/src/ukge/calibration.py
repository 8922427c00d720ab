"""Confidences that mean what they say, and how far seeds agree on them.

A model fitted with ten false facts beside each true one tells too low a confidence wherever true facts are more frequent than that.
Isotonic regression on the validation split maps what the model says to the mean confidence of facts of which it says so. The
answer holds for the share of false facts that it was fitted with: one to one, as in the published test set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student
from sklearn.isotonic import IsotonicRegression

from offprints.errors import InputError

from ukge.facts import Floats


@dataclass(frozen=True)
class Calibration:
    """A rising map from predicted to calibrated confidence, linear between its points.

    Attributes:
        predicted: (k,) rising.
        calibrated: (k,) rising, in [0, 1].
    """

    predicted: tuple[float, ...] = (0.0, 1.0)
    calibrated: tuple[float, ...] = (0.0, 1.0)

    def __call__(self, predicted: ArrayLike) -> Floats:
        """The calibrated confidences, of the same shape; beyond the points the outermost one stands."""
        return np.interp(np.asarray(predicted, np.float64), self.predicted, self.calibrated)


def calibrate(predicted: Floats, confidence: Floats) -> Calibration:
    """Fit the map on facts that were not trained on, true and false ones.

    Args:
        predicted: (n,) what the model says.
        confidence: (n,) what is so.

    Raises:
        InputError: there are no facts.
    """
    if len(predicted) == 0:
        raise InputError("calibration needs validation facts, and there are none")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(predicted, confidence)
    return Calibration(
        tuple(float(x) for x in fitted.X_thresholds_), tuple(float(y) for y in fitted.y_thresholds_)
    )


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed confidence, in bins of equally many facts.

    Attributes:
        predicted: (bins,) mean prediction.
        observed: (bins,) mean confidence.
        error: mean absolute gap between the two, weighted by the facts (expected calibration error).
    """

    predicted: Floats
    observed: Floats
    error: float


def reliability(predicted: Floats, confidence: Floats, bins: int = 15) -> Reliability:
    """Compare predictions with what is so; facts with equal predictions fall into one bin.

    Args:
        predicted: (n,) what the model says.
        confidence: (n,) what is so.
        bins: how many, at most.
    """
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, predicted, "right")
    count = np.bincount(place, minlength=len(edges) + 1)
    filled = count > 0
    said = np.bincount(place, predicted, len(count))[filled] / count[filled]
    seen = np.bincount(place, confidence, len(count))[filled] / count[filled]
    return Reliability(said, seen, float(np.abs(said - seen) @ count[filled] / len(predicted)))


def seed_interval(predicted: Floats, level: float = 0.9) -> tuple[Floats, Floats, Floats]:
    """What models of several seeds say of a fact, and where a further seed would lie.

    It covers the draw of the seed (start, order, negatives) and nothing else: not the choice of the model, not the data.

    Args:
        predicted: (seeds, n), two seeds or more.
        level: probability that a further seed's prediction lies in the interval, were predictions normal.

    Returns:
        (n,) mean, low and high, within [0, 1].

    Raises:
        InputError: fewer than two seeds, or a level that is no probability.
    """
    seeds = len(predicted)
    if seeds < 2:
        raise InputError("an interval over seeds needs two runs or more")
    if not 0 < level < 1:
        raise InputError(f"level={level} must be between 0 and 1")
    mean, deviation = predicted.mean(axis=0), predicted.std(axis=0, ddof=1)
    reach = student.ppf((1 + level) / 2, seeds - 1) * deviation * np.sqrt(1 + 1 / seeds)
    return mean, np.clip(mean - reach, 0, 1), np.clip(mean + reach, 0, 1)
