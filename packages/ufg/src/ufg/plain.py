"""The transform as its formulas say it, without a trick: what the tests hold `ufg.recursion` to, and what learned filters use.

Every operation is one of torch's own, so that the coefficients may carry a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ufg.sparse import ConstantMatrix


def analyze(matrices: Sequence[ConstantMatrix], table: Tensor, x: Tensor) -> Tensor:
    """All blocks of coefficients.

    Args:
        matrices: the shifted operator of each level.
        table: (r, n) Chebyshev coefficients; may be learned.
        x: (N, C).

    Returns:
        (K, N, C), in the order of `ufg.recursion.analyze`.
    """
    low, high = x, []
    for matrix in matrices:
        outputs = torch.einsum("jk,knc->jnc", _halved(table), _chebyshev(matrix, low, table.shape[1]))
        low, *bands = outputs
        high.append(bands)
    return torch.stack([low, *(bands[j] for j in range(len(table) - 1) for bands in high)])


def synthesize(matrices: Sequence[ConstantMatrix], table: Tensor, blocks: Tensor) -> Tensor:
    """The transpose of `analyze`: the sum over blocks of each operator applied to its block.

    Args:
        matrices: the shifted operator of each level.
        table: (r, n) Chebyshev coefficients; may be learned.
        blocks: (K, N, C).

    Returns:
        (N, C).
    """
    levels = len(matrices)
    low = blocks[0]
    for level in reversed(range(levels)):
        bands = [low, *(blocks[1 + j * levels + level] for j in range(len(table) - 1))]
        mixed = torch.einsum("jk,jnc->knc", _halved(table), torch.stack(bands))
        # T_k is symmetric: apply each to its own mixture and add up.
        low = torch.stack([_chebyshev(matrices[level], part, k + 1)[k] for k, part in enumerate(mixed)]).sum(
            0
        )
    return low


def _chebyshev(matrix: ConstantMatrix, x: Tensor, terms: int) -> Tensor:
    """(terms, N, C): T_0 x, T_1 x, ..."""
    found = [x, matrix @ x]
    while len(found) < terms:
        found.append(2 * (matrix @ found[-1]) - found[-2])
    return torch.stack(found[:terms])


def _halved(table: Tensor) -> Tensor:
    return torch.cat([table[:, :1] / 2, table[:, 1:]], 1)
