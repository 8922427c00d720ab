"""Stores of objects, one for each location, over fsspec: copies between them are checked and go on where they stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import fsspec

from offprints.errors import InputError

from sky_broker.places import allows

CHUNK = 1 << 20


class CorruptObject(InputError):
    """What a store holds is not what was put there."""


class Residency(InputError):
    """Data were about to be copied to a place where they must not be."""


class Store:
    """Objects at one location.

    Args:
        location: cloud:region.
        root: folder or bucket, as fsspec writes it: "/data/eu", "s3://bucket/eu".
        options: of the file system, such as endpoint_url.

    Attributes:
        location: of its objects.
    """

    def __init__(self, location: str, root: str, **options: Any) -> None:
        self.location = location
        self._fs, self._root = fsspec.core.url_to_fs(root, **options)
        self._local = "file" in (
            self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        )

    def path(self, name: str) -> str:
        """Where an object lies, for the store's own file system."""
        return f"{self._root.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """Bytes of an object; None if there is none."""
        self._fs.invalidate_cache()
        return int(self._fs.size(self.path(name))) if self._fs.exists(self.path(name)) else None

    def sha256(self, name: str) -> str:
        """Of an object's content.

        Raises:
            FileNotFoundError: there is none.
        """
        digest = hashlib.sha256()
        with self._fs.open(self.path(name), "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def put(self, name: str, content: bytes) -> None:
        """Write an object, whole or not at all."""
        self._parent(name)
        # A folder shows a file while it is written, so that it gets its name afterwards; elsewhere an object is there once it is whole.
        written = self.path(f"{name}~") if self._local else self.path(name)
        with self._fs.open(written, "wb") as file:
            file.write(content)
        if self._local:
            self._fs.mv(written, self.path(name))

    def get(self, name: str) -> bytes:
        """Read an object whole.

        Raises:
            FileNotFoundError: there is none.
        """
        content: bytes = self._fs.cat_file(self.path(name))
        return content

    def copy_from(
        self,
        source: Store,
        name: str,
        sha256: str,
        residency: frozenset[str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Copy an object here, whole and checked or not at all.

        A copy that was stopped goes on behind what is here already; a store that cannot append begins anew. The copy gets its name only
        when its checksum is right.

        Args:
            source: store that has it.
            name: of the object.
            sha256: that its content must have.
            residency: the jurisdictions that it may be in; looked at before the first byte.
            progress: called with the bytes that are here, after each chunk.

        Returns:
            Bytes that were moved now; 0 if the right object was here.

        Raises:
            Residency: it must not be here.
            CorruptObject: what the source gives is not what was put there; nothing of it stays here.
            FileNotFoundError: the source does not have it.
        """
        if not allows(residency, self.location):
            where = ", ".join(sorted(residency or ()))
            raise Residency(f"{name} must not be copied to {self.location}: its residency is {where}")
        if self.size(name) is not None and self.sha256(name) == sha256:
            return 0
        self._parent(name)
        part = f"{name}.part"
        here = (self.size(part) or 0) if self._local else 0
        if here > (source.size(name) or 0):
            self._fs.rm(self.path(part))
            here = 0
        digest = self._digest(part, here)
        moved = 0
        with (
            source._fs.open(source.path(name), "rb") as reader,
            self._fs.open(self.path(part), "ab" if here else "wb") as writer,
        ):
            reader.seek(here)
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
                digest.update(chunk)
                moved += len(chunk)
                if progress is not None:
                    writer.flush()
                    progress(here + moved)
        if digest.hexdigest() != sha256:
            self._fs.rm(self.path(part))
            raise CorruptObject(
                f"{name} at {source.location} is damaged: its sha256 is {digest.hexdigest()[:12]}..., {sha256[:12]}... was put there"
            )
        self._fs.mv(self.path(part), self.path(name))
        return moved

    def _digest(self, part: str, here: int) -> Any:
        digest = hashlib.sha256()
        if here:
            with self._fs.open(self.path(part), "rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        return digest

    def _parent(self, name: str) -> None:
        if self._local:
            self._fs.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)
