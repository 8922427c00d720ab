"""What a backbone gives: a feature for each patch of a scan. The detector asks for nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from m3dm.arrays import Floats, Mask
from m3dm.scan import GOOD, Scan


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
