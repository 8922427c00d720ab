"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from m3dm.crossmodal import MappingOptions
from m3dm.detector import DetectorOptions
from m3dm.fusion import FusionOptions
from m3dm.preprocess import PreparationOptions
from m3dm.smallnet import SmallNetOptions
from m3dm.synthetic import SyntheticOptions


@dataclass
class DatasetConfig:
    """Which scans.

    Attributes:
        layout: synthetic (made up), mvtec3d, eyecandies or folder (good parts of one's own, for task=fit).
        root: folder of the categories, here or in $OFFPRINTS_DATA, or the folder of good parts; null makes synthetic ones in the cache.
        categories: which of them; null takes all that are there.
        shots: good scans that are learnt from, the first ones; 0 takes all.
        light: which of Eyecandies' six images.
    """

    layout: str = "synthetic"
    root: str | None = None
    categories: list[str] | None = None
    shots: int = 0
    light: int = 4


@dataclass
class BackboneConfig:
    """What describes patches.

    Attributes:
        xyz: relief (curvatures at three scales), fpfh, height (depth alone) or point_transformer (pretrained; needs xyz_weights).
        rgb: colour (a bank of filters), smallnet (trained on the good scans) or vit (pretrained; needs rgb_weights).
        xyz_weights: file of Point-MAE's or Point-BERT's weights; for task=predict where it lies now, null where it lay.
        rgb_weights: file of DINO's ViT-B/8 or ViT-S/8 weights; for task=predict alike.
        fusion_weights: file of a trained fusion network, for detector.fusion=uff; null trains one.
        pooling: mean over points of a patch, or published (missing points count as 0).
        stochastic_reference: leave the point transformer in training mode, as published: features are then random.
    """

    xyz: str = "relief"
    rgb: str = "colour"
    xyz_weights: str | None = None
    rgb_weights: str | None = None
    fusion_weights: str | None = None
    pooling: str = "mean"
    stochastic_reference: bool = False


@dataclass
class CompareConfig:
    """What task=compare puts side by side.

    Attributes:
        modes: of the detector, and baselines: btf, patchcore_rgb, fpfh, depth, cfm.
        examples: rows of the figure of examples.
        gallery: write a page of all test scans of each category.
    """

    modes: list[str] = field(default_factory=lambda: ["rgb", "xyz", "fusion", "rgb+xyz", "full"])
    examples: int = 6
    gallery: bool = True


@dataclass
class PredictConfig:
    """What task=predict judges, and how it tells.

    Attributes:
        input: folder of scans, as task=fit takes it.
        rgb: image of a single scan.
        xyz: cloud of a single scan.
        rate: wanted share of false alarms, which chooses the threshold.
        confidence: of the bound on false alarms.
        ply: also write the points of each scan in the colours of its map.
    """

    input: str | None = None
    rgb: str | None = None
    xyz: str | None = None
    rate: float = 0.05
    confidence: float = 0.95
    ply: bool = True


@dataclass
class Config(RunConfig):
    """All options of `m3dm`.

    Attributes:
        mode: what task=evaluate evaluates: null is detector.mode; or a baseline.
        cache: folder where made-up scans and features are kept; null takes one in the run's directory.
        out: folder that task=synth writes to; null takes one in the run's directory.
    """

    task: str = "compare"
    mode: str | None = None
    cache: str | None = None
    out: str | None = None
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)
    prepare: PreparationOptions = field(default_factory=PreparationOptions)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    detector: DetectorOptions = field(default_factory=DetectorOptions)
    fusion: FusionOptions = field(default_factory=FusionOptions)
    smallnet: SmallNetOptions = field(default_factory=SmallNetOptions)
    cfm: MappingOptions = field(default_factory=MappingOptions)
    compare: CompareConfig = field(default_factory=CompareConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
