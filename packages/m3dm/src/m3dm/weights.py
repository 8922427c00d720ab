"""Weights from the files that others publish: exact keys, exact shapes, and no pickle that could run code.

The published program loads with strict=False and says nothing of what is missing. Here a file that lacks a tensor, or has one of
another shape, is refused by the tensor's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from offprints.errors import CorruptFile, InputError, MissingFile


class WeightsError(InputError):
    """A file of weights does not fit the network; names the tensors."""


@dataclass(frozen=True)
class Loaded:
    """What was read from a file of weights.

    Attributes:
        path: the file.
        sha256: of its content.
        ignored: tensors of the file that the network has no use for, such as a decoder's.
    """

    path: Path
    sha256: str
    ignored: tuple[str, ...]


def read_weights(path: Path | str, inside: str | None = None) -> dict[str, Tensor]:
    """The tensors of a file.

    Args:
        path: a torch file or safetensors.
        inside: the key that the tensors lie under, such as base_model; None for the top.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is truncated, or holds more than tensors and plain values.
        WeightsError: there is no such key.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file of weights {path}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what a damaged program of a pickle may end with is not a short list
        raise CorruptFile(f"{path} is truncated, damaged or no file of weights: {error}") from error
    if inside is not None:
        if not isinstance(found, Mapping) or inside not in found:
            has = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
            raise WeightsError(f"{path} has no key {inside!r}; it has {has[:200]}")
        found = found[inside]
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds no tensors by name")
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def fit_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> Loaded:
    """Put tensors into a network of which every one must be there.

    Args:
        network: whose state dict says what there must be.
        tensors: by the network's names.
        path: the file they come from.

    Raises:
        WeightsError: one is missing or of another shape.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise WeightsError(f"{path} lacks {len(missing)} of {len(wanted)} tensors: {_some(missing)}")
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if tensors[name].shape != value.shape
    ]
    if shapes:
        raise WeightsError(f"{path} is of another network: {_some(shapes)}")
    broken = [name for name in wanted if not bool(torch.isfinite(tensors[name]).all())]
    if broken:
        raise WeightsError(f"{path} has numbers that are not finite in {_some(broken)}")
    network.load_state_dict({name: tensors[name] for name in wanted})
    network.eval()
    return Loaded(Path(path), file_digest(path), tuple(name for name in tensors if name not in wanted))


def file_digest(path: Path | str) -> str:
    """sha256 of a file."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
