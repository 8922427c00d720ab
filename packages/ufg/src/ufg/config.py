"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from ufg.training import TrainingOptions


@dataclass
class TransformConfig:
    """Which framelet transform.

    Attributes:
        filters: haar, linear, quadratic; or cos1 to cos99, two filters with a low-pass as narrow as cos(x/2) to that power.
        levels: Lev.
        scale: s, the dilation between levels.
        terms: n, Chebyshev coefficients of each filter; 2 as published, for a tight frame in float32 8 of Haar, 32 of cos64.
        order: ascending, the paper's, or descending.
    """

    filters: str = "cos64"
    levels: int = 1
    scale: float = 2.0
    terms: int = 32
    order: str = "ascending"


@dataclass
class DatasetConfig:
    """Which graphs.

    Attributes:
        name: digits (embedded); cora, citeseer, pubmed, coauthor_cs, coauthor_phy, amazon_photo, arxiv; own, a graph of yours; of graphs
            proteins, mutag, mutagenicity, nci1, dd, qm7, qm7_published.
        path: of name=own: a folder with edges.tsv, features.tsv and labels.tsv, or an npz.
        lambda_max: what a spectrum is scaled by: bound, lanczos, or a number.
        labelled: of digits: labels of each class.
        neighbours: of digits: neighbours that each is joined to.
        split: where none is published: seed of the split; null takes the run's seed.
        feature_noise: share of the words that move, where features are words, or deviation of the noise on the pixels (digits).
        edge_noise: share of the edges that are rewired.
    """

    name: str = "digits"
    path: str | None = None
    lambda_max: str = "bound"
    labelled: int = 5
    neighbours: int = 10
    split: int | None = None
    feature_noise: float = 0.0
    edge_noise: float = 0.0


@dataclass
class ModelConfig:
    """Which network.

    Attributes:
        kind: ufg; mlp, gcn, chebyshev, sgc; dgl-gcn, dgl-chebyshev, dgl-gat, dgl-sgc, dgl-sage. Of sets of graphs always GCN layers.
        hidden: width.
        dropout: share of the hidden units that is dropped.
        gain: of UFGConv: band, band-channel or node.
        low_gain: what gains of the low-pass block start at.
        high_gain: what gains of the high-pass blocks start at.
        level_gains: what they start at on each level, instead of `high_gain`.
        anchored: weight decay draws gains to where they began, and not to 0.
        learned: waves by which the filters are learned, tight all the while; 0 keeps them.
        shrinkage: soft, hard, firm or garrote for UFGConv-S; null for UFGConv-R.
        sigma: of the threshold.
        multiscale: the threshold of the paper's text instead of the one that the published program executes.
        pool: of graphs: ufg-sum, ufg-spectrum, ufg-mean, ufg-max; sum, mean, max, attention, topk, sag.
    """

    kind: str = "ufg"
    hidden: int = 16
    dropout: float = 0.5
    gain: str = "band"
    low_gain: float = 1.5
    high_gain: float = 0.3
    level_gains: list[float] | None = None
    anchored: bool = False
    learned: int = 0
    shrinkage: str | None = None
    sigma: float = 1.0
    multiscale: bool = False
    pool: str = "ufg-sum"


@dataclass
class SignalConfig:
    """Of denoising and compression without training.

    Attributes:
        transform: which one; that of the networks is narrow, and a wide one denoises better.
        noise: standard deviations of the noise on the pixels, whose range is [0, 1].
        method: sure or universal.
        rule: soft, hard, firm or garrote.
        keep: shares of the high-pass coefficients that compression keeps.
    """

    transform: TransformConfig = field(
        default_factory=lambda: TransformConfig("quadratic", levels=2, scale=2.0, terms=12)
    )
    noise: list[float] = field(default_factory=lambda: [0.1, 0.2, 0.4])
    method: str = "sure"
    rule: str = "soft"
    keep: list[float] = field(default_factory=lambda: [0.01, 0.05, 0.1, 0.2, 0.5])


@dataclass
class StudyConfig:
    """Of trainings that are repeated over one option after the other.

    Attributes:
        repeats: trainings of each setting, with the run's seed and those after it.
        noise: features or edges; what task=noise spoils.
        rates: of the noise, as dataset.feature_noise and dataset.edge_noise.
        levels: that task=sensitivity tries; an empty list leaves an option out.
        scale: the same.
        terms: the same.
        sigma: the same, of UFGConv-S.
    """

    repeats: int = 3
    noise: str = "features"
    rates: list[float] = field(default_factory=lambda: [0.0, 0.05, 0.1, 0.25, 0.5])
    levels: list[int] = field(default_factory=lambda: [1, 2, 3, 4])
    scale: list[float] = field(default_factory=lambda: [1.2, 1.5, 2.0, 2.5, 3.0])
    terms: list[int] = field(default_factory=lambda: [2, 3, 4, 6, 8, 12])
    sigma: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 1.0, 2.0, 5.0])


@dataclass
class Config(RunConfig):
    """All options of `ufg`."""

    task: str = "compare"
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    signal: SignalConfig = field(default_factory=SignalConfig)
    study: StudyConfig = field(default_factory=StudyConfig)
