"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from supcon_simplex.batched_mlp import EnsembleOptions
from supcon_simplex.probe import ProbeOptions
from supcon_simplex.timetofit import Grid
from supcon_simplex.training import TrainingOptions


@dataclass
class DatasetConfig:
    """Which rows.

    Attributes:
        name: digits (embedded), fashion-mnist, mnist, cifar10, cifar100, cifar10-subset, or a path that ends in .npz, .csv or .tsv.
        per_class: training rows of each class, the first in file order; null takes all.
        subset_seed: draws them at random instead.
        noise: of training labels: flip, uniform or pair.
        noise_share: of training labels that the noise falls on; test labels stay.
    """

    name: str = "digits"
    per_class: int | None = None
    subset_seed: int | None = None
    noise: str = "flip"
    noise_share: float = 0.0


@dataclass
class ModelConfig:
    """Which encoder under which loss.

    Attributes:
        head: ce, ce_sphere, ce_norm, ce_fixed or sc.
        network: mlp, cnn (28 x 28), cnn13 or resnet18 (32 x 32).
        features: numbers of a feature vector.
        widths: of the hidden layers of mlp, or of the three stages of cnn, which has [16, 32, 64] unless there are three.
        batch_norm: in mlp and cnn.
        final_relu: end with ReLU and pooling, as the paper's network; no two class means can then have a negative cosine.
        projection: width of a projection head between encoder and loss; 0, as in the paper, for none.
        temperature: of sc.
        weight_norm: of ce_norm.
    """

    head: str = "sc"
    network: str = "mlp"
    features: int = 64
    widths: list[int] = field(default_factory=lambda: [256, 256])
    batch_norm: bool = False
    final_relu: bool = False
    projection: int = 0
    temperature: float = 0.1
    weight_norm: float = 10.0


@dataclass
class FreeConfig:
    """Free embeddings (task=sphere), with no encoder: points on a sphere that move to lower the loss themselves.

    Attributes:
        classes: K.
        per_class: points of each class.
        features: dimension of the space: 2 draws a circle, 3 a sphere.
        temperature: of the loss.
        steps: of the optimiser.
        restarts: starts, of which the best counts.
    """

    classes: int = 3
    per_class: int = 5
    features: int = 2
    temperature: float = 0.3
    steps: int = 1000
    restarts: int = 3


@dataclass
class CompositionConfig:
    """Batches of every label composition (task=compositions).

    Attributes:
        classes: K.
        batch_size: b.
        per_class: n, points of each class that batches are drawn from, as multisets.
        temperature: of the loss; 1 as in the paper.
        minimise: also look for the best points of a single batch of each composition.
    """

    classes: int = 3
    batch_size: int = 9
    per_class: int = 3
    temperature: float = 1.0
    minimise: bool = True


@dataclass
class FigureConfig:
    """How to draw.

    Attributes:
        angular: show 1 - arccos(cosine)/pi, as the paper does, instead of the cosine.
    """

    angular: bool = False


@dataclass
class PredictConfig:
    """What to do with a trained run (task=predict, checkpoint=RUN).

    Attributes:
        rows: an .npz, .csv or .tsv file of inputs without labels.
    """

    rows: str | None = None


@dataclass
class Config(RunConfig):
    """All options of `supcon-simplex`.

    Attributes:
        heads: losses that task=compare trains side by side.
    """

    task: str = "compare"
    heads: list[str] = field(default_factory=lambda: ["ce", "ce_sphere", "ce_norm", "ce_fixed", "sc"])
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    probe: ProbeOptions = field(default_factory=ProbeOptions)
    grid: Grid = field(default_factory=Grid)
    ensemble: EnsembleOptions = field(default_factory=EnsembleOptions)
    free: FreeConfig = field(default_factory=FreeConfig)
    compositions: CompositionConfig = field(default_factory=CompositionConfig)
    figures: FigureConfig = field(default_factory=FigureConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
