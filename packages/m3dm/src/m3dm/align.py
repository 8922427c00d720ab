"""Point feature alignment: features of point groups carried to the pixels of the image, as one sparse matrix.

Every point takes the features of its three nearest centres, weighted by inverse squared distance (Section 3.2 of the paper); its
pixel is averaged over 3 x 3, and the image pooled to 56 x 56 patches. All of it is linear in the features, so that a scan needs one
matrix of patches times centres, and never a feature for each of its 50,000 pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array, kron
from scipy.spatial import cKDTree

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices, Mask
from m3dm.scan import Scan

NEIGHBOURS = 3
EPSILON = 1e-8
POOLING = ("published", "mean")
LEAST = 0.25
"""Share of a patch that has to see the part: a mean over a few pixels at the outline is noise, and noise is far from every bank."""


def interpolation(points: Floats, centres: Floats, neighbours: int = NEIGHBOURS) -> csr_array:
    """Weights that carry features of centres to points.

    Args:
        points: (P, 3).
        centres: (G, 3), `neighbours` or more.
        neighbours: centres that a point takes its features from.

    Returns:
        (P, G) float64; rows sum to 1.

    Raises:
        InputError: there are fewer centres.

    Source: Section 3.2; the published program takes three centres and squared distances.
    """
    if len(centres) < neighbours:
        raise InputError(
            f"{len(centres)} centres of point groups; alignment takes {neighbours} for each point"
        )
    # Distances by differences: the published expansion |a|² + |b|² - 2ab can fall below 0 where a point is a centre.
    distance, nearest = cKDTree(centres).query(points, neighbours)
    weight = 1 / (distance**2 + EPSILON)
    weight /= weight.sum(1, keepdims=True)
    rows = np.arange(0, neighbours * len(points) + 1, neighbours)
    return csr_array((weight.ravel(), nearest.ravel(), rows), shape=(len(points), len(centres)))


@lru_cache(maxsize=8)
def pooling_matrix(side: int, patches: int) -> csr_array:
    """(patches², side²): average over 3 x 3 pixels without padding, then over the cells of a grid of patches.

    Args:
        side: pixels of the square image.
        patches: of a row.

    Source: the published program; cells as adaptive average pooling cuts them.
    """
    inner = side - 2
    one = np.zeros((patches, side))
    for cell in range(patches):
        first, end = cell * inner // patches, -(-(cell + 1) * inner // patches)
        for middle in range(first, end):
            one[cell, middle : middle + 3] += 1 / (3 * (end - first))
    sparse = csr_array(one)
    return csr_array(kron(sparse, sparse, format="csr"))


def alignment(
    scan: Scan, centres: Floats, patches: int = 56, pooling: str = "mean"
) -> tuple[csr_array, Mask]:
    """The matrix from features of point groups to features of patches.

    Args:
        scan: prepared, square, with points.
        centres: (G, 3) of the groups.
        patches: of a row.
        pooling: "published" counts pixels without a point as features of 0; "mean" averages over points alone, so that the
            outline of a part looks like its middle, and leaves out patches of which less than a quarter sees the part.

    Returns:
        (patches², G) float32, and the patches that see a point.
    """
    valid = scan.points
    assert scan.xyz is not None
    weights = interpolation(scan.xyz[valid], centres)
    pool, seen = _pool_valid(valid, patches, pooling)
    return csr_array(pool @ weights).astype(np.float32), seen


def pool_pixels(
    values: Floats, valid: Mask, patches: int = 56, pooling: str = "mean", step: int = 1
) -> tuple[Floats, Mask]:
    """Features of patches from features that every point has, such as FPFH.

    Args:
        values: (N, D) of the valid pixels, row by row.
        valid: (H, H) where they are.
        patches: of a row.
        pooling: as in `alignment`.
        step: only every step-th row and column can be valid.

    Returns:
        (patches², D) float32, and the patches that see a point.
    """
    pool, seen = _pool_valid(valid, patches, pooling, step)
    return (pool @ values).astype(np.float32), seen


def _pool_valid(valid: Mask, patches: int, pooling: str, step: int = 1) -> tuple[csr_array, Mask]:
    if pooling not in POOLING:
        raise InputError(f"pooling={pooling}: {' or '.join(POOLING)}")
    if valid.shape[0] != valid.shape[1]:
        raise InputError(
            f"a scan of {valid.shape[0]} x {valid.shape[1]} pixels is not square: prepare it first"
        )
    where: Indices = np.flatnonzero(valid.ravel())
    pool = csr_array(pooling_matrix(valid.shape[0], patches)[:, where])
    share = pool.sum(1)
    if pooling == "published":
        some: Mask = share > 1e-9
        return pool, some
    seen: Mask = share * step**2 > LEAST
    return csr_array(pool.multiply((seen / np.where(seen, share, 1))[:, None])), seen
