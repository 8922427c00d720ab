"""Height of the surface as a feature: the simplest thing that depth tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from m3dm.align import pool_pixels
from m3dm.features import PatchFeatures
from m3dm.scan import Scan, ScanError


@dataclass(frozen=True)
class Height:
    """Depth of each patch, from the point of the part that is furthest from the camera.

    Attributes:
        patches: of a row.
    """

    patches: int = 56

    modality = "xyz"
    standardise = False

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no points.
        """
        if scan.xyz is None or not scan.points.any():
            raise ScanError(f"{scan.name}: no point to measure the height of")
        valid = scan.points
        depth = scan.xyz[valid][:, 2]
        height = (np.percentile(depth, 99.5) - depth)[:, None]
        values, seen = pool_pixels(height.astype(np.float32), valid, self.patches)
        return PatchFeatures(values, (self.patches, self.patches), seen)

    def describe(self) -> dict[str, object]:
        return {"kind": "height", **asdict(self)}
