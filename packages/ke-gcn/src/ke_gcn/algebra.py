"""Real, complex and quaternion numbers in the columns of a matrix.

A row of width d holds d / k numbers of k components each, in planar order: all real parts first, then all i parts, and
so on. The published program interleaves them; `planar` and `interleaved` translate.

Relations multiply from the right, as in RotatE (k = 2) and QuatE (k = 4); DistMult is the case k = 1. All three are
composition algebras, |x r| = |x| |r|, and right multiplication by conj(r) is the adjoint of right multiplication by r.
The closed forms of `scores.py` rest on these two facts.
"""

from __future__ import annotations

import torch
from torch import Tensor

NUMBERS = {1: "real", 2: "complex", 4: "quaternion"}
SHORTEST_SQUARED = 1e-12
"""Numbers of a smaller squared length count as zero, as in the published program's normalisation."""


def multiply(x: Tensor, r: Tensor, k: int) -> Tensor:
    """x r in each number; for quaternions the Hamilton product.

    Args:
        x: (..., d) float.
        r: (..., d) float.
        k: components a number: 1, 2 or 4.

    Returns:
        (..., d) float.
    """
    if k == 1:
        return x * r
    if k == 2:
        (a, b), (p, q) = x.chunk(2, -1), r.chunk(2, -1)
        return torch.cat([torch.addcmul(a * p, b, q, value=-1), torch.addcmul(a * q, b, p)], -1)
    (a, b, c, d), (p, q, s, t) = x.chunk(4, -1), r.chunk(4, -1)
    return torch.cat(
        [
            _sum_of_products(((a, p, 1), (b, q, -1), (c, s, -1), (d, t, -1))),
            _sum_of_products(((a, q, 1), (b, p, 1), (c, t, 1), (d, s, -1))),
            _sum_of_products(((a, s, 1), (b, t, -1), (c, p, 1), (d, q, 1))),
            _sum_of_products(((a, t, 1), (b, s, 1), (c, q, -1), (d, p, 1))),
        ],
        -1,
    )


def conjugate(x: Tensor, k: int) -> Tensor:
    """Each number with all parts but the real one negated; (..., d) -> (..., d)."""
    if k == 1:
        return x
    real, *others = x.chunk(k, -1)
    return torch.cat([real, *(-part for part in others)], -1)


def squared_length(x: Tensor, k: int) -> Tensor:
    """|number|^2, repeated for each component; (..., d) -> (..., d)."""
    squares = x.square().unflatten(-1, (k, -1)).sum(-2)
    return torch.cat([squares] * k, -1)


def normalise(x: Tensor, k: int) -> Tensor:
    """Each number with length 1, zero where it is shorter than 1e-6.

    Such a number carries nothing and gets no gradient. (The published program multiplies its gradient by 10^6, which
    does no harm there because the ReLU that made the zero has derivative 0.)
    """
    squares = squared_length(x, k)
    inverse = squares.clamp_min(SHORTEST_SQUARED).rsqrt()
    return x * torch.where(squares > SHORTEST_SQUARED, inverse, 0)


def planar(x: Tensor, k: int) -> Tensor:
    """From interleaved columns (1, i, j, k, 1, i, j, k, ...) to ours; (..., d) -> (..., d)."""
    return torch.cat([x[..., part::k] for part in range(k)], -1)


def interleaved(x: Tensor, k: int) -> Tensor:
    """The inverse of `planar`."""
    return torch.stack(x.chunk(k, -1), -1).flatten(-2)


def _sum_of_products(terms: tuple[tuple[Tensor, Tensor, int], ...]) -> Tensor:
    """Each further term in one pass over memory, which these products are bound by; the first sign is 1."""
    (x, y, _), *others = terms
    total = x * y
    for x, y, sign in others:
        total = torch.addcmul(total, x, y, value=sign)
    return total
