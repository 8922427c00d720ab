"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig
from offprints.errors import InputError
from offprints.serving import ServeConfig

from ukge.graph import SPLITS
from ukge.training import TrainingOptions

SELECTIONS = ("mse_pos_neg", "mae_pos_neg", "mse_pos", "mae_pos", "ndcg_linear")


@dataclass
class DatasetConfig:
    """Which facts.

    Attributes:
        name: "cldr" (embedded), "cn15k", "nl27k", "ppi5k", or any name for a file of your own.
        path: a file of head<TAB>relation<TAB>tail<TAB>confidence, or a folder with train, valid and test; null for a known set.
        valid: share of one file for validation.
        test: share of one file for test.
        duplicates: of a fact with two confidences: error, keep, last, mean or max.
        normalize: of raw scores: none, minmax or log.
        strong: tau, from which on a fact of your file counts as strong.
    """

    name: str = "cldr"
    path: str | None = None
    valid: float = 0.1
    test: float = 0.1
    duplicates: str = "error"
    normalize: str = "none"
    strong: float = 0.7


@dataclass
class ModelConfig:
    """Which model.

    Attributes:
        kind: rect or logi.
        scorer: distmult (the paper), complex, transe (squared L2), transe_l1 or urge.
        dim: numbers in a row of either table.
        init: unit (w = 1) or reference (w = 0, as the published program).
        deterministic: train on the strong facts only, as true, as the paper's deterministic baselines.
    """

    kind: str = "logi"
    scorer: str = "distmult"
    dim: int = 128
    init: str = "unit"
    deterministic: bool = False


@dataclass
class PslConfig:
    """Soft logic.

    Attributes:
        source: where rule atoms come from: "rules" grounds `rules` on train, "published" takes the file of the data set, "mined"
            mines rules first, "none" takes none.
        rules: as text, such as "competeswith(A, B) & competeswith(B, C) -> competeswith(A, C)".
        min_body: only facts with a larger confidence take part in a body.
        most: bound on the rows of a join.
        observed: keep atoms that are training facts, as the published files do; without, they keep their own confidence.
        rounds: rounds of confidence propagation (task=rules).
        min_hit_ratio: of mined rules.
        min_hits: of mined rules.
    """

    source: str = "none"
    rules: list[str] = field(default_factory=list)
    min_body: float = 0.9
    most: int = 10_000_000
    observed: bool = False
    rounds: int = 3
    min_hit_ratio: float = 0.3
    min_hits: int = 100


@dataclass
class EvaluationConfig:
    """What to measure.

    Attributes:
        split: train, valid or test.
        select: the validation metric that chooses the epoch: mse_pos_neg, mae_pos_neg, mse_pos or mae_pos (lower is better),
            or ndcg_linear (higher is better).
        baselines: measure constant, relation mean and lookup beside the model (task=train; compare always does).
        facts: "head | relation | tail", any number; what the trained model says of them goes to the results as said/...
            (task=train).
    """

    split: str = "test"
    select: str = "mse_pos_neg"
    baselines: bool = True
    facts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, value, known in (("split", self.split, SPLITS), ("select", self.select, SELECTIONS)):
            if value not in known:
                raise InputError(f"evaluation.{name}={value} is unknown: one of {', '.join(known)}")


@dataclass
class PredictConfig:
    """What to predict: a fact, the tails of (head, relation, ?), the heads of (?, relation, tail), or a file of facts.

    Attributes:
        head: name of an entity.
        relation: name of a relation.
        tail: name of an entity.
        k: number of answers.
        new_only: leave out facts of train.
        facts: file of head<TAB>relation<TAB>tail lines; predictions go to predictions.tsv.
        others: directories of runs with other seeds, for an interval.
        level: of the interval.
    """

    head: str | None = None
    relation: str | None = None
    tail: str | None = None
    k: int = 10
    new_only: bool = False
    facts: str | None = None
    others: list[str] = field(default_factory=list)
    level: float = 0.9


@dataclass
class Config(RunConfig):
    """All options of `ukge`."""

    task: str = "compare"
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    psl: PslConfig = field(default_factory=PslConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
