"""The embedded digits, the loaders of real data, and what they refuse."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from offprints.data import load_npz
from offprints.errors import DataError, InputError, MissingFile

from ufg.coauthor import COAUTHOR, read_npz, split_by_class
from ufg.config import DatasetConfig
from ufg.datasets import BENCHMARKS
from ufg.digits import digits_graph
from ufg.graph_data import TU, random_split
from ufg.node_data import NodeData
from ufg.plain_pickles import read_pickle
from ufg.planetoid import PLANETOID
from ufg.qm7 import (
    ELEMENTS,
    MOLECULES,
    Molecules,
    atom_count_error,
    atom_count_test_error,
    atoms_with_surroundings,
    atoms_without_names,
    element_count_error,
)
from ufg.runs import build_nodes


@pytest.fixture
def loaded() -> Callable[[Callable[[], object]], object]:
    """What a loader gives; skips, with what is missing, where its files are not there."""

    def load(call: Callable[[], object]) -> object:
        try:
            return call()
        except MissingFile as missing:
            pytest.skip(str(missing))

    return load


def test_digits_are_a_graph_of_neighbours_with_few_labels() -> None:
    data = digits_graph(neighbours=6, labelled=3, seed=1)
    assert data.num_nodes == 1797 and data.num_classes == 10
    assert np.bincount(data.labels[data.train]).tolist() == [3] * 10
    together = np.concatenate([data.train, data.valid, data.test])
    assert sorted(together) == list(range(1797))
    degree = np.bincount(data.edges.ravel(), minlength=1797)
    assert degree.min() >= 6
    same = data.labels[data.edges[:, 0]] == data.labels[data.edges[:, 1]]
    assert same.mean() > 0.95  # neighbours are of one class, so that a graph helps
    assert (
        digits_graph(seed=1).fingerprint
        == digits_graph(seed=1).fingerprint
        != digits_graph(seed=2).fingerprint
    )


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "nodes", "edges", "words", "counts"),
    [
        ("cora", 2708, 5278, 49216, [351, 217, 418, 818, 426, 298, 180]),
        ("citeseer", 3327, 4552, 105165, [249, 590, 668, 701, 596, 508]),
    ],
)
def test_citation_graphs_have_the_published_counts(
    loaded, name: str, nodes: int, edges: int, words: int, counts: list[int]
) -> None:
    data: NodeData = loaded(PLANETOID[name].load)
    assert (data.num_nodes, len(data.edges), data.features.nnz) == (nodes, edges, words)
    assert np.bincount(data.labels[data.labels >= 0]).tolist() == counts
    assert (len(data.train), len(data.valid), len(data.test)) == (20 * len(counts), 500, 1000)
    if name == "cora":
        assert (data.test == np.arange(1708, 2708)).all()
    else:
        assert (data.labels < 0).sum() == 15 == (np.diff(data.features.indptr) == 0).sum()
        assert nodes - len(np.unique(data.edges)) == 48


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_pickles_are_read_as_their_plain_conversion(loaded, name: str) -> None:
    data: NodeData = loaded(PLANETOID[name].load)
    plain = loaded(lambda: load_npz(PLANETOID[name].directory() / f"{name}.npz"))
    assert (data.edges == plain["edges"]).all()
    assert (data.labels == plain["label"]).all()
    assert (data.test == plain["test_index"]).all()
    attributes = [plain[f"attr_{part}"] for part in ("data", "indices", "indptr")]
    assert abs(csr_array(tuple(attributes), shape=data.features.shape) - data.features).nnz == 0


@pytest.mark.real_data
def test_pubmed_without_its_features_is_refused_and_not_padded() -> None:
    if not (PLANETOID["pubmed"].directory() / "raw" / "ind.pubmed.graph").is_file():
        pytest.skip("no Pubmed in $OFFPRINTS_DATA")
    if (PLANETOID["pubmed"].directory() / "raw" / "ind.pubmed.allx").is_file():
        assert PLANETOID["pubmed"].load().num_nodes == 19717
        return
    with pytest.raises(DataError, match=r"ind\.pubmed\.allx"):
        PLANETOID["pubmed"].load()


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("echo ran > ran.txt",))


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), pickle.dumps({1: Trap()}), b"no pickle", b""])
def test_a_pickle_of_anything_but_arrays_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="something else than arrays"):
        read_pickle(content, "cora.x")
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "graphs", "nodes", "entries", "classes", "kinds"),
    [
        ("proteins", 1113, 43471, 162088, [663, 450], 3),
        ("mutag", 188, 3371, 7442, [63, 125], 7),
        ("mutagenicity", 4337, 131488, 266894, [2401, 1936], 14),
        ("nci1", 4110, 122747, 265506, [2053, 2057], 37),
        ("dd", 1178, 334925, 1686092, [691, 487], 82),
    ],
)
def test_sets_of_graphs_have_the_published_counts(
    loaded, name: str, graphs: int, nodes: int, entries: int, classes: list[int], kinds: int
) -> None:
    data = loaded(TU[name].load)
    assert (len(data.sizes), len(data.features), 2 * len(data.edges)) == (graphs, nodes, entries)
    assert np.bincount(data.targets).tolist() == classes
    assert data.features.shape[1] == kinds
    assert (data.features.sum(1) == 1).all()
    owner = np.repeat(np.arange(graphs), data.sizes)
    assert (owner[data.edges[:, 0]] == owner[data.edges[:, 1]]).all()


def tu_folder(folder: Path, indicator: str = "1\n1\n1\n2\n2\n") -> Path:
    at = folder / "tudataset" / "MUTAG"
    at.mkdir(parents=True)
    for part, text in {
        "A": "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n",
        "graph_indicator": indicator,
        "graph_labels": "-1\n1\n",
        "node_labels": "0\n2\n2\n0\n5\n",
    }.items():
        (at / f"MUTAG_{part}.txt.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_text_of_the_tu_format_becomes_graphs(tmp_path: Path) -> None:
    from dataclasses import replace

    from offprints.data import DataFile

    free = replace(TU["mutag"], files=tuple(DataFile(file.name) for file in TU["mutag"].files))
    data = free.load(tu_folder(tmp_path / "right"))
    assert data.sizes.tolist() == [3, 2]
    assert data.edges.tolist() == [[0, 1], [1, 2], [3, 4]]
    assert data.features.argmax(1).tolist() == [0, 1, 1, 0, 2]
    assert data.targets.tolist() == [0, 1]
    with pytest.raises(DataError, match="fit together"):
        free.load(tu_folder(tmp_path / "torn", indicator="1\n2\n1\n2\n2\n"))
    with pytest.raises(DataError, match="sha256"):
        TU["mutag"].load(tmp_path / "right")


def test_a_folder_of_the_open_graph_benchmark_becomes_a_graph(tmp_path: Path) -> None:
    from dataclasses import replace

    from offprints.data import DataFile

    from ufg.arxiv import ARXIV

    free = replace(ARXIV, files=tuple(DataFile(file.name) for file in ARXIV.files))
    for name, text in {
        "raw/edge.csv": "0,1\n1,0\n1,2\n2,2\n",
        "raw/node-feat.csv": "0.5,-1\n0.25,2\n0,3\n",
        "raw/node-label.csv": "0\n1\n1\n",
        "split/time/train.csv": "0\n",
        "split/time/valid.csv": "1\n",
        "split/time/test.csv": "2\n",
    }.items():
        path = tmp_path / "ogbn_arxiv" / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    data = free.load(tmp_path)
    assert data.edges.tolist() == [[0, 1], [1, 2]]
    assert data.inputs().tolist() == [[0.5, -1.0], [0.25, 2.0], [0.0, 3.0]]  # dense as they are, not sparse
    assert (data.train.tolist(), data.valid.tolist(), data.test.tolist()) == ([0], [1], [2])
    with pytest.raises(DataError, match="lines"):
        ARXIV.load(tmp_path)


def test_a_split_is_80_10_10_and_the_same_for_everyone() -> None:
    split, again = random_split(1113, 3), random_split(1113, 3)
    assert (len(split.train), len(split.valid), len(split.test)) == (890, 111, 112)
    assert sorted(np.concatenate([split.train, split.valid, split.test])) == list(range(1113))
    assert (split.test == again.test).all() and (split.test != random_split(1113, 4).test).any()
    with pytest.raises(InputError, match="too few"):
        random_split(9, 0)


def water_and_methane() -> Molecules:
    symbols = "OHHCHHHH"
    water = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]
    a = 0.63
    methane = [[0, 0, 0], [a, a, a], [-a, -a, a], [-a, a, -a], [a, -a, -a]]
    position = np.array([*water, *methane], float)
    element = np.array([ELEMENTS.index(symbol) for symbol in symbols])
    return Molecules(np.array([3, 5]), element, position, np.array([-220.0, -400.0]))


def test_molecules_know_their_bonds_or_nothing_at_all() -> None:
    molecules = water_and_methane()
    edges, distance = molecules.pairs()
    assert len(edges) == 3 + 10
    assert distance[:2] == pytest.approx([0.96, np.hypot(0.24, 0.93)])
    plain = atoms_without_names(molecules)
    assert (plain.features == 1).all() and plain.weight is None
    known = atoms_with_surroundings(molecules)
    assert known.features[0, 5:10].tolist() == [2, 0, 0, 0, 0]  # the oxygen of water has two hydrogens
    assert known.features[3, 5:10].tolist() == [4, 0, 0, 0, 0]
    assert known.features[4, 5:10].tolist() == [0, 1, 0, 0, 0]
    assert known.weight[0] == pytest.approx(8 * 1 / (0.96 / 0.529177), rel=1e-5)


def test_the_error_of_the_atom_count_is_that_of_medians() -> None:
    sizes = np.array([3, 3, 3, 5])
    assert atom_count_error(sizes, np.array([1.0, 2.0, 9.0, 4.0])) == pytest.approx((1 + 0 + 7 + 0) / 4)


def test_medians_of_training_molecules_say_what_test_molecules_have() -> None:
    sizes, energy = np.array([3, 3, 3, 5, 3, 8]), np.array([1.0, 2.0, 9.0, 4.0, 12.0, 7.0])
    found = atom_count_test_error(sizes, energy, np.arange(4), np.array([4, 5]))
    assert found == pytest.approx(
        (abs(12 - 2) + abs(7 - 3)) / 2
    )  # of 8 atoms there is none: the median of all, 3


@pytest.mark.real_data
def test_published_error_of_qm7_is_that_of_the_atom_count(loaded) -> None:
    """The paper reports 41.67 and 41.74; counting the atoms of each element does far better."""
    molecules = loaded(MOLECULES.molecules)
    assert (len(molecules.sizes), len(molecules.element)) == (7101, 109600)
    assert molecules.energy.mean() == pytest.approx(-1536.326, abs=1e-3)
    assert molecules.energy.std(ddof=1) == pytest.approx(223.183, abs=1e-3)
    assert np.bincount(molecules.element).tolist() == [61340, 35425, 6600, 5937, 298]
    assert atom_count_error(molecules.sizes, molecules.energy) == pytest.approx(41.667, abs=1e-3)
    assert element_count_error(molecules) == pytest.approx(15.0, abs=0.1)


def test_noise_moves_the_share_asked_for() -> None:
    draw = np.random.default_rng(0)
    features = csr_array((draw.random((200, 300)) < 0.05).astype(float))
    edges = np.array([[i, (i + 1) % 200] for i in range(200)])
    third = np.arange(60)
    data = NodeData("toy", edges, features, np.arange(200) % 3, third, third + 60, third + 120)
    moved = data.with_flipped_features(0.3, 0).features
    kept = moved.multiply(features).sum() / features.sum()
    assert kept == pytest.approx(0.7 + 0.3 * 0.05, abs=0.03)
    assert set(moved.data) == {1.0}
    rewired = data.with_rewired_edges(0.25, 0)
    assert len(np.unique(rewired.edges, axis=0)) == 200
    known = {tuple(sorted(pair)) for pair in edges.tolist()}
    assert sum(tuple(pair) in known for pair in np.sort(rewired.edges, 1).tolist()) == pytest.approx(
        150, abs=20
    )
    assert (data.with_rewired_edges(0.0, 0).edges == edges).all()
    for use in (data.with_flipped_features, data.with_rewired_edges):
        with pytest.raises(InputError, match="noise rate"):
            use(1.5, 0)


def toy(features: csr_array | None = None, weight: np.ndarray | None = None) -> NodeData:
    """Six nodes on a path."""
    path = np.array([[i, i + 1] for i in range(5)])
    nodes = np.arange(6)
    shown = csr_array(np.eye(6)) if features is None else features
    return NodeData("toy", path, shown, nodes % 2, nodes[:2], nodes[2:4], nodes[4:], weight=weight)


def test_noise_that_would_lose_what_features_and_weights_say_is_refused() -> None:
    with pytest.raises(InputError, match="other numbers than 0 and 1"):
        toy(csr_array(2 * np.eye(6))).with_flipped_features(0.5, 0)
    with pytest.raises(InputError, match="weights"):
        toy(weight=np.arange(1.0, 6.0)).with_rewired_edges(0.5, 0)


def test_whatever_of_a_graph_differs_its_fingerprint_does() -> None:
    data = toy()
    others = [
        toy(weight=np.ones(5)),
        replace(data, valid=data.test, test=data.valid),
        toy(csr_array((np.ones(6), np.arange(6), np.array([0, 2, 2, 3, 4, 5, 6])), shape=(6, 6))),
    ]
    assert len({one.fingerprint for one in (data, *others)}) == 4
    graphs = atoms_without_names(water_and_methane())
    weighed = replace(graphs, weight=np.full(len(graphs.edges), 2.0))
    counted = replace(graphs, counts=np.ones((len(graphs.sizes), 1)))
    assert len({one.fingerprint for one in (graphs, weighed, counted)}) == 3


def test_the_split_of_the_digits_can_have_a_seed_of_its_own() -> None:
    splits = [
        build_nodes(DatasetConfig(split=split), seed).train.tolist() for split, seed in ((3, 0), (3, 1))
    ]
    assert splits[0] == splits[1] != build_nodes(DatasetConfig(), 0).train.tolist()


def test_a_split_without_labels_is_refused() -> None:
    labels = np.array([0, 1, -1])
    with pytest.raises(InputError, match="test split"):
        NodeData(
            "toy",
            np.zeros((0, 2), int),
            csr_array(np.eye(3)),
            labels,
            np.array([0]),
            np.array([1]),
            np.array([2]),
        )


def test_every_data_set_is_registered_by_its_name() -> None:
    assert {"cora", "citeseer", "pubmed", "proteins", "dd", "qm7"} <= set(BENCHMARKS)


# Graphs in a plain npz


def npz(path: Path, **changed: np.ndarray) -> Path:
    """A file of 104 nodes of two classes, on a ring."""
    ring = np.arange(104)
    arrays = {
        "num_nodes": np.array(104),
        "edges": np.stack([ring, (ring + 1) % 104], 1),
        "label": ring % 2,
        "attr_indices": ring % 5,
        "attr_indptr": np.arange(105),
        "attr_data": np.array([2.0]),
        "attr_shape": np.array([104, 5]),
    }
    np.savez(path, **{name: array for name, array in {**arrays, **changed}.items() if array is not None})
    return path


def test_a_graph_is_read_from_an_npz_and_split_by_class(tmp_path: Path) -> None:
    data = read_npz(npz(tmp_path / "ring.npz"), "ring", seed=3)
    assert data.num_nodes == 104 and len(data.edges) == 104
    assert data.features.toarray()[7].tolist() == [0, 0, 2, 0, 0]
    assert [np.bincount(data.labels[nodes]).tolist() for nodes in (data.train, data.valid, data.test)] == [
        [20, 20],
        [30, 30],
        [2, 2],
    ]
    assert sorted(np.concatenate([data.train, data.valid, data.test])) == list(range(104))
    assert not np.array_equal(data.train, split_by_class(data.labels, 4)[0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": np.zeros(103, int)}, "do not fit"),
        ({"edges": np.array([[0, 104]])}, "do not fit"),
        ({"label": None}, "label"),
        ({"label": np.arange(104) % 3}, "class 0"),
        ({"label": np.full(104, -1)}, "no node has a label"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises((DataError, InputError), match=message):
        read_npz(npz(tmp_path / "ring.npz", **changed), "ring")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "nodes", "edges", "classes"),
    [
        ("coauthor_cs", 18333, 81894, 15),
        ("coauthor_phy", 34493, 247962, 5),
        ("amazon_photo", 7650, 119081, 8),
    ],
)
def test_graphs_of_co_authors_have_their_published_counts(
    loaded: Callable[[Callable[[], object]], object], name: str, nodes: int, edges: int, classes: int
) -> None:
    data = loaded(COAUTHOR[name].load)
    assert isinstance(data, NodeData)
    assert (data.num_nodes, len(data.edges), data.num_classes) == (nodes, edges, classes)
    assert len(data.train) == 20 * classes and len(data.valid) == 30 * classes
