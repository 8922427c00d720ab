"""Cora, Citeseer and Pubmed as Yang et al. 2016 published them: pickles of Python 2, read without running what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.data import DataFile, Dataset, Url
from offprints.errors import DataError

from ufg.node_data import NodeData
from ufg.number_tables import read_numbers
from ufg.plain_pickles import read_pickle

_ADDRESS = "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data"
_VALIDATION = 500


@dataclass(frozen=True)
class Planetoid(Dataset):
    """A citation graph with its fixed split: 20 labels of each class, 500 nodes to validate, 1,000 to test.

    x, tx, allx are features of the labelled, the test and all but the test nodes; y, ty, ally their labels; graph lists the
    neighbours of each node.
    """

    def load(self, root: str | Path | None = None) -> NodeData:
        """The graph: simple, without self loops.

        Raises:
            MissingFile: a file is not there; it is named.
            ChecksumMismatch: a file is not the published one.
            DataError: a file holds something else than arrays, or they do not fit together.
        """
        checksums = self.verify(root)
        parts = {
            part: read_pickle(self.read_bytes(f"raw/ind.{self.name}.{part}", root), f"{self.name}.{part}")
            for part in ("x", "y", "tx", "ty", "allx", "ally", "graph")
        }
        place = f"raw/ind.{self.name}.test.index"
        test = read_numbers(self.read_bytes(place, root), place, np.int64, 1)[:, 0]
        _require_parts(parts, test, self.name)
        known = len(parts["ally"])
        num_nodes = max(known, int(test.max()) + 1)
        # Row i of allx is node i; row k of tx is the node that line k of the index names. Some nodes may have neither.
        features = scipy.sparse.lil_array((num_nodes, parts["allx"].shape[1]))
        features[:known] = parts["allx"]
        features[test] = parts["tx"]
        labels = np.full(num_nodes, -1, np.int64)
        for nodes, one_hot in ((np.arange(known), parts["ally"]), (test, parts["ty"])):
            labels[nodes] = np.where(one_hot.sum(1) > 0, one_hot.argmax(1), -1)
        train = np.arange(len(parts["y"]))
        return NodeData(
            name=self.name,
            edges=_edges(parts["graph"]),
            features=csr_array(features),
            labels=labels,
            train=train,
            valid=np.arange(len(train), len(train) + _VALIDATION),
            test=np.sort(test),
            checksums=checksums,
        )


def _require_parts(parts: dict[str, Any], test: NDArray[np.int64], name: str) -> None:
    """That each part is what it is called, and that they fit together.

    Raises:
        DataError: one is not, or they do not.
    """

    def require(holds: bool | np.bool_, what: str) -> None:
        if not holds:
            raise DataError(f"{name}: {what}")

    for part in ("x", "tx", "allx"):
        require(isinstance(parts[part], csr_array), f"{part} is no sparse matrix")
    for part in ("y", "ty", "ally"):
        table = parts[part]
        require(
            isinstance(table, np.ndarray) and table.ndim == 2 and table.dtype.kind in "iuf",
            f"{part} is no table",
        )
    graph = parts["graph"]
    plain = isinstance(graph, dict) and all(isinstance(found, list) for found in graph.values())
    require(plain, "graph is no dictionary of lists")
    nodes = [*graph, *(node for found in graph.values() for node in found)]
    require(all(type(node) is int for node in nodes), "graph lists what is no node")
    count = len(parts["ally"]) + 10 * len(test)  # some test nodes are left out of the index
    inside = test.size > 0 and test.min() >= 0 and test.max() < count and len(np.unique(test)) == len(test)
    require(inside, "the index of test nodes has one that is none, or one twice")
    most = max(len(parts["ally"]), int(test.max()) + 1)
    require(all(0 <= node < most for node in nodes), "graph lists a node that is none")
    widths = (
        {parts[part].shape[1] for part in ("x", "tx", "allx")},
        {parts[p].shape[1] for p in ("y", "ty", "ally")},
    )
    require(all(len(one) == 1 and min(one) > 0 for one in widths), "parts have rows of other lengths")
    rows = [(parts[a].shape[0], len(parts[b])) for a, b in (("x", "y"), ("tx", "ty"), ("allx", "ally"))]
    require(all(a == b for a, b in rows) and rows[1][0] == len(test), "parts have other numbers of rows")
    require(rows[0][0] + _VALIDATION <= rows[2][0], "there are too few nodes for the split")


def _edges(graph: dict[int, list[int]]) -> NDArray[np.int64]:
    source = np.repeat(np.fromiter(graph, np.int64), [len(found) for found in graph.values()])
    target = np.array([node for found in graph.values() for node in found], np.int64)
    pairs = np.sort(np.stack([source, target], 1), 1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _planetoid(name: str, title: str, **sha256: str | None) -> Planetoid:
    names = {part: f"raw/ind.{name}.{part.replace('_', '.')}" for part in sha256}
    return Planetoid(
        name=name,
        title=title,
        licence="not stated by its authors",
        citation="Yang, Cohen and Salakhutdinov 2016, Revisiting Semi-Supervised Learning with Graph Embeddings, ICML",
        files=tuple(DataFile(names[part], sha256=digest) for part, digest in sha256.items()),
        sources=tuple(Url(f"{_ADDRESS}/{path.removeprefix('raw/')}", path) for path in names.values()),
        folder="planetoid",
    )


PLANETOID = {
    data.name: data
    for data in (
        _planetoid(
            "cora",
            "Cora: citations among papers on machine learning",
            x="23cfa55d91c6f624233f5eb7b6e3f141f1bd2b2ae39608a63cf5d084bb27baab",
            y="94465c14eb53e04ca262198dcbb2521ee8af60fb3f3d546cd6ca24a511b0e7d1",
            tx="b9afbaa4a400df991f6f02ef677e1e44da55ffc04801fd02f9e673987829226a",
            ty="41f5ac76596a1699cc33f53084a2419e92961c42bb75f36fc38e616d348532ad",
            allx="9419ba2f26f5c35243db64aba110e0f35a04851609e0dc5433450676ca6b8543",
            ally="2b998f5cc7fedc86e7f97ca2498f47a1ffc1462c29e2d578b23bf3f62b6e7d71",
            graph="58f13302f39dde8852dad6fe6d15b89b077b6d7f837626bce671ef80344b383d",
            test_index="297ce89af2b51a6a194181c7dbe1796c6a1cf9cd9349a88383b1b1e227867875",
        ),
        _planetoid(
            "citeseer",
            "Citeseer: citations among papers on computer science",
            x="d20de19150741e555de0ed037195630fc194114ebc7fd72ced62810148aa22f6",
            y="8ba87e515d8e3ee3cf52f6d2c5b86aa73f11ecad825a808455209ec26cd54924",
            tx="539a8906a2da97628d212f2fdd668c109a8b3f0d36574b59e5d3fd5b5303da21",
            ty="55e5bd1ba1e733a04598753ad1a8d57957f4b8f89e74519f41f4f4938767e4ce",
            allx="2ac30345d95c9ec933a817ee0bdd6a5f077f8c184a20e696910192d534414668",
            ally="f704b2d986dde6c2669934de1f3ae5696a6cf9455c0f6b2646a2d135ea0a1c95",
            graph="d79a4ef9d3e7169aee8946145f6b7306e35bc79bffad26346cfb94e10e9912a7",
            test_index="2af990671580b6b2df5d158d1038f8292e30c9cd821b5453f399659b25b723d4",
        ),
        _planetoid(
            "pubmed",
            "Pubmed: citations among papers on diabetes",
            x="fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
            y="e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
            tx="4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
            ty="ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
            allx=None,
            ally="0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
            graph="5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
            test_index="b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
        ),
    )
}
