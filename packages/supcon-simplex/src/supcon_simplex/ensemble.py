"""The loss of many runs at once, as many models that are trained as one give it: a batch each, compared within itself only."""

from __future__ import annotations

import torch
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.loss import Reduction, SupConLoss, reduced, wide
from supcon_simplex.pairs import Pairs
from supcon_simplex.symmetric import fits, symmetric_terms


def ensemble_supcon_loss(
    z: Tensor,
    labels: Tensor,
    temperature: float = 0.1,
    *,
    reduction: Reduction = "mean",
    normalize: bool = True,
    positive_weight: float = 1.0,
) -> Tensor:
    """`supcon_loss` of each run's batch, for the cost of a few large operations instead of many small ones.

    The runs share nothing: the gradient of their sum is, run by run, the gradient of each one's loss.

    Args:
        z: (R, B, d) features of R runs.
        labels: (R, B), or (B,) if the runs have the same batch.
        temperature: tau.
        reduction: see `Reduction`, within a run.
        normalize: divide features by their L2 norm first.
        positive_weight: omega, factor of the positives' terms in the denominator.

    Returns:
        (R,); (R, B) with reduction "none".

    Raises:
        InputError: shapes that do not fit, or what `supcon_loss` refuses.
    """
    SupConLoss(temperature, reduction, positive_weight=positive_weight)  # checks the numbers
    if z.dim() != 3 or 0 in z.shape or not z.is_floating_point():
        raise InputError(f"features must be (R, B, d) of a floating type, got {tuple(z.shape)} {z.dtype}")
    runs, rows = z.shape[:2]
    if labels.shape not in ((rows,), (runs, rows)):
        raise InputError(f"labels must be {(runs, rows)} or {(rows,)}, got {tuple(labels.shape)}")
    with torch.autocast(z.device.type, enabled=False):
        x = wide(z)
        if normalize and fits(1 / temperature, x.dtype):
            pairs = pairs_of_runs(labels.expand(runs, rows))
            terms = symmetric_terms(x.flatten(0, 1), pairs, temperature, positive_weight, False, True, runs)
            return reduced(terms.view(runs, rows), pairs.partners.view(runs, rows), rows, reduction)
    each = SupConLoss(temperature, reduction, normalize, positive_weight)
    return torch.stack([each(one, y) for one, y in zip(z, labels.expand(runs, rows), strict=True)])


def pairs_of_runs(labels: Tensor) -> Pairs:
    """Rows of one label in one run are each other's positives; (R, B)."""
    values, group = torch.unique(labels, return_inverse=True)
    group = (group + len(values) * torch.arange(len(labels), device=labels.device)[:, None]).flatten()
    groups = len(values) * len(labels)
    partners = torch.bincount(group, minlength=groups)[group] - 1
    return Pairs(torch.arange(len(group), device=labels.device), group, groups, partners)
