"""Free points, moved to where a loss is least: what the theorems say no encoder can do better than.

optimize_embeddings(supcon_of([4, 4, 4]), points=12, features=2)         # three points of the circle, four rows on each
optimize_embeddings(cross_entropy_of(labels, frobenius=2.0), ...)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.loss import unit
from supcon_simplex.pairs import pairs_of_labels
from supcon_simplex.plain import plain_terms

Manifold = Literal["sphere", "ball"]
Objective = Callable[[Tensor, Tensor], Tensor]
"""(points (N, h), free parameters (m,)) -> a number, in float64."""
LARGEST_SUM = 2_000_000
"""Batches that are enumerated at most."""


@dataclass(frozen=True)
class Optimum:
    """The best of several starts.

    Attributes:
        value: of the objective.
        points: (N, h) float64.
        parameters: (m,) float64, the free ones beside the points.
        values: of all starts, best first.
    """

    value: float
    points: Tensor
    parameters: Tensor
    values: list[float]


def optimize_embeddings(
    objective: Objective,
    points: int,
    features: int,
    *,
    manifold: Manifold = "sphere",
    radius: float = 1.0,
    parameters: int = 0,
    restarts: int = 4,
    seed: int = 0,
    start: Tensor | None = None,
    steps: int = 5000,
) -> Optimum:
    """Move points on a sphere or within a ball to a minimum, by L-BFGS in float64.

    Args:
        objective: of the points and the free parameters.
        points: N.
        features: h, their dimension.
        manifold: "sphere" keeps their norm at `radius`, "ball" at most there.
        radius: of it.
        parameters: m, numbers beside the points that are free, such as a classifier's weights.
        restarts: random starts; the best end is returned.
        seed: of the starts.
        start: (N, h) of the first one; None draws it too.
        steps: of L-BFGS, at most, for each.

    Raises:
        InputError: a number is out of range, a name is unknown, or the objective is not finite at a start.
    """
    if points < 1 or features < 1 or restarts < 1 or parameters < 0 or not radius > 0:
        raise InputError("points, features and restarts must be 1 or more, and the radius above 0")
    if manifold not in get_args(Manifold):
        raise InputError(f"manifold={manifold!r} is unknown: one of {', '.join(get_args(Manifold))}")
    if start is not None and start.shape != (points, features):
        raise InputError(f"start must be {(points, features)}, got {tuple(start.shape)}")
    generator = torch.Generator().manual_seed(seed)
    size = points * features

    def placed(flat: Tensor) -> Tensor:
        free = flat[:size].view(points, features)
        if manifold == "sphere":
            return radius * unit(free)
        shrink: Tensor = radius / free.norm(dim=1, keepdim=True).clamp(min=radius)
        return free * shrink

    def value_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        x = torch.from_numpy(flat.copy()).requires_grad_()
        value = objective(placed(x), x[size:])
        (slope,) = torch.autograd.grad(value, x)
        return float(value.detach()), slope.numpy()

    ends: list[tuple[float, np.ndarray]] = []
    for number in range(restarts):
        first = torch.randn(size + parameters, generator=generator, dtype=torch.float64)
        if start is not None and number == 0:
            first[:size] = start.double().flatten()
        if not np.isfinite(value_and_slope(first.numpy())[0]):
            raise InputError("the objective is not finite at a start")
        options = {"maxiter": steps, "maxfun": 4 * steps, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 20}
        found = minimize(value_and_slope, first.numpy(), jac=True, method="L-BFGS-B", options=options)
        ends.append((float(found.fun), found.x))
    ends.sort(key=lambda end: end[0])
    best = torch.from_numpy(ends[0][1])
    return Optimum(ends[0][0], placed(best).detach(), best[size:].clone(), [value for value, _ in ends])


def supcon_of(counts: Sequence[int], temperature: float = 1.0) -> Objective:
    """The mean loss of one batch with so many rows of each class, of points as they are.

    Args:
        counts: of each class; the points stand class after class.
        temperature: tau.
    """
    pairs = pairs_of_labels(torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(list(counts))))

    def objective(z: Tensor, free: Tensor) -> Tensor:
        return plain_terms(z, z, pairs, temperature, 1.0, False).mean()

    return objective


def supcon_over_batches(
    classes: int,
    per_class: int,
    batch_size: int,
    sampling: Literal["multiset", "subset"] = "multiset",
    temperature: float = 1.0,
) -> Objective:
    """The sum of the loss over all batches, as the theorem has it, of points as they are; point i is of class i // per_class.

    Args:
        classes: K.
        per_class: n.
        batch_size: b.
        sampling: batches that may hold a point more than once ("multiset"), or not ("subset").
        temperature: tau.

    Raises:
        InputError: there are more batches than can be enumerated.
    """
    batches = enumerate_batches(classes * per_class, batch_size, sampling)
    labels = batches // per_class  # (batches, b)
    itself = torch.eye(batch_size, dtype=torch.bool)
    positive = (labels[:, :, None] == labels[:, None]) & ~itself
    partners = positive.sum(2)

    def objective(z: Tensor, free: Tensor) -> Tensor:
        gram = z @ z.T / temperature
        similarity = gram[batches[:, :, None], batches[:, None]]  # (batches, b, b)
        denominator = similarity.masked_fill(itself, -torch.inf).logsumexp(2)
        mean = torch.where(positive, similarity, 0).sum(2) / partners.clamp(min=1)
        return torch.where(partners > 0, denominator - mean, 0).sum()

    return objective


def enumerate_batches(rows: int, batch_size: int, sampling: Literal["multiset", "subset"]) -> Tensor:
    """All batches once; (batches, b) int64.

    Raises:
        InputError: a name is unknown, or there are too many.
    """
    if sampling not in ("multiset", "subset"):
        raise InputError(f"sampling={sampling!r} is unknown: one of multiset, subset")
    pick = itertools.combinations_with_replacement if sampling == "multiset" else itertools.combinations
    found = list(itertools.islice(pick(range(rows), batch_size), LARGEST_SUM // batch_size**2 + 1))
    if len(found) > LARGEST_SUM // batch_size**2:
        raise InputError(
            f"{batch_size} of {rows} rows: there are too many batches to enumerate; take a smaller case"
        )
    return torch.tensor(found, dtype=torch.int64).view(-1, batch_size)


def cross_entropy_of(
    labels: Tensor,
    classes: int,
    features: int,
    *,
    frobenius: float | None = None,
    weight_norm: float | None = None,
    penalty: float | None = None,
    bias: bool = False,
) -> tuple[Objective, int]:
    """Cross-entropy of points and a linear classifier, with one of three limits to its weights.

    Args:
        labels: (N,) int64.
        classes: K.
        features: h.
        frobenius: norm that the weights have together,
        weight_norm: or each class's at most,
        penalty: or the factor of their squared norm, which is added.
        bias: let the classifier have one.

    Returns:
        The objective, and how many free parameters it takes.

    Raises:
        InputError: none or several limits are given.
    """
    if sum(limit is not None for limit in (frobenius, weight_norm, penalty)) != 1:
        raise InputError("give one limit: frobenius=..., weight_norm=... or penalty=...")

    def objective(z: Tensor, free: Tensor) -> Tensor:
        weight = free[: classes * features].view(classes, features)
        if frobenius is not None:
            weight = weight * (frobenius / weight.norm())
        if weight_norm is not None:
            weight = weight * (weight_norm / weight.norm(dim=1, keepdim=True).clamp(min=weight_norm))
        logits = z @ weight.T
        if bias:
            logits = logits + free[classes * features :]
        value = torch.nn.functional.cross_entropy(logits, labels)
        return value if penalty is None else value + penalty * weight.square().sum()

    return objective, classes * features + classes * bias
