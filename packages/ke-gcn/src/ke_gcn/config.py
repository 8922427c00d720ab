"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from offprints.app import RunConfig
from offprints.errors import InputError

from ke_gcn.alignment import MarginOptions
from ke_gcn.ranking import Metric
from ke_gcn.training import TrainingOptions


@dataclass
class DatasetConfig:
    """Which graphs to align, and which pairs are known.

    Attributes:
        name: cldr, zh_en, ja_en, fr_en (DBP15K) or folder; for classification wordnet, fb15k or am.
        relations_shared: DBP15K with common relation ids, as published for entities; false leaves relations to be found.
        split: jape (the last pairs of the file are the seeds) or shuffle.
        seed_share: share of the known pairs that are seeds.
        valid_share: share of the seeds that is held out to choose the epoch; 0 keeps the last one, as published.
        shuffle_seeds: give every seed a wrong partner: a control that must fall to chance.
        keep: share of the facts that each copy of the CLDR graph has.
        left: folder of the first graph (train.txt), for name=folder.
        right: folder of the second graph, for name=folder.
        seeds: file of known pairs of entities, left<TAB>right, for name=folder.
        relation_seeds: file of known pairs of relations, for name=folder.
        test: file of pairs of entities that are to be found, for name=folder; none of them may be a seed.
        reading: of wordnet: unified, bipartite or merged.
        label_valid_share: share of the labels (of am: of those to train on) that chooses the epoch in classification.
    """

    name: str = "cldr"
    relations_shared: bool = False
    split: str = "jape"
    seed_share: float = 0.3
    valid_share: float = 0.0
    shuffle_seeds: bool = False
    keep: float = 0.9
    left: str | None = None
    right: str | None = None
    seeds: str | None = None
    relation_seeds: str | None = None
    test: str | None = None
    reading: str = "unified"
    label_valid_share: float = 0.1


@dataclass
class ModelConfig:
    """The network.

    Attributes:
        score: None, TransE, TransH, TransD, DistMult, DistMultDot, ComplEx, RotatE or QuatE.
        dim: of the embeddings.
        layers: hidden convolutions beside the first and the last.
        alpha: step of the entities.
        beta: step of the relations; null takes alpha.
        update_relations: move the relations too.
        rel_relu: the ReLU on relations, as published.
        baseline: null, mtranse, gcn_align, rgcn, compgcn_sub, compgcn_mult, compgcn_corr or vr_gcn in the place of KE-GCN
            (task=align).
        backend: auto (numba on a CPU; Triton on a GPU, where installed), numba, torch, triton or dgl.
    """

    score: str = "TransE"
    dim: int = 200
    layers: int = 2
    alpha: float = 0.3
    beta: float | None = None
    update_relations: bool = True
    rel_relu: bool = True
    baseline: str | None = None
    backend: str = "auto"


@dataclass
class EvaluationConfig:
    """How to evaluate and what to write.

    Attributes:
        of: entities or relations: what test/ metrics are about.
        metric: l1 (published), l2 or cosine.
        csls: neighbours of the hub correction, reported apart under csls/; 0 leaves it out.
        k: candidates of each entity and relation in the tables.
    """

    of: str = "entities"
    metric: str = "l1"
    csls: int = 0
    k: int = 10

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("of", self.of in ("entities", "relations"), "entities or relations"),
            ("metric", self.metric in get_args(Metric), f"one of {', '.join(get_args(Metric))}"),
            ("csls", self.csls >= 0, "0 or more"),
            ("k", self.k >= 1, "1 or more"),
        ):
            if not fits:
                raise InputError(f"evaluation.{name}={getattr(self, name)} is not valid: {right}")


@dataclass
class PredictConfig:
    """What to predict with a trained alignment (task=predict); evaluation.k, .metric and .csls apply.

    Attributes:
        entity: name of an entity of the left graph; null ranks the candidates of all.
        mutual: only pairs of which each is the other's nearest.
        threshold: leave out candidates at a greater distance: the entity then has no counterpart. task=evaluate finds one.
    """

    entity: str | None = None
    mutual: bool = False
    threshold: float | None = None


@dataclass
class ExportConfig:
    """What to write of a trained alignment (task=export).

    Attributes:
        format: npz (embeddings and names), sssom (table of mutual pairs) or aligner (a file for Aligner.load).
        path: where to; null writes into the run directory.
    """

    format: str = "npz"
    path: str | None = None


@dataclass
class Config(RunConfig):
    """All options of `ke-gcn`."""

    task: str = "align"
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: MarginOptions = field(default_factory=MarginOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
