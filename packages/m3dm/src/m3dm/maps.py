"""From distances of patches to heat maps of pixels."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from scipy import ndimage
from torch.nn import functional as F

from offprints.errors import InputError

from m3dm.arrays import Floats

BLURS = ("gaussian", "published", "none")


def heat_map(
    distances: Floats, grid: tuple[int, int], side: int = 224, blur: str = "gaussian", sigma: float = 4.0
) -> Floats:
    """A smooth map of pixels.

    Args:
        distances: (P,) of patches.
        grid: rows and columns of patches.
        side: pixels.
        blur: gaussian, none, or published: a map in 256 steps of its own maximum, blurred by boxes.
        sigma: pixels.

    Returns:
        (side, side) float32.
    """
    square = torch.from_numpy(np.ascontiguousarray(distances, np.float32).reshape(1, 1, *grid))
    wide = F.interpolate(square, (side, side), mode="bilinear", align_corners=False)[0, 0].numpy()
    if blur == "none":
        return wide
    if blur == "gaussian":
        found: Floats = ndimage.gaussian_filter(wide, sigma, mode="nearest").astype(np.float32)
        return found
    if blur == "published":
        return eight_bit_blur(wide, sigma)
    raise InputError(f"blur={blur}: {', '.join(BLURS)}")


def eight_bit_blur(values: Floats, radius: float = 4.0) -> Floats:
    """The published blur: 256 steps of the image's own maximum, so that many pixels have equal scores.

    Args:
        values: (H, W), 0 or above.
        radius: as Pillow counts it.
    """
    highest = float(values.max())
    if highest <= 0:
        return np.zeros_like(values)
    steps = Image.fromarray((values / highest * 255).astype(np.uint8))
    blurred = np.asarray(steps.filter(ImageFilter.GaussianBlur(radius)))
    return (blurred.astype(np.float32) / 255 * highest).astype(np.float32)
