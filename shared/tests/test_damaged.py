"""Whatever a file, an archive, a checkpoint or a request holds, it is read, or refused with a message that names it.

`pytest shared/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import HydraException
from omegaconf import OmegaConf

from offprints import checkpoint
from offprints.content import read_content
from offprints.data import load_npz
from offprints.errors import InputError
from offprints.fuzzing import Client, as_text, in_file, mutated, mutated_gzip, mutated_zip, posted
from offprints.metrics import read_metrics
from offprints.overrides import STORED, override_keys, resumed
from offprints.paper import Paper, comparison, to_markdown
from offprints.results import read_result
from offprints.run import RunConfig
from offprints.serving import json_server
from offprints.trained import options_of_run
from offprints.triples import KnowledgeGraph, read_columns
from offprints.unpack import unpack

Fuzz = Callable[..., Any]
TRIPLES = [b"a\tr\tb\nb\tr\ta\n", "Ä b\t_x\tc\r\n/m/01\ty\t00123\r\n".encode(), b"a\tr\tb"]


def columns(path: Path) -> None:
    heads, relations, tails = read_columns(path)
    assert len(heads) == len(relations) == len(tails)
    assert all(not set(name) & set("\t\n") and name for name in [*heads, *relations, *tails])


def test_triples(fuzz: Fuzz, tmp_path: Path) -> None:
    fuzz(in_file(columns, tmp_path / "train.txt"), TRIPLES, says="train.txt")


def test_compressed_triples(fuzz: Fuzz, tmp_path: Path) -> None:
    packed = [gzip.compress(one) for one in TRIPLES]
    fuzz(in_file(columns, tmp_path / "train.txt.gz"), packed, says="train.txt.gz", mutation=mutated_gzip)


def test_a_folder_of_triples(fuzz: Fuzz, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(TRIPLES[0])

    def graph(path: Path) -> None:
        found = KnowledgeGraph.from_folder(path.parent)
        assert len(found.all_triples) == len(found.train) + len(found.valid)
        assert found.all_triples.head.max() < found.num_entities
        assert len(found.fingerprint) == 16

    fuzz(in_file(graph, tmp_path / "valid.txt"), TRIPLES, says="valid.txt")


def test_compressed_content(fuzz: Fuzz, tmp_path: Path) -> None:
    def content(path: Path) -> None:
        read_content.__globals__["_digest"].cache_clear()
        read_content(path, "a.txt")

    packed = [gzip.compress(b"a\nb\n" * 1000), gzip.compress(b"")]
    fuzz(in_file(content, tmp_path / "a.txt.gz"), packed, says="a.txt.gz", mutation=mutated_gzip)


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_npz(fuzz: Fuzz, tmp_path: Path) -> None:
    corpus = [
        npz(a=np.arange(6).reshape(2, 3), b=np.array("x")),
        npz(a=np.eye(2, dtype=np.float32), b=np.array([True])),
    ]
    reader = in_file(lambda path: load_npz(path, ["a", "b"]), tmp_path / "a.npz")
    fuzz(reader, corpus, says="a.npz", mutation=mutated_zip)


def archives(**members: bytes) -> dict[str, bytes]:
    """The members as a tar, a tar.gz, a tar.xz and a zip."""
    found = {}
    for mode in ("w", "w:gz", "w:xz"):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=mode) as tar:  # type: ignore[call-overload]
            for name, content in members.items():
                info = tarfile.TarInfo(f"set/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        found[mode] = stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(f"set/{name}", content)
    return {**found, "zip": stream.getvalue()}


@pytest.mark.parametrize("kind", ["w", "w:gz", "w:xz", "zip"])
def test_archives(fuzz: Fuzz, tmp_path: Path, kind: str) -> None:
    outside = sorted(tmp_path.iterdir())

    def unpacked(path: Path) -> None:
        for name, target in unpack(path, ["train", "test"], tmp_path / "out", limit=10**7).items():
            assert target.parent == tmp_path / "out" and target.name.startswith(name)

    corpus = [
        archives(train=b"a\tr\tb\n" * 50, test=b"")[kind],
        archives(**{"train.gz": b"x", "b" * 120: b"y"})[kind],
    ]
    mutation = {"w": mutated, "zip": mutated, "w:gz": mutated_gzip, "w:xz": mutated}[kind]
    fuzz(in_file(unpacked, tmp_path / "archive"), corpus, says="archive", mutation=mutation)
    assert {path.name for path in tmp_path.iterdir()} - set(outside) <= {"archive", "out"}


PAPER = b"""
slug = "conve"
title = "A"
authors = ["B", "C"]
venue = "AAAI"
year = 2018
claim = "D."
[[value]]
table = "Table 3"
experiment = "wn18rr"
dataset = "WN18RR"
metric = "test/mrr"
value = 0.43
better = [{ value = 0.44, source = "E" }]
[[not_run]]
experiment = "yago"
reason = "F"
"""


def test_paper_toml(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        paper = Paper.read(path)
        assert all(math.isfinite(value.value) for value in paper.values)
        to_markdown(comparison(paper, []))

    fuzz(in_file(read, tmp_path / "paper.toml"), [PAPER], says="paper.toml")


def results() -> list[bytes]:
    record: dict[str, Any] = {
        "package": "conve", "version": "0.1.0", "experiment": "wn18rr", "task": "train",
        "dataset": {"name": "wn18rr", "sha256": {"train.txt": "00"}}, "seed": 1,
        "metrics": {"test/mrr": 0.4, "test/mr": None}, "config": {"dim": 3}, "commit": None,
        "hardware": {"cpu": "x", "threads": 1, "gpu": None}, "seconds": 1.5, "peak_memory_mb": 100.0,
        "command": "conve experiment=wn18rr seed=1", "versions": {"python": "3.11"},
    }  # fmt: skip
    return [json.dumps(record).encode(), json.dumps({**record, "dataset": None, "seed": 2}).encode()]


def test_results_json(fuzz: Fuzz, tmp_path: Path) -> None:
    paper = Path(tmp_path / "paper.toml")
    paper.write_bytes(PAPER)
    reported = Paper.read(paper)

    def read(path: Path) -> None:
        to_markdown(comparison(reported, [read_result(path)]))

    fuzz(in_file(read, tmp_path / "results.json"), results(), says="results.json")


def test_metrics_csv(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        _, rows = read_metrics(path)
        assert all(abs(int(row["step"])) < 10**18 and float(row["seconds"]) >= 0 for row in rows)

    corpus = [b"step,seconds,valid/mrr\n1,0.5,0.25\n2,1.5,\n", b'step,seconds,"a,b"\n', b""]
    fuzz(in_file(read, tmp_path / "metrics.csv"), corpus, says="metrics.csv")


@dataclass
class Model:
    dim: int = 3
    rates: list[float] = field(default_factory=lambda: [0.1])


@dataclass
class Options(RunConfig):
    model: Model = field(default_factory=Model)


def test_options_of_a_run(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        assert isinstance(options_of_run(path.parent, Options).model.dim, int)

    corpus = [OmegaConf.to_yaml(OmegaConf.structured(Options(seed=seed))).encode() for seed in (1, 2)]
    fuzz(in_file(read, tmp_path / "config.yaml"), corpus, says="config.yaml")


def test_stored_options(fuzz: Fuzz, tmp_path: Path) -> None:
    reader = in_file(lambda path: resumed([f"resume={tmp_path}"], False), tmp_path / STORED)
    corpus = [b"- seed=1\n- model.dim=3\n", b"[]\n", b"- experiment=wn18rr\n- 'model.name=\"a b\"'\n"]
    fuzz(reader, corpus, says=STORED)


def test_options_that_are_typed(fuzz: Fuzz) -> None:
    corpus = [b"seed=1", b"model.rates=[0.1,0.2]", b"+a.b={c: 'd e', f: null}", b"~task", b"seed=range(1,3)"]
    fuzz(as_text(lambda text: override_keys([text])), corpus, allowed=(InputError, HydraException))


def saved(tmp_path: Path, **state: object) -> bytes:
    path = tmp_path / "saved.ckpt"
    checkpoint.save(path, state, "conve", "0" * 16, step=3, metric=0.5)
    return path.read_bytes()


def test_checkpoints(fuzz: Fuzz, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        found = checkpoint.load(path, "conve")
        assert isinstance(found.state, dict) and isinstance(found.step, int)
        assert found.metric is None or isinstance(found.metric, float)

    corpus = [
        saved(tmp_path, model={"weight": torch.arange(6.0).reshape(2, 3)}, lr=0.1),
        saved(tmp_path, model={"bias": torch.zeros(1, dtype=torch.int64)}, rng=(1, "x", None)),
    ]
    fuzz(in_file(read, tmp_path / "last.ckpt"), corpus, says="last.ckpt", mutation=mutated_zip)


def test_requests(fuzz: Fuzz) -> None:
    def double(asked: dict[str, Any]) -> dict[str, Any]:
        if type(asked.get("number")) is not int:
            raise InputError("number has to be a whole number")
        return {"number": 2 * asked["number"], "notes": len(str(asked.get("note")))}

    def ask(sent: bytes) -> None:
        client = Client(sent)
        listening.RequestHandlerClass(client, ("127.0.0.1", 1), listening)  # type: ignore[arg-type]
        # Nothing, to who said nothing; an error page, which is its own end, where not even the version was said.
        begins = (b"HTTP/1.", b"{", b"<!DOCTYPE")
        assert not client.answer or client.answer.startswith(begins), client.answer[:200]
        assert b"Traceback" not in client.answer

    body = b'{"number": 3, "note": "a"}'
    post = b"POST /double HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with json_server("127.0.0.1", 0, {"/double": double}, health={"ready": True}) as listening:
        fuzz(ask, [post, post + post, b"GET /health HTTP/1.0\r\n\r\n"], allowed=())


def test_bodies_of_requests(fuzz: Fuzz) -> None:
    corpus = [b'{"text": "a", "numbers": [1, 2.5, null]}', b'{"a": {"b": [[], {}]}}']
    with json_server(
        "127.0.0.1", 0, {"/same": lambda asked: {"asked": sorted(asked)}}, health={}
    ) as listening:
        fuzz(posted(listening, "/same"), corpus, allowed=())
