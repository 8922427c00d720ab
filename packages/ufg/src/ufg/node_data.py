"""Graphs whose nodes are to be labelled, and the noise that they are tried with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from offprints.checkpoint import fingerprint
from offprints.errors import InputError

from ufg.adjacency import LambdaMax
from ufg.graph import GraphOperator
from ufg.sparse import ConstantMatrix

_DENSE = 0.25


@dataclass(frozen=True)
class NodeData:
    """A graph with features, labels and a split.

    Attributes:
        name: of the data set.
        edges: (E, 2) int64, each undirected edge once.
        features: (N, F) sparse.
        labels: (N,) int64; -1 where there is none.
        train: (n,) int64 nodes.
        valid: nodes that choose the epoch.
        test: nodes that are reported.
        weight: (E,) of the edges; None means 1.
        checksums: file -> sha256, for results.json.
        node_names: N of them; None where nodes are numbers.
        class_names: of each class; None where classes are numbers.
    """

    name: str
    edges: NDArray[np.int64]
    features: csr_array
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    node_names: Sequence[str] | None = None
    class_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for split in ("train", "valid", "test"):
            nodes = getattr(self, split)
            if len(nodes) == 0 or (self.labels[nodes] < 0).any():
                raise InputError(f"{self.name}: the {split} split is empty or has nodes without a label")

    @property
    def num_nodes(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1

    @property
    def fingerprint(self) -> str:
        """A digest of all of it, so that no checkpoint is taken for another graph's."""
        features = (self.features.indptr, self.features.indices, self.features.data)
        arrays: list[NDArray[Any]] = [self.edges, self.labels, self.train, self.valid, self.test, *features]
        if self.weight is not None:
            arrays.append(self.weight)
        return fingerprint(name=self.name, data=[sha256(array.tobytes()).hexdigest() for array in arrays])

    def operator(self, lambda_max: LambdaMax = "bound", dtype: torch.dtype = torch.float32) -> GraphOperator:
        return GraphOperator.from_edges(
            self.edges, self.num_nodes, self.weight, lambda_max=lambda_max, dtype=dtype
        )

    def inputs(self, dtype: torch.dtype = torch.float32) -> Tensor | ConstantMatrix:
        """The features as the layers take them: dense where more than a quarter of them is not 0."""
        if self.features.nnz > _DENSE * np.prod(self.features.shape):
            return torch.from_numpy(self.features.toarray()).to(dtype)
        return ConstantMatrix.of(self.features, dtype)

    def with_flipped_features(self, rate: float, seed: int) -> NodeData:
        """Noise on binary features: as many words of each node are taken away, and put elsewhere, as the rate says.

        Args:
            rate: share of the features that move, in [0, 1].
            seed: of the draw.

        Raises:
            InputError: the rate is not in [0, 1], or a feature is not binary.
        """
        _require_share("noise rate", rate)
        if (self.features.data != 1).any():
            raise InputError(
                f"{self.name}: noise moves words, and its features are other numbers than 0 and 1"
            )
        draw = np.random.default_rng(seed)
        rows, columns = self.features.nonzero()
        moved = draw.random(len(rows)) < rate
        columns = np.where(moved, draw.integers(0, self.features.shape[1], len(rows)), columns)
        kept = csr_array((np.ones(len(rows)), (rows, columns)), shape=self.features.shape)
        kept.data[:] = 1.0  # two words on one place are one
        return replace(self, features=kept)

    def with_rewired_edges(self, rate: float, seed: int) -> NodeData:
        """Noise on the structure: a share of the edges is taken away and as many random ones are added.

        Args:
            rate: share of the edges, in [0, 1].
            seed: of the draw.

        Raises:
            InputError: the rate is not in [0, 1], or edges have weights.
        """
        _require_share("noise rate", rate)
        if self.weight is not None:
            raise InputError(f"{self.name}: its edges have weights, and a random edge has none")
        draw = np.random.default_rng(seed)
        kept = self.edges[draw.random(len(self.edges)) >= rate]
        wanted = len(self.edges) - len(kept)
        known = {tuple(sorted(pair)) for pair in kept.tolist()}
        added: list[tuple[int, int]] = []
        while len(added) < wanted:
            u, v = sorted(draw.integers(0, self.num_nodes, 2).tolist())
            if u != v and (u, v) not in known:
                known.add((u, v))
                added.append((u, v))
        return replace(self, edges=np.concatenate([kept, np.array(added, np.int64).reshape(-1, 2)]))


def _require_share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{what} {value} is not in [0, 1]")
