"""Probabilities of entities that mean what they say.

A CRF's probability of a span is that of its training sentences, which it knows by heart; on others it is too sure. Two numbers, fitted on
validation sentences, turn the log-odds of what it says into those of being right.

Source: Platt 1999, Probabilistic Outputs for Support Vector Machines; with the bias at 0 it is the temperature of Guo et al. 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SMALLEST = 1e-6  # a probability of 1 has no log-odds
_FEWEST = 20  # entities to fit two numbers on


@dataclass(frozen=True)
class Calibration:
    """A rising map of probabilities.

    Attributes:
        slope: of the log-odds, above 0; below 1 where the model is too sure.
        bias: added to them.
    """

    slope: float = 1.0
    bias: float = 0.0

    def __call__(self, probability: ArrayLike) -> Floats:
        """The calibrated probabilities, of the same shape."""
        given = np.asarray(probability, np.float64)
        if self == Calibration():
            return given
        return 1 / (1 + np.exp(-self.slope * log_odds(given) - self.bias))


def log_odds(probability: ArrayLike) -> Floats:
    """Of probabilities, those of 0 and 1 taken for nearly so."""
    p = np.clip(np.asarray(probability, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(p) - np.log1p(-p)


def calibrate(probability: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Fit the map by maximum likelihood.

    Args:
        probability: (n,) what the model says.
        right: (n,) whether it was right.

    Returns:
        The map; the one that changes nothing where there are too few to fit it, or all are right, or all wrong, or what the model is
        surer of is not more often right.
    """
    if len(right) < _FEWEST or right.all() or not right.any():
        return Calibration()
    # As Platt has it: targets a little off 0 and 1, as if there were one more of each, so that the slope stays finite.
    count = int(right.sum())
    target = np.where(right, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    x = np.stack([log_odds(probability), np.ones(len(right))], 1)
    fitted = np.array([1.0, 0.0])
    for _ in range(100):
        said = 1 / (1 + np.exp(-x @ fitted))
        curve = (x * (said * (1 - said))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, x.T @ (said - target))
        step *= min(1.0, 1.0 / np.abs(step).max())  # far from the optimum a whole step would overshoot
        fitted = fitted - step
        if np.abs(step).max() < 1e-9:
            break
    return Calibration(float(fitted[0]), float(fitted[1])) if fitted[0] > 0 else Calibration()


def expected_error(probability: Floats, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: how far what is said lies from what is so, over equally filled bins, weighted by what is in them.

    Args:
        probability: (n,) what is said.
        right: (n,) whether it was right.
        bins: how many, at most; what is said alike falls into one.

    Returns:
        Between 0 and 1; 0 where there is nothing.
    """
    if not len(right):
        return 0.0
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability, "right")
    gaps = np.bincount(place, np.asarray(probability) - right, len(edges) + 1)
    return float(np.abs(gaps).sum() / len(right))
