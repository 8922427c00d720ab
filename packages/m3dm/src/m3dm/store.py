"""Features of scans, kept on disk, so that several detectors of the same scans describe them once."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from offprints.atomic import atomic_write
from offprints.npz import load_npz

from m3dm.datasets import Scans
from m3dm.features import Backbone, PatchFeatures, ScanFeatures, extract
from m3dm.prepared import PreparedSource
from m3dm.scan import Scan

FORMAT = 1
_log = logging.getLogger(__name__)


def features_of(
    scans: Scans,
    xyz: Backbone | None,
    rgb: Backbone | None,
    directory: Path | str | None = None,
    on_scan: Callable[[], None] = lambda: None,
) -> list[ScanFeatures]:
    """Features of prepared scans, from where they are kept or anew.

    Args:
        scans: prepared, see `prepared.prepared`.
        xyz: backbone of points, or None.
        rgb: backbone of colours, or None.
        directory: where features are kept; None keeps none.
        on_scan: called after each.

    Raises:
        InputError: a scan cannot be read, prepared or described.
    """
    found = []
    for source in scans.sources:
        assert isinstance(source, PreparedSource)
        if directory is None:
            found.append(extract(source.read(), xyz, rgb))
        else:
            found.append(_kept(source, xyz, rgb, Path(directory)))
        on_scan()
    return found


def _kept(
    source: PreparedSource, xyz: Backbone | None, rgb: Backbone | None, directory: Path
) -> ScanFeatures:
    digest, scan = source.digest(), None
    parts: dict[str, PatchFeatures | None] = {"xyz": None, "rgb": None}
    for backbone in (xyz, rgb):
        if backbone is None:
            continue
        path = directory / f"{digest}-{_fingerprint(backbone)}.npz"
        values = _load(path)
        if values is None:
            scan = scan or source.read()
            values = backbone(scan)
            _save(path, values)
        parts[backbone.modality] = values
    truth = _truth(source, directory / f"{digest}-truth.npz", scan)
    return ScanFeatures(source.name, truth[1], parts["xyz"], parts["rgb"], truth[0], truth[2])


def _truth(
    source: PreparedSource, path: Path, scan: Scan | None
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None, int, str | None]:
    """Mask, side and kind of defect, kept beside the features: reading the scan for them would take longer than judging it."""
    if path.exists():
        try:
            found = load_npz(path, ("mask", "known", "side", "defect"))
            plain = all(found[name].ndim == 0 for name in ("known", "side", "defect"))
            if (
                not plain
                or found["side"].dtype.kind not in "iu"
                or found["mask"].dtype != bool
                or found["mask"].ndim != 2
            ):
                raise ValueError("its arrays are not what was kept")
            mask = found["mask"] if found["known"] else None
            return mask, int(found["side"]), str(found["defect"]) or None
        except (OSError, ValueError) as error:
            _log.warning("%s is damaged (%s) and is made again", path, error)
    told = extract(scan or source.read(), None, None)
    mask = told.mask
    with atomic_write(path) as file:
        np.savez_compressed(
            file,
            mask=np.zeros((1, 1), bool) if mask is None else mask,
            known=np.array(mask is not None),
            side=np.array(told.side),
            defect=np.array(told.defect or ""),
        )
    return mask, told.side, told.defect


def _fingerprint(backbone: Backbone) -> str:
    told = json.dumps([FORMAT, backbone.describe()], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _save(path: Path, found: PatchFeatures) -> None:
    with atomic_write(path) as file:
        np.savez(file, rows=found.values[found.valid], valid=found.valid, grid=np.array(found.grid))


def _load(path: Path) -> PatchFeatures | None:
    if not path.exists():
        return None
    try:
        found = load_npz(path, ("rows", "valid", "grid"))
        rows, valid, sides = found["rows"], found["valid"], found["grid"]
        if sides.shape != (2,) or sides.dtype.kind not in "iu":
            raise ValueError("it names no grid")
        grid = tuple(sides.tolist())
        shaped = rows.ndim == 2 and valid.shape == (math.prod(grid),)
        if not shaped or valid.dtype != bool or len(rows) != valid.sum() or rows.dtype != np.float32:
            raise ValueError("its arrays are not what was kept")
        if not np.isfinite(rows).all():
            raise ValueError("it holds a number that is not finite")
    except (OSError, ValueError) as error:
        _log.warning("%s is damaged (%s) and is made again", path, error)
        return None
    # Patches that do not see the part are background; no one asks for their features.
    values = np.zeros((len(valid), rows.shape[1]), np.float32)
    values[valid] = rows
    return PatchFeatures(values, (grid[0], grid[1]), valid)
