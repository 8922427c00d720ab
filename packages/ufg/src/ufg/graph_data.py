"""Sets of graphs, each with a label or a number of its own: the TU collection, and what a split of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.checkpoint import fingerprint
from offprints.data import Archive, DataFile, Dataset
from offprints.errors import DataError, InputError

from ufg.adjacency import LambdaMax
from ufg.graph import GraphOperator
from ufg.number_tables import read_numbers


@dataclass(frozen=True)
class GraphData:
    """Graphs with features and targets.

    Attributes:
        name: of the data set.
        sizes: (G,) nodes of each graph; its nodes stand together.
        edges: (E, 2) node ids over all graphs, each undirected edge once.
        features: (N, F) float32.
        targets: (G,) int64 classes, or float64 numbers.
        weight: (E,) of the edges; None means 1.
        counts: (G, k) float64 of each graph, such as its atoms of each element: what a sum over them explains by least squares on the
            training graphs is taken off numbers before a network learns the rest. None takes nothing off.
        checksums: file -> sha256, for results.json.
    """

    name: str
    sizes: NDArray[np.int64]
    edges: NDArray[np.int64]
    features: NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    counts: NDArray[np.float64] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_classes(self) -> bool:
        return bool(np.issubdtype(self.targets.dtype, np.integer))

    @property
    def num_outputs(self) -> int:
        """Number of classes, or 1."""
        return int(self.targets.max()) + 1 if self.is_classes else 1

    @property
    def fingerprint(self) -> str:
        """A digest of all of it."""
        arrays: list[NDArray[Any]] = [self.sizes, self.edges, self.targets, self.features]
        arrays += [more for more in (self.weight, self.counts) if more is not None]
        return fingerprint(name=self.name, data=[sha256(array.tobytes()).hexdigest() for array in arrays])

    def operator(self, lambda_max: LambdaMax = "lanczos") -> GraphOperator:
        """All graphs as one operator, each with its own scaling."""
        return GraphOperator.from_edges(
            self.edges, len(self.features), self.weight, sizes=self.sizes, lambda_max=lambda_max
        )


@dataclass(frozen=True)
class GraphSplit:
    """Graphs to train on, to choose the epoch by, and to report.

    Attributes:
        train: (n,) int64 graphs.
        valid: the same.
        test: the same.
    """

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


def random_split(graphs: int, seed: int) -> GraphSplit:
    """80 / 10 / 10 per cent at random; the same for every model with this seed, so that models are compared in pairs.

    Args:
        graphs: how many there are.
        seed: of the permutation.

    Raises:
        InputError: fewer than ten graphs.

    Source: Section 5.2 of the paper.
    """
    if graphs < 10:
        raise InputError(f"{graphs} graphs are too few to split: 10 or more")
    order = np.random.default_rng(seed).permutation(graphs)
    train, valid = int(0.8 * graphs), int(0.9 * graphs)
    return GraphSplit(order[:train], order[train:valid], order[valid:])


@dataclass(frozen=True)
class TUDataset(Dataset):
    """A data set of the TU collection in its text format: ids count from 1, every edge stands in both directions."""

    def load(self, root: str | Path | None = None) -> GraphData:
        """The graphs, with node labels one-hot as features.

        Raises:
            MissingFile: a file is not there.
            ChecksumMismatch: a file is not the published one.
            DataError: its numbers do not fit together.
        """
        checksums = self.verify(root)

        def numbers(part: str, columns: int) -> NDArray[np.int64]:
            name = f"{self.name}_{part}.txt"
            found: NDArray[np.int64] = read_numbers(self.read_bytes(name, root), name, np.int64, columns)
            return found

        owner = numbers("graph_indicator", 1)[:, 0]
        labels = numbers("graph_labels", 1)[:, 0]
        kinds = numbers("node_labels", 1)[:, 0]
        pairs = numbers("A", 2) - 1
        if (
            (np.diff(owner) < 0).any()
            or owner[0] != 1
            or owner[-1] != len(labels)
            or len(kinds) != len(owner)
            or pairs.min(initial=0) < 0
            or pairs.max(initial=-1) >= len(owner)
            or (owner[pairs[:, 0]] != owner[pairs[:, 1]]).any()
        ):
            raise DataError(f"{self.name}: nodes, graphs and labels do not fit together")
        _, targets = np.unique(labels, return_inverse=True)
        _, kind = np.unique(kinds, return_inverse=True)
        return GraphData(
            name=self.name,
            sizes=np.bincount(owner - 1, minlength=len(labels)),
            edges=np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0),
            features=np.eye(kind.max() + 1, dtype=np.float32)[kind],
            targets=targets.astype(np.int64),
            checksums=checksums,
        )


def _tu(name: str, title: str, citation: str, **files: str | int) -> TUDataset:
    """A checksum pins a file; a number is its lines, where copies differ in their order."""
    return TUDataset(
        name=name,
        title=title,
        licence="not stated by its authors",
        citation=f"{citation}; collected by Morris et al. 2020, TUDataset",
        files=tuple(
            DataFile(f"{name}_{part}.txt", lines=pin)
            if isinstance(pin, int)
            else DataFile(f"{name}_{part}.txt", sha256=pin)
            for part, pin in files.items()
        ),
        sources=(Archive(f"https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip"),),
        folder=f"tudataset/{name}",
    )


_ALL = (
    _tu(
        "PROTEINS",
        "PROTEINS: enzymes and others",
        "Borgwardt et al. 2005",
        A="4c4b33e272fc95cac6d27ed6d5d12b9a852c8610e91fff59f8f0dbdd5a20df67",
        graph_indicator="8d4ff1e852a5c28561e9bffb44cf9490bc552b13a3b6156dd12dc7f44e9afc4a",
        graph_labels="c0ef9810c440775252872318d0c8adc385588e14bc4c47a2c34aa96ee3c7cdcd",
        node_labels="f758e8ad3d6e3c026b50833d75f6f90735b94eb3345e4243707f495ca8afea8d",
    ),
    _tu(
        "MUTAG",
        "MUTAG: mutagenic aromatic compounds",
        "Debnath et al. 1991",
        A="d9656ca7493f3445d737c711710bb36fd432dddd1c0ea32e1d4713c86ebd28e2",
        graph_indicator="7d520a4d6c7961c0cdeabe076d8fe27e795b6d373485c9a2b744987e560a2056",
        graph_labels="a1518ea39ba3426bd42f57396b9c4baffe68e9adc718caeeab0119c6591a5f2c",
        node_labels="678f429965490e84dd27713017538c995fc05d1621beac910848b600015ee863",
    ),
    _tu(
        "Mutagenicity",
        "Mutagenicity: molecules that change genes",
        "Kazius, McGuire and Bursi 2005",
        A="ae85e22b4b898ebd819d2ed3adc8f06a7bf1cda746b333086472d19b36711145",
        graph_indicator="88b2d83ff10fad75b3280654061e965976f74e75620058c371ed23567236b4bc",
        graph_labels="b604c7dcbfdf89193901e32abdcbf9b5b92137414ce22231f00ed65d48ec48f9",
        node_labels="b429ec418c831d02dc3088b2fe08d11214627850d2bbdacfa9797c0510e70ae7",
    ),
    _tu(
        "NCI1",
        "NCI1: compounds tried against lung cancer cells",
        "Wale, Watson and Karypis 2008",
        A="2c028eda59a5fe96e2265a63d9ac236901bd9a7dc658498be13cd704a703076d",
        graph_indicator="ffe5acfa754b057d5ce0dc725c5aadb631628161886cc040d38c719635257dc5",
        graph_labels="fae44681e70113f496256ae87eaac33b7836e3a97fe8e023933b84fde6a5c8a2",
        node_labels="dc0a22b6cbff0c939de00373e823977ba32b358f560e4288d7602f7b51407ee2",
    ),
    _tu(
        "DD",
        "D&D: protein structures",
        "Dobson and Doig 2003",
        A=1686092,
        graph_indicator="95aabe75f6537326a14e4efc0d006854c20769f3cfc4877b862803d21c51aff2",
        graph_labels="b9df6495feb673f79dea357cca30e08f8602e52d978c77b53ec2552d1cb2ab4e",
        node_labels="b0d10b05702c2d655d691b5a6f5585081993860013eeab801572202df1c5c108",
    ),
)
TU = {data.name.lower(): data for data in _ALL}
