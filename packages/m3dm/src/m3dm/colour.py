"""Lightness, hue and their changes at three scales: 36 numbers for every pixel that need no training.

They look at logarithms, in opponent colours: light and shade multiply all three channels, so that they move lightness alone and leave
red-green and blue-yellow where they are. What is of another material moves those.

Filters look at the part alone: outside it there is no colour, and a filter's weights there are shared out to the rest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from m3dm.align import pool_pixels
from m3dm.arrays import Colours, Floats, Mask
from m3dm.features import MARGIN, PatchFeatures, continued, foreground, interior
from m3dm.scan import Scan, ScanError

SCALES = (1.0, 2.0, 4.0)
DARK = 0.04
"""Added before the logarithm: ten grey levels, so that noise in the dark does not count as colour."""


@dataclass(frozen=True)
class ColourBank:
    """Smoothed opponent colours, first and second derivatives of lightness, and differences of scales.

    Attributes:
        patches: of a row.
        pooling: mean or published, see `align.alignment`.
        margin: pixels at the outline that are left out, see `features.interior`.
    """

    patches: int = 56
    pooling: str = "mean"
    margin: int = MARGIN

    modality = "rgb"
    standardise = True

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no image.
        """
        if scan.rgb is None:
            raise ScanError(f"{scan.name}: no rgb; the colour bank describes images")
        part = interior(foreground(scan), self.margin)
        values, seen = pool_pixels(self.at_pixels(scan.rgb, part), part, self.patches, self.pooling)
        return PatchFeatures(values, (self.patches, self.patches), seen)

    def at_pixels(self, rgb: Colours, part: Mask) -> Floats:
        """(N, 36) features of the pixels of a part.

        Args:
            rgb: (H, W, 3).
            part: (H, W).
        """
        colours = opponent(rgb)
        light = continued(colours[..., 0], part)
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


def opponent(rgb: Colours) -> Floats:
    """(H, W, 3) lightness, red-green and blue-yellow, in natural logarithms.

    Args:
        rgb: (H, W, 3) uint8.
    """
    red, green, blue = np.moveaxis(np.log(rgb.astype(np.float32) / 255 + np.float32(DARK)), -1, 0)
    return np.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], -1)


def _smooth(colours: Floats, weight: Floats, sigma: float) -> Floats:
    """Gaussian mean over the part."""
    total = ndimage.gaussian_filter(colours * weight[..., None], (sigma, sigma, 0))
    found: Floats = total / np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-6)[..., None]
    return found
