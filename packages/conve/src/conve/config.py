"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, get_args

from offprints.app import RunConfig
from offprints.errors import InputError
from offprints.ranking import Ties
from offprints.triples import SPLITS

from conve.training import TrainingOptions


@dataclass
class DatasetConfig:
    """Which facts.

    Attributes:
        name: a data set that the package knows, or any name for a folder of your own.
        folder: folder with train.txt, valid.txt and test.txt (head<TAB>relation<TAB>tail); null for a known data set.
    """

    name: str = "cldr"
    folder: str | None = None


@dataclass
class ModelConfig:
    """Which model; options that a model has not are left at null and refused otherwise.

    Attributes:
        name: conve, distmult or complex.
        dim: size of an embedding.
        shape: [height, width] of an embedding as a picture; null is about twice as high as wide.
        channels: number of filters.
        kernel: side of a square filter.
        input_dropout: on the embeddings of the query.
        feature_dropout: drops whole feature maps.
        hidden_dropout: on the projection.
        conv_bias: bias of the filters.
        entity_bias: one number for each entity, added to its score.
        stacking: rows (the paper), interleaved, or flat, the one-dimensional control.
        reciprocal: ask for heads by relations of their own; false for the published DistMult and ComplEx.
    """

    name: str = "conve"
    dim: int = 200
    shape: list[int] | None = None
    channels: int | None = None
    kernel: int | None = None
    input_dropout: float = 0.2
    feature_dropout: float | None = None
    hidden_dropout: float | None = None
    conv_bias: bool | None = None
    entity_bias: bool | None = None
    stacking: str | None = None
    reciprocal: bool | None = None


@dataclass
class EvaluationConfig:
    """How to rank.

    Attributes:
        split: train, valid or test.
        ties: realistic, optimistic, pessimistic or random.
        filtered: leave out the other known answers; where it is false, training shows no baselines, which do.
        against: run directory of a second model, compared by a paired bootstrap.
    """

    split: str = "test"
    ties: str = "realistic"
    filtered: bool = True
    against: str | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("split", self.split, SPLITS), ("ties", self.ties, get_args(Ties))):
            if value not in known:
                raise InputError(f"evaluation.{name}={value} is unknown: one of {', '.join(known)}")


@dataclass
class PredictConfig:
    """What to predict: the tails of (head, relation, ?) or the heads of (?, relation, tail).

    Attributes:
        head: name of the head; null asks for heads.
        relation: name of the relation.
        tail: name of the tail; null asks for tails.
        k: number of answers.
        filtered: leave out known facts, to see new ones only.
    """

    head: str | None = None
    relation: str | None = None
    tail: str | None = None
    k: int = 10
    filtered: bool = False


@dataclass
class ExportConfig:
    """Where to and in which form.

    Attributes:
        format: npz, parquet or program (torch.export).
        path: of the file; null puts it into the directory of the run.
    """

    format: str = "npz"
    path: str | None = None


@dataclass
class InverseConfig:
    """The inverse-relation rule model; see conve.InverseModel.

    Attributes:
        threshold: share of reversed pairs from which on two relations are inverse; "paper" for its formula, or a number.
        rule: "or" asks for the share of either relation (the paper), "and" for both.
        min_support: pairs that must be found in both directions.
        misses: where an answer that no rule gives is placed: "reference" anywhere, "strict" below the answers of rules.
        all_rules: apply every rule and not only the last match of each relation.
        use_valid: reverse the facts of the validation split too, as published.
        draw_seed: of the random places, as published.
    """

    threshold: Any = "paper"
    rule: str = "or"
    min_support: int = 1
    misses: str = "reference"
    all_rules: bool = False
    use_valid: bool = True
    draw_seed: int = 345345


@dataclass
class RobustConfig:
    """Make a data set without redundant relations (task=audit).

    Attributes:
        folder: where to write it; null only audits.
        threshold: share of pairs from which on two relations say the same; "paper" or a number.
        drop: relations to drop by name instead of those found.
    """

    folder: str | None = None
    threshold: Any = "paper"
    drop: list[str] = field(default_factory=list)


@dataclass
class SurveyConfig:
    """Tables across data sets.

    Attributes:
        datasets: the data sets; those whose files are not at hand are left out by name.
        dims: embedding sizes of the table of parameters.
        runs: folder with results.json files, to relate gains over DistMult to centrality; null leaves that out.
    """

    datasets: list[str] = field(
        default_factory=lambda: [
            *("cldr", "nations", "kinship", "umls", "countries_s1", "countries_s2", "countries_s3"),
            *("wn18", "wn18rr", "fb15k", "fb15k-237", "yago3-10"),
        ]
    )
    dims: list[int] = field(default_factory=lambda: [200])
    runs: str | None = None


@dataclass
class Config(RunConfig):
    """All options of `conve`."""

    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    inverse: InverseConfig = field(default_factory=InverseConfig)
    robust: RobustConfig = field(default_factory=RobustConfig)
    survey: SurveyConfig = field(default_factory=SurveyConfig)
