"""The inverse of the frame operator, so that synthesis inverts analysis at any number of Chebyshev terms.

S = sum of W^T W is a polynomial of the Laplacian with spectrum between the frame bounds: with the paper's n = 2, from 0.64 to 1.57.
Conjugate gradients need about ten steps then, and one for a frame that is tight already.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from offprints.errors import InputError

from ufg.recursion import Recursion

MOST_STEPS = 200


class NotConverged(InputError):
    """Conjugate gradients did not reach the tolerance that was asked for."""


class FrameInverse(torch.autograd.Function):
    """(N, C) y to the solution x of S x = y. S is symmetric, and so is its inverse: its own backward."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, recursion: Recursion, tolerance: float) -> Tensor:
        ctx.constants = recursion, tolerance
        return _solve(recursion, y, tolerance)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return cast(Any, FrameInverse).apply(gradients[0].contiguous(), *ctx.constants), None, None


def _solve(recursion: Recursion, y: Tensor, tolerance: float) -> Tensor:
    """Conjugate gradients, each column with step lengths of its own."""
    x = torch.zeros_like(y)
    residual = y.clone()
    direction = residual.clone()
    squared = residual.square().sum(0)
    goal = squared * tolerance**2
    for _ in range(MOST_STEPS):
        if bool((squared <= goal).all()):
            return x
        image = recursion.synthesize(recursion.analyze(direction))
        # A column that is done has nothing left: 0 / 0 would spread to all that follows.
        step = squared / (direction * image).sum(0).clamp_min(torch.finfo(y.dtype).tiny)
        x.addcmul_(step, direction)
        residual.addcmul_(step, image, value=-1)
        before, squared = squared, residual.square().sum(0)
        direction.mul_(squared / before.clamp_min(torch.finfo(y.dtype).tiny)).add_(residual)
    worst = float((squared / goal.clamp_min(torch.finfo(y.dtype).tiny)).max().sqrt()) * tolerance
    raise NotConverged(
        f"conjugate gradients reached a relative residual of {worst:.2g} in {MOST_STEPS} steps, not {tolerance:.2g}: "
        "ask for a larger tolerance, or take more terms"
    )
