"""What ours is compared with: the loss on whole matrices, and collapse metrics in two passes, as they are usually written."""

from __future__ import annotations

import torch
from torch import Tensor


def dense_supcon(x: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss by B x B matrices and autograd, without those that could be spared."""
    z = torch.nn.functional.normalize(x, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity - similarity.logsumexp(1, keepdim=True)
    positive = (labels[:, None] == labels) & ~itself
    partners = positive.sum(1)
    return -(log_share.masked_fill(~positive, 0).sum(1) / partners.clamp(min=1)).mean()


def two_passes(blocks: list[tuple[Tensor, Tensor]], classes: int) -> dict[str, float]:
    """NC1, CDNV and the simplex error: class means first, then the scatter about them."""
    features = blocks[0][0].shape[1]
    sums, counts = (
        torch.zeros(classes, features, dtype=torch.float64),
        torch.zeros(classes, dtype=torch.float64),
    )
    for z, y in blocks:
        sums.index_add_(0, y, z.double())
        counts += torch.bincount(y, minlength=classes)
    means = sums / counts[:, None]
    within = torch.zeros(features, features, dtype=torch.float64)
    spread = torch.zeros(classes, dtype=torch.float64)
    for z, y in blocks:
        rest = z.double() - means[y]
        within += rest.T @ rest
        spread.index_add_(0, y, rest.square().sum(1))
    centred = means - means.mean(0)
    between = centred.T @ centred / classes
    gram = centred @ centred.T
    target = (torch.eye(classes) - 1 / classes) / (classes - 1) ** 0.5
    first, second = torch.triu_indices(classes, classes, 1)
    variance = spread / counts
    apart = (means[first] - means[second]).square().sum(1)
    return {
        "nc1_pinv": float(
            torch.trace(within / counts.sum() @ torch.linalg.pinv(between, hermitian=True)) / classes
        ),
        "nc2_etf": float((gram / gram.norm() - target).norm()),
        "cdnv": float(((variance[first] + variance[second]) / (2 * apart)).mean()),
    }
