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
from supcon_simplex.compositions import composition_share, compositions
from supcon_simplex.distributed import gather_metrics
from supcon_simplex.ensemble import ensemble_supcon_loss
from supcon_simplex.gap import Gap, GapMeter
from supcon_simplex.geometry import CollapseReport, angular_similarity, pairwise_cosines
from supcon_simplex.loss import SupConLoss, supcon_loss
from supcon_simplex.optimum import (
    Optimum,
    cross_entropy_of,
    optimize_embeddings,
    supcon_of,
    supcon_over_batches,
)
from supcon_simplex.simplex import (
    SimplexFit,
    SimplexHead,
    is_simplex,
    nearest_simplex,
    regular_simplex,
    simplex_distance,
)
from supcon_simplex.spherical_code import spherical_code
from supcon_simplex.statistics import GraphStatistics, graph_statistics
from supcon_simplex.tracking import class_mean_cross_entropy

__all__ = [
    "CollapseMetrics",
    "CollapseReport",
    "Gap",
    "GapMeter",
    "GraphStatistics",
    "Optimum",
    "PenalisedOptimum",
    "SimplexFit",
    "SimplexHead",
    "SupConLoss",
    "angular_similarity",
    "ce_bound",
    "ce_l2_optimum",
    "class_mean_cross_entropy",
    "composition_share",
    "compositions",
    "cross_entropy_of",
    "ensemble_supcon_loss",
    "gather_metrics",
    "graph_statistics",
    "is_simplex",
    "nearest_simplex",
    "optimize_embeddings",
    "pairwise_cosines",
    "regular_simplex",
    "sc_batch_value",
    "sc_bound",
    "sc_total_bound",
    "simplex_distance",
    "spherical_code",
    "supcon_loss",
    "supcon_of",
    "supcon_over_batches",
]
