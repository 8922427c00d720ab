"""Everything to the side of the network's input: 224 x 224 pixels.

The published program takes points at floor(i H / 224) but masks and colours around (i + 1/2) H / 224, so that a point belongs to a
pixel up to two rows away. Here points and masks are taken from the same rows; `points="corner"` is the published rule.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from offprints.errors import InputError

from m3dm.arrays import Colours, Floats, Indices
from m3dm.scan import Scan

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


def resize(scan: Scan, side: int = 224, points: str = "centre") -> Scan:
    """A scan of `side` x `side` pixels.

    Args:
        scan: of any size; pad it to a square first to keep the part's shape.
        side: of the result.
        points: "centre" or "corner", of the nearest point.

    Source: Section 4.1 of the paper: 224 x 224.
    """
    if scan.size == (side, side):
        return scan
    rows, columns = (nearest(length, side, points) for length in scan.size)
    truth_rows, truth_columns = (nearest(length, side) for length in scan.size)
    return replace(
        scan,
        rgb=None if scan.rgb is None else resize_rgb(scan.rgb, side),
        xyz=None if scan.xyz is None else scan.xyz[np.ix_(rows, columns)],
        mask=None if scan.mask is None else scan.mask[np.ix_(truth_rows, truth_columns)],
    )


def nearest(length: int, side: int, points: str = "centre") -> Indices:
    """Which row of `length` each of `side` rows is taken from.

    Args:
        length: rows of the source.
        side: rows of the result.
        points: "centre", floor((i + 1/2) length / side), as Pillow does; or "corner", floor(i length / side), as torch does.
    """
    i = np.arange(side)
    if points == "centre":
        return (2 * i + 1) * length // (2 * side)
    if points == "corner":
        return i * length // side
    raise InputError(f"points={points!r}: centre or corner")


def resize_rgb(rgb: Colours, side: int) -> Colours:
    """Bicubic, as Pillow does it.

    Args:
        rgb: (H, W, 3) uint8.
        side: of the result.
    """
    return np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BICUBIC))


def normalise_rgb(rgb: Colours) -> Floats:
    """Channels first, with ImageNet's mean and standard deviation: what a pretrained vision transformer takes.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        (3, H, W) float32.
    """
    scaled = (rgb.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))
