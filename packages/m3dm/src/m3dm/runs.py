"""From the options to scans, backbones and detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offprints.app import Run
from offprints.data import data_root
from offprints.errors import InputError, MissingFile
from offprints.training import reported

from m3dm.baselines import BASELINES, DepthStatistics, Detector, baseline_options
from m3dm.colour import ColourBank
from m3dm.config import Config
from m3dm.crossmodal import CrossModal
from m3dm.datasets import Scans, categories, eyecandies, folder_scans, mvtec3d
from m3dm.depth import Height
from m3dm.detector import M3DM, MODES, DetectorOptions
from m3dm.features import Backbone, ScanFeatures
from m3dm.fpfh import FPFH
from m3dm.fusion import FeatureFusion, load_fusion
from m3dm.point_transformer import PointFeatures
from m3dm.prepared import prepared
from m3dm.relief import Relief
from m3dm.smallnet import train_smallnet
from m3dm.store import features_of
from m3dm.synthetic import count, make_synthetic
from m3dm.vit import ViTFeatures

LAYOUTS = ("synthetic", "mvtec3d", "eyecandies")


@dataclass(frozen=True)
class CategoryScans:
    """The prepared scans of one category.

    Attributes:
        name: of the category.
        train: good ones.
        test: good and defective ones.
    """

    name: str
    train: Scans
    test: Scans


def cache_of(config: Config, run: Run) -> Path:
    """Where made-up scans and features are kept."""
    return Path(config.cache) if config.cache else run.directory / "cache"


def category_scans(config: Config, run: Run) -> list[CategoryScans]:
    """The scans that the options name; made-up ones are made if they are not there.

    Raises:
        InputError: there is no such layout, folder or category.
    """
    dataset = config.dataset
    if dataset.layout not in LAYOUTS:
        raise InputError(f"dataset.layout={dataset.layout}: {', '.join(LAYOUTS)} (folder is for task=fit)")
    root = dataset.root
    if dataset.layout == "synthetic" and root is None:
        root = str(cache_of(config, run) / f"synthetic-{config.seed}")
        options = replace(config.synthetic, seed=config.seed)
        with run.progress(count(options), "making scans") as bar:
            make_synthetic(root, options, on_scan=lambda: bar.advance(1))
    if root is None:
        raise InputError(
            f"dataset.layout={dataset.layout} needs dataset.root=PATH, the folder of the categories"
        )
    root = str(data_set(root))
    found = []
    for name in dataset.categories or categories(root):
        train, test = (raw_scans(config, root, name, split) for split in ("train", "test"))
        for scans in (train, test):
            run.dataset(scans.name, scans.checksums())
        kept = first_shots(train, dataset.shots)
        found.append(CategoryScans(name, prepared(kept, config.prepare), prepared(test, config.prepare)))
    return found


def first_shots(scans: Scans, shots: int) -> Scans:
    """The first so many good scans; all of them for 0.

    Raises:
        InputError: there are fewer.
    """
    if not 0 <= shots <= len(scans):
        raise InputError(f"dataset.shots={shots}: {scans.name} has {len(scans)} good scans to learn from")
    return scans[:shots] if shots else scans


def data_set(root: str) -> Path:
    """A folder of categories: one that is there, or of that name among the data sets.

    Raises:
        MissingFile: neither is there.
    """
    for place in (Path(root), data_root() / root):
        if place.is_dir():
            return place
    raise MissingFile(f"no folder {root}, nor {data_root() / root}; $OFFPRINTS_DATA says where data sets lie")


def raw_scans(config: Config, root: str, category: str, split: str) -> Scans:
    """Raw scans of one split: train or test."""
    if config.dataset.layout == "eyecandies":
        official = {"test": "test_public"}.get(split, split)
        return eyecandies(root, category, official, config.dataset.light)
    return mvtec3d(root, category, split)


def good_parts(config: Config, run: Run) -> Scans:
    """The good scans that task=fit learns from, prepared.

    Raises:
        InputError: nothing says where they are, or of which category.
    """
    dataset = config.dataset
    if dataset.layout == "folder":
        if dataset.root is None:
            raise InputError(
                "task=fit dataset.layout=folder needs dataset.root=PATH, a folder of scans of good parts"
            )
        scans = folder_scans(dataset.root, defect="good")
    else:
        if dataset.root is None or not dataset.categories or len(dataset.categories) != 1:
            raise InputError("task=fit needs dataset.root=PATH and one category: dataset.categories=[NAME]")
        scans = raw_scans(config, str(data_set(dataset.root)), dataset.categories[0], "train")
    run.dataset(scans.name, scans.checksums())
    return prepared(first_shots(scans, dataset.shots), config.prepare)


def modalities(mode: str) -> set[str]:
    """What a mode or baseline looks at: points by the backbone that is chosen (xyz), by FPFH or by their height, and colours."""
    if mode in MODES:
        return {"xyz", "rgb"} if "fusion" in MODES[mode] else set(MODES[mode])
    found = {
        "btf": {"fpfh", "rgb"},
        "cfm": {"xyz", "rgb"},
        "patchcore_rgb": {"rgb"},
        "fpfh": {"fpfh"},
        "depth": {"height"},
    }
    if mode not in found:
        raise InputError(f"mode {mode}: {', '.join([*MODES, *BASELINES])}")
    return found[mode]


def xyz_backbone(config: Config, run: Run) -> Backbone:
    """The backbone of points.

    Raises:
        InputError: there is none of that name, or its weights are not there.
    """
    chosen = config.backbone
    if chosen.xyz == "relief":
        return Relief(pooling=chosen.pooling)
    if chosen.xyz == "fpfh":
        return FPFH(pooling=chosen.pooling)
    if chosen.xyz == "height":
        return Height()
    if chosen.xyz == "point_transformer":
        if chosen.xyz_weights is None:
            raise InputError(
                "backbone.xyz=point_transformer needs backbone.xyz_weights=FILE: random weights are no backbone"
            )
        return PointFeatures.from_file(
            chosen.xyz_weights,
            run.fabric.device,
            pooling=chosen.pooling,
            stochastic_reference=chosen.stochastic_reference,
        )
    raise InputError(f"backbone.xyz={chosen.xyz}: relief, fpfh, height or point_transformer")


def rgb_backbone(config: Config, run: Run, train: Scans, name: str) -> Backbone:
    """The backbone of colours; the small network is trained on the good scans.

    Args:
        config: options.
        run: of the command line.
        train: prepared scans of good parts.
        name: of the category, for checkpoints and the bar.

    Raises:
        InputError: there is none of that name, or its weights are not there.
    """
    chosen = config.backbone
    if chosen.rgb == "colour":
        return ColourBank(pooling=chosen.pooling)
    if chosen.rgb == "vit":
        if chosen.rgb_weights is None:
            raise InputError(
                "backbone.rgb=vit needs backbone.rgb_weights=FILE: random weights are no backbone"
            )
        return ViTFeatures.from_file(chosen.rgb_weights, run.fabric.device)
    if chosen.rgb == "smallnet":
        with reported(run, config.smallnet, "train/loss", f"network of {name}", log=False) as on_epoch:
            network, _ = train_smallnet(
                list(train),
                config.smallnet,
                config.seed,
                directory=run.directory / "checkpoints" / f"smallnet-{name}",
                on_epoch=on_epoch,
                uninterrupted=run.uninterrupted,
            )
        return network
    raise InputError(f"backbone.rgb={chosen.rgb}: colour, smallnet or vit")


@dataclass(frozen=True, eq=False)
class Described:
    """Features of one category.

    Attributes:
        train: of good scans.
        test: of good and defective ones.
        xyz: the backbone of points, or None.
        rgb: the backbone of colours, or None.
    """

    train: list[ScanFeatures]
    test: list[ScanFeatures]
    xyz: Backbone | None
    rgb: Backbone | None


def describe(config: Config, run: Run, scans: CategoryScans, wanted: set[str]) -> Described:
    """Features of all scans of a category.

    Args:
        config: options.
        run: of the command line.
        scans: of the category.
        wanted: rgb, and one of xyz, fpfh and height; see `modalities`.
    """
    xyz: Backbone | None = None
    if "xyz" in wanted:
        xyz = xyz_backbone(config, run)
    elif wanted & {"fpfh", "height"}:
        xyz = FPFH(pooling=config.backbone.pooling) if "fpfh" in wanted else Height()
    rgb = rgb_backbone(config, run, scans.train, scans.name) if "rgb" in wanted else None
    keep = cache_of(config, run) / "features"
    with run.progress(len(scans.train) + len(scans.test), f"features of {scans.name}") as bar:
        train, test = (
            features_of(part, xyz, rgb, keep, lambda: bar.advance(1)) for part in (scans.train, scans.test)
        )
    return Described(train, test, xyz, rgb)


def build_detector(config: Config, mode: str, xyz: Backbone | None, rgb: Backbone | None) -> Detector:
    """A detector that has yet to learn.

    Args:
        config: options.
        mode: of the detector, or a baseline.
        xyz: backbone of points.
        rgb: backbone of colours.
    """
    if mode == "depth":
        return DepthStatistics(config.detector.sigma)
    if mode == "cfm":
        assert xyz is not None and rgb is not None
        return CrossModal(config.cfm, (xyz.standardise, rgb.standardise), config.detector.sigma, config.seed)
    options = replace(config.detector, seed=config.seed)
    options = replace(options, mode=mode) if mode in MODES else baseline_options(mode, options)
    return detector_of(config, options, xyz, rgb)


def detector_of(config: Config, options: DetectorOptions, xyz: Backbone | None, rgb: Backbone | None) -> M3DM:
    """A detector of memory banks that has yet to learn."""
    network: FeatureFusion | None = None
    if options.fusion == "uff" and config.backbone.fusion_weights is not None:
        network, _ = load_fusion(config.backbone.fusion_weights)
    return M3DM(xyz, rgb, options, network, config.fusion, config.prepare)


def chosen_modes(names: Sequence[str]) -> list[str]:
    """Modes and baselines, each known; raises InputError for one that is not."""
    if not names:
        raise InputError("compare.modes is empty: nothing to compare")
    for name in names:
        modalities(name)
    return list(names)
