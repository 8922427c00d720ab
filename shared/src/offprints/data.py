"""Data sets: what files they have, where they lie, and how to get them from their official source.

A package declares its data sets and registers them under the entry point group `offprints.datasets`:

    UMLS = Dataset(
        name="umls",
        title="UMLS semantic network",
        licence="MIT",
        citation="Kok and Domingos 2007; split of Dettmers et al. 2018",
        files=(DataFile("train.txt", sha256="...", size=...), ...),
        sources=(Archive("https://.../umls.tar.gz"),),
    )
    paths = UMLS.locate()  # {"train.txt": Path(...), ...}

Files lie under `<root>/<folder>/<name>`, plain or as `<name>.gz`; the root is $OFFPRINTS_DATA, else the user's cache.
Checksums and sizes are always those of the uncompressed content, so both forms answer to one declaration. Nothing here
unpickles.
"""

from __future__ import annotations

import difflib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from offprints.content import Content, find, install, open_content, read_content
from offprints.errors import (
    ChecksumMismatch,
    CorruptFile,
    DataError,
    FetchFailed,
    MalformedLine,
    MissingFile,
    UnsafeArchive,
)
from offprints.npz import load_npz
from offprints.sources import Archive, Source, Url

__all__ = [
    "Archive",
    "ChecksumMismatch",
    "CorruptFile",
    "DataError",
    "DataFile",
    "Dataset",
    "FetchFailed",
    "MalformedLine",
    "MissingFile",
    "UnsafeArchive",
    "Url",
    "data_root",
    "dataset",
    "datasets",
    "load_npz",
]

ENTRY_POINTS = "offprints.datasets"
_SCRATCH = ".partial-"
_STALE_SECONDS = 24 * 3600
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataFile:
    """One file of a data set; every number is of the uncompressed content.

    Attributes:
        name: path below the data set's folder, such as "train.txt".
        sha256, size, md5, lines: what the content must be; None is not checked. Old data sets are published with an
            md5 or a line count only, and `pinning` says so.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    md5: str | None = None
    lines: int | None = None

    def __post_init__(self) -> None:
        _require_relative(self.name)

    @property
    def pinning(self) -> str:
        """How firmly the content is fixed: "sha256", or "not pinned" and what is checked instead."""
        if self.sha256 is not None:
            return "sha256"
        weaker = [name for name in ("md5", "size", "lines") if getattr(self, name) is not None]
        return f"not pinned ({', '.join(weaker)} only)" if weaker else "not pinned"


@dataclass(frozen=True)
class Dataset:
    """A data set as its authors publish it.

    Attributes:
        sources: tried in order, each for the files still missing: parts and mirrors are declared alike.
        folder: name of its folder below the root; None takes `name`.
    """

    name: str
    title: str
    licence: str
    citation: str
    files: tuple[DataFile, ...]
    sources: tuple[Source, ...] = ()
    folder: str | None = None

    def __post_init__(self) -> None:
        _require_relative(self.folder or self.name)
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError(f"data set {self.name}: a file is declared twice")

    def directory(self, root: str | Path | None = None) -> Path:
        """The folder its files lie in."""
        return (data_root() if root is None else Path(root)) / (self.folder or self.name)

    def locate(self, root: str | Path | None = None) -> dict[str, Path]:
        """Where each file lies, plain or with .gz added; contents are not read (see `verify`).

        Raises:
            MissingFile: with the folder, the official address and the command that fetches it.
        """
        folder = self.directory(root)
        found = {file.name: find(folder, file.name) for file in self.files}
        absent = [name for name, path in found.items() if path is None]
        if absent:
            raise MissingFile(
                f"{self.name}: {', '.join(absent)} not found in {folder} (nor with .gz added). {self._remedy(root)}"
            )
        return {name: path for name, path in found.items() if path is not None}

    def verify(self, root: str | Path | None = None) -> dict[str, str]:
        """Check the content of every file; cheap after the first time in a process.

        Returns:
            DataFile.name -> sha256 of the uncompressed content, whether or not the declaration pins it.

        Raises:
            MissingFile: a file is not there.
            ChecksumMismatch: the content is not what is declared.
            CorruptFile: a gzip file is truncated or damaged.
        """
        paths = self.locate(root)
        return {file.name: self._check(file, paths[file.name], root).sha256 for file in self.files}

    def open(self, name: str, root: str | Path | None = None) -> BinaryIO:
        """The uncompressed content of one file as a binary stream, checked first.

        Raises:
            As `verify`; DataError: the data set has no such file.
        """
        file = next((file for file in self.files if file.name == name), None)
        if file is None:
            raise DataError(
                f"{self.name} has no file {name!r}; it has {', '.join(f.name for f in self.files)}"
            )
        path = find(self.directory(root), name)
        if path is None:
            raise MissingFile(f"{self.name}: no file {self.directory(root) / name}. {self._remedy(root)}")
        self._check(file, path, root)
        return open_content(path, name)

    def read_bytes(self, name: str, root: str | Path | None = None) -> bytes:
        """The uncompressed content of one file, checked first."""
        with self.open(name, root) as stream:
            return stream.read()

    def fetch(
        self, root: str | Path | None = None, *, archive: str | Path | None = None, progress: Any = None
    ) -> dict[str, Path]:
        """Get the files that are missing or wrong from their official source.

        Each file is downloaded and unpacked beside its place, checked there, flushed to disk and only then renamed, so
        that an interrupted fetch leaves nothing that a later one takes for whole. A file that is right is not touched;
        a wrong one is replaced only by a right one.

        Args:
            archive: an archive or file that the user already has, taken instead of the official address.
            progress: an object with `total`, `update`, `reset` and `close`, as pooch defines it.

        Returns:
            As `locate`.

        Raises:
            FetchFailed: no source could be reached, or none has a file.
            ChecksumMismatch, CorruptFile, UnsafeArchive: what a source gave is not the official content.
        """
        folder = self.directory(root)
        missing = {file.name: file for file in self.files if not self._stands(file, root)}
        if not missing:
            return self.locate(root)
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        failure: DataError | None = None
        for source in self.sources if archive is None else self._local(Path(archive)):
            names = [name for name in missing if source.gives(name)]
            if not names:
                continue
            with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
                try:
                    found = source.obtain(names, Path(scratch) / "out", Path(scratch), progress)
                    for name, path in found.items():
                        self._check(missing[name], path, root, origin=source.url)
                        install(path, folder, name)
                        del missing[name]
                except DataError as error:
                    log.warning("%s", error)
                    failure = failure or error
        if missing and failure is not None:
            raise failure
        if missing:
            where = f"{archive} does not hold" if archive is not None else "no official source gives"
            raise FetchFailed(f"{self.name}: {where} {', '.join(missing)}. {self._remedy(root)}")
        return self.locate(root)

    def _stands(self, file: DataFile, root: str | Path | None) -> bool:
        path = find(self.directory(root), file.name)
        if path is None:
            return False
        try:
            self._check(file, path, root)
        except DataError as error:
            log.warning("%s", error)
            return False
        return True

    def _local(self, path: Path) -> tuple[Source, ...]:
        """A file that the user already has, as the source that it stands for."""
        if not path.is_file():
            raise MissingFile(f"no file {path} to take {self.name} from")
        address = path.absolute().as_uri()
        for source in self.sources:
            if PurePosixPath(source.url).name == path.name:
                return (replace(source, url=address, sha256=None),)
        single = [
            file.name for file in self.files if path.name in {n := PurePosixPath(file.name).name, f"{n}.gz"}
        ]
        return (Url(address, single[0]) if single else Archive(address),)

    def _check(
        self, file: DataFile, path: Path, root: str | Path | None, origin: str | None = None
    ) -> Content:
        try:
            content = read_content(path, file.name, file.size)
        except CorruptFile as error:
            raise CorruptFile(f"{origin + ': ' if origin else ''}{error}. {self._remedy(root)}") from error
        found = {"size": content.size, "sha256": content.sha256, "md5": content.md5, "lines": content.lines}
        for what, value in found.items():
            expected = getattr(file, what)
            if expected is not None and value != expected:
                more = "at least " if what == "size" and value > expected else ""
                raise ChecksumMismatch(
                    f"{origin or path}: {what} of the content of {file.name} is {more}{value}, expected {expected}. "
                    f"{self._remedy(root)}"
                )
        return content

    def _remedy(self, root: str | Path | None) -> str:
        command = f"offprints-data fetch {self.name}" + (f" --root {root}" if root is not None else "")
        if not self.sources:
            return f"It has no open address: put the files into {self.directory(root)}, or run {command} --from ARCHIVE"
        return (
            f"Fetch it with: {command} (official source: {', '.join(source.url for source in self.sources)})"
        )


def data_root() -> Path:
    """$OFFPRINTS_DATA, else the user's cache folder."""
    if given := os.environ.get("OFFPRINTS_DATA"):
        return Path(given).expanduser()
    import pooch  # here, because most runs have $OFFPRINTS_DATA

    return Path(pooch.os_cache("offprints"))


def datasets() -> dict[str, Dataset]:
    """Every data set that an installed package registers, by name."""
    found: dict[str, Dataset] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            declared = entry.load()
        except Exception:  # a broken package must not hide the data sets of the others
            log.warning("the data sets of %s cannot be loaded", entry.value, exc_info=True)
            continue
        for one in declared.values() if isinstance(declared, Mapping) else declared:
            # Packages are independent and may declare the same data set; where they differ, both can be named.
            name = one.name if found.get(one.name, one) == one else f"{entry.name}:{one.name}"
            found[name] = one
    return found


def dataset(name: str) -> Dataset:
    """The registered data set of that name.

    Raises:
        DataError: there is none; the message offers the nearest names.
    """
    known = datasets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise DataError(
            f"no data set is called {name!r}; " + (f"nearest: {', '.join(near)}" if near else "none is known")
        )
    return known[name]


def _require_relative(name: str) -> None:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ValueError(f"{name!r} is not a path below the folder of a data set")


def _sweep(folder: Path) -> None:
    """Remove what fetches that were killed long ago have left; a fetch that runs now keeps its own."""
    for scratch in folder.glob(f"{_SCRATCH}*"):
        if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(scratch, ignore_errors=True)
