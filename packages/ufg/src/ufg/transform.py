"""The undecimated framelet transform: a graph signal into blocks of coefficients, one row per node in each, and back.

    transform = FrameletTransform("haar", levels=2, scale=2.0, terms=8)
    blocks = transform.analyze(op, x)            # (K, N, C)
    again = transform.synthesize(op, blocks)     # x, to the accuracy of the series
    again = transform.synthesize(op, blocks, exact=True)   # x, whatever the series

Level l = 1..Lev filters the output of the low-pass filter of the level before, with the eigenvalues dilated by t_l:

    W_(0,l) = a(t_l L) W_(0,l-1),    W_(j,l) = b_j(t_l L) W_(0,l-1),    W_(0,0) = I

where L is scaled so that its spectrum is mapped onto [0, pi]. Because a^2 + b_1^2 + ... = 1, level after level, the squares of
all blocks sum to the identity: a tight frame. With n Chebyshev terms this holds to the accuracy of the series: see `frame_bounds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from offprints.errors import InputError

from ufg.exact import FrameInverse
from ufg.filters import FilterBank, Floats, chebyshev_table, evaluate_series, filter_bank
from ufg.graph import GraphOperator
from ufg.laplacian import LaplacianOperator
from ufg.recursion import Amplification, Analysis, Recursion, Synthesis

ORDERS = ("ascending", "descending")


@dataclass(frozen=True)
class FrameletTransform:
    """A framelet transform; knows no graph.

    Attributes:
        filters: "haar", "linear", "quadratic" or a `FilterBank` of your own.
        levels: Lev, 1 or more.
        scale: s, the dilation between levels, more than 1.
        terms: n, Chebyshev coefficients of each filter, 2 or more. Haar reaches float32 accuracy with 8, linear with 11, quadratic
            with 12; the paper's experiments use 2, which is no tight frame.
        order: "ascending", the paper's: the first level has the smallest dilation; "descending", as in later work.

    Raises:
        InputError: one of them does not fit.
    """

    filters: str | FilterBank = "haar"
    levels: int = 2
    scale: float = 2.0
    terms: int = 8
    order: str = "ascending"

    def __post_init__(self) -> None:
        filter_bank(self.filters)
        for name, fits, right in (
            ("levels", self.levels >= 1, "1 or more"),
            ("scale", 1 < self.scale < math.inf, "more than 1"),
            ("terms", self.terms >= 2, "2 or more"),
            ("order", self.order in ORDERS, f"one of {', '.join(ORDERS)}"),
        ):
            if not fits:
                raise InputError(f"{name}={getattr(self, name)!r} of the transform is not valid: {right}")

    @cached_property
    def bank(self) -> FilterBank:
        return filter_bank(self.filters)

    @cached_property
    def table(self) -> Floats:
        """(r, n) Chebyshev coefficients."""
        return chebyshev_table(self.bank, self.terms)

    @cached_property
    def dilations(self) -> tuple[float, ...]:
        """t_l of each level: the share of [0, pi] that the level's filters see. Source: Section 2, with J real."""
        powers = range(1 - self.levels, 1) if self.order == "ascending" else range(0, -self.levels, -1)
        return tuple(float(self.scale) ** power for power in powers)

    @property
    def num_blocks(self) -> int:
        """K = (r - 1) Lev + 1."""
        return (len(self.bank) - 1) * self.levels + 1

    @property
    def block_names(self) -> tuple[str, ...]:
        """Of the order that every (K, ...) array here has: low, then the levels of each high-pass filter."""
        highs = range(1, len(self.bank))
        return (
            "low",
            *(f"high {j}, level {level}" for j in highs for level in range(1, self.levels + 1)),
        )

    # Of signals

    def analyze(self, op: GraphOperator, x: Tensor, check: bool = False) -> Tensor:
        """Coefficients of a signal; differentiable, twice too.

        Args:
            op: of the graph, or of a batch of graphs.
            x: (N, C), of the operator's dtype; integers are cast to it.
            check: refuse numbers that are not finite.

        Returns:
            (K, N, C): the low-pass block of the last level, then for each high-pass filter its levels.

        Raises:
            InputError: x has another number of nodes, dimensions, dtype or device than the graph, or is not finite.
        """
        op.require_signal(x)
        x = self._fitting(op, x, 2)
        if check and not bool(torch.isfinite(x).all()):
            node = int((~torch.isfinite(x)).any(1).nonzero()[0])
            raise InputError(f"the signal of node {node} is not finite")
        blocks: Tensor = cast(Any, Analysis).apply(x.contiguous(), self.recursion(op))
        return blocks

    def synthesize(
        self, op: GraphOperator, blocks: Tensor, exact: bool = False, tolerance: float | None = None
    ) -> Tensor:
        """Signal of coefficients: the sum over blocks of the operator of each, applied to it; differentiable.

        Args:
            op: of the graph.
            blocks: (K, N, C).
            exact: apply the inverse of the frame operator, by conjugate gradients: the inverse of `analyze` whatever the number
                of terms (the canonical dual frame).
            tolerance: of the relative residual; None takes 2.4e-7 for float32 and 1e-13 for float64.

        Returns:
            (N, C).

        Raises:
            InputError: the blocks do not fit the graph or the transform, or it is no frame.
            NotConverged: the tolerance was not reached.
        """
        op.require_signal(blocks, 1)
        blocks = self._fitting(op, blocks, 3)
        if len(blocks) != self.num_blocks:
            raise InputError(f"{len(blocks)} blocks do not fit a transform that has {self.num_blocks}")
        x: Tensor = cast(Any, Synthesis).apply(blocks.contiguous(), self.recursion(op))
        if not exact:
            return x
        low, high = self.frame_bounds()
        if low <= 1e-6 * high:
            raise InputError(f"{self} is no frame: something is lost that no synthesis can bring back")
        rounding = torch.finfo(op.dtype).eps
        if tolerance is None:
            tolerance = 2 * rounding if op.dtype == torch.float32 else 1e-13
        if tolerance < rounding:
            raise InputError(f"tolerance={tolerance:.2g} is below the rounding of {op.dtype}, {rounding:.2g}")
        inverse: Tensor = cast(Any, FrameInverse).apply(x, self.recursion(op), tolerance)
        return inverse

    def amplify(self, op: GraphOperator, x: Tensor, gain: Tensor) -> Tensor:
        """Synthesis of the coefficients of a signal, each scaled: W^T (gain * W x), without making the scaled ones.

        Args:
            op: of the graph.
            x: (N, C).
            gain: (K, N), or (K, 1) for one gain a block.

        Returns:
            (N, C).

        Raises:
            InputError: as `analyze`.
        """
        op.require_signal(x)
        x = self._fitting(op, x, 2)
        gain = gain.expand(self.num_blocks, op.num_nodes)
        y: Tensor = cast(Any, Amplification).apply(x.contiguous(), gain, self.recursion(op))[0]
        return y

    def energies(self, op: GraphOperator, x: Tensor) -> Tensor:
        """How the energy of a signal is spread over the blocks: what a layer that drops a block would lose.

        Args:
            op: of the graph.
            x: (N, C).

        Returns:
            (K,) shares of the sum; for a tight frame they are shares of |x|^2.
        """
        found = self.analyze(op, x).square().sum((1, 2))
        return found / found.sum()

    def recursion(self, op: LaplacianOperator) -> Recursion:
        """What computes it on a graph; kept with the graph."""
        return op.cached(("recursion", self), lambda: Recursion(op, self.dilations, self.table))

    def matrices(self, op: GraphOperator) -> list[Tensor]:
        """The argument of the Chebyshev polynomials of each level, (N, N) CSR; kept with the graph."""
        return [op.shifted(dilation) for dilation in self.dilations]

    def _fitting(self, op: GraphOperator, x: Tensor, dimensions: int) -> Tensor:
        if x.ndim != dimensions:
            raise InputError(f"expected {dimensions} dimensions, not a tensor of shape {tuple(x.shape)}")
        if not x.is_floating_point() and not x.is_complex():
            x = x.to(op.dtype)
        if x.dtype != op.dtype or x.device != op.device:
            raise InputError(
                f"the signal is {x.dtype} on {x.device}, the graph {op.dtype} on {op.device}: bring one to the other"
            )
        return x

    # Of eigenvalues

    def response(self, eigenvalues: Floats, exact_filters: bool = False) -> Floats:
        """What each block does to an eigenvector.

        Args:
            eigenvalues: (M,) of L_scaled, in [0, 2]: 2 lambda / lambda_max.
            exact_filters: of the functions themselves instead of their series.

        Returns:
            (K, M).
        """
        u = np.asarray(eigenvalues, np.float64)
        low = np.ones_like(u)
        high = []
        for dilation in self.dilations:
            values = (
                self.bank(np.pi / 2 * dilation * u)
                if exact_filters
                else evaluate_series(self.table, dilation * u - 1)
            )
            high.append(values[1:] * low)
            low = values[0] * low
        return np.concatenate([low[None], np.stack(high, 1).reshape(-1, len(u))])

    def frame_response(self, eigenvalues: Floats) -> Floats:
        """Sum of the squares of all blocks; 1 for a tight frame.

        Args:
            eigenvalues: (M,) of L_scaled.

        Returns:
            (M,).
        """
        total: Floats = np.square(self.response(eigenvalues)).sum(0)
        return total

    def frame_bounds(self, points: int = 4097) -> tuple[float, float]:
        """A and B with A |x|^2 <= sum over blocks of |W x|^2 <= B |x|^2 for every signal on every graph.

        Args:
            points: of the grid over [0, 2] that the polynomial's extremes are looked for on.
        """
        total = self.frame_response(np.linspace(0, 2, points))
        return float(total.min()), float(total.max())

    def operators(self, op: GraphOperator) -> Tensor:
        """Every W as a dense matrix, to look at on a small graph.

        Returns:
            (K, N, N).

        Raises:
            InputError: more than 4,096 nodes.
        """
        if op.num_nodes > 4096:
            raise InputError(
                f"dense operators of {op.num_nodes} nodes would take {self.num_blocks} N^2 numbers"
            )
        return self.analyze(op, torch.eye(op.num_nodes, dtype=op.dtype, device=op.device))
