"""From scores of good parts to what a score means: a p-value, and a threshold with a bound on its false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from offprints.errors import InputError

from m3dm.arrays import Floats


def p_value(score: float, good: Floats) -> float:
    """The chance that a good part scores as high, judged by good parts that the detector has not learnt from.

    If the part is good and exchangeable with them, a value of a or below comes up with probability a or less.

    Args:
        score: of the part.
        good: (n,) scores of good parts.

    Returns:
        Between 1 / (n + 1) and 1.
    """
    return float((1 + np.count_nonzero(good >= score)) / (len(good) + 1))


@dataclass(frozen=True)
class Threshold:
    """A score from which on a part is rejected.

    Attributes:
        value: reject above it.
        expected: false-alarm rate that is to be expected.
        bound: false-alarm rate that is not exceeded, with the confidence asked for.
        confidence: of the bound.
        good: number of good parts that it rests on.
        met: whether the bound is within the rate that was asked for.
    """

    value: float
    expected: float
    bound: float
    confidence: float
    good: int
    met: bool


def choose_threshold(good: Floats, rate: float, confidence: float = 0.95) -> Threshold:
    """The lowest threshold whose false-alarm rate is within a wanted one, with confidence; distribution-free.

    Above the k-th highest of n scores of good parts, a new good part falls with a probability that has a Beta(k, n - k + 1)
    distribution. If n is too small to promise the rate, the highest score is taken, and the bound says what can be promised.

    Args:
        good: (n,) scores of good parts that the detector has not learnt from.
        rate: wanted false-alarm rate.
        confidence: of the bound.

    Raises:
        InputError: no score, or a rate or confidence that is none.
    """
    for name, value in (("rate", rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"{name}={value} must be between 0 and 1")
    n = len(good)
    if n == 0:
        raise InputError("no score of a good part to choose a threshold by")
    ranks = np.arange(1, n + 1)
    bounds = stats.beta.ppf(confidence, ranks, n - ranks + 1)
    within = np.flatnonzero(bounds <= rate)
    k = int(within[-1]) if len(within) else 0
    value = float(np.sort(good)[::-1][k])
    return Threshold(value, (k + 1) / (n + 1), float(bounds[k]), confidence, n, bool(len(within)))
