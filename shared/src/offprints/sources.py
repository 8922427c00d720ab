"""The official addresses of a data set's files: archives and single files, downloaded with pooch."""

from __future__ import annotations

import ftplib
import hashlib
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from offprints.errors import ChecksumMismatch, FetchFailed
from offprints.unpack import CHUNK, UNPACKED_LIMIT, unpack

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Archive:
    """An official tar or zip archive.

    Attributes:
        members: path in the archive -> DataFile.name; None finds each file by the end of its path.
        sha256: of the archive itself, checked before it is opened.
        unpacked_limit: most bytes it may unpack to.
    """

    url: str
    members: Mapping[str, str] | None = None
    sha256: str | None = None
    unpacked_limit: int = UNPACKED_LIMIT

    def gives(self, name: str) -> bool:
        """Whether the file called `name` may be in it; without `members` only the archive can tell."""
        return self.members is None or name in self.members.values()

    def obtain(
        self, names: Sequence[str], into: Path, scratch: Path, progress: Any = None
    ) -> dict[str, Path]:
        """Download it into `scratch` and unpack the named files below `into`.

        Returns:
            name -> path, without the names that it does not hold.

        Raises:
            FetchFailed: the server does not give it.
            ChecksumMismatch: it is not the official archive.
            CorruptFile: it cannot be unpacked.
            UnsafeArchive: unpacking it would write outside `into`, or too much.
        """
        archive = _download(self.url, scratch, progress)
        _check(self.url, archive, self.sha256)
        return unpack(archive, names, into, members=self.members, limit=self.unpacked_limit)


@dataclass(frozen=True)
class Url:
    """An official address of one file, plain or gzip.

    Attributes:
        name: the DataFile.name that it gives.
        sha256: of what is downloaded (compressed, where it is); usually the DataFile's own checksum is enough.
    """

    url: str
    name: str
    sha256: str | None = None

    def gives(self, name: str) -> bool:
        """Whether it is the file called `name`."""
        return name == self.name

    def obtain(
        self, names: Sequence[str], into: Path, scratch: Path, progress: Any = None
    ) -> dict[str, Path]:
        """Download it below `into`, under the name's .gz form where the content is gzip.

        Raises:
            FetchFailed: the server does not give it.
            ChecksumMismatch: it is not the official file.
        """
        downloaded = _download(self.url, scratch, progress)
        _check(self.url, downloaded, self.sha256)
        # By the content, not the address: servers that declare a Content-Encoding have it unpacked on the way.
        with downloaded.open("rb") as file:
            packed = file.read(2) == _GZIP_MAGIC and not self.name.endswith(".gz")
        path = into / (self.name + (".gz" if packed else ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(downloaded, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return {self.name: path}


Source: TypeAlias = Archive | Url


def _download(url: str, scratch: Path, progress: Any) -> Path:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    import pooch  # these two take a tenth of a second, and few runs download
    import requests

    downloaders = {"http": pooch.HTTPDownloader, "https": pooch.HTTPDownloader, "ftp": pooch.FTPDownloader}
    if parts.scheme not in downloaders:
        raise FetchFailed(f"{url}: unknown kind of address, expected one of {', '.join(downloaders)}, file")
    path = scratch / "download"
    try:
        # Not pooch.retrieve: what counts is the content inside, and it tells the reader to pin what was downloaded.
        downloaders[parts.scheme](progressbar=progress or False)(url, str(path), None)
    except (
        requests.RequestException,
        ftplib.Error,
        EOFError,
        ConnectionError,
        TimeoutError,
        socket.gaierror,
    ) as error:
        raise FetchFailed(f"{url}: download failed ({type(error).__name__}: {error})") from error
    return path


def _check(url: str, path: Path, expected: str | None) -> None:
    if expected is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise ChecksumMismatch(f"{url}: sha256 of the download is {digest.hexdigest()}, expected {expected}")
