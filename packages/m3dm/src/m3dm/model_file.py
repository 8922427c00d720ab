"""A fitted detector as one safetensors file: rows, scales and good scores as tensors, all options as JSON, no pickle.

Pretrained backbones are not in it; the file holds the path and the sha256 of their weights, and a file of other content is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from offprints.atomic import atomic_write
from offprints.checkpoint import UNFIT
from offprints.content import parse_json
from offprints.errors import CorruptFile, InputError, MissingFile, naming

from m3dm.bank import MemoryBank
from m3dm.colour import ColourBank
from m3dm.depth import Height
from m3dm.detector import M3DM, DetectorOptions
from m3dm.features import Backbone
from m3dm.fpfh import FPFH
from m3dm.fusion import FeatureFusion
from m3dm.point_transformer import PointFeatures
from m3dm.preprocess import PreparationOptions
from m3dm.relief import Relief
from m3dm.smallnet import SmallNet
from m3dm.standard import Standard
from m3dm.vit import ViTFeatures

SCHEMA = 1
KIND = "m3dm"


def save_model(detector: M3DM, path: Path | str) -> None:
    """Write a fitted detector.

    Args:
        detector: fitted.
        path: of the file.

    Raises:
        InputError: it is not fitted.
    """
    if not detector.banks:
        raise InputError("this detector has learnt nothing yet: nothing to save")
    tensors: dict[str, Tensor] = {
        "good_scores": torch.from_numpy(np.asarray(detector.good_scores, np.float64)),
        "good_bank_scores": torch.from_numpy(np.asarray(detector.good_bank_scores, np.float64)),
    }
    for name, bank in detector.banks.items():
        tensors[f"bank.{name}.rows"] = torch.from_numpy(bank.rows)
        tensors[f"bank.{name}.scale"] = torch.tensor([bank.mean, bank.std], dtype=torch.float64)
    for name, standard in detector.standards.items():
        tensors[f"standard.{name}.mean"] = torch.from_numpy(standard.mean)
        tensors[f"standard.{name}.scale"] = torch.from_numpy(standard.scale)
    for key, value in detector.fuser.state.items():
        tensors[f"fuser.{key}"] = torch.from_numpy(np.asarray(value, np.float64))
    if "fusion" in detector.banks and detector.fusion.scales is not None:
        tensors["side_by_side.scales"] = torch.tensor(detector.fusion.scales, dtype=torch.float64)
    if "fusion" in detector.banks and detector.fusion.network is not None:
        tensors |= {f"fusion.{key}": value for key, value in detector.fusion.network.state_dict().items()}
    backbones = {name: found for name in ("xyz", "rgb") if (found := getattr(detector, name)) is not None}
    for name, backbone in backbones.items():
        if isinstance(backbone, SmallNet):
            tensors |= {
                f"backbone.{name}.{key}": value for key, value in backbone.network.state_dict().items()
            }
    told = {
        "kind": KIND,
        "schema": SCHEMA,
        "options": asdict(detector.options),
        "backbones": {name: backbone.describe() for name, backbone in backbones.items()},
        "trained_on": detector.trained_on,
        "preparation": asdict(detector.preparation),
    }
    held = {name: value.contiguous() for name, value in tensors.items()}
    with atomic_write(path) as file:
        file.write(to_bytes(held, metadata={"m3dm": json.dumps(told)}))


def load_model(
    path: Path | str, weights: Mapping[str, Path | str] | None = None, device: str = "cpu"
) -> M3DM:
    """Read a fitted detector.

    Args:
        path: a file that `save_model` wrote.
        weights: modality -> where the weights of its pretrained backbone lie now; by default where they lay.
        device: where pretrained backbones run.

    Raises:
        MissingFile: there is no such file, or no file of weights.
        CorruptFile: it is truncated, or no detector.
        InputError: its schema is another one, or the weights are not those that it was fitted with.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no model {path}")
    try:
        with safe_open(path, "pt") as file:
            told: Any = parse_json((file.metadata() or {}).get("m3dm", "{}"), path)
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptFile(f"{path} is truncated or damaged: {error}") from error
    if not isinstance(told, dict) or told.get("kind") != KIND:
        raise CorruptFile(f"{path} holds tensors, but no detector of this package")
    if told.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {told.get('schema')}; this version reads schema {SCHEMA}: fit it again"
        )
    try:
        with naming(path):
            return _restored(told, tensors, dict(weights or {}), device)
    except InputError:
        raise
    except UNFIT as error:
        raise CorruptFile(f"{path} lacks a part of the detector: {error}") from error


def _restored(
    told: dict[str, Any], tensors: dict[str, Tensor], weights: dict[str, Path | str], device: str
) -> M3DM:
    backbones = {
        name: backbone_of(described, weights.get(name), device, _under(tensors, f"backbone.{name}."))
        for name, described in told["backbones"].items()
    }
    options = DetectorOptions(**told["options"])
    network = None
    if parts := _under(tensors, "fusion."):
        xyz_width, rgb_width = (parts[f"{name}_norm.weight"].shape[0] for name in ("xyz", "rgb"))
        network = FeatureFusion(xyz_width, rgb_width, parts["xyz_head.weight"].shape[0])
        network.load_state_dict(parts)
    preparation = PreparationOptions(**told["preparation"])
    detector = M3DM(backbones.get("xyz"), backbones.get("rgb"), options, network, preparation=preparation)
    for name in options.banks:
        mean, std = tensors[f"bank.{name}.scale"].tolist()
        detector.banks[name] = MemoryBank(tensors[f"bank.{name}.rows"].numpy(), mean, std)
    for name in backbones:
        parts = _under(tensors, f"standard.{name}.")
        detector.standards[name] = Standard(parts["mean"].numpy(), parts["scale"].numpy())
    if "fusion" in options.banks and options.fusion != "uff":
        one, other = tensors["side_by_side.scales"].tolist()
        detector.fusion.scales = one, other
    detector.fuser.state = {key: value.numpy() for key, value in _under(tensors, "fuser.").items()}
    detector.good_scores = tensors["good_scores"].numpy()
    detector.good_bank_scores = tensors["good_bank_scores"].numpy()
    detector.trained_on = int(told["trained_on"])
    return detector


def backbone_of(
    described: Mapping[str, Any],
    weights: Path | str | None = None,
    device: str = "cpu",
    tensors: Mapping[str, Tensor] | None = None,
) -> Backbone:
    """A backbone from what it says of itself.

    Args:
        described: what `describe` gave.
        weights: file of a pretrained backbone's weights; None takes the one it was made with.
        device: where a pretrained one runs.
        tensors: of a network that was trained on the good scans.

    Raises:
        InputError: there is no such kind, or the weights are other ones.
    """
    kind = described["kind"]
    plain: dict[str, Callable[..., Backbone]] = {
        "relief": Relief,
        "fpfh": FPFH,
        "colour": ColourBank,
        "height": Height,
    }
    if kind in plain:
        return plain[kind](**{key: value for key, value in described.items() if key != "kind"})
    if kind == "smallnet":
        return SmallNet.restored(described, dict(tensors or {}))
    path = weights or described["path"]
    made: Backbone
    if kind == "vit":
        made = ViTFeatures.from_file(path, device)
    elif kind == "point_transformer":
        names = {entry.name for entry in fields(PointFeatures)} - {"network", "source", "device"}
        made = PointFeatures.from_file(path, device, **{name: described[name] for name in names})
    else:
        raise InputError(f"a backbone of kind {kind!r} is not known")
    if made.source.sha256 != described["sha256"]:
        raise InputError(f"{path} holds other weights than the detector was fitted with (sha256 differs)")
    return made


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
