"""A scan of Eyecandies: points from 16-bit depth and the camera's focal length.

Source: the data set's documentation: depth = value / 65535 (max - min) + min, focal length 711.11 pixels at 512 x 512.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from offprints.content import read_text
from offprints.errors import CorruptFile, MissingFile
from offprints.plain_yaml import require_shallow

from m3dm.arrays import Floats
from m3dm.files import open_image, read_mask, read_rgb
from m3dm.scan import GOOD, Scan

FOCAL, FOCAL_SIDE = 711.11, 512


@dataclass(frozen=True)
class EyecandiesFiles:
    """The files of one scan.

    Attributes:
        folder: data folder of a split.
        number: how its files begin, such as 07.
        name: of the scan.
        light: which image, 0 to 5.
        labelled: whether a mask tells what is defective; else it is good.
    """

    folder: Path
    number: str
    name: str
    light: int = 4
    labelled: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        endings = [f"image_{self.light}.png", "depth.png", "info_depth.yaml"]
        return tuple(self._file(ending) for ending in [*endings, *(["mask.png"] if self.labelled else [])])

    def read(self) -> Scan:
        """Read the files.

        Raises:
            InputError: a file is missing or damaged, or they do not fit together.
        """
        rgb = read_rgb(self._file(f"image_{self.light}.png"))
        depth = read_depth(self._file("depth.png"), self._file("info_depth.yaml"))
        xyz = camera_points(depth, FOCAL * depth.shape[0] / FOCAL_SIDE)
        mask = read_mask(self._file("mask.png")) if self.labelled else None
        defect = "bad" if mask is not None and mask.any() else GOOD
        return Scan(rgb, xyz, mask, defect, self.name)

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.number}_{ending}"


def read_depth(image: Path, info: Path) -> Floats:
    """Depth in metres.

    Args:
        image: 16-bit PNG.
        info: YAML with normalization: min, max.

    Returns:
        (H, W) float32.

    Raises:
        MissingFile: one is not there.
        CorruptFile: one does not hold what it should.
    """
    for path in (image, info):
        if not path.is_file():
            raise MissingFile(f"no file {path}")
    values = np.asarray(open_image(image))
    try:
        text = read_text(info)
        require_shallow(text, info)
        scale = yaml.safe_load(text)["normalization"]
        low, high = float(scale["min"]), float(scale["max"])
        if not abs(low) <= abs(high - low) + abs(high) < math.inf:
            raise ValueError(f"from {low} to {high}")
    except (ValueError, KeyError, TypeError, OverflowError, yaml.YAMLError) as error:
        raise CorruptFile(f"{info} does not hold the normalization of a depth: {error}") from error
    if values.ndim != 2 or values.dtype.itemsize < 2:
        raise CorruptFile(f"{image} is not an image of 16 bits and one channel")
    return (values.astype(np.float64) / 65535 * (high - low) + low).astype(np.float32)


def camera_points(depth: Floats, focal: float) -> Floats:
    """Points in the camera's frame: x to the right, y down, z away from it.

    Args:
        depth: (H, W) metres along z; 0 is missing.
        focal: in pixels; the optical axis goes through the middle.

    Returns:
        (H, W, 3) float32.
    """
    height, width = depth.shape
    across = (np.arange(width) - width / 2) / focal
    down = (np.arange(height) - height / 2) / focal
    return np.stack([depth * across, depth * down[:, None], depth], -1).astype(np.float32)
