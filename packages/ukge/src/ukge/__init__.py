"""Embedding Uncertain Knowledge Graphs (Chen et al., AAAI 2019): confidences of facts, regressed and reasoned.

from ukge import UKGE, Evaluation, ModelPredictor, Trainer, TrainingOptions, load_graph

graph = load_graph("cldr")
model = UKGE(graph.num_entities, graph.num_relations, dim=64, kind="logi")
Trainer(model, graph.train, TrainingOptions(epochs=50, learning_rate=0.02)).fit()
Evaluation(graph).report(ModelPredictor(model))
"""

from offprints.training import DivergedError, Outcome

from ukge.atoms import Atoms
from ukge.audit import Audit, audit, clean_test
from ukge.baselines import Constant, Lookup, RelationMean
from ukge.calibration import Calibration, calibrate, reliability, seed_interval
from ukge.completion import Completion
from ukge.datasets import BENCHMARKS, load_graph
from ukge.evaluation import Evaluation
from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.grounding import GroundingTooLarge, ground, propagate
from ukge.mining import mine_rules
from ukge.model import UKGE
from ukge.ndcg import Queries, ndcg, places
from ukge.predictor import ModelPredictor, Predictor
from ukge.reading import graph_from_table, read_graph
from ukge.rules import Rule, RuleError, parse_rule
from ukge.training import Trainer, TrainingOptions

__version__ = "0.1.0"

__all__ = [
    "BENCHMARKS",
    "UKGE",
    "Atoms",
    "Audit",
    "Calibration",
    "Completion",
    "Constant",
    "DivergedError",
    "Evaluation",
    "Facts",
    "GroundingTooLarge",
    "Lookup",
    "ModelPredictor",
    "Outcome",
    "Predictor",
    "Queries",
    "RelationMean",
    "Rule",
    "RuleError",
    "Trainer",
    "TrainingOptions",
    "UncertainGraph",
    "audit",
    "calibrate",
    "clean_test",
    "graph_from_table",
    "ground",
    "load_graph",
    "mine_rules",
    "ndcg",
    "parse_rule",
    "places",
    "propagate",
    "read_graph",
    "reliability",
    "seed_interval",
]
