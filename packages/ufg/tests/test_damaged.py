"""Whatever a published or an own graph holds, it is read, or refused with a message that names it.

`pytest packages/ufg/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections import defaultdict

import numpy as np
import pytest
import scipy.sparse

from offprints.fuzzing import in_file, mutated_zip, unpinned

from ufg.arxiv import ARXIV
from ufg.coauthor import read_npz
from ufg.graph_data import TU
from ufg.own_graph import own_graph
from ufg.plain_pickles import read_pickle
from ufg.planetoid import PLANETOID
from ufg.qm7 import MOLECULES


def put(dataset, root, contents):
    for name, content in contents.items():
        path = dataset.directory(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def sound(data) -> None:
    assert data.features.shape[0] == data.num_nodes
    assert data.edges.min(initial=0) >= 0 and data.edges.max(initial=-1) < data.num_nodes
    for part in (data.train, data.valid, data.test):
        assert part.min() >= 0 and part.max() < data.num_nodes and (data.labels[part] >= 0).all()
    data.features.sum()


ARXIV_FILES = {
    "raw/node-feat.csv": b"0.5,1\n-2,3e-2\n1,0\n",
    "raw/node-label.csv": b"1\n0\n1\n",
    "raw/edge.csv": b"0,1\n2,1\n",
    **{f"split/time/{part}.csv": b"%d\n" % number for number, part in enumerate(("train", "valid", "test"))},
}


@pytest.mark.parametrize(
    "damaged", ["raw/node-feat.csv", "raw/node-label.csv", "raw/edge.csv", "split/time/train.csv"]
)
def test_arxiv(fuzz, tmp_path, damaged):
    data = unpinned(ARXIV)
    put(data, tmp_path, ARXIV_FILES)
    path = data.directory(tmp_path) / damaged
    fuzz(in_file(lambda _: sound(data.load(tmp_path)), path), [ARXIV_FILES[damaged]], says="arxiv")


TU_FILES = {
    "graph_indicator": b"1\n1\n2\n2\n",
    "graph_labels": b"1\n-1\n",
    "node_labels": b"0\n1\n0\n2\n",
    "A": b"1, 2\n2, 1\n3, 4\n4, 3\n",
}


@pytest.mark.parametrize("damaged", TU_FILES)
def test_tu_collection(fuzz, tmp_path, damaged):
    data = unpinned(TU["proteins"])
    put(data, tmp_path, {f"{data.name}_{part}.txt": content for part, content in TU_FILES.items()})

    def read(_) -> None:
        found = data.load(tmp_path)
        assert found.edges.min(initial=0) >= 0 and found.edges.max(initial=-1) < found.sizes.sum()
        assert len(found.targets) == len(found.sizes)

    path = data.directory(tmp_path) / f"{data.name}_{damaged}.txt"
    fuzz(in_file(read, path), [TU_FILES[damaged]], says=data.name)


def npz_graph() -> bytes:
    labels = np.repeat([0, 1], 51)
    features = scipy.sparse.random(102, 4, 0.3, "csr", random_state=0)
    stream = io.BytesIO()
    np.savez(
        stream,
        num_nodes=np.array(102),
        edges=np.array([[0, 1], [5, 100]]),
        label=labels,
        attr_indices=features.indices,
        attr_indptr=features.indptr,
        attr_data=np.array([1.0]),
        attr_shape=np.array(features.shape),
    )
    return stream.getvalue()


def test_npz_graphs(fuzz, tmp_path):
    reader = in_file(lambda path: sound(read_npz(path, "mine")), tmp_path / "mine.npz")
    fuzz(reader, [npz_graph()], says="mine.npz", mutation=mutated_zip)


OWN = {
    "features.tsv": b"".join(b"n%d\t%d.5\t1\n" % (n, n) for n in range(6)),
    "edges.tsv": b"n0\tn1\t0.5\nn2\tn3\t2\n",
    "labels.tsv": b"n0\ta\ttrain\nn1\tb\tvalid\nn2\ta\ttest\nn3\tb\ttrain\n",
}


@pytest.mark.parametrize("damaged", OWN)
def test_own_graphs(fuzz, tmp_path, damaged):
    for name, content in OWN.items():
        (tmp_path / name).write_bytes(content)
    fuzz(
        in_file(lambda path: sound(own_graph(path.parent)), tmp_path / damaged),
        [OWN[damaged]],
        says=str(tmp_path),
    )


def planetoid_parts() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    known, tested = 520, 6
    one_hot = np.eye(2, dtype=np.int32)[rng.integers(0, 2, known + tested)]
    rows = scipy.sparse.csr_matrix(rng.random((known + tested, 3)) > 0.5, dtype=np.float32)
    graph = defaultdict(list, {n: [(n + 1) % (known + tested)] for n in range(known + tested)})
    parts = {
        "x": rows[:10], "y": one_hot[:10], "allx": rows[:known], "ally": one_hot[:known],
        "tx": rows[known:], "ty": one_hot[known:], "graph": graph,
    }  # fmt: skip
    found = {part: pickle.dumps(value, protocol=4) for part, value in parts.items()}
    return {**found, "test.index": b"".join(b"%d\n" % n for n in range(known, known + tested))}


@pytest.mark.parametrize("damaged", ["x", "ty", "graph", "test.index"])
def test_planetoid(fuzz, tmp_path, damaged):
    data = unpinned(PLANETOID["cora"])
    contents = planetoid_parts()
    put(data, tmp_path, {f"raw/ind.cora.{part}": content for part, content in contents.items()})
    path = data.directory(tmp_path) / f"raw/ind.cora.{damaged}"
    fuzz(in_file(lambda _: sound(data.load(tmp_path)), path), [contents[damaged]], says="cora")


def test_pickles(fuzz):
    corpus = [planetoid_parts()[part] for part in ("x", "y", "graph")]
    fuzz(lambda content: read_pickle(content, "cora.x"), corpus, says="cora.x")


def molecules() -> dict[str, bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in (("a.xyz", b"2\n\nC 0 0 0.5\nH 1 0 0\n"), ("b.xyz", b"1\n\nO 0 0 0\n")):
            info = tarfile.TarInfo(f"qm7/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return {"qm7_xyz.tar": stream.getvalue(), "hof_qm7.txt": b"a.xyz -417.96\nb.xyz 12 3\n"}


@pytest.mark.parametrize("damaged", ["qm7_xyz.tar", "hof_qm7.txt"])
def test_molecules(fuzz, tmp_path, damaged):
    data = unpinned(MOLECULES)
    put(data, tmp_path, molecules())

    def read(_) -> None:
        found = data.molecules(tmp_path)
        assert len(found.sizes) == len(found.energy) and found.sizes.sum() == len(found.element)
        assert np.isfinite(found.position).all() and found.position.shape == (len(found.element), 3)

    fuzz(in_file(read, data.directory(tmp_path) / damaged), [molecules()[damaged]], says="qm7")
