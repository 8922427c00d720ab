"""What a file of a data set holds, whether it lies plain or as `<name>.gz`: finding, opening, digesting, installing it."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from offprints.errors import CorruptFile, InputError, MalformedLine, MissingFile, UnsafeArchive
from offprints.unpack import CHUNK, UNPACKED_LIMIT


@dataclass(frozen=True)
class Content:
    """Size, checksums and line count of a file's uncompressed content."""

    size: int
    sha256: str
    md5: str
    lines: int


def find(folder: Path, name: str) -> Path | None:
    """`folder/name` or `folder/name.gz`, the plain one first; None where neither is a file."""
    return next((path for path in _forms(folder, name) if path.is_file()), None)


def open_content(path: Path, name: str) -> BinaryIO:
    """The uncompressed content of the file called `name` that lies at `path`."""
    # A file whose own name ends in .gz is content as it is.
    compressed = path.name != Path(name).name and path.suffix == ".gz"
    return cast("BinaryIO", gzip.open(path, "rb")) if compressed else path.open("rb")


def read_content(path: Path, name: str, declared_size: int | None = None) -> Content:
    """Digest a file; the answer is kept in memory until the file's size, time or inode changes.

    Args:
        declared_size: reading stops once the content is longer, so that a bomb is not read to its end.

    Raises:
        CorruptFile: a gzip file is truncated or damaged.
        UnsafeArchive: a gzip file of undeclared size unpacks to more than UNPACKED_LIMIT.
    """
    status = path.stat()
    return _digest(path.absolute(), name, declared_size, (status.st_ino, status.st_size, status.st_mtime_ns))


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Say of which file it is that unpacking gzip failed.

    Raises:
        CorruptFile: the block found a truncated or damaged gzip file.
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptFile(f"{path}: truncated or damaged gzip file ({error})") from error


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, plain or, by its name, gzip.

    Raises:
        MissingFile: there is no such file.
        CorruptFile: it is a truncated or damaged gzip file.
        MalformedLine: a line is not UTF-8.
    """
    try:
        with unpacking(path):
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise MissingFile(f"no file {path}") from None
    return decoded(raw, path)


def decoded(raw: bytes, path: str | Path) -> str:
    """The text of bytes in UTF-8.

    Args:
        raw: content of a file.
        path: of the file, for messages.

    Raises:
        MalformedLine: a line is not UTF-8.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise MalformedLine(path, line, f"not UTF-8 at byte {error.start}") from None


def parse_json(text: str | bytes, name: str | Path) -> Any:
    """What a JSON text says.

    Args:
        text: of a file or request.
        name: of it, for messages.

    Raises:
        InputError: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: this is no JSON: {error}") from error


def csv_rows(text: str, path: str | Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text that are not empty, each with the number of the line that it ends in.

    Args:
        text: of the file.
        path: of the file, for messages.
        delimiter: between fields.

    Raises:
        MalformedLine: a field is longer than csv allows, or a row cannot be read.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        raise MalformedLine(path, rows.line_num, str(error)) from error


def install(path: Path, folder: Path, name: str) -> None:
    """Move a checked file to its place below `folder`, whole or not at all, and remove its other form."""
    plain, packed = _forms(folder, name)
    target, other = (packed, plain) if path.name != Path(name).name else (plain, packed)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, target)
    other.unlink(missing_ok=True)  # it was missing or wrong, and a plain form would hide the new one
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut
    finally:
        os.close(directory)


@functools.lru_cache(maxsize=4096)
def _digest(path: Path, name: str, declared_size: int | None, _state: tuple[int, ...]) -> Content:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size = lines = 0
    last = b"\n"
    try:
        with open_content(path, name) as stream:
            while chunk := stream.read(CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
                lines += chunk.count(b"\n")
                last = chunk[-1:]
                if declared_size is not None and size > declared_size:
                    break
                if declared_size is None and path.suffix == ".gz" and size > UNPACKED_LIMIT:
                    raise UnsafeArchive(f"{path}: refused, it unpacks to more than {UNPACKED_LIMIT:,} bytes")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CorruptFile(
            f"{path}: truncated or damaged gzip file, after {size:,} bytes ({error})"
        ) from error
    return Content(size, sha256.hexdigest(), md5.hexdigest(), lines + (last != b"\n"))


def _forms(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / name, folder / f"{name}.gz"
