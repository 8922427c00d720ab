"""Readers of the files that image data sets are published in: IDX (MNIST, Fashion-MNIST) and CIFAR's binary records.

Both check what they can before they believe it: magic numbers, lengths, label ranges. Nothing here unpickles; the archives of
pickled batches are refused with the name of the one to take.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offprints.content import open_content, unpacking
from offprints.errors import CorruptFile, DataError, MissingFile
from offprints.unpack import unpack

IMAGES_MAGIC, LABELS_MAGIC = 0x00000803, 0x00000801
PIXELS = 3 * 32 * 32
CIFAR_LABELS = {"cifar10": (1, 10), "cifar100": (2, 100)}
"""Label bytes before the pixels, of which the last is the class, and how many classes there are."""

Bytes = NDArray[np.uint8]


def read_idx_images(content: bytes, origin: str = "images") -> Bytes:
    """(N, 1, rows, columns) uint8 of an IDX file of images.

    Args:
        content: the uncompressed file.
        origin: its name, for messages.

    Raises:
        DataError: it is no such file.
        CorruptFile: its length is not what its header says.
    """
    count, rows, columns = _header(content, IMAGES_MAGIC, 4, origin)
    body = _body(content, 16, count * rows * columns, origin)
    return body.reshape(count, 1, rows, columns)


def read_idx_labels(content: bytes, origin: str = "labels") -> NDArray[np.int64]:
    """(N,) int64 of an IDX file of labels; arguments and errors as `read_idx_images`."""
    (count,) = _header(content, LABELS_MAGIC, 2, origin)
    return _body(content, 8, count, origin).astype(np.int64)


def read_idx(images: bytes, labels: bytes, origin: str = "IDX files") -> tuple[Bytes, NDArray[np.int64]]:
    """Images and their labels.

    Raises:
        DataError, CorruptFile: a file is wrong, or the two do not belong together.
    """
    pixels, classes = (
        read_idx_images(images, f"{origin}, images"),
        read_idx_labels(labels, f"{origin}, labels"),
    )
    if len(pixels) != len(classes):
        raise DataError(f"{origin}: {len(pixels)} images, but {len(classes)} labels")
    return pixels, classes


def read_cifar_records(
    content: bytes, kind: str = "cifar10", origin: str = "records"
) -> tuple[Bytes, NDArray[np.int64]]:
    """(N, 3, 32, 32) uint8 and (N,) int64 of CIFAR's binary version; any number of records.

    Args:
        content: the uncompressed file.
        kind: "cifar10", or "cifar100" whose records begin with a coarse and a fine label; the fine one is read.
        origin: its name, for messages.

    Raises:
        CorruptFile: the length is no multiple of a record's.
        DataError: a label is out of range, which the wrong `kind` gives, too.
    """
    num_labels, classes = CIFAR_LABELS[kind]
    size = num_labels + PIXELS
    if not content or len(content) % size:
        raise CorruptFile(
            f"{origin}: {len(content)} bytes are not a whole number of {kind} records of {size} bytes"
        )
    table = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = table[:, num_labels - 1].astype(np.int64)
    coarse = table[:, 0] if num_labels == 2 else None
    if labels.max() >= classes or (coarse is not None and coarse.max() >= 20):
        row = int(np.argmax((labels >= classes) if coarse is None else (labels >= classes) | (coarse >= 20)))
        raise DataError(
            f"{origin}: record {row} has labels {table[row, :num_labels].tolist()}, out of range for {kind}"
        )
    return table[:, num_labels:].reshape(-1, 3, 32, 32).copy(), labels


def read_cifar(
    path: str | Path, kind: str = "cifar10"
) -> tuple[tuple[Bytes, NDArray[np.int64]], tuple[Bytes, NDArray[np.int64]]]:
    """Training and test records of a folder of .bin or .bin.gz files, or of the official archive of the binary version.

    Args:
        path: the folder or the .tar.gz.
        kind: "cifar10" or "cifar100".

    Raises:
        MissingFile: there is no such path, or no training or test records in it.
        DataError: it is the archive of pickled batches, or a label is out of range.
        CorruptFile: a file is truncated or damaged.
        UnsafeArchive: the archive holds what no official one does.
    """
    path = Path(path)
    if path.is_dir():
        return _cifar_folder(path, kind)
    if not path.is_file():
        raise MissingFile(f"no folder or archive {path} of {kind}")
    names = _file_names(kind)
    pickled = ["data_batch_1", "train"]
    with tempfile.TemporaryDirectory(prefix="offprints-cifar-") as scratch:
        found = unpack(path, [*names, *pickled], Path(scratch))
        if not any(name in found for name in names) and any(name in found for name in pickled):
            raise DataError(
                f"{path} holds pickled batches, which are not loaded: take the binary version, "
                f"{kind.replace('cifar', 'cifar-')}-binary.tar.gz"
            )
        return _cifar_folder(Path(scratch), kind, str(path))


def _file_names(kind: str) -> list[str]:
    if kind == "cifar100":
        return ["train.bin", "test.bin"]
    return [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


def _cifar_folder(
    folder: Path, kind: str, shown: str | None = None
) -> tuple[tuple[Bytes, NDArray[np.int64]], tuple[Bytes, NDArray[np.int64]]]:
    *train, test = _file_names(kind)
    parts: dict[str, list[tuple[Bytes, NDArray[np.int64]]]] = {"train": [], "test": []}
    for name in (*train, test):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                with unpacking(path), open_content(path, name) as stream:
                    content = stream.read()
                parts["test" if name == test else "train"].append(
                    read_cifar_records(content, kind, str(path))
                )
                break
    for split, names in (("train", train), ("test", [test])):
        if not parts[split]:
            raise MissingFile(
                f"{shown or folder} has no {split} records of {kind}: {', '.join(names)} (or .gz)"
            )
    pixels, labels = zip(*parts["train"], strict=True)
    return (np.concatenate(pixels), np.concatenate(labels)), parts["test"][0]


def _header(content: bytes, magic: int, numbers: int, origin: str) -> tuple[int, ...]:
    if len(content) < 4 * numbers:
        raise CorruptFile(f"{origin}: {len(content)} bytes are too few for the header of an IDX file")
    found, *sizes = struct.unpack(f">{numbers}i", content[: 4 * numbers])
    if found != magic:
        raise DataError(f"{origin}: the magic number is 0x{found & 0xFFFFFFFF:08x}, expected 0x{magic:08x}")
    if any(size < 0 for size in sizes):
        raise CorruptFile(f"{origin}: the header says {sizes}, and sizes are not negative")
    return tuple(sizes)


def _body(content: bytes, start: int, length: int, origin: str) -> Bytes:
    if len(content) != start + length:
        raise CorruptFile(f"{origin}: {len(content)} bytes, but its header says {start + length}")
    return np.frombuffer(content, np.uint8, offset=start).copy()
