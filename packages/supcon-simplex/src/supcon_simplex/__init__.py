"""Dissecting Supervised Contrastive Learning (Graf et al., ICML 2021): the loss, its optimum, and the distance to it.

from supcon_simplex import SupConLoss, sc_bound

loss = SupConLoss(temperature=0.1)(features, labels)
gap = float(loss) - sc_bound(classes=10, temperature=0.1, batch_size=len(labels))
"""

from supcon_simplex.bounds import (
    PenalisedOptimum,
    ce_bound,
    ce_l2_optimum,
    sc_batch_value,
    sc_bound,
    sc_total_bound,
)
from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.ensemble import ensemble_supcon_loss
from supcon_simplex.geometry import CollapseReport, angular_similarity, pairwise_cosines
from supcon_simplex.loss import SupConLoss, supcon_loss
from supcon_simplex.simplex import (
    SimplexFit,
    SimplexHead,
    is_simplex,
    nearest_simplex,
    regular_simplex,
    simplex_distance,
)
from supcon_simplex.statistics import GraphStatistics, graph_statistics

__all__ = [
    "CollapseMetrics",
    "CollapseReport",
    "GraphStatistics",
    "PenalisedOptimum",
    "SimplexFit",
    "SimplexHead",
    "SupConLoss",
    "angular_similarity",
    "ce_bound",
    "ce_l2_optimum",
    "ensemble_supcon_loss",
    "graph_statistics",
    "is_simplex",
    "nearest_simplex",
    "pairwise_cosines",
    "regular_simplex",
    "sc_batch_value",
    "sc_bound",
    "sc_total_bound",
    "simplex_distance",
    "supcon_loss",
]
