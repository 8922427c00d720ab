"""The loss as it is written, on B x B matrices: the explanation of the fast forms, and what tests hold them equal to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from supcon_simplex.pairs import Pairs


def plain_terms(
    anchors: Tensor, keys: Tensor, pairs: Pairs, temperature: float, positive_weight: float, inside: bool
) -> Tensor:
    """The loss of each anchor, differentiable any number of times.

    Args:
        anchors: (A, d).
        keys: (N, d).
        pairs: who is whose positive.
        temperature: tau.
        positive_weight: omega, factor of the positives' terms in the denominator.
        inside: take the mean over the positives inside the logarithm.

    Returns:
        (A,); 0 for anchors without a positive.
    """
    similarity = anchors @ keys.T / temperature  # (A, N)
    positive = pairs.positives()
    itself = torch.zeros_like(positive).scatter(1, pairs.own[:, None], True)
    denominator = log_sum_exp(weighted(similarity, positive, positive_weight), itself)
    partners = pairs.partners.clamp(min=1).to(similarity)
    if inside:
        numerator = log_sum_exp(similarity, ~positive) - partners.log()
    else:
        numerator = torch.where(positive, similarity, 0).sum(1) / partners
    return with_partners(denominator - numerator, anchors, pairs)


def weighted(similarity: Tensor, positive: Tensor, weight: float) -> Tensor:
    """Similarities with ln(weight) added where a key is a positive."""
    if weight == 1:
        return similarity
    if weight == 0:
        return similarity.masked_fill(positive, -torch.inf)
    return similarity + positive.to(similarity) * math.log(weight)


def log_sum_exp(x: Tensor, without: Tensor) -> Tensor:
    """ln of the sum of exponentials over the entries that are not left out; -inf, with a gradient of 0, where none is."""
    x = x.masked_fill(without, -torch.inf)
    empty = (x == -torch.inf).all(1)
    return x.masked_fill(empty[:, None], 0).logsumexp(1).masked_fill(empty, -torch.inf)


def with_partners(terms: Tensor, anchors: Tensor, pairs: Pairs) -> Tensor:
    """0 for anchors without a positive, but not a number where their features are none."""
    return torch.where(pairs.partners > 0, terms, (anchors * 0).sum(1))
