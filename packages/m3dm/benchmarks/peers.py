"""What ours is compared with: each step in the order of operations of the published program, in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from m3dm.preprocess import largest_cluster


def plain_coreset(rows: torch.Tensor, count: int) -> list[int]:
    """One pass over all rows for each choice, float32."""
    nearest = torch.linalg.norm(rows - rows[:1], dim=1)
    chosen = [0]
    for _ in range(count - 1):
        last = int(nearest.argmax())
        chosen.append(last)
        nearest = torch.minimum(nearest, torch.linalg.norm(rows - rows[last], dim=1))
        nearest[last] = 0
    return chosen


def sorted_interpolation(points: torch.Tensor, centres: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """All distances by the expanded square, sorted; three features gathered and summed for each point."""
    squared = (points**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * points @ centres.T
    squared, order = squared.sort(dim=1)
    weight = 1 / (squared[:, :3] + 1e-8)
    weight = weight / weight.sum(1, keepdim=True)
    return (features[order[:, :3]] * weight[..., None]).sum(1)


def dense_alignment(
    points: torch.Tensor, centres: torch.Tensor, features: torch.Tensor, where: torch.Tensor, side: int = 224
) -> torch.Tensor:
    """A feature for each pixel, averaged and pooled."""
    dense = torch.zeros(side * side, features.shape[1])
    dense[where] = sorted_interpolation(points, centres, features)
    image = dense.T.reshape(1, -1, side, side)
    return F.adaptive_avg_pool2d(F.avg_pool2d(image, 3, 1), 56).reshape(features.shape[1], -1).T


def cdist_query(patches: torch.Tensor, bank: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All distances, the least of each row."""
    distance, nearest = torch.cdist(patches, bank).min(1)
    return distance, nearest


def dbscan(xyz: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The largest cluster of all points."""
    return largest_cluster(xyz, valid)
