"""Decision layer fusion: the scores and maps of several memory banks become one.

The paper trains two linear one-class classifiers on the distances of good parts. What they come to is a weighted sum, each bank
weighted by how far good patches usually are from it: nearly parallel to the mean of its training data. The other rules here say
plainly how they weigh.

Source: Section 3.5 of the paper.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats


class Fuser(ABC):
    """Makes one score of the scores of B banks, and one map of their maps; higher is more anomalous.

    Attributes:
        state: arrays that `fit` found.
    """

    name = ""

    def __init__(self) -> None:
        self.state: dict[str, Floats] = {}

    @abstractmethod
    def fit(self, scores: Floats, maps: Floats) -> Fuser:
        """Learn from good parts.

        Args:
            scores: (n, B) of images.
            maps: (n, h, w, B) of pixels.
        """

    @abstractmethod
    def score(self, scores: Floats) -> Floats:
        """(...,) from (..., B) scores of images."""

    @abstractmethod
    def map(self, maps: Floats) -> Floats:
        """(...,) from (..., B) scores of pixels."""

    def parts(self, maps: Floats) -> Floats:
        """(..., B) what each bank adds to `map`, or would alone be there: on one scale, for telling which bank speaks."""
        return maps


class Published(Fuser):
    """Two linear one-class support vector machines, with the published settings.

    Their `score_samples` is taken as it is: higher is further along the mean of the training data, and so more anomalous.

    Args:
        weights: factors of the banks; the published ones are 1 for points, 0.1 for colours and 1 for fused features.
        nu: of the machines.
    """

    name = "published"

    def __init__(self, weights: Floats | None = None, nu: float = 0.5) -> None:
        super().__init__()
        self.weights, self.nu = weights, nu

    def fit(self, scores: Floats, maps: Floats) -> Published:
        weights = np.ones(scores.shape[1]) if self.weights is None else np.asarray(self.weights, float)
        for key, rows in (("score", scores), ("map", maps.reshape(-1, maps.shape[-1]))):
            coefficients = self._machine(rows * weights.astype(rows.dtype))
            self.state[f"{key}_weights"] = coefficients * weights
        return self

    def _machine(self, rows: Floats) -> Floats:
        from sklearn.linear_model import SGDOneClassSVM

        machine = SGDOneClassSVM(nu=self.nu, max_iter=1000, random_state=42).fit(rows)
        coefficients: Floats = machine.coef_.ravel()
        return coefficients

    def score(self, scores: Floats) -> Floats:
        found: Floats = scores @ self.state["score_weights"]
        return found

    def map(self, maps: Floats) -> Floats:
        found: Floats = maps @ self.state["map_weights"].astype(maps.dtype)
        return found

    def parts(self, maps: Floats) -> Floats:
        return maps * self.state["map_weights"].astype(maps.dtype)


class Add(Fuser):
    """The sum, each bank divided by its usual peak on a good part: what a bank says on every good part anyway counts as 1."""

    name = "add"

    def fit(self, scores: Floats, maps: Floats) -> Add:
        self.state = {
            "score_scale": _positive(scores.mean(0, dtype=np.float64)),
            "map_scale": _positive(_peaks(maps).mean(0)),
        }
        return self

    def score(self, scores: Floats) -> Floats:
        found: Floats = (scores / self.state["score_scale"]).sum(-1)
        return found

    def map(self, maps: Floats) -> Floats:
        found: Floats = self.parts(maps).sum(-1)
        return found

    def parts(self, maps: Floats) -> Floats:
        return maps / self.state["map_scale"].astype(maps.dtype)


class Maximum(Add):
    """The highest, each bank divided by its usual peak on a good part."""

    name = "max"

    def score(self, scores: Floats) -> Floats:
        found: Floats = (scores / self.state["score_scale"]).max(-1)
        return found

    def map(self, maps: Floats) -> Floats:
        found: Floats = self.parts(maps).max(-1)
        return found


class Calibrated(Fuser):
    """The highest of the banks, each in standard deviations above its usual peak on a good part.

    The peak of a map of 0 is what good parts have; a bank whose peaks differ from one good part to the next has to say more.
    """

    name = "calibrated"

    def fit(self, scores: Floats, maps: Floats) -> Calibrated:
        if len(scores) < 2:
            raise InputError("fuser=calibrated needs two good scans or more to know how their scores spread")
        for key, rows in (("score", np.asarray(scores, np.float64)), ("map", _peaks(maps))):
            self.state[f"{key}_mean"] = rows.mean(0)
            self.state[f"{key}_std"] = _positive(rows.std(0))
        return self

    def score(self, scores: Floats) -> Floats:
        found: Floats = ((scores - self.state["score_mean"]) / self.state["score_std"]).max(-1)
        return found

    def map(self, maps: Floats) -> Floats:
        found: Floats = self.parts(maps).max(-1)
        return found

    def parts(self, maps: Floats) -> Floats:
        mean, std = (self.state[f"map_{key}"].astype(maps.dtype) for key in ("mean", "std"))
        found: Floats = (maps - mean) / std
        return found


class Mahalanobis(Fuser):
    """How far the scores of all banks together are from those of good parts, in the direction of higher ones.

    A score below the mean of good parts counts as the mean: a patch that is nearer than usual is no anomaly.
    """

    name = "mahalanobis"

    def fit(self, scores: Floats, maps: Floats) -> Mahalanobis:
        if len(scores) <= scores.shape[1] + 1:
            raise InputError(
                f"fuser=mahalanobis needs more than {scores.shape[1] + 1} good scans to know how scores of "
                f"{scores.shape[1]} banks spread together; there are {len(scores)}"
            )
        for key, rows in (("score", scores), ("map", maps.reshape(-1, maps.shape[-1]))):
            self.state[f"{key}_mean"] = rows.mean(0, dtype=np.float64)
            spread = np.atleast_2d(np.cov(rows.T.astype(np.float64)))
            spread += 1e-6 * np.trace(spread) / len(spread) * np.eye(len(spread))
            self.state[f"{key}_precision"] = np.linalg.inv(spread)
        return self

    def score(self, scores: Floats) -> Floats:
        return self._distance("score", scores)

    def map(self, maps: Floats) -> Floats:
        return self._distance("map", maps)

    def _distance(self, key: str, rows: Floats) -> Floats:
        above = np.maximum(rows - self.state[f"{key}_mean"], 0)
        squared = np.einsum("...a,ab,...b->...", above, self.state[f"{key}_precision"], above)
        found: Floats = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
        return found


FUSERS: Mapping[str, type[Fuser]] = {
    kind.name: kind for kind in (Published, Add, Maximum, Calibrated, Mahalanobis)
}
"""Rules by name."""


def fuser_named(name: str) -> Fuser:
    """A rule that has yet to learn.

    Args:
        name: published, add, max, calibrated or mahalanobis.

    Raises:
        InputError: there is no such rule.
    """
    if name not in FUSERS:
        raise InputError(f"fuser={name}: {', '.join(FUSERS)}")
    return FUSERS[name]()


def _peaks(maps: Floats) -> Floats:
    """(n, B) float64, the highest score of each bank on each scan."""
    found: Floats = maps.max((1, 2)).astype(np.float64)
    return found


def _positive(scale: Floats) -> Floats:
    """A scale to divide by; a bank that never has any distance counts as it is."""
    return np.where(scale > 1e-12, scale, 1.0)
