"""Arrays from .npz files of anybody's: nothing is unpickled, and no header is believed about a size that the file cannot have."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from offprints.errors import CorruptFile, DataError, MissingFile
from offprints.unpack import CHUNK, DAMAGE

_DEFLATED = 1032  # times: the most that deflate packs
_NEVER = "not a plain .npz file; pickled objects are never loaded"


def load_npz(path: str | Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file (those called `names`, or all), never unpickling.

    No more memory is taken than the arrays need, and that is at most 1032 times the size of the file.

    Raises:
        MissingFile: there is no such file.
        DataError: it is no .npz file, holds pickled objects, or lacks one of `names`.
        CorruptFile: it is truncated or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(npy.MAGIC_PREFIX))
        if start == npy.MAGIC_PREFIX:
            raise DataError(f"{path}: a single array, expected an .npz file of named arrays")
        if start and start[:4] not in (b"PK\3\4", b"PK\5\6"):
            raise DataError(f"{path}: {_NEVER}")
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if absent := [name for name in names or () if name not in members]:
                raise DataError(f"{path}: no array {', '.join(absent)} in it, only {', '.join(members)}")
            chosen = members if names is None else names
            return {name: _array(archive, members[name], f"{path}: {name}") for name in chosen}
    except FileNotFoundError:
        raise MissingFile(f"no file {path}") from None
    except DataError:
        raise
    # An OSError with a file's name is the disk's; zipfile's own, for a member outside the file, has none.
    except (*DAMAGE, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise CorruptFile(f"{path}: truncated or damaged .npz file ({error})") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str) -> NDArray[Any]:
    if info.file_size > _DEFLATED * info.compress_size + CHUNK:
        raise CorruptFile(
            f"{place}: {info.compress_size:,} bytes cannot unpack to the {info.file_size:,} they claim"
        )
    with archive.open(info) as stream:
        shape, in_columns, kind = _header(stream, place)
        if kind.hasobject:
            raise DataError(f"{place}: {_NEVER}")
        if kind.kind == "V":
            raise DataError(f"{place}: rows of type {kind}, expected numbers or strings")
        size, there = math.prod(shape) * kind.itemsize, info.file_size - stream.tell()
        if min(shape, default=0) < 0 or size != there:
            raise CorruptFile(f"{place}: {there:,} bytes are no array of shape {shape} and type {kind}")
        found = np.empty(math.prod(shape), kind)
        left = found.view(np.uint8) if size else np.empty(0, np.uint8)
        while chunk := stream.read(CHUNK):
            left[: len(chunk)] = np.frombuffer(chunk, np.uint8)
            left = left[len(chunk) :]
        if len(left):
            raise CorruptFile(f"{place}: ends {len(left):,} bytes early")
    if kind.kind == "U" and not _is_text(found):
        raise CorruptFile(f"{place}: characters that Unicode has not")
    return found.reshape(shape, order="F" if in_columns else "C")


def _is_text(found: NDArray[Any]) -> bool:
    """Whether strings have the code points of characters only: Python ends in a SystemError at what is beyond."""
    points = found.view(np.dtype(np.uint32).newbyteorder(found.dtype.byteorder))
    surrogates = (points >= 0xD800) & (points < 0xE000)  # of UTF-16, which no text in UTF-8 can have
    return not ((points > 0x10FFFF) | surrogates).any()


def _header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        return read(stream)
    except MemoryError:
        raise
    except Exception as error:  # numpy evaluates a literal, which may end in many ways
        raise CorruptFile(
            f"{place}: not the header of an array of numbers ({type(error).__name__})"
        ) from error
