"""Fast point feature histograms: how the surface bends around every point, 33 numbers that need no training.

They do not change when the part is turned or moved. BTF (Horwitz and Hoshen 2023) showed that with them a memory bank beats learned
features of points; its radii are so wide that the limit on neighbours decides.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from m3dm.align import pool_pixels
from m3dm.arrays import Floats, Mask
from m3dm.features import MARGIN, PatchFeatures, interior
from m3dm.scan import Scan, ScanError, has_point


@dataclass(frozen=True)
class FPFH:
    """Histograms of normals' angles, averaged over patches.

    Attributes:
        normal_radius: metres around a point that its normal is fitted in.
        normal_neighbours: at most so many points of it.
        radius: metres around a point that the histogram counts.
        neighbours: at most so many points of it.
        step: describe every step-th row and column; the limits on neighbours then reach that much further, in less time.
        orient: turn normals to the camera; without it their sign, and with it the histogram, is arbitrary, as published.
        patches: of a row.
        pooling: mean or published, see `align.alignment`.
        margin: pixels at the outline whose histograms are left out, see `features.interior`; their points still count for others.
        rule: which pixels have a point: any or all coordinates not 0, as published.
    """

    normal_radius: float = 0.006
    normal_neighbours: int = 16
    radius: float = 0.012
    neighbours: int = 40
    step: int = 2
    orient: bool = True
    patches: int = 56
    pooling: str = "mean"
    margin: int = MARGIN
    rule: str = "any"

    modality = "xyz"
    standardise = False

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no points, or too few.
        """
        if scan.xyz is None:
            raise ScanError(f"{scan.name}: no xyz; FPFH describes points")
        valid = has_point(scan.xyz, self.rule)
        if valid.sum() < 16:
            raise ScanError(f"{scan.name}: only {valid.sum()} points of a part; nothing to describe")
        if self.step > 1:
            chosen = np.zeros_like(valid)
            chosen[:: self.step, :: self.step] = True
            valid = valid & chosen
        inner = interior(has_point(scan.xyz, self.rule), self.margin) & valid
        values, seen = pool_pixels(
            self.at_points(scan.xyz, valid)[inner[valid]], inner, self.patches, self.pooling, self.step
        )
        return PatchFeatures(values, (self.patches, self.patches), seen)

    def at_points(self, xyz: Floats, valid: Mask) -> Floats:
        """(N, 33) histograms of the points of an organised cloud, in thirds that sum to 100 (200 with the point itself).

        Args:
            xyz: (H, W, 3) metres.
            valid: (H, W) which pixels have a point.
        """
        import open3d

        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz[valid].astype(np.float64)))
        hybrid = open3d.geometry.KDTreeSearchParamHybrid
        cloud.estimate_normals(hybrid(self.normal_radius, self.normal_neighbours))
        if self.orient:
            cloud.orient_normals_towards_camera_location(np.zeros(3))
        registration: Any = open3d.pipelines.registration  # its stubs are of another version
        found = registration.compute_fpfh_feature(cloud, hybrid(self.radius, self.neighbours))
        return np.asarray(found.data).T.astype(np.float32)

    def describe(self) -> dict[str, object]:
        return {"kind": "fpfh", **asdict(self)}


PUBLISHED = FPFH(
    normal_radius=0.1,
    normal_neighbours=30,
    radius=0.25,
    neighbours=100,
    orient=False,
    step=1,
    pooling="published",
    margin=0,
    rule="all",
)
"""The settings of BTF."""
