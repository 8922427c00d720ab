"""The loss in memory that grows with the batch and not with its square.

`symmetric_terms` gives what `plain.plain_terms` gives where every row is an anchor and labels say who is whose positive. How it saves:

- The denominators are sums over tiles of the similarities, of which only one half is made (`tiles`, `compiled_tiles`).
- Positives need no matrix: their mean similarity is a product with the sum of the class.
- Exponentials are powers of two of rows that were scaled for it. They need no shift while the largest stays far from overflow, which
  `fits` tells; where it may not, `rows` does the work with a maximum for each row.
- Normalisation, loss and gradient are one function: at small batches most of the time would go into starting operations.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from supcon_simplex.compiled_tiles import CompiledTiles
from supcon_simplex.pairs import Pairs
from supcon_simplex.tiles import Runs, TorchTiles

LOG2_E = math.log2(math.e)
SMALLEST_NORM = 1e-12
"""Shorter rows have no direction; as in torch.nn.functional.normalize."""


def fits(largest: float, dtype: torch.dtype) -> bool:
    """Whether similarities of at most this size can be exponentiated as they are, and summed.

    Args:
        largest: bound of |<z_i, z_j>| / tau.
        dtype: float32 or float64.
    """
    exponent: float = math.log2(torch.finfo(dtype).max)
    return largest * LOG2_E < 0.8 * exponent


def symmetric_terms(
    x: Tensor,
    pairs: Pairs,
    temperature: float,
    positive_weight: float,
    inside: bool,
    normalize: bool,
    runs: int = 1,
) -> Tensor:
    """The loss of each row.

    Args:
        x: (N, d), float32 or float64; similarities must be in the range that `fits` tells.
        pairs: by labels, with every row an anchor.
        temperature: tau.
        positive_weight: omega, factor of the positives' terms in the denominator.
        inside: take the mean over the positives inside the logarithm.
        normalize: divide rows by their norm first.
        runs: so many blocks of rows, of equal size and with labels of their own, are batches of their own.

    Returns:
        (N,); 0 for rows without a positive. It can be differentiated once.
    """
    terms: Tensor = cast(Any, _SymmetricTerms).apply(
        x, pairs, temperature, positive_weight, inside, normalize, runs
    )
    return terms


class _SymmetricTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        pairs: Pairs,
        temperature: float,
        weight: float,
        inside: bool,
        normalize: bool,
        runs: int,
    ) -> Tensor:
        scale = math.sqrt(LOG2_E / temperature)  # <scaled_i, scaled_j> is the base-2 logarithm of a term
        norm = x.norm(dim=1, keepdim=True) if normalize else None
        scaled = x * scale if norm is None else x * (scale / norm.clamp(min=SMALLEST_NORM))
        apart = inside or weight != 1
        work: TorchTiles | CompiledTiles | Runs
        if runs > 1:
            work = Runs(pairs.group, apart, runs)
        elif x.device.type == "cpu" and x.dtype == torch.float32 and not apart:
            work = CompiledTiles(len(x))
        else:
            work = TorchTiles(pairs.group, apart)
        total, positive = work.sums(scaled, keep=ctx.needs_input_grad[0])
        if apart and weight:
            total = total + weight * positive
        partners = pairs.partners.clamp(min=1).to(x.dtype)
        if inside:
            others = scaled[:0]
            terms = total.log() - (positive / partners).log()
        else:
            others = _class_sums(scaled, pairs).sub_(scaled)  # (N, d), sum of each row's positives
            terms = total.log() - (others * scaled).sum(1) / (partners * LOG2_E)
        ctx.save_for_backward(scaled, others, norm, total, positive, partners)
        ctx.work, ctx.pairs, ctx.scale, ctx.weight, ctx.inside = work, pairs, scale, weight, inside
        return torch.where(pairs.partners > 0, terms, (scaled * 0).sum(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_terms: Tensor) -> tuple[Tensor | None, ...]:
        scaled, others, norm, total, positive, partners = ctx.saved_tensors
        of_terms = torch.where(ctx.pairs.partners > 0, of_terms, 0)
        share = _share(of_terms, total)
        positive_share = share * ctx.weight
        if ctx.inside:
            gradient = torch.zeros_like(scaled)
            positive_share = positive_share - _share(of_terms, positive)
        else:
            pull = (of_terms / partners)[:, None]
            pulled = scaled * pull
            gradient = _class_sums(pulled, ctx.pairs).neg_().add_(pulled).addcmul_(others, pull, value=-1)
            del pulled
        ctx.work.add_gradient(gradient, scaled, share, positive_share)
        if norm is None:
            gradient *= ctx.scale / LOG2_E
        else:  # through the norm, only what is at right angles to the row is left; scaled / ctx.scale is the unit row
            along = (gradient * scaled).sum(1, keepdim=True) / ctx.scale**2
            gradient.addcmul_(scaled, along, value=-1)
            gradient *= torch.where(norm < SMALLEST_NORM, 0, (ctx.scale / LOG2_E) / norm)
        return gradient, None, None, None, None, None, None


def _class_sums(x: Tensor, pairs: Pairs) -> Tensor:
    """Each row's sum over its class, itself included; (N, d) -> (N, d)."""
    sums = x.new_zeros(pairs.groups, x.shape[1]).index_add_(0, pairs.group, x)
    return sums.index_select(0, pairs.group)


def _share(gradient: Tensor, total: Tensor) -> Tensor:
    """gradient / total, 0 where there are no terms."""
    return torch.where(total == 0, 0, gradient / total)
