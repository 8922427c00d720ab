"""Whatever a file of uncertain facts, a calibration, a rule or a request holds, it is read, or refused with a message that names it.

`pytest packages/ukge/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from offprints.fuzzing import as_text, in_file, mutated_gzip, posted, unpinned

from ukge.calibration import Calibration
from ukge.completion import Completion
from ukge.datasets import BENCHMARKS
from ukge.model import UKGE
from ukge.reading import read_graph, read_rows
from ukge.rules import parse_rule
from ukge.runs import keep_calibration, read_calibration
from ukge.serve import Bounds, server

FACTS = [
    b"head\trelation\ttail\tconfidence\na\tr\tb\t0.5\nb\tr\tc\t1\nc\ts\ta\t0\n",
    "Ä b\tr\tc\t0.25\r\na\tr\tÄ b\t1e-3\r\n".encode(),
]


def rows(path) -> None:
    found = read_rows(path)
    assert ((found["confidence"] >= 0) & (found["confidence"] <= 1)).all()
    assert not (found[["head", "relation", "tail"]] == "").any(axis=None)


def test_facts(fuzz, tmp_path):
    fuzz(in_file(rows, tmp_path / "facts.tsv"), FACTS, says="facts.tsv")


def test_compressed_facts(fuzz, tmp_path):
    corpus = [gzip.compress(one, mtime=0) for one in FACTS]
    fuzz(in_file(rows, tmp_path / "facts.tsv.gz"), corpus, says="facts.tsv.gz", mutation=mutated_gzip)


@pytest.mark.parametrize("normalize", ["none", "minmax", "log"])
def test_graphs(fuzz, tmp_path, normalize):
    def read(path) -> None:
        graph = read_graph(path, normalize=normalize, duplicates="max")
        for part in (graph.train, graph.valid, graph.test):
            assert ((part.confidence >= 0) & (part.confidence <= 1)).all()
            assert part.head.max(initial=0) < graph.num_entities

    corpus = [one.replace(b"\t0\n", b"\t0.1\n") for one in FACTS]
    fuzz(in_file(read, tmp_path / "graph.tsv"), corpus, says="graph.tsv")


PUBLISHED = {
    **dict.fromkeys(("train", "val", "test", "ndcg_test", "softlogic"), b"0\t0\t1\t0.5\n1\t0\t0\t1\n"),
    "test_with_neg": b"0\t0\t1\t0.5\n1\t0\t0\t1\n0\t0\t0\t0\n1\t0\t1\t0\n",
    "entities": b"0\ta\n1\tb\n",
    "relations": b"0\tr\n",
}


@pytest.mark.parametrize("damaged", ["train", "test_with_neg", "entities"])
def test_published_graphs(fuzz, tmp_path, damaged):
    data = unpinned(BENCHMARKS["ppi5k"])
    for name, content in PUBLISHED.items():
        path = data.directory(tmp_path) / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    reader = in_file(lambda path: data.load(tmp_path), data.directory(tmp_path) / f"{damaged}.tsv")
    fuzz(reader, [PUBLISHED[damaged]], says="ppi5k")


def test_calibrations(fuzz, tmp_path):
    keep_calibration(tmp_path, Calibration((0.0, 0.5, 1.0), (0.1, 0.5, 0.8)))
    valid = next(path for path in tmp_path.iterdir() if path.suffix == ".json")

    def read(path) -> None:
        assert np.isfinite(read_calibration(path)(np.linspace(0, 1, 5))).all()

    fuzz(in_file(read, tmp_path / "calibration" / "kept.json"), [valid.read_bytes()], says="kept.json")


def test_rules(fuzz):
    fuzz(
        as_text(parse_rule), [b"likes(A, B) & likes(B, C) -> likes(A, C)", b"2.5: knows(A, B) -> likes(B, A)"]
    )


@pytest.mark.parametrize("path", ["/confidence", "/complete"])
def test_requests(fuzz, tmp_path, path):
    (tmp_path / "graph.tsv").write_bytes(FACTS[0])
    graph = read_graph(tmp_path / "graph.tsv")
    completion = Completion(UKGE(graph.num_entities, graph.num_relations, 4, "rect"), graph)
    corpus = [
        b'{"facts": [["a", "r", "b"], ["c", "s", "a"]], "head": "a", "relation": "r", "k": 2}',
        b'{"facts": [], "relation": "s", "tail": "b", "new_only": true}',
    ]
    with server(completion, port=0, bounds=Bounds(body=10_000, facts=50, answers=10)) as listening:
        fuzz(posted(listening, path), corpus, allowed=())
