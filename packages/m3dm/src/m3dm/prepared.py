"""Prepared scans, kept on disk: preparing takes a while, and the raw files must stay as they are.

A scan's file is named by a digest of its raw files and of the options, so that a changed file or option is never answered with an
old scan. The published program overwrites the data set; run twice, it damages it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from offprints.atomic import atomic_write
from offprints.npz import load_npz

from m3dm.datasets import Scans, ScanSource
from m3dm.preprocess import PreparationOptions, preprocess
from m3dm.scan import Scan

FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedSource:
    """A scan that is prepared once and then read from where it is kept.

    Attributes:
        raw: where it comes from.
        options: how it is prepared.
        directory: where it is kept; None prepares it each time.
    """

    raw: ScanSource
    options: PreparationOptions
    directory: Path | None = None

    @property
    def name(self) -> str:
        return self.raw.name

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.raw.paths

    def read(self) -> Scan:
        """Read it, or prepare and keep it.

        Raises:
            InputError: the raw scan cannot be read or prepared.
        """
        if self.directory is None:
            return preprocess(self.raw.read(), self.options)
        kept = self.directory / f"{self.digest()}.npz"
        if kept.exists():
            try:
                return _load(kept, self.name)
            except (OSError, ValueError) as error:
                _log.warning("%s is damaged (%s) and is made again", kept, error)
        scan = preprocess(self.raw.read(), self.options)
        _save(kept, scan)
        return scan

    def digest(self) -> str:
        """16 hexadecimal digits of the raw files' content and the options."""
        digest = hashlib.sha256(json.dumps([FORMAT, asdict(self.options)], sort_keys=True).encode())
        for path in self.raw.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]


def prepared(
    scans: Scans, options: PreparationOptions | None = None, directory: Path | str | None = None
) -> Scans:
    """Scans that are prepared when they are asked for.

    Args:
        scans: raw ones.
        options: how.
        directory: where prepared ones are kept; None keeps none.
    """
    place = None if directory is None else Path(directory)
    sources = [PreparedSource(source, options or PreparationOptions(), place) for source in scans.sources]
    return Scans(scans.name, sources)


def _save(path: Path, scan: Scan) -> None:
    arrays = {name: value for name in ("rgb", "xyz", "mask") if (value := getattr(scan, name)) is not None}
    with atomic_write(path) as file:
        np.savez(file, defect=np.array(scan.defect or ""), **arrays)


def _load(path: Path, name: str) -> Scan:
    found = load_npz(path)
    if "defect" not in found or found["defect"].ndim:
        raise ValueError("it names no defect")
    return Scan(found.get("rgb"), found.get("xyz"), found.get("mask"), str(found["defect"]) or None, name)
