"""What a backbone gives: a feature for each patch of a scan. The detector asks for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from m3dm.arrays import Floats, Mask
from m3dm.scan import GOOD, Scan

Values = TypeVar("Values", bound=NDArray[Any])
MARGIN = 2
"""Pixels at the outline of a part that its features leave out, see `interior`."""


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Features of the patches of one scan.

    Attributes:
        values: (P, D) float32, rows of the grid one after the other.
        grid: rows and columns; P is their product.
        valid: (P,) patches that show the part.
    """

    values: Floats
    grid: tuple[int, int]
    valid: Mask

    def on(self, grid: tuple[int, int]) -> PatchFeatures:
        """The same features on a finer grid: each patch repeated.

        Args:
            grid: rows and columns, multiples of this one's.
        """
        if grid == self.grid:
            return self
        down, across = grid[0] // self.grid[0], grid[1] // self.grid[1]
        if (down * self.grid[0], across * self.grid[1]) != grid:
            raise ValueError(f"patches of a grid {self.grid} cannot be repeated to {grid}")

        place = np.arange(len(self.valid)).reshape(self.grid).repeat(down, 0).repeat(across, 1).ravel()
        return PatchFeatures(self.values[place], grid, self.valid[place])


class Backbone(Protocol):
    """From a prepared scan to features of its patches.

    Attributes:
        modality: rgb or xyz: what it looks at.
        standardise: whether its numbers are of different kinds, and each has to be brought to a scale of its own.
    """

    @property
    def modality(self) -> str: ...

    @property
    def standardise(self) -> bool: ...

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of one scan."""
        ...

    def describe(self) -> dict[str, object]:
        """Plain values that tell which features these are: the kind, and everything that changes a number."""
        ...


def pooled(mask: Mask, grid: tuple[int, int], share: float = 0.0) -> Mask:
    """Patches of which more than a share of the pixels is in a mask.

    Args:
        mask: (H, W).
        grid: rows and columns of patches.
        share: 0 takes every patch that has one pixel.

    Returns:
        (P,).
    """
    rows, columns = (
        np.arange(count) * length // count for count, length in zip(grid, mask.shape, strict=True)
    )
    total = np.add.reduceat(np.add.reduceat(mask.astype(np.float32), rows, 0), columns, 1)
    area = np.outer(np.diff(np.append(rows, mask.shape[0])), np.diff(np.append(columns, mask.shape[1])))
    found: Mask = (total / area > share).ravel()
    return found


def foreground(scan: Scan) -> Mask:
    """(H, W) pixels of the part: those with a point or, where the depth sensor missed one, with a colour; all without depth."""
    if scan.xyz is None:
        return np.ones(scan.size, bool)
    return scan.points if scan.rgb is None else scan.points | (scan.rgb != 0).any(-1)


def interior(part: Mask, margin: int) -> Mask:
    """Pixels of a part further than a margin from its outline; the border of the image is no outline.

    At the outline resizing mixes the part with the black around it, the plane's threshold cuts a ragged edge, and few points tell of
    a surface that is seen from the side: good parts differ there more than most defects do anywhere.

    Args:
        part: (H, W).
        margin: pixels; 0 takes all. Gaps of single pixels are no outline.
    """
    if margin == 0:
        return part
    wide = np.pad(part, margin + 1, mode="edge")
    closed = ndimage.binary_closing(wide, np.ones((3, 3), bool)) | wide
    inner = ndimage.binary_erosion(closed, np.ones((2 * margin + 1,) * 2, bool), border_value=1)
    cut = slice(margin + 1, -margin - 1)
    found: Mask = inner[cut, cut] & part
    return found


def continued(values: Values, part: Mask) -> Values:
    """Values of a part that go on outside it as they are at its nearest pixel: filters across the outline then see no edge.

    Args:
        values: (H, W, ...).
        part: (H, W); without any pixel, the values stay.
    """
    if part.all() or not part.any():
        return values
    nearest = ndimage.distance_transform_edt(~part, return_distances=False, return_indices=True)
    found: Values = values[tuple(nearest)]
    return found


@dataclass(frozen=True, eq=False)
class ScanFeatures:
    """What a detector gets of a scan.

    Attributes:
        name: of the scan.
        side: pixels of the prepared scan.
        xyz: features of points, or None.
        rgb: features of colours, or None.
        mask: (side, side) defective pixels, or None where nobody knows.
        defect: kind of defect, "good", or None where nobody knows.
    """

    name: str
    side: int
    xyz: PatchFeatures | None
    rgb: PatchFeatures | None
    mask: Mask | None = None
    defect: str | None = None


def extract(scan: Scan, xyz: Backbone | None, rgb: Backbone | None) -> ScanFeatures:
    """Features of a prepared scan by the given backbones.

    Args:
        scan: prepared.
        xyz: backbone of points; None leaves points out.
        rgb: backbone of colours; None leaves colours out.

    Raises:
        ScanError: the scan lacks what a backbone looks at.
    """
    mask = scan.mask if scan.mask is not None or scan.defect != GOOD else np.zeros(scan.size, bool)
    return ScanFeatures(
        scan.name,
        scan.size[0],
        None if xyz is None else xyz(scan),
        None if rgb is None else rgb(scan),
        mask,
        scan.defect,
    )
