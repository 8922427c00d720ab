"""Shrinkage: what the paper uses as activation, and what denoises without training.

A threshold says how small a coefficient counts as noise; a rule says what becomes of it and of the others. The low-pass block is
never thresholded.

    shrunk = shrink(blocks, Universal(sigma=1.0).of(op, blocks), "soft")

Source: Section 3.2 of the paper; Donoho and Johnstone 1994, 1995.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from offprints.errors import InputError

from ufg.graph import GraphOperator

RULES = ("soft", "hard", "firm", "garrote")


def shrink(blocks: Tensor, threshold: Tensor | float, rule: str = "soft") -> Tensor:
    """Shrink the high-pass blocks; differentiable in both arguments.

    Soft takes the threshold t off every magnitude, hard leaves what is above t as it is. Between the two, firm is hard from 2 t on
    and linear before, and garrote (c - t^2 / c) is continuous and leaves large coefficients nearly alone.

    Args:
        blocks: (K, N, ...), block 0 is the low-pass one.
        threshold: 0 or more; broadcasts with (K - 1, N, ...).
        rule: soft, hard, firm or garrote.

    Returns:
        The shape of `blocks`.

    Raises:
        InputError: no rule is called so.
    """
    return torch.cat([blocks[:1], shrunk(blocks[1:], threshold, rule)])


def shrunk(c: Tensor, threshold: Tensor | float, rule: str = "soft") -> Tensor:
    """Shrink all of a tensor; see `shrink`."""
    t = torch.as_tensor(threshold, dtype=c.dtype, device=c.device)
    size = c.abs()
    if rule == "soft":
        return c.sign() * (size - t).clamp_min(0)
    if rule == "hard":
        return c * (size > t)
    if rule == "firm":
        return c.sign() * torch.where(size > 2 * t, size, 2 * (size - t).clamp_min(0))
    if rule == "garrote":
        above = size > t
        safe = torch.where(above, c, torch.ones_like(c))  # 0 / 0 must not reach the gradient
        return torch.where(above, c - t.square() / safe, torch.zeros_like(c))
    raise InputError(f"no shrinkage rule is called {rule!r}: one of {', '.join(RULES)}")


@dataclass(frozen=True)
class Universal:
    """The threshold of UFGConv-S: sigma sqrt(2 ln N) / sqrt(N), N the nodes of the graph.

    Attributes:
        sigma: a constant, not estimated; 0 or more.
        multiscale: multiply it by the energy of each block over that of the first high-pass block, as the paper says. The published
            program does not, because it sets the number of the block back in its loop; False repeats its figures.

    Raises:
        InputError: sigma is negative or not finite.
    """

    sigma: float = 1.0
    multiscale: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < math.inf:
            raise InputError(f"sigma={self.sigma} of a threshold is 0 or more")

    def of(self, op: GraphOperator, blocks: Tensor) -> Tensor:
        """Threshold of each high-pass block.

        Args:
            op: of the graphs.
            blocks: (K, N, C) coefficients as they are to be shrunk, or (K, N, S, C) of S models side by side.

        Returns:
            Broadcasts with (K - 1, N, C): (1, N, 1), or (K - 1, N, 1) if multiscale.
        """
        nodes = op.sizes.to(blocks.dtype)
        base = self.sigma * (2 * nodes.log() / nodes).sqrt()  # (G,)
        if not self.multiscale:
            return base[op.graph_of_node].reshape(1, -1, *[1] * (blocks.ndim - 2))
        energy = op.sum_over_graphs(blocks[1:].square().sum(-1).movedim(1, 0)).movedim(
            0, 1
        )  # (K - 1, G, ...)
        tiny = torch.finfo(blocks.dtype).tiny
        factor = energy / energy[:1].clamp_min(tiny)
        scaled = base.reshape(1, -1, *[1] * (energy.ndim - 2)) * factor
        return scaled[:, op.graph_of_node].unsqueeze(-1)


def sure_threshold(c: Tensor, noise: Tensor | float = 1.0) -> Tensor:
    """The threshold with the least estimated risk of soft thresholding (SURE), for each column.

    Args:
        c: (..., N, C) coefficients whose noise has standard deviation `noise`.
        noise: broadcasts with (..., 1, C); 0 or more.

    Returns:
        (..., 1, C); the smallest of those with equal risk, 0 where there is no noise.

    Source: Donoho and Johnstone 1995; with x^2 sorted upwards, the risk of t = |x_k| is
    (N - 2 (k + 1) + sum_(i <= k) x_i^2 + (N - 1 - k) x_k^2) / N.
    """
    noise = torch.as_tensor(noise, dtype=c.dtype, device=c.device)
    # Without noise the threshold is 0 in any unit, and in one of nothing squares would overflow.
    squares = (c / torch.where(noise > 0, noise, 1)).square().sort(-2).values
    count = c.shape[-2]
    k = torch.arange(count, dtype=c.dtype, device=c.device).unsqueeze(-1)
    risk = (count - 2 * (k + 1) + squares.cumsum(-2) + (count - 1 - k) * squares) / count
    best = risk.argmin(-2, keepdim=True)
    return squares.gather(-2, best).sqrt() * noise


def median_deviation(c: Tensor) -> Tensor:
    """Standard deviation of Gaussian noise, by the median of the magnitudes over 0.6745: large coefficients do not move it.

    Args:
        c: (..., N, C).

    Returns:
        (..., 1, C).
    """
    return c.abs().median(-2, keepdim=True).values / 0.674489750196082
