"""Points spread on a sphere where there is no regular simplex; never what a theorem of the paper is about."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.loss import unit


def spherical_code(
    points: int, features: int, radius: float = 1.0, *, seed: int = 0, restarts: int = 4, steps: int = 1000
) -> Tensor:
    """Points of small energy on a sphere: the sum of inverse distances of their pairs is at a local minimum, the best of several.

    Where features >= points - 1 that is the regular simplex, which `regular_simplex` gives exactly and at once. Where they are fewer
    no simplex exists, and this is a stand-in for classifiers and figures.

    Args:
        points: 2 or more.
        features: dimension h, 2 or more.
        radius: of the sphere.
        seed: of the starts.
        restarts: how many of them.
        steps: of L-BFGS, at most, for each.

    Returns:
        (points, features) float64.

    Raises:
        InputError: a number is out of range.
    """
    if points < 2 or features < 2 or restarts < 1 or not radius > 0:
        raise InputError(
            f"needs 2 points, 2 features, 1 restart and a radius above 0; got {points}, {features}, {restarts}, {radius}"
        )
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.triu_indices(points, points, 1)

    def energy_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat.copy()).requires_grad_()
        z = unit(x.view(points, features))
        energy = (z[first] - z[second]).norm(dim=1).reciprocal().sum()
        (slope,) = torch.autograd.grad(energy, x)
        return float(energy.detach()), slope.numpy()

    starts = torch.randn(restarts, points * features, generator=generator, dtype=torch.float64).numpy()
    options = {"maxiter": steps, "ftol": 1e-15, "gtol": 1e-9}
    ends = [minimize(energy_and_slope, x, jac=True, method="L-BFGS-B", options=options) for x in starts]
    best = min(ends, key=lambda end: float(end.fun))
    return radius * unit(torch.from_numpy(best.x).view(points, features))
