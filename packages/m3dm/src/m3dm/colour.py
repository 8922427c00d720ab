"""Colours and their derivatives at three scales: 36 numbers for every pixel that need no training.

Filters look at the part alone: outside it there is no colour, and a filter's weights there are shared out to the rest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from m3dm.align import pool_pixels
from m3dm.arrays import Floats, Mask
from m3dm.features import PatchFeatures, foreground
from m3dm.scan import Scan, ScanError

SCALES = (1.0, 2.0, 4.0)
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class ColourBank:
    """Smoothed colours, first and second derivatives of luminance, and differences of scales.

    Attributes:
        patches: of a row.
        pooling: mean or published, see `align.alignment`.
    """

    patches: int = 56
    pooling: str = "mean"

    modality = "rgb"
    standardise = True

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no image.
        """
        if scan.rgb is None:
            raise ScanError(f"{scan.name}: no rgb; the colour bank describes images")
        part = foreground(scan)
        values, seen = pool_pixels(self.at_pixels(scan.rgb, part), part, self.patches, self.pooling)
        return PatchFeatures(values, (self.patches, self.patches), seen)

    def at_pixels(self, rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], part: Mask) -> Floats:
        """(N, 36) features of the pixels of a part.

        Args:
            rgb: (H, W, 3).
            part: (H, W).
        """
        colours = rgb.astype(np.float32) / 255
        # Derivatives across the outline would tell of the background: outside, luminance goes on as it is at the nearest pixel.
        inside = ndimage.distance_transform_edt(~part, return_distances=False, return_indices=True)
        light = (colours @ _LUMINANCE)[tuple(inside)] if part.any() else colours @ _LUMINANCE
        weight = part.astype(np.float32)
        smooth = [_smooth(colours, weight, sigma)[part] for sigma in SCALES]
        slopes = [self._slopes(light, sigma, part) for sigma in SCALES]
        between = [smooth[0] - smooth[1], smooth[1] - smooth[2], smooth[0] - smooth[2]]
        return np.concatenate([*smooth, *slopes, *between], 1)

    @staticmethod
    def _slopes(light: Floats, sigma: float, part: Mask) -> Floats:
        """(N, 6) derivatives along y and x, yy, xx and xy, and the steepness; scaled to what their size does not depend on."""
        first = [ndimage.gaussian_filter(light, sigma, order)[part] * sigma for order in ((1, 0), (0, 1))]
        orders = ((2, 0), (0, 2), (1, 1))
        second = [ndimage.gaussian_filter(light, sigma, order)[part] * sigma**2 for order in orders]
        return np.stack([*first, *second, np.hypot(*first)], 1)

    def describe(self) -> dict[str, object]:
        return {"kind": "colour", **asdict(self)}


def _smooth(colours: Floats, weight: Floats, sigma: float) -> Floats:
    """Gaussian mean over the part."""
    total = ndimage.gaussian_filter(colours * weight[..., None], (sigma, sigma, 0))
    found: Floats = total / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-6)[..., None]
    return found
