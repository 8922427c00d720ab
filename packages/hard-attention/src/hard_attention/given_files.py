"""Hard networks and their inputs in npz files, without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.atomic import atomic_write
from offprints.errors import InputError, naming
from offprints.npz import load_npz

from hard_attention.networks import GivenHead, GivenLayer, Network
from hard_attention.softening import every_input

Floats = NDArray[np.float64]


def write(path: Path, network: Network, inputs: Sequence[Floats]) -> None:
    """Write a network and inputs: `ties`, `layer0_w1`, `layer0_head0_query`, `layer0_head0_mask`, ..., `input0`, ...

    Args:
        path: the npz file.
        network: the weights.
        inputs: embedded inputs, each (n, d).
    """
    arrays: dict[str, NDArray[np.generic]] = {"ties": np.array(network.ties)}
    for number, layer in enumerate(network.layers):
        for name in ("w1", "b1", "w2", "b2"):
            arrays[f"layer{number}_{name}"] = getattr(layer, name)
        for h, head in enumerate(layer.heads):
            for name in ("query", "key", "value"):
                arrays[f"layer{number}_head{h}_{name}"] = getattr(head, name)
            arrays[f"layer{number}_head{h}_mask"] = np.array(head.mask)
    arrays |= {f"input{number}": x for number, x in enumerate(inputs)}
    with atomic_write(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read(path: Path) -> tuple[Network, list[Floats]]:
    """Read what `write` wrote; with `letters` and `places` in the place of inputs, these are all strings of that length.

    Args:
        path: the npz file.

    Raises:
        InputError: there is no such file, it is no npz file of numbers, or an array is missing or has the wrong shape.
    """
    with naming(path):
        return _read(load_npz(path), path)


def _read(arrays: Mapping[str, NDArray[Any]], path: Path) -> tuple[Network, list[Floats]]:
    layers: list[GivenLayer] = []
    while f"layer{len(layers)}_w1" in arrays:
        prefix = f"layer{len(layers)}"
        heads: list[GivenHead] = []
        while f"{prefix}_head{len(heads)}_query" in arrays:
            name = f"{prefix}_head{len(heads)}"
            query, key, value = (
                _array(arrays, f"{name}_{part}", path, 2) for part in ("query", "key", "value")
            )
            heads.append(GivenHead(query, key, value, str(arrays.get(f"{name}_mask", "none"))))
        w1, w2 = (_array(arrays, f"{prefix}_{name}", path, 2) for name in ("w1", "w2"))
        b1, b2 = (_array(arrays, f"{prefix}_{name}", path, 1) for name in ("b1", "b2"))
        layers.append(GivenLayer(tuple(heads), w1, b1, w2, b2))
    inputs: list[Floats] = []
    while f"input{len(inputs)}" in arrays:
        inputs.append(_array(arrays, f"input{len(inputs)}", path, 2))
    if not inputs and "letters" in arrays:
        inputs = every_input(*(_array(arrays, name, path, 2) for name in ("letters", "places")))
    if not layers or not inputs:
        raise InputError(f"{path}: arrays layer0_w1, ... and input0, ..., or letters and places, are needed")
    return Network(tuple(layers), str(arrays.get("ties", "average"))), inputs


def _array(arrays: Mapping[str, NDArray[np.generic]], name: str, path: Path, dims: int) -> Floats:
    found = arrays.get(name)
    if found is None:
        raise InputError(f"{path}: the array {name} is missing")
    if found.ndim != dims or found.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: {name} has the shape {found.shape} and type {found.dtype}: {dims} dimensions of numbers are needed"
        )
    return found.astype(np.float64)
