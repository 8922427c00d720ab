"""A small declared data set and its archive, which the tests of data, fetching and the command share."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from offprints.data import Archive, DataFile, Dataset

TRAIN = b"".join(b"head%d\trel\ttail%d\n" % (i, i * 7919 % 10_007) for i in range(20_000))
TEST = b"a\trel\tb\nc\trel\td"


def pinned(name: str, text: bytes) -> DataFile:
    return DataFile(name, hashlib.sha256(text).hexdigest(), len(text))


TOY = Dataset(
    name="toy",
    title="Toy facts",
    licence="CC0",
    citation="none",
    files=(pinned("train.txt", TRAIN), pinned("test.txt", TEST)),
    sources=(Archive("https://example.org/toy.tar.gz"),),
)


def lay(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, text in files.items():
        path = root / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return root


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"toy/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


WHOLE = tar_gz({"train.txt": TRAIN, "test.txt": TEST})
