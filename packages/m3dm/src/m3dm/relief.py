"""How a surface bends, at three scales: nine numbers for every point that need no training.

Around every point a paraboloid is fitted to the depths, weighted by a Gaussian window, over the pixels that have a point: gaps and outlines
bias nothing. Its principal curvatures do not change when the part is turned, and averaging over a window finds what single points
drown in the sensor's noise; what is left of the fit tells of steps and holes.

Source: Haralick, Digital Step Edges from Zero Crossing of Second Directional Derivatives (1984), for the fit; do Carmo, Differential
Geometry of Curves and Surfaces, Section 3.3, for the curvatures of a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from m3dm.align import pool_pixels
from m3dm.arrays import Floats, Mask
from m3dm.features import MARGIN, PatchFeatures, interior
from m3dm.scan import Scan, ScanError, has_point

SCALES = (1.5, 3.0, 5.0)
_POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))  # of x and y in the paraboloid
_LEAST = 0.1  # of a window's weight that must have points


@dataclass(frozen=True)
class Relief:
    """Principal curvatures and what is left of the fit, averaged over patches.

    Attributes:
        scales: standard deviations of the windows, in pixels.
        patches: of a row.
        pooling: mean or published, see `align.alignment`.
        margin: pixels at the outline that are left out, see `features.interior`; their points still count for others.
    """

    scales: Sequence[float] = SCALES
    patches: int = 56
    pooling: str = "mean"
    margin: int = MARGIN

    modality = "xyz"
    standardise = True

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no points, or too few.
        """
        if scan.xyz is None:
            raise ScanError(f"{scan.name}: no xyz; relief describes points")
        valid = has_point(scan.xyz)
        if valid.sum() < 16:
            raise ScanError(f"{scan.name}: only {valid.sum()} points of a part; nothing to describe")
        inner = interior(valid, self.margin)
        values = np.concatenate([self.at_pixels(scan.xyz, valid, sigma)[inner] for sigma in self.scales], 1)
        pooled, seen = pool_pixels(values, inner, self.patches, self.pooling)
        return PatchFeatures(pooled, (self.patches, self.patches), seen)

    def describe(self) -> dict[str, object]:
        return {"kind": "relief", **asdict(self), "scales": list(self.scales)}

    @staticmethod
    def at_pixels(xyz: Floats, valid: Mask, sigma: float) -> Floats:
        """(H, W, 3) the greater and the smaller principal curvature and the root mean square of the residuals, in units of the window.

        Args:
            xyz: (H, W, 3) metres.
            valid: (H, W) which pixels have a point.
            sigma: of the window, in pixels.
        """
        spacing = pixel_spacing(xyz, valid) * sigma
        depth = np.where(valid, xyz[..., 2] - xyz[..., 2][valid].mean(), 0).astype(np.float64) / spacing
        weight = valid.astype(np.float64)
        kernels = _kernels(sigma)
        moments = {
            (a, b): _filtered(weight, kernels[a], kernels[b])
            for a in range(5)
            for b in range(5)
            if a + b <= 4
        }
        right = np.stack([_filtered(depth, kernels[a], kernels[b]) for a, b in _POWERS], -1)
        normal = np.stack([np.stack([moments[a + c, b + d] for c, d in _POWERS], -1) for a, b in _POWERS], -2)
        enough = valid & (moments[0, 0] > _LEAST)
        fit = np.zeros((*depth.shape, len(_POWERS)))
        ridge = 1e-9 * moments[0, 0][enough][:, None, None] * np.eye(len(_POWERS))
        fit[enough] = np.linalg.solve(normal[enough] + ridge, right[enough][..., None])[..., 0]
        squares = _filtered(depth**2, kernels[0], kernels[0]) - 2 * np.einsum("hwk,hwk->hw", fit, right)
        squares += np.einsum("hwk,hwkl,hwl->hw", fit, normal, fit)
        left = np.sqrt(np.maximum(squares / np.maximum(moments[0, 0], _LEAST), 0))
        return np.concatenate([curvatures(fit), left[..., None]], -1).astype(np.float32)


def curvatures(fit: Floats) -> Floats:
    """(..., 2) principal curvatures of the graph of a + bx + cy + dx² + exy + fy² at its origin, the greater first.

    Args:
        fit: (..., 6) a to f.
    """
    _, p, q, d, e, f = np.moveaxis(fit, -1, 0)
    r, s, t = 2 * d, e, 2 * f
    steep = 1 + p**2 + q**2
    mean = ((1 + q**2) * r - 2 * p * q * s + (1 + p**2) * t) / (2 * steep**1.5)
    gaussian = (r * t - s**2) / steep**2
    apart = np.sqrt(np.maximum(mean**2 - gaussian, 0))
    return np.stack([mean + apart, mean - apart], -1)


def pixel_spacing(xyz: Floats, valid: Mask) -> float:
    """Metres between the points of neighbouring pixels, across the line of sight; the median over a scan.

    Args:
        xyz: (H, W, 3) metres.
        valid: (H, W) which pixels have a point.
    """
    across = np.abs(np.diff(xyz[..., 0], axis=1))[valid[:, 1:] & valid[:, :-1]]
    down = np.abs(np.diff(xyz[..., 1], axis=0))[valid[1:] & valid[:-1]]
    both = np.concatenate([across, down])
    return max(float(np.median(both)), 1e-9) if len(both) else 1e-9


def _kernels(sigma: float) -> list[Floats]:
    """Gaussian times powers 0 to 4 of the offset in units of sigma."""
    reach = int(np.ceil(3 * sigma))
    offset = np.arange(-reach, reach + 1) / sigma
    window = np.exp(-0.5 * offset**2)
    window /= window.sum()
    return [window * offset**power for power in range(5)]


def _filtered(image: Floats, along_x: Floats, along_y: Floats) -> Floats:
    found = ndimage.correlate1d(image, along_x, axis=1, mode="constant")
    return np.asarray(ndimage.correlate1d(found, along_y, axis=0, mode="constant"))
