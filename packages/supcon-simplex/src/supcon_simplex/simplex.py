"""The regular simplex: where both losses want the classes, exactly and in any dimension.

vertices = regular_simplex(10, 512)          # ten points on the unit sphere of R^512
head = SimplexHead(512, 10)                  # the same as a linear classifier that does not learn
simplex_distance(class_means)                # how far ten points are from the nearest of their kind
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from offprints.errors import InputError


def regular_simplex(
    classes: int,
    features: int | None = None,
    radius: float = 1.0,
    seed: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """The vertices of an origin-centred regular simplex that is inscribed in a sphere.

    They sum to zero, have norm `radius`, and all pairs have the inner product -radius^2 / (classes - 1). No iteration makes
    them: the rows of the Helmert matrix are an orthonormal basis of the complement of (1, ..., 1), and its columns, scaled, are
    the vertices.

    Args:
        classes: number of vertices K, 2 or more.
        features: dimension h of the space, K - 1 or more; None takes K - 1. What exceeds K - 1 is zero if there is no `seed`.
        radius: of the sphere, above 0.
        seed: of a uniformly random rotation; None takes none.
        dtype: of the result; the invariants hold to its precision (1e-12 in float64).

    Returns:
        (classes, features).

    Raises:
        InputError: fewer than two classes, a radius that is not a positive number, or fewer than K - 1 features: there is no such simplex.

    Source: Definition of a rho-sphere-inscribed regular simplex, (S1) to (S3).
    """
    features = classes - 1 if features is None else features
    _check_size(classes, features, radius)
    steps = torch.arange(1, classes, dtype=torch.float64)
    # Helmert: row k is (1, ..., 1, -k, 0, ..., 0) / sqrt(k (k + 1)), with k ones.
    helmert = torch.tril(torch.ones(classes - 1, classes, dtype=torch.float64))
    helmert[:, 1:].diagonal().copy_(-steps)
    helmert /= (steps * (steps + 1)).sqrt()[:, None]
    vertices = torch.zeros(classes, features, dtype=torch.float64)
    vertices[:, : classes - 1] = helmert.T * (radius * math.sqrt(classes / (classes - 1)))
    if seed is not None:
        vertices = vertices[:, : classes - 1] @ _random_frame(classes - 1, features, seed)
    return vertices.to(dtype)


class SimplexHead(nn.Module):
    """A linear classifier without bias whose weights are the vertices of a regular simplex and never change ("CE-fix").

    Attributes:
        weight: (classes, features), a buffer: it has no gradient, moves with the module and is part of its state.
    """

    weight: Tensor

    def __init__(self, features: int, classes: int, radius: float = 1.0, seed: int | None = None) -> None:
        """Place the vertices.

        Args:
            features: dimension h of what comes in, classes - 1 or more.
            classes: K, 2 or more.
            radius: norm of each weight vector.
            seed: of a random rotation; None takes none.

        Raises:
            InputError: as `regular_simplex`.
        """
        super().__init__()
        weight = regular_simplex(classes, features, radius, seed, torch.get_default_dtype())
        self.register_buffer("weight", weight)

    def forward(self, z: Tensor) -> Tensor:
        """Logits; (..., features) -> (..., classes)."""
        return nn.functional.linear(z, self.weight)

    def extra_repr(self) -> str:
        classes, features = self.weight.shape
        return f"features={features}, classes={classes}, radius={float(self.weight[0].norm()):.6g}"


class SimplexFit(NamedTuple):
    """The regular simplex nearest to some points.

    Attributes:
        distance: root of the mean squared distance of a point to its vertex, over the simplex's radius: 0 for a regular simplex of
            any radius, rotation and place, 1 for points that have nothing of one.
        radius: of the nearest simplex.
        vertices: (K, h), its vertices, about the same centre as the points.
    """

    distance: float
    radius: float
    vertices: Tensor


def nearest_simplex(points: Tensor) -> SimplexFit:
    """The regular simplex that is nearest to K points, in the sum of squared distances (orthogonal Procrustes after scaling).

    Args:
        points: (K, h) with h >= K - 1, such as class means or the weight vectors of a classifier. Their centre may lie anywhere.

    Raises:
        InputError: fewer than two points, h < K - 1, a value that is not finite, or points that are all the same.
    """
    if points.dim() != 2:
        raise InputError(f"points must be (K, h), got {tuple(points.shape)}")
    classes, features = points.shape
    _check_size(classes, features, 1.0)
    exact = points.detach().double()
    if not torch.isfinite(exact).all():
        raise InputError("points hold a value that is not finite")
    centre = exact.mean(0)
    centred = exact - centre
    if not centred.any():
        raise InputError("all points are the same: no simplex is near to them")
    unit = regular_simplex(classes).to(exact.device)
    left, singular, right = torch.linalg.svd(unit.T @ centred, full_matrices=False)
    # min over radius r and frame Q of ||centred - r unit Q||^2: Q = left right, r = sum of singular values / ||unit||^2.
    radius = singular.sum() / classes
    vertices = radius * unit @ (left @ right)
    distance = (centred - vertices).square().sum().div(classes).sqrt() / radius
    return SimplexFit(float(distance), float(radius), vertices + centre)


def simplex_distance(points: Tensor) -> float:
    """Distance to the nearest regular simplex, over its radius; see `nearest_simplex`. (K, h) -> a number."""
    return nearest_simplex(points).distance


def is_simplex(points: Tensor, radius: float | None = None, tolerance: float = 1e-6) -> bool:
    """Whether points are the vertices of an origin-centred regular simplex.

    Args:
        points: (K, h), K at least 2.
        radius: the norm that they must have; None takes any that they share.
        tolerance: by how much sum, norms and inner products may be off, as a share of the radius or its square.
    """
    if points.dim() != 2 or len(points) < 2:
        raise InputError(f"points must be (K, h) with K at least 2, got {tuple(points.shape)}")
    exact = points.detach().double()
    classes = len(exact)
    gram = exact @ exact.T
    square = float(gram.diagonal().mean()) if radius is None else radius**2
    if not square > 0 or not math.isfinite(square):
        return False
    wanted = torch.full_like(gram, -square / (classes - 1)).fill_diagonal_(square)
    # Equal norms and these inner products make the sum zero: ||sum||^2 is the sum of the Gram matrix.
    return bool((gram - wanted).abs().max() <= tolerance * square)


def _random_frame(rows: int, columns: int, seed: int) -> Tensor:
    """Orthonormal rows, uniform over all such frames."""
    generator = torch.Generator().manual_seed(seed)
    frame, scale = torch.linalg.qr(torch.randn(columns, rows, generator=generator, dtype=torch.float64))
    turned: Tensor = frame * scale.diagonal().sign()
    return turned.T


def _check_size(classes: int, features: int, radius: float) -> None:
    if classes < 2:
        raise InputError(f"a simplex of classes needs 2 or more, got {classes}")
    if features < classes - 1:
        raise InputError(
            f"{classes} classes need {classes - 1} or more features for a regular simplex, got {features};"
            " spherical_code spreads points where there is none"
        )
    if not (radius > 0 and math.isfinite(radius)):
        raise InputError(f"radius must be above 0 and finite, got {radius}")
