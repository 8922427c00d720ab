"""ln of the denominators for any anchors and any similarities, by blocks of rows with a maximum for each row.

This is for what `symmetric` does not take: anchors that are some of the keys only (the first views, the rows of one process), cold
temperatures, and features of any norm. The similarity of a row with itself is left out of the maximum, which for collapsed features at
a cold temperature it would be alone in reaching.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from supcon_simplex.pairs import Pairs

BLOCK = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Similarities that are made at a time."""


def row_terms(
    anchors: Tensor, keys: Tensor, pairs: Pairs, temperature: float, positive_weight: float, inside: bool
) -> Tensor:
    """The loss of each anchor.

    Args:
        anchors: (A, d), float32 or float64.
        keys: (N, d).
        pairs: by labels.
        temperature: tau.
        positive_weight: omega, factor of the positives' terms in the denominator.
        inside: take the mean over the positives inside the logarithm.

    Returns:
        (A,); 0 for anchors without a positive. It can be differentiated once.
    """
    warm = anchors / temperature
    total, positive = cast(Any, _LogSums).apply(warm, keys, pairs, positive_weight, inside)
    partners = pairs.partners.clamp(min=1).to(keys)
    if inside:
        terms = total - positive + partners.log()
    else:
        sums = keys.new_zeros(pairs.groups, keys.shape[1]).index_add(0, pairs.group, keys)
        others = sums.index_select(0, pairs.anchor_group) - keys.index_select(0, pairs.own)
        terms = total - (warm * others).sum(1) / partners
    return torch.where(pairs.partners > 0, terms, (warm * 0).sum(1))


class _LogSums(torch.autograd.Function):
    """ln of the weighted sum over all other keys, and of the sum over the positives; -inf, with no gradient, without terms."""

    @staticmethod
    def forward(
        ctx: Any, warm: Tensor, keys: Tensor, pairs: Pairs, weight: float, inside: bool
    ) -> tuple[Tensor, Tensor]:
        total = warm.new_empty(len(warm))
        positive = warm.new_empty(len(warm) if inside else 0)
        for rows in _blocks(warm, keys):
            s, same = _similarities(warm, keys, pairs, rows, inside or weight != 1)
            if inside:
                assert same is not None
                positive[rows] = _log_sum(s.masked_fill(~same, -torch.inf))
            total[rows] = _log_sum(_weighted(s, same, weight))
        ctx.save_for_backward(warm, keys, total, positive)
        ctx.pairs, ctx.weight, ctx.inside = pairs, weight, inside
        return total, positive

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor, of_positive: Tensor) -> tuple[Tensor | None, ...]:
        warm, keys, total, positive = ctx.saved_tensors
        of_anchors, of_keys = torch.empty_like(warm), torch.zeros_like(keys)
        for rows in _blocks(warm, keys):
            s, same = _similarities(warm, keys, ctx.pairs, rows, ctx.inside or ctx.weight != 1)
            g = None
            if ctx.inside:
                assert same is not None
                g = _shares(s.masked_fill(~same, -torch.inf), positive[rows], of_positive[rows])
            of_all = _shares(_weighted(s, same, ctx.weight), total[rows], of_total[rows])
            g = of_all if g is None else g + of_all
            of_anchors[rows] = g @ keys
            of_keys.addmm_(g.T, warm[rows])
        return of_anchors, of_keys, None, None, None


def _blocks(anchors: Tensor, keys: Tensor) -> Iterator[slice]:
    height = max(1, BLOCK.get(keys.device.type, BLOCK["cuda"]) // len(keys))
    for first in range(0, len(anchors), height):
        yield slice(first, min(first + height, len(anchors)))


def _similarities(
    warm: Tensor, keys: Tensor, pairs: Pairs, rows: slice, apart: bool
) -> tuple[Tensor, Tensor | None]:
    """Those of a block, -inf where a row meets itself; and who is whose positive, if they are to be told apart."""
    own = pairs.own[rows, None]
    s = (warm[rows] @ keys.T).scatter_(1, own, -torch.inf)
    if not apart:
        return s, None
    return s, (pairs.anchor_group[rows, None] == pairs.group).scatter_(1, own, False)


def _weighted(s: Tensor, same: Tensor | None, weight: float) -> Tensor:
    if same is None or weight == 1:
        return s
    return s.masked_fill(same, -torch.inf) if weight == 0 else s + same.to(s) * math.log(weight)


def _log_sum(s: Tensor) -> Tensor:
    highest = s.amax(1, keepdim=True)
    highest = torch.where(highest == -torch.inf, 0, highest)
    return (s - highest).exp_().sum(1).log_() + highest[:, 0]


def _shares(s: Tensor, log_sum: Tensor, gradient: Tensor) -> Tensor:
    """gradient * exp(s - log_sum)."""
    shares = (s - torch.where(log_sum == -torch.inf, 0, log_sum)[:, None]).exp_()
    return shares.mul_(gradient[:, None])
