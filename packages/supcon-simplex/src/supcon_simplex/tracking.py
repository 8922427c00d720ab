"""Losses that are only looked at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from offprints.errors import InputError


@torch.no_grad()
def class_mean_cross_entropy(z: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a classifier whose weights are the batch's own class means, which the published program logs.

    Args:
        z: (B, d) features, taken as they are.
        labels: (B,) of any type.

    Returns:
        A number without a gradient.

    Raises:
        InputError: shapes that do not fit.
    """
    if z.dim() != 2 or labels.shape != (len(z),) or len(z) == 0:
        raise InputError(
            f"features must be (B, d) with (B,) labels, got {tuple(z.shape)}, {tuple(labels.shape)}"
        )
    _, group, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    wide = z if z.dtype == torch.float64 else z.float()
    means = wide.new_zeros(len(counts), wide.shape[1]).index_add_(0, group, wide) / counts[:, None]
    return functional.cross_entropy(wide @ means.T, group)
