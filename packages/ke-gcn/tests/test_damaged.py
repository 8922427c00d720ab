"""Whatever a file of triples, pairs, labels or names holds, it is read, or refused with a message that names it.

`pytest packages/ke-gcn/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offprints.data import DataFile, Dataset
from offprints.fuzzing import in_file, unpinned

from ke_gcn.amsterdam import AM, read_am
from ke_gcn.datasets import load_folders, read_pairs
from ke_gcn.freebase import FB15K, read_fb15k
from ke_gcn.lines import integer_rows, numbered_names, utf8_lines


def put(dataset: Dataset, root, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        path = dataset.directory(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_rows_of_ids(fuzz):
    def read(content: bytes) -> None:
        found = integer_rows(content, "triples_1", 3)
        assert found.shape[1] == 3 and found.min(initial=0) >= 0 and found.dtype == np.int64

    fuzz(read, [b"0\t1\t2\n3\t0\t1\n", b"12\t0\t7", b""], says="triples_1")


def test_numbered_names(fuzz):
    def read(content: bytes) -> None:
        assert all(number >= 0 for number in numbered_names(content, "ent_ids_1"))

    fuzz(read, ["0\thttp://a/b\n12\té x\n".encode(), b""], says="ent_ids_1")


def test_lines(fuzz):
    fuzz(lambda content: utf8_lines(content, "a.txt"), ["a\nb\r\né\u2028c\n".encode()], says="a.txt")


def test_pairs(fuzz, tmp_path):
    def read(path) -> None:
        pairs = read_pairs(path)
        assert len({left for left, _ in pairs}) == len({right for _, right in pairs}) == len(pairs)

    fuzz(in_file(read, tmp_path / "seeds.txt"), [b"a\tA\nb c\tB\n", b"x\ty\r\n"], says="seeds.txt")


@pytest.mark.parametrize("damaged", ["left/train.txt", "seeds.txt"])
def test_folders(fuzz, tmp_path, damaged):
    content = {
        "left/train.txt": b"a\tr\tb\nb\tr\tc\n",
        "right/train.txt": b"A\tR\tB\nB\tR\tC\n",
        "seeds.txt": b"a\tA\nb\tB\n",
    }
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)

    def read(_) -> None:
        found = load_folders(tmp_path / "left", tmp_path / "right", tmp_path / "seeds.txt")
        assert found.triples.max() < max(found.num_entities, found.num_relations)

    fuzz(in_file(read, tmp_path / damaged), [content[damaged]], says="txt")


GRAPH = b"<a> <p> <b> .\n<c> <p> <a> .\n# a comment\n"
ROWS = b"id\tproxy\tlabel_cateogory\n1\ta\tX\n2\tb\tY\n"


@pytest.mark.parametrize("damaged", ["am_stripped.nt", "trainingSet.tsv"])
def test_amsterdam(fuzz, tmp_path, damaged):
    data = unpinned(AM)
    contents = {
        "am_stripped.nt": GRAPH,
        "trainingSet.tsv": ROWS,
        "testSet.tsv": ROWS.split(b"\n")[0] + b"\n3\tc\tX\n",
    }
    put(data, tmp_path, contents)

    def read(_) -> None:
        found = read_am(data, tmp_path)
        assert found.labelled.max(initial=0) < found.num_entities

    fuzz(in_file(read, data.directory(tmp_path) / damaged), [contents[damaged]], says="am")


@pytest.mark.parametrize(
    "damaged", ["train_entities.txt", "freebase_mtr100_mte100-train.txt", "entity2type.txt"]
)
def test_freebase(fuzz, tmp_path, damaged):
    data = replace(FB15K, files=tuple(DataFile(file.name) for file in FB15K.files))
    contents = {
        **{
            f"freebase_mtr100_mte100-{part}.txt": b"a\tr\tb\nb\ts\tc\n" for part in ("train", "valid", "test")
        },
        "train_entities.txt": b"a\nb\n",
        "test_entities.txt": b"c\n",
        "entity2type.txt": b"a\t/topic\t/x\nb\t/topic\nc\t/topic\t/y\n",
    }
    put(data, tmp_path, contents)

    def read(_) -> None:
        found, listed = read_fb15k(data, tmp_path)
        assert sum(listed) == len(found.labelled) and found.triples[:, [0, 2]].max() < found.num_entities

    fuzz(in_file(read, data.directory(tmp_path) / damaged), [contents[damaged]], says="fb15k")
