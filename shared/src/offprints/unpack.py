"""Safe extraction of named files from an archive that came over the network.

Nothing is written under a name that the archive chose: the caller says which files it wants and what they are to be
called. The archive is refused whole when any of its members, wanted or not, would be dangerous to a plain extractor,
because such an archive is not the official one.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from offprints.errors import CorruptFile, DataError, UnsafeArchive

UNPACKED_LIMIT = 16 * 2**30  # bytes; larger than any data set here, smaller than a disk
MEMBER_LIMIT = 200_000
CHUNK = 2**20
_HEADER_LIMIT = 16 * CHUNK  # a pax header is read into memory at once, whatever size it claims
_DECOMPRESS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile)


def unpack(
    archive: Path,
    names: Sequence[str],
    into: Path,
    *,
    members: Mapping[str, str] | None = None,
    limit: int = UNPACKED_LIMIT,
) -> dict[str, Path]:
    """Extract the files called `names` from a tar (plain, gz, bz2, xz) or zip archive.

    Args:
        names: relative paths below `into`. A name that the archive does not hold is left out of the answer.
        members: path in the archive -> name. Without it a name is found by the end of its path in the archive, and
            failing that by its last part; a member `train.txt.gz` stands for the name `train.txt`.
        limit: most bytes that all members together may declare.

    Returns:
        name -> path of the extracted file, `into / name` or the same with .gz. Every file is flushed to disk.

    Raises:
        UnsafeArchive: a member has an absolute path, a path with `..`, a backslash or a drive; is a link, device or
            sparse file; stands twice; or the archive unpacks to more than `limit` bytes.
        CorruptFile: the archive is truncated, damaged, encrypted or no archive at all.
        DataError: several members could be one of the names.
    """
    try:
        with _opened(archive) as opened:
            found = _checked(archive, opened, limit)
            chosen = {_find(archive, name, list(found), members): name for name in names}
            paths = {}
            # In the archive's order, so that a tar.gz is decompressed only once more.
            for path, member in found.items():
                if (name := chosen.get(path)) is None:
                    continue
                ending = ".gz" if path.endswith(".gz") and not name.endswith(".gz") else ""
                paths[name] = into / (name + ending)
                _copy(archive, member, paths[name])
            return paths
    except DataError:
        raise
    except DAMAGE as error:
        raise CorruptFile(f"{archive}: truncated or damaged archive ({_reason(error)})") from error
    # Encrypted, of an unknown compression, without a name, with a pax number that is none or too large.
    except (RuntimeError, NotImplementedError, IndexError, OverflowError, ValueError) as error:
        raise CorruptFile(f"{archive}: cannot be read ({_reason(error)})") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL) or error.filename is not None:
            raise  # the disk's, not the archive's
        raise CorruptFile(f"{archive}: damaged archive ({_reason(error)})") from error


@dataclass(frozen=True)
class _Member:
    name: str  # normalised: no leading ./
    size: int
    fault: str | None  # why it must not be unpacked
    open: Callable[[], IO[bytes]]


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    with archive.open("rb") as file:
        magic = file.read(6)
    if magic[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        with zipfile.ZipFile(archive) as zipped:
            yield (_zip_member(zipped, info) for info in zipped.infolist() if not info.is_dir())
        return
    decompress = next((opener for start, opener in _DECOMPRESS.items() if magic.startswith(start)), open)
    with (
        cast("IO[bytes]", decompress(archive, "rb")) as stream,
        tarfile.open(fileobj=cast("IO[bytes]", _Guarded(stream)), mode="r:") as tar,
    ):
        yield (_tar_member(tar, info) for info in tar if not info.isdir())


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    fault = None
    if info.issym() or info.islnk():
        fault = f"is a link to {info.linkname!r}"
    elif not info.isfile() or info.issparse():
        fault = "is not a plain file"
    elif info.size < 0:
        fault = "declares a negative size"
    return _Member(_normal(info.name), info.size, fault, lambda: cast("IO[bytes]", tar.extractfile(info)))


def _zip_member(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # Unix mode, 0 where the archive was made elsewhere
    fault = None
    if kind not in (0, stat.S_IFREG):
        fault = "is a link" if kind == stat.S_IFLNK else "is not a plain file"
    elif "\0" in info.orig_filename:
        fault = "has a name with a NUL byte"
    return _Member(_normal(info.filename), info.file_size, fault, lambda: zipped.open(info))


def _normal(name: str) -> str:
    return re.sub(r"^(\./+)+", "", name)


def _checked(archive: Path, members: Iterator[_Member], limit: int) -> dict[str, _Member]:
    found: dict[str, _Member] = {}
    total = 0
    for member in members:
        fault = member.fault or _path_fault(member.name)
        if fault is None and member.name in found:
            fault = "stands twice in the archive"
        if fault is not None:
            raise UnsafeArchive(f"{archive}: refused, its member {member.name!r} {fault}")
        total += member.size
        # Checked before the next header is sought, which would decompress this member.
        if total > limit:
            raise UnsafeArchive(f"{archive}: refused, it unpacks to more than the {limit:,} bytes allowed")
        found[member.name] = member
        if len(found) > MEMBER_LIMIT:
            raise UnsafeArchive(f"{archive}: refused, it has more than {MEMBER_LIMIT:,} members")
    return found


def _path_fault(name: str) -> str | None:
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in PurePosixPath(name).parts:
        return "leaves the folder through .."
    if "\\" in name:
        return "has a backslash in its path"
    return None


def _find(archive: Path, name: str, found: Sequence[str], members: Mapping[str, str] | None) -> str | None:
    if members is not None:
        return next(
            (member for member, target in members.items() if target == name and member in found), None
        )
    base = PurePosixPath(name).name
    ends = {f"/{name}", f"/{name}.gz"}
    by_path = [member for member in found if any(f"/{member}".endswith(end) for end in ends)]
    candidates = by_path or [m for m in found if PurePosixPath(m).name in (base, f"{base}.gz")]
    if len(candidates) > 1:
        raise DataError(
            f"{archive}: {name} could be any of {', '.join(sorted(candidates))}; declare its member"
        )
    return candidates[0] if candidates else None


def _copy(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, target.open("wb") as sink:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise UnsafeArchive(
                    f"{archive}: refused, {member.name!r} is larger than the size it declares"
                )
            sink.write(chunk)
        if left > 0:
            raise CorruptFile(f"{archive}: {member.name!r} ends {left:,} bytes early")
        sink.flush()
        os.fsync(sink.fileno())


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


class _Guarded(io.BufferedIOBase):
    """A stream that gives no more than _HEADER_LIMIT bytes at once.

    tarfile reads a long-name or pax header with one read of the size that the header claims.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _HEADER_LIMIT:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
