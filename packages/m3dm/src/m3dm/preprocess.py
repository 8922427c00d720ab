"""From a raw scan to the part alone: the plane it lies on is removed, the scan padded to a square, all but the part erased.

The published program erases by DBSCAN over all points, which at a spacing of .2 mm has thousands of neighbours each: half a minute a
scan. Connected components of the voxels that points lie in give the same part in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from offprints.errors import InputError

from m3dm.arrays import Floats, Mask
from m3dm.resize import resize
from m3dm.scan import Scan, ScanError, has_point


@dataclass
class PreparationOptions:
    """How scans are prepared.

    Attributes:
        plane: remove the plane that the frame of the scan shows.
        plane_threshold: metres; nearer pixels are erased.
        fit_threshold: metres; nearer points agree with a plane that is tried.
        frame: width in pixels of the frame.
        iterations: planes that are tried.
        clean: components, dbscan (as published) or none.
        link: metres; points further apart are not of one part, unless others lie between.
        min_points: of DBSCAN: neighbours of a point inside a cluster.
        pad: the square's side is a multiple of it; 0 leaves the scan as it is.
        side: pixels after resizing; 0 leaves the size.
        points: rule of the nearest point when resizing: centre, or corner as published.
    """

    plane: bool = True
    plane_threshold: float = 0.005
    fit_threshold: float = 0.004
    frame: int = 10
    iterations: int = 1000
    clean: str = "components"
    link: float = 0.006
    min_points: int = 30
    pad: int = 100
    side: int = 224
    points: str = "centre"

    def __post_init__(self) -> None:
        if self.clean not in ("components", "dbscan", "none"):
            raise InputError(f"clean={self.clean}: components, dbscan or none")
        for name in ("plane_threshold", "fit_threshold", "link"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} must be positive metres")


@dataclass(frozen=True, eq=False)
class Plane:
    """The points x with normal . x + offset = 0.

    Attributes:
        normal: (3,) of length 1.
        offset: metres.
    """

    normal: Floats
    offset: float

    def distance(self, points: Floats) -> Floats:
        """(...,) metres of (..., 3) points from it."""
        found: Floats = np.abs(points @ self.normal.astype(points.dtype) + points.dtype.type(self.offset))
        return found


def preprocess(scan: Scan, options: PreparationOptions | None = None) -> Scan:
    """Remove the plane, pad, clean and resize.

    A scan without points is only padded and resized.

    Args:
        scan: as the sensor gave it.
        options: how.

    Raises:
        ScanError: the frame shows no plane, or nothing is left.

    Source: the published program's preprocessing; sizes and thresholds are its own.
    """
    options = options or PreparationOptions()
    if scan.xyz is not None and options.plane:
        plane = fit_plane(
            frame_points(scan, options.frame), options.fit_threshold, options.iterations, scan.name
        )
        scan = erase(scan, has_point(scan.xyz) & (plane.distance(scan.xyz) < options.plane_threshold))
    scan = pad_square(scan, options.pad) if options.pad else scan
    if scan.xyz is not None and options.clean != "none":
        valid = has_point(scan.xyz)
        if not valid.any():
            raise ScanError(
                f"{scan.name}: no point is left above the plane: no part, or plane_threshold is too high"
            )
        if options.clean == "components":
            part = largest_component(scan.xyz, valid, options.link)
        else:
            part = largest_cluster(scan.xyz, valid, options.link, options.min_points)
        # Colours of pixels that the depth sensor missed stay where the part surrounds them.
        surrounded = ~valid & ndimage.binary_closing(part, np.ones((5, 5), bool))
        scan = erase(scan, ~(part | surrounded))
    return resize(scan, options.side, options.points) if options.side else scan


def erase(scan: Scan, where: Mask) -> Scan:
    """A scan with black, missing pixels.

    Args:
        scan: with points.
        where: (H, W) pixels to erase.
    """
    keep = ~where[..., None]
    return replace(
        scan,
        rgb=None if scan.rgb is None else scan.rgb * keep,
        xyz=None if scan.xyz is None else scan.xyz * keep.astype(np.float32),
    )


def frame_points(scan: Scan, width: int = 10) -> Floats:
    """The points in a frame around an organised cloud, (N, 3)."""
    assert scan.xyz is not None
    inner = np.zeros(scan.size, bool)
    inner[width:-width, width:-width] = True
    return scan.xyz[has_point(scan.xyz) & ~inner]


def fit_plane(
    points: Floats, threshold: float = 0.004, iterations: int = 1000, name: str = "scan", seed: int = 0
) -> Plane:
    """The plane that most points agree with (RANSAC), fitted to all that do.

    Args:
        points: (N, 3) metres.
        threshold: metres; nearer points agree.
        iterations: planes that are tried, each through three points.
        name: of the scan, for errors.
        seed: of the draws.

    Raises:
        ScanError: there are fewer than 50 points.
    """
    if len(points) < 50:
        raise ScanError(
            f"{name}: only {len(points)} points in the frame around the scan: no plane can be fitted"
        )
    exact = points.astype(np.float64)
    voters = exact if len(exact) <= 4000 else exact[np.linspace(0, len(exact) - 1, 4000).astype(int)]
    # Three points each, and not fifty as published: of fifty some lie on the part wherever it reaches into the frame.
    drawn = np.random.default_rng(seed).integers(0, len(exact), (iterations, 3))
    best, most = None, -1
    for part in np.array_split(exact[drawn], max(1, iterations // 100)):
        normals, offsets = _least_squares(part)
        votes = np.count_nonzero(np.abs(voters @ normals.T + offsets) < threshold, axis=0)
        winner = int(votes.argmax())
        if votes[winner] > most:
            most, best = int(votes[winner]), Plane(normals[winner], float(offsets[winner]))
    assert best is not None
    for _ in range(2):
        normals, offsets = _least_squares(exact[best.distance(exact) < threshold][None])
        best = Plane(normals[0], float(offsets[0]))
    return best


def pad_square(scan: Scan, multiple: int = 100) -> Scan:
    """A scan in the middle of a square of black, missing pixels.

    Args:
        scan: of any size.
        multiple: the side is the longer side of the scan, rounded up to a multiple of this.
    """
    height, width = scan.size
    side = -(-max(height, width) // multiple) * multiple
    top, left = (side - height) // 2, (side - width) // 2
    around = ((top, side - height - top), (left, side - width - left))
    return replace(
        scan,
        rgb=None if scan.rgb is None else np.pad(scan.rgb, (*around, (0, 0))),
        xyz=None if scan.xyz is None else np.pad(scan.xyz, (*around, (0, 0))),
        mask=None if scan.mask is None else np.pad(scan.mask, around),
    )


def largest_component(xyz: Floats, valid: Mask, link: float = 0.006) -> Mask:
    """The largest set of points that voxels link: those of half the length that touch, corners included.

    Points up to half of `link` apart are always linked, points further apart than 1.8 times `link` never.

    Args:
        xyz: (H, W, 3).
        valid: (H, W) where there is a point.
        link: metres.

    Returns:
        (H, W) pixels of the set.
    """
    points = xyz[valid]
    cell = ((points - points.min(0)) * np.float32(2 / link)).astype(np.int64) + 1
    if cell.max() >= 1 << 20:
        raise InputError(f"points lie up to {np.ptp(points, 0).max():.3g} m apart, too far for link={link} m")
    steps = np.array([1, 1 << 21, 1 << 42])
    voxels, place, counts = np.unique(cell @ steps, return_inverse=True, return_counts=True)
    pairs = []
    # Half of the 26 neighbours: the other half finds the same pairs from their other end.
    for step in [np.array(way) @ steps for way in product((-1, 0, 1), repeat=3) if way > (0, 0, 0)]:
        at = np.minimum(np.searchsorted(voxels, voxels + step), len(voxels) - 1)
        one = np.flatnonzero(voxels[at] == voxels + step)
        pairs.append(np.stack([one, at[one]]))
    one, other = np.concatenate(pairs, 1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(voxels),) * 2)
    _, component = connected_components(graph, directed=False)
    largest = np.bincount(component, counts).argmax()
    found = np.zeros_like(valid)
    found[valid] = (component == largest)[place]
    return found


def largest_cluster(xyz: Floats, valid: Mask, eps: float = 0.006, min_points: int = 30) -> Mask:
    """The largest cluster of DBSCAN: the published way, a thousand times as slow.

    Points that belong to no cluster are none themselves; the published program may take them for one.

    Args:
        xyz: (H, W, 3).
        valid: (H, W) where there is a point.
        eps: metres.
        min_points: neighbours of a point inside a cluster.

    Raises:
        InputError: there is no cluster.
    """
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(xyz[valid].astype(np.float64)))
    labels = np.asarray(cloud.cluster_dbscan(eps, min_points))
    if not (labels >= 0).any():
        raise InputError(f"no point has {min_points} neighbours within {eps} m: DBSCAN finds no part")
    found = np.zeros_like(valid)
    found[valid] = labels == np.bincount(labels[labels >= 0]).argmax()
    return found


def _least_squares(points: Floats) -> tuple[Floats, Floats]:
    """Normals (k, 3) and offsets (k,) of the planes nearest to (k, n, 3) points."""
    centre = points.mean(1)
    apart = points - centre[:, None]
    _, vectors = np.linalg.eigh(apart.transpose(0, 2, 1) @ apart)
    normals = vectors[:, :, 0]  # of the smallest eigenvalue
    return normals, -np.einsum("kd,kd->k", normals, centre)
