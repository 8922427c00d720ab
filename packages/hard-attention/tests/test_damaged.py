"""Whatever a formula, a file of weights or a corpus holds, it is read, or refused with a message that says where it is wrong.

`pytest packages/hard-attention/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offprints.data import DataFile
from offprints.fuzzing import as_text, in_file, mutated_zip, unpinned

from hard_attention import given_files
from hard_attention.datasets import ALTERNATING_BLOCKS, FORMAL_LANGUAGES
from hard_attention.formulas import nodes
from hard_attention.networks import GivenHead, GivenLayer, Network
from hard_attention.parsing import parse

PREFIX = [
    b"(S (Q a) (and (Q b) (not (P (Q c)))))",
    b"(le (+ (cl (Q a)) 3) (* -2 (call (Q b))))",
    b"(or (mod 1 3) (first) (last) (pred prime))",
]
INFIX = [b"a S (b & !P c)", b"cl(a) + 3 <= -2 * call(b)", b"first | H (a -> Y b)"]


def reads_back(syntax: str):
    def read(text: str) -> None:
        found = parse(text, syntax)
        assert parse(str(found), "prefix") is found
        assert nodes(found)

    return read


@pytest.mark.parametrize("syntax, corpus", [("prefix", PREFIX), ("infix", INFIX), ("auto", PREFIX + INFIX)])
def test_formulas(fuzz, syntax, corpus):
    fuzz(as_text(reads_back(syntax)), corpus)


def test_networks(fuzz, tmp_path):
    rng = np.random.default_rng(0)
    head = GivenHead(*(rng.normal(size=(2, 4)) for _ in range(2)), rng.normal(size=(4, 4)), "past")
    layer = GivenLayer((head,), rng.normal(size=(5, 4)), np.zeros(5), rng.normal(size=(4, 5)), np.zeros(4))
    path = tmp_path / "valid.npz"
    given_files.write(path, Network((layer,), "average"), [rng.normal(size=(3, 4))])

    def read(path):
        network, inputs = given_files.read(path)
        assert network.layers and all(np.isfinite(x).all() and x.ndim == 2 for x in inputs)

    fuzz(in_file(read, tmp_path / "given.npz"), [path.read_bytes()], says="given.npz", mutation=mutated_zip)


LANGUAGES = b'[{"name": "one", "sigma": "ab", "formula": "(Q a)"}, {"name": "dyck-1", "sigma": "ab", "formula": null}]'
STRINGS = b"language\tlength\tstring\tlabel\none\t3\taba\t1\none\t1\tb\t0\n"


@pytest.mark.parametrize("damaged", ["languages.json", "languages.tsv"])
def test_formal_languages(fuzz, tmp_path, damaged):
    data = unpinned(FORMAL_LANGUAGES)
    content = {
        "languages.json": LANGUAGES.replace(b', {"name": "dyck-1", "sigma": "ab", "formula": null}', b""),
        "languages.tsv": STRINGS,
    }
    for name, text in content.items():
        path = data.directory(tmp_path) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)

    def read(path):
        for part in data.corpus(tmp_path).parts:
            assert len(part.strings) == len(part.last)

    fuzz(in_file(read, data.directory(tmp_path) / damaged), [content[damaged]], says="languages.")


@pytest.mark.parametrize("damaged", ["L3_0_to_50_src.txt", "L3_0_to_50_tgt.txt"])
def test_alternating_blocks(fuzz, tmp_path, damaged):
    files = tuple(DataFile(f"L3_0_to_50_{part}.txt") for part in ("src", "tgt"))
    data = replace(ALTERNATING_BLOCKS, files=files)
    content = {files[0].name: b"aab\nba\n", files[1].name: b"001\n01\n"}
    for name, text in content.items():
        path = data.directory(tmp_path) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)

    def read(path):
        for part in data.corpus(tmp_path).parts:
            assert [len(one) for one in part.strings] == [len(one) for one in part.every]

    fuzz(in_file(read, data.directory(tmp_path) / damaged), [content[damaged]], says="L3_0_to_50_")
