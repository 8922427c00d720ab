"""ogbn-arxiv in the folder form of the Open Graph Benchmark: citations among 169,343 papers, split by the year."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.data import Archive, DataFile, Dataset
from offprints.errors import DataError

from ufg.node_data import NodeData
from ufg.number_tables import read_numbers


@dataclass(frozen=True)
class OGBNodes(Dataset):
    """A graph of the Open Graph Benchmark whose nodes have one label each."""

    def load(self, root: str | Path | None = None) -> NodeData:
        """The graph, with citations in both directions.

        Raises:
            MissingFile: a file is not there.
            ChecksumMismatch: a file has another number of lines than the published one.
            DataError: the files do not fit together.
        """
        checksums = self.verify(root)

        def table(name: str, kind: type[np.generic], columns: int | None = None) -> NDArray[Any]:
            return read_numbers(self.read_bytes(name, root), f"{self.name}/{name}", kind, columns)

        features = table("raw/node-feat.csv", np.float32)
        labels = table("raw/node-label.csv", np.int64, 1)[:, 0]
        pairs = table("raw/edge.csv", np.int64, 2)
        train, valid, test = (
            table(f"split/time/{part}.csv", np.int64, 1)[:, 0] for part in ("train", "valid", "test")
        )
        nodes = np.concatenate([pairs.ravel(), train, valid, test])
        fitting = len(features) == len(labels) and labels.min(initial=0) >= 0
        if not fitting or nodes.min(initial=0) < 0 or nodes.max(initial=-1) >= len(labels):
            raise DataError(f"{self.name}: nodes, labels, edges and split do not fit together")
        return NodeData(
            name=self.name,
            edges=np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0),
            features=csr_array(features),
            labels=labels,
            train=train,
            valid=valid,
            test=test,
            checksums=checksums,
        )


ARXIV = OGBNodes(
    name="arxiv",
    title="ogbn-arxiv: citations among papers on computer science",
    licence="ODC-BY",
    citation="Hu et al. 2020, Open Graph Benchmark, NeurIPS",
    files=(
        DataFile("raw/edge.csv", lines=1_166_243),
        DataFile("raw/node-feat.csv", lines=169_343),
        DataFile("raw/node-label.csv", lines=169_343),
        DataFile("split/time/train.csv"),
        DataFile("split/time/valid.csv"),
        DataFile("split/time/test.csv"),
    ),
    sources=(Archive("http://snap.stanford.edu/ogb/data/nodeproppred/arxiv.zip"),),
    folder="ogbn_arxiv",
)
