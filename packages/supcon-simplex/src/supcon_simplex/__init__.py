"""Dissecting Supervised Contrastive Learning (Graf et al., ICML 2021): the loss, its optimum, and the distance to it.

from supcon_simplex import SupConLoss, sc_bound

loss = SupConLoss(temperature=0.1)(features, labels)
gap = float(loss) - sc_bound(classes=10, temperature=0.1, batch_size=len(labels))
"""

from offprints.training import DivergedError, Outcome

from supcon_simplex.batched_mlp import EnsembleOptions
from supcon_simplex.bounds import (
    PenalisedOptimum,
    ce_bound,
    ce_l2_optimum,
    sc_batch_value,
    sc_bound,
    sc_total_bound,
)
from supcon_simplex.classifier import SupConClassifier
from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.compositions import composition_share, compositions
from supcon_simplex.datasets import DATASETS, load
from supcon_simplex.distributed import gather_metrics
from supcon_simplex.ensemble import ensemble_supcon_loss
from supcon_simplex.gap import Gap, GapMeter
from supcon_simplex.geometry import CollapseReport, angular_similarity, pairwise_cosines
from supcon_simplex.heads import CrossEntropyHead, Head, LossGap, SupConHead, build_head
from supcon_simplex.labelled import DataSplits, LabelledData, Standard
from supcon_simplex.loss import SupConLoss, supcon_loss
from supcon_simplex.monitor import Monitor
from supcon_simplex.networks import Encoder, build_encoder
from supcon_simplex.noise import NoisyLabels, add_noise
from supcon_simplex.optimum import (
    Optimum,
    cross_entropy_of,
    optimize_embeddings,
    supcon_of,
    supcon_over_batches,
)
from supcon_simplex.own_files import read_splits
from supcon_simplex.probe import ProbeOptions, accuracy, class_means, linear_probe
from supcon_simplex.records import read_cifar, read_idx
from supcon_simplex.simplex import (
    SimplexFit,
    SimplexHead,
    is_simplex,
    nearest_simplex,
    regular_simplex,
    simplex_distance,
)
from supcon_simplex.slopes import bootstrap, curvature, slope
from supcon_simplex.spherical_code import spherical_code
from supcon_simplex.timetofit import FitTimes, Grid, fit_times
from supcon_simplex.tracking import class_mean_cross_entropy
from supcon_simplex.training import Trainer, TrainingOptions

__version__ = "0.1.0"

__all__ = [
    "DATASETS",
    "CollapseMetrics",
    "CollapseReport",
    "CrossEntropyHead",
    "DataSplits",
    "DivergedError",
    "Encoder",
    "EnsembleOptions",
    "FitTimes",
    "Gap",
    "GapMeter",
    "Grid",
    "Head",
    "LabelledData",
    "LossGap",
    "Monitor",
    "NoisyLabels",
    "Optimum",
    "Outcome",
    "PenalisedOptimum",
    "ProbeOptions",
    "SimplexFit",
    "SimplexHead",
    "Standard",
    "SupConClassifier",
    "SupConHead",
    "SupConLoss",
    "Trainer",
    "TrainingOptions",
    "accuracy",
    "add_noise",
    "angular_similarity",
    "bootstrap",
    "build_encoder",
    "build_head",
    "ce_bound",
    "ce_l2_optimum",
    "class_mean_cross_entropy",
    "class_means",
    "composition_share",
    "compositions",
    "cross_entropy_of",
    "curvature",
    "ensemble_supcon_loss",
    "fit_times",
    "gather_metrics",
    "is_simplex",
    "linear_probe",
    "load",
    "nearest_simplex",
    "optimize_embeddings",
    "pairwise_cosines",
    "read_cifar",
    "read_idx",
    "read_splits",
    "regular_simplex",
    "sc_batch_value",
    "sc_bound",
    "sc_total_bound",
    "simplex_distance",
    "slope",
    "spherical_code",
    "supcon_loss",
    "supcon_of",
    "supcon_over_batches",
]
