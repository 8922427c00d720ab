"""Point groups: farthest point sampling picks centres, each takes its nearest points.

Both run on the CPU without an extension that has to be compiled, and are exact: the published program needs two CUDA libraries.
"""

from __future__ import annotations

import numba
import numpy as np
from scipy.spatial import cKDTree

from offprints.errors import InputError

from m3dm.arrays import Floats, Indices


def farthest_points(points: Floats, count: int) -> Indices:
    """Farthest point sampling from the first point on.

    Args:
        points: (N, 3) float32.
        count: centres, N or fewer.

    Returns:
        (count,) indices in the order they are picked; ties go to the first.

    Raises:
        InputError: there are fewer points.
    """
    if len(points) < count:
        raise InputError(
            f"a scan of {len(points)} points cannot have {count} groups; it needs as many points"
        )
    return _farthest(np.ascontiguousarray(points, np.float32), count)


def nearest_points(points: Floats, centres: Floats, size: int) -> Indices:
    """The nearest points of each centre, the nearest first.

    Args:
        points: (N, 3).
        centres: (G, 3).
        size: points of a group, N or fewer.

    Returns:
        (G, size) indices.

    Raises:
        InputError: there are fewer points.
    """
    if len(points) < size:
        raise InputError(
            f"a scan of {len(points)} points cannot have groups of {size}; it needs as many points"
        )
    _, found = cKDTree(points).query(centres, size)
    nearest: Indices = found.reshape(len(centres), size)
    return nearest


@numba.njit(cache=True)
def _farthest(points: Floats, count: int) -> Indices:
    chosen = np.zeros(count, np.int64)
    gap = np.full(len(points), np.float32(np.inf))
    last = 0
    for k in range(1, count):
        best, at = np.float32(-1), 0
        for i in range(len(points)):
            x = points[i, 0] - points[last, 0]
            y = points[i, 1] - points[last, 1]
            z = points[i, 2] - points[last, 2]
            gap[i] = min(gap[i], x * x + y * y + z * z)
            if gap[i] > best:
                best, at = gap[i], i
        chosen[k] = last = at
    return chosen
