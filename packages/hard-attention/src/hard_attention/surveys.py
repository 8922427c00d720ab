"""Random hard networks: how large their gaps are, and how the error of their softmax simulation falls with the inverse temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hard_attention.networks import exact_run, soft_run
from hard_attention.randomised import random_network
from hard_attention.softening import error_recursion

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Networks on one random input each.

    Attributes:
        gaps: of all heads that have one.
        sharpness: inverse temperatures times the network's least gap.
        measured: (networks, sharpness) the largest error of an output coordinate.
        bounds: (networks, sharpness) what `error_recursion` allows; inf where it says nothing.
        tied: (networks,) whether a head has ties and others beside them.
    """

    gaps: Floats
    sharpness: Floats
    measured: Floats
    bounds: Floats
    tied: NDArray[np.bool_]

    @property
    def violations(self) -> int:
        """How often an error is above its bound, but for the rounding of float64."""
        return int((self.measured > self.bounds + 1e-9).sum())


def survey(networks: int = 24, n: int = 6, seed: int = 0) -> Survey:
    """Run random average-hard networks exactly, and with softmax at several temperatures.

    Args:
        networks: how many.
        n: positions of the input.
        seed: of weights and inputs.
    """
    rng = np.random.default_rng(seed)
    sharpness = np.geomspace(2, 64, 16)
    gaps: list[float] = []
    measured: list[list[float]] = []
    bounds: list[list[float]] = []
    tied: list[bool] = []
    while len(measured) < networks:
        network = random_network(rng, layers=2)
        x = rng.integers(-2, 3, (n, network.width)).astype(float)
        run = exact_run(network, x)
        own = run.gap[np.isfinite(run.gap)]
        if not len(own):
            continue  # uniform throughout: there is nothing to sharpen
        gaps += own.tolist()
        least = float(own.min())
        errors = [float(np.abs(soft_run(network, x, s / least) - run.output).max()) for s in sharpness]
        measured.append(errors)
        bounds.append([error_recursion(network, run, s / least, n) for s in sharpness])
        tied.append(bool((run.tied & ~run.uniform).any()))
    return Survey(np.array(gaps), sharpness, np.array(measured), np.array(bounds), np.array(tied))


def finite(values: Floats) -> Floats:
    """Values, with nan for what is not finite, so that a figure leaves it out."""
    return np.where(np.isfinite(values), values, math.nan)
