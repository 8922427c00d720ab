"""Graphs of co-authors and of articles bought together (Shchur et al. 2018), and any graph of yours in the same plain npz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.data import DataFile, Dataset, load_npz
from offprints.errors import DataError, InputError, naming

from ufg.node_data import NodeData

LABELLED, VALIDATION = 20, 30  # nodes of each class, as Shchur et al. split them
_FIELDS = ("num_nodes", "edges", "label", "attr_indices", "attr_indptr", "attr_data", "attr_shape")


@dataclass(frozen=True)
class NpzGraph(Dataset):
    """A graph in one npz without pickle, of which the first file is read.

    Its arrays: num_nodes; edges (E, 2), each undirected edge once; label (N,); and the CSR of the features as attr_indices, attr_indptr,
    attr_shape and attr_data, of which one number stands for all.
    """

    def load(self, root: str | Path | None = None, seed: int = 0) -> NodeData:
        """The graph with a split of its own.

        Args:
            root: where data sets lie.
            seed: of the split: 20 nodes of each class to train on, 30 to validate, all others to test.

        Raises:
            MissingFile: the file is not there.
            ChecksumMismatch: it is another one.
            DataError: an array is missing, or they do not fit together.
        """
        checksums = self.verify(root)
        data = read_npz(self.locate(root)[self.files[0].name], self.name, seed)
        return NodeData(**{**vars(data), "checksums": checksums})


def read_npz(path: str | Path, name: str, seed: int = 0) -> NodeData:
    """A graph from a file, split as `NpzGraph.load` says.

    Args:
        path: of the npz.
        name: that the graph is to have.
        seed: of the split.

    Raises:
        DataError: an array is missing, or they do not fit together.
        InputError: a class has too few nodes.
    """
    arrays = load_npz(path, _FIELDS)
    _require_graph(arrays, path)
    num_nodes, labels = int(arrays["num_nodes"]), arrays["label"].astype(np.int64)
    edges = arrays["edges"].astype(np.int64)
    shape = tuple(int(size) for size in arrays["attr_shape"])
    if len(labels) != num_nodes or shape[0] != num_nodes or edges.max(initial=-1) >= num_nodes:
        raise DataError(
            f"{path}: {num_nodes} nodes, {len(labels)} labels, features of {shape[0]} nodes and edges up to "
            f"node {edges.max(initial=-1)} do not fit together"
        )
    indices = arrays["attr_indices"].astype(np.int32)
    values = np.broadcast_to(arrays["attr_data"].astype(float), indices.shape).copy()
    features = csr_array((values, indices, arrays["attr_indptr"].astype(np.int32)), shape=shape)
    with naming(path):
        train, valid, test = split_by_class(labels, seed)
        return NodeData(name, edges, features, labels, train, valid, test)


_KINDS = {"num_nodes": (0, "iu"), "edges": (2, "iu"), "label": (1, "iu"), "attr_shape": (1, "iu")}
_KINDS |= {"attr_indices": (1, "iu"), "attr_indptr": (1, "iu")}


def _require_graph(arrays: Mapping[str, NDArray[Any]], path: str | Path) -> None:
    """Shapes, and what points into other arrays: SciPy believes all of it."""

    def require(holds: bool | np.bool_, what: str) -> None:
        if not holds:
            raise DataError(f"{path}: {what}")

    for name, (dims, kinds) in _KINDS.items():
        found = arrays[name]
        right = found.ndim == dims and found.dtype.kind in kinds
        require(
            right,
            f"{name} is {found.dtype} of shape {found.shape}, and {dims} dimensions of integers are needed",
        )
        # Above are unsigned ones that would turn negative.
        fits = found.size == 0 or (found.min() >= -(2**31) and found.max() < 2**31)
        require(fits, f"{name} holds a number that is out of range")
    values, starts, indices = arrays["attr_data"], arrays["attr_indptr"], arrays["attr_indices"]
    require(
        values.dtype.kind in "fiu" and values.ndim <= 1 and np.isfinite(values).all(),
        "attr_data are finite numbers",
    )
    require(values.size in (1, len(indices)), f"{values.size} attr_data for {len(indices)} attr_indices")
    require(
        len(arrays["attr_shape"]) == 2 and arrays["attr_shape"].min() >= 0, "attr_shape is nodes and features"
    )
    require(arrays["edges"].shape[1] == 2 and arrays["edges"].min(initial=0) >= 0, "edges are pairs of nodes")
    whole = len(starts) == int(arrays["attr_shape"][0]) + 1 and starts[0] == 0 and starts[-1] == len(indices)
    require(
        whole and (np.diff(starts.astype(np.int64)) >= 0).all(), "attr_indptr does not divide attr_indices"
    )
    inside = indices.min(initial=0) >= 0 and indices.max(initial=-1) < arrays["attr_shape"][1]
    require(inside, "attr_indices point outside of the features")
    require(
        arrays["label"].max(initial=0) <= len(arrays["label"]), "a class has a number above that of all nodes"
    )


def split_by_class(
    labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """20 nodes of each class to train on, 30 to validate, all others to test.

    Args:
        labels: (N,) 0 or more; nodes below 0 have none and are left out.
        seed: of the draw.

    Raises:
        InputError: a class has fewer than 51 nodes, or no node has a label.

    Source: Shchur et al. 2018, Pitfalls of Graph Neural Network Evaluation, Section 3.
    """
    if labels.max(initial=-1) < 0:
        raise InputError("no node has a label")
    order = np.random.default_rng(seed).permutation(len(labels))
    train, valid, test = [], [], []
    for kind in range(int(labels.max()) + 1):
        nodes = order[labels[order] == kind]
        if len(nodes) <= LABELLED + VALIDATION:
            raise InputError(
                f"class {kind} has {len(nodes)} nodes: a split takes {LABELLED + VALIDATION + 1} or more"
            )
        train.append(nodes[:LABELLED])
        valid.append(nodes[LABELLED : LABELLED + VALIDATION])
        test.append(nodes[LABELLED + VALIDATION :])
    return (np.sort(np.concatenate(train)), np.sort(np.concatenate(valid)), np.sort(np.concatenate(test)))


def _npz(name: str, title: str, digest: str) -> NpzGraph:
    return NpzGraph(
        name=name,
        title=title,
        licence="MIT (GraphData)",
        citation="Shchur, Mumme, Bojchevski and Günnemann 2018, Pitfalls of Graph Neural Network Evaluation",
        files=(DataFile(f"{name}.npz", sha256=digest),),
        folder="graphdata",
    )


COAUTHOR = {
    data.name: data
    for data in (
        _npz(
            "coauthor_cs",
            "Coauthor CS: authors of papers on computer science",
            "dd9307916a3828dc6e8544e8a8c877211a44cda60bca624eafc7a3b037c840fa",
        ),
        _npz(
            "coauthor_phy",
            "Coauthor Physics: authors of papers on physics",
            "9b1fa0cdf74935394480e7cee470c31e9f9e0b71310396a8ea57e7928602a90f",
        ),
        _npz(
            "amazon_photo",
            "Amazon Photo: articles bought together",
            "b165f42371b54ff7d4b8ae406e9580dd9f14813c2ac0df8caca89fae1bb870e6",
        ),
    )
}
