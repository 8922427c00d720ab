"""Analysis and synthesis as recursions on one sparse matrix: what the transform executes.

All filters of a level share T_1, ..., T_(n-1), so that a level costs n - 1 sparse products whatever the number of filters, and
synthesis, the transpose, costs the same by Clenshaw's rule. Because every operator is symmetric, each is the derivative of the
other: the backward pass keeps nothing but the graph and the coefficients.

`ufg.plain` is the same as formulas, `ufg.kernels` the same again for a CPU, in fewer walks over memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ufg import kernels
from ufg.laplacian import LaplacianOperator

Floats = NDArray[np.float64]
_NOTHING = 1e-15  # coefficients that are 0 but for rounding, such as every second one of the linear filters


class Recursion:
    """Analysis and synthesis of one transform on one graph, by what is fastest on its device; without gradients.

    Args:
        op: of the graph.
        dilations: t of each level.
        table: (r, n) Chebyshev coefficients; row 0 is the low-pass filter.
    """

    def __init__(self, op: LaplacianOperator, dilations: Sequence[float], table: Floats) -> None:
        self.dilations, self.table = dilations, table
        self._compiled = kernels.are_for(op.device)
        if self._compiled:
            self._matrix = kernels.Matrix.of(op.row_starts, op.columns, op.values)
        else:
            self._shifted = [op.shifted(dilation) for dilation in dilations]

    def analyze(self, x: Tensor) -> Tensor:
        """(K, N, C) blocks of an (N, C) signal."""
        if self._compiled:
            return kernels.analyze(self._matrix, self.dilations, self.table, x)
        return analyze(self._shifted, self.table, x)

    def synthesize(self, blocks: Tensor, gain: Tensor | None = None) -> Tensor:
        """(N, C) signal of (K, N, C) blocks, each row of which is first scaled by its gain, (K, N), if there are any."""
        if self._compiled:
            return kernels.synthesize(self._matrix, self.dilations, self.table, blocks, gain)
        return synthesize(self._shifted, self.table, blocks if gain is None else blocks * gain.unsqueeze(-1))

    def row_products(self, blocks: Tensor, others: Tensor) -> Tensor:
        """(K, N) sums over columns of the product of two (K, N, C)."""
        if self._compiled:
            return kernels.row_products(blocks, others)
        return (blocks * others).sum(-1)


class Analysis(torch.autograd.Function):
    """(N, C) signal to (K, N, C) blocks; see `analyze`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, recursion: Recursion) -> Tensor:
        ctx.recursion = recursion
        return recursion.analyze(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return cast(Any, Synthesis).apply(gradients[0].contiguous(), ctx.recursion), None


class Synthesis(torch.autograd.Function):
    """(K, N, C) blocks to (N, C) signal; see `synthesize`."""

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, recursion: Recursion) -> Tensor:
        ctx.recursion = recursion
        return recursion.synthesize(blocks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return cast(Any, Analysis).apply(gradients[0].contiguous(), ctx.recursion), None


class Amplification(torch.autograd.Function):
    """(N, C) signal and (K, N) gains to the synthesis of the scaled blocks, W^T (gain * W x), and to the blocks W x.

    Its matrix W^T diag(gain) W is symmetric: backward is forward of the gradient. The blocks are kept, the scaled ones never made.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, recursion: Recursion) -> tuple[Tensor, Tensor]:
        blocks = recursion.analyze(x)
        ctx.recursion = recursion
        ctx.save_for_backward(gain, blocks)
        ctx.set_materialize_grads(False)
        return recursion.synthesize(blocks, gain), blocks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        recursion: Recursion = ctx.recursion
        gain, blocks = ctx.saved_tensors
        to_signal, to_blocks = gradients
        to_x = to_gain = None
        if to_signal is not None:
            parts = cast(Any, Analysis).apply(to_signal.contiguous(), recursion)
            if torch.is_grad_enabled():  # to be differentiated again
                to_x = cast(Any, Synthesis).apply(parts * gain.unsqueeze(-1), recursion)
                to_gain = (parts * blocks).sum(-1)
            else:
                to_x = recursion.synthesize(parts, gain)
                to_gain = recursion.row_products(parts, blocks)
        if to_blocks is not None:
            more = cast(Any, Synthesis).apply(to_blocks.contiguous(), recursion)
            to_x = more if to_x is None else to_x + more
        return to_x, to_gain, None


def analyze(matrices: Sequence[Tensor], table: Floats, x: Tensor) -> Tensor:
    """All blocks of coefficients.

    Args:
        matrices: the shifted operator of each level, (N, N) CSR.
        table: (r, n) Chebyshev coefficients; row 0 is the low-pass filter.
        x: (N, C) contiguous.

    Returns:
        (K, N, C): low-pass of the last level, then for each high-pass filter its levels, K = (r - 1) levels + 1.
    """
    levels = len(matrices)
    filters, terms = table.shape
    rows: list[list[float]] = table.tolist()
    blocks = x.new_empty((filters - 1) * levels + 1, *x.shape)
    low = x
    for level, matrix in enumerate(matrices):
        outputs = [blocks[0] if level == levels - 1 else torch.empty_like(x)]
        outputs += [blocks[_place(j, level, levels)] for j in range(1, filters)]
        for row, output in zip(rows, outputs, strict=True):
            torch.mul(low, row[0] / 2, out=output)
        before, term = low, low
        for k in range(1, terms):
            if k == 1:
                following = matrix @ term
            else:
                # T_2 must not overwrite T_0, which is the level's input; later ones take the place of the last but one.
                place = torch.empty_like(x) if k == 2 else before
                following = torch.addmm(before, matrix, term, beta=-1, alpha=2, out=place)
            before, term = term, following
            for row, output in zip(rows, outputs, strict=True):
                if abs(row[k]) > _NOTHING:
                    output.add_(term, alpha=row[k])
        low = outputs[0]
    return blocks


def synthesize(matrices: Sequence[Tensor], table: Floats, blocks: Tensor) -> Tensor:
    """The transpose of `analyze`.

    Args:
        matrices: the shifted operator of each level, (N, N) CSR.
        table: (r, n) Chebyshev coefficients.
        blocks: (K, N, C) contiguous.

    Returns:
        (N, C).
    """
    levels = len(matrices)
    filters, terms = table.shape
    rows: list[list[float]] = table.tolist()
    low = blocks[0]
    for level in reversed(range(levels)):
        inputs = [low, *(blocks[_place(j, level, levels)] for j in range(1, filters))]

        def mixed(k: int, inputs: list[Tensor] = inputs) -> Tensor:
            """w_k times the sum over filters of c_jk times its input, w_0 = 1/2 and w_k = 1."""
            weight = 0.5 if k == 0 else 1.0
            total = inputs[0] * (weight * rows[0][k])
            for row, block in zip(rows[1:], inputs[1:], strict=True):
                if abs(row[k]) > _NOTHING:
                    total.add_(block, alpha=weight * row[k])
            return total

        # Clenshaw: b_k = g_k + 2 M b_(k+1) - b_(k+2), and at the end g_0 + M b_1 - b_2.
        after, term = None, mixed(terms - 1)
        for k in range(terms - 2, -1, -1):
            total = mixed(k)
            if after is not None:
                total.sub_(after)
            torch.addmm(total, matrices[level], term, alpha=2 if k else 1, out=total)
            after, term = term, total
        low = term
    return low


def _place(j: int, level: int, levels: int) -> int:
    return 1 + (j - 1) * levels + level
