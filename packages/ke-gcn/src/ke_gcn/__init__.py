"""Knowledge Embedding Based Graph Convolutional Network (Yu et al., WWW 2021): a convolution from any score of a triple.

from ke_gcn import Aligner, load_dbp15k, split_pairs

data = load_dbp15k("zh_en", relations_shared=True)
split = split_pairs(data.pairs)
aligner = Aligner("TransE")
aligner.fit(data, split)
aligner.evaluate(split.test).metrics()
"""

from offprints.training import DivergedError, Outcome

from ke_gcn import special_cases
from ke_gcn.aligner import Aligner
from ke_gcn.alignment import MarginOptions
from ke_gcn.amsterdam import load_am
from ke_gcn.classification import EntityClassifier, precision_and_ndcg
from ke_gcn.dangling import DanglingReport
from ke_gcn.datasets import DATASETS, load_dbp15k, load_folders
from ke_gcn.freebase import load_fb15k
from ke_gcn.general import GeneralConv
from ke_gcn.generic import GenericScore
from ke_gcn.graph import Graph
from ke_gcn.labelled import ClassificationData, EntitySplit, split_entities
from ke_gcn.layer import KEGCNConv
from ke_gcn.model import KEGCN
from ke_gcn.pairs import AlignmentData, Split, given_split, split_pairs
from ke_gcn.ranking import PairRanking, rank_pairs
from ke_gcn.registry import SCORES, score_named
from ke_gcn.scores import Score
from ke_gcn.training import Trainer, TrainingOptions
from ke_gcn.twins import cldr_twins
from ke_gcn.wordnet import load_wordnet

__version__ = "0.1.0"

__all__ = [
    "DATASETS",
    "KEGCN",
    "SCORES",
    "Aligner",
    "AlignmentData",
    "ClassificationData",
    "DanglingReport",
    "DivergedError",
    "EntityClassifier",
    "EntitySplit",
    "GeneralConv",
    "GenericScore",
    "Graph",
    "KEGCNConv",
    "MarginOptions",
    "Outcome",
    "PairRanking",
    "Score",
    "Split",
    "Trainer",
    "TrainingOptions",
    "cldr_twins",
    "given_split",
    "load_am",
    "load_dbp15k",
    "load_fb15k",
    "load_folders",
    "load_wordnet",
    "precision_and_ndcg",
    "rank_pairs",
    "score_named",
    "special_cases",
    "split_entities",
    "split_pairs",
]
