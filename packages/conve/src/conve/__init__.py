"""Convolutional 2D Knowledge Graph Embeddings (Dettmers et al., AAAI 2018): ConvE, 1-N scoring and the leakage study.

from conve import ConvE, Trainer, TrainingOptions, evaluate, load_dataset

graph = load_dataset("umls")
model = ConvE(graph.num_entities, 2 * graph.num_relations)
Trainer(model, graph, TrainingOptions(epochs=60)).fit()
print(evaluate(model, graph).metrics())
"""

from offprints.training import DivergedError, Outcome
from offprints.triples import KnowledgeGraph

from conve.audit import LeakageReport, audit
from conve.bilinear import ComplEx, DistMult
from conve.calibration import Calibration, calibrate
from conve.centrality import pagerank
from conve.countries import countries_auc_pr
from conve.datasets import DATASETS, load_dataset
from conve.evaluation import evaluate, paired_bootstrap
from conve.export import export_npz, export_parquet, export_program
from conve.frequency import FrequencyModel
from conve.inverse import InverseModel
from conve.loss import one_to_n_loss, smoothed_targets
from conve.model import ConvE, from_reference_names
from conve.predict import Predictor
from conve.robust import make_robust, without_relations, write_graph
from conve.training import Trainer, TrainingOptions

__version__ = "0.1.0"

__all__ = [
    "DATASETS",
    "Calibration",
    "ComplEx",
    "ConvE",
    "DistMult",
    "DivergedError",
    "FrequencyModel",
    "InverseModel",
    "KnowledgeGraph",
    "LeakageReport",
    "Outcome",
    "Predictor",
    "Trainer",
    "TrainingOptions",
    "audit",
    "calibrate",
    "countries_auc_pr",
    "evaluate",
    "export_npz",
    "export_parquet",
    "export_program",
    "from_reference_names",
    "load_dataset",
    "make_robust",
    "one_to_n_loss",
    "pagerank",
    "paired_bootstrap",
    "smoothed_targets",
    "without_relations",
    "write_graph",
]
