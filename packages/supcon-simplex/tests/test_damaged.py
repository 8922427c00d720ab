"""Whatever a file of images or rows holds, it is read, or refused with a message that names it.

`pytest packages/supcon-simplex/tests/test_damaged.py --fuzz 10000` is the full size.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

import numpy as np
import pytest

from offprints.fuzzing import in_file, mutated_gzip, mutated_zip

from supcon_simplex.own_files import read_rows, read_splits
from supcon_simplex.records import PIXELS, read_cifar, read_cifar_records, read_idx_images, read_idx_labels

IMAGES = struct.pack(">4i", 0x803, 2, 2, 3) + bytes(range(12))
LABELS = struct.pack(">2i", 0x801, 3) + bytes([0, 1, 9])


def test_idx_images(fuzz):
    fuzz(lambda content: read_idx_images(content, "train"), [IMAGES], says="train")


def test_idx_labels(fuzz):
    fuzz(lambda content: read_idx_labels(content, "train"), [LABELS], says="train")


@pytest.mark.parametrize("kind, labels", [("cifar10", [3]), ("cifar100", [3, 40])])
def test_cifar_records(fuzz, kind, labels):
    def read(content: bytes) -> None:
        images, classes = read_cifar_records(content, kind, "batch")
        assert len(images) == len(classes) and classes.max() < (10 if kind == "cifar10" else 100)

    fuzz(read, [(bytes(labels) + bytes(PIXELS)) * 2], says="batch")


def test_folders_of_cifar(fuzz, tmp_path):
    (tmp_path / "test.bin").write_bytes(bytes([3, 40]) + bytes(PIXELS))
    packed = gzip.compress((bytes([3, 40]) + bytes(PIXELS)) * 2, mtime=0)
    reader = in_file(lambda path: read_cifar(path.parent, "cifar100"), tmp_path / "train.bin.gz")
    fuzz(reader, [packed], says="train.bin.gz", mutation=mutated_gzip)


def test_archives_of_cifar(fuzz, tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ("train.bin", "test.bin"):
            info = tarfile.TarInfo(f"cifar-100-binary/{name}")
            info.size = 2 + PIXELS
            archive.addfile(info, io.BytesIO(bytes([3, 40]) + bytes(PIXELS)))
    reader = in_file(lambda path: read_cifar(path, "cifar100"), tmp_path / "cifar.tar.gz")
    fuzz(reader, [stream.getvalue()], mutation=mutated_gzip)


def sound(path) -> None:
    splits = read_splits(path)
    for part in (splits.train, splits.test):
        assert np.isfinite(part.inputs).all() and part.labels.max() < part.num_classes
    assert len(read_rows(path))


def arrays(**found) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **found)
    return stream.getvalue()


def test_arrays(fuzz, tmp_path):
    x = np.arange(12.0).reshape(6, 2)
    corpus = [
        arrays(x=x, y=np.array([0, 1, 0, 1, 0, 1])),
        arrays(
            x=x.reshape(6, 1, 1, 2),
            y=np.array(list("ababab")),
            x_test=x[:2].reshape(2, 1, 1, 2),
            y_test=np.array(["a", "b"]),
        ),
    ]
    fuzz(in_file(sound, tmp_path / "rows.npz"), corpus, says="rows.npz", mutation=mutated_zip)


@pytest.mark.parametrize("name, tab", [("rows.csv", b","), ("rows.tsv", b"\t")])
def test_tables(fuzz, tmp_path, name, tab):
    corpus = [
        b"a,b,label\n" + b"1,2.5,x\n0,-1,y\n" * 3,
        b"a,label,split\n1,x,train\n2,y,train\n3e-2,x,test\n",
    ]
    fuzz(in_file(sound, tmp_path / name), [one.replace(b",", tab) for one in corpus], says=name)
