"""One photograph of a part from above, and the map of its points that is aligned to it pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Colours, Floats, Mask

GOOD = "good"


class ScanError(InputError):
    """A scan does not hold what a scan holds; names the scan and the field."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One image, one organised point cloud, or both.

    Attributes:
        rgb: (H, W, 3) uint8, or None for a sensor without colour.
        xyz: (H, W, 3) float32 coordinates in metres, (0, 0, 0) where the sensor saw nothing; None without depth.
        mask: (H, W) defective pixels; None where nobody knows.
        defect: kind of defect, "good" for none, None where nobody knows.
        name: for messages and files.

    Raises:
        ScanError: neither image nor points, or shapes, types or values that cannot be.
    """

    rgb: Colours | None
    xyz: Floats | None
    mask: Mask | None = None
    defect: str | None = None
    name: str = "scan"

    def __post_init__(self) -> None:
        if self.rgb is None and self.xyz is None:
            raise ScanError(f"{self.name}: neither rgb nor xyz")
        if self.rgb is not None:
            self._require_shape("rgb", self.rgb, 3)
            if self.rgb.dtype != np.uint8:
                raise ScanError(f"{self.name}: rgb is {self.rgb.dtype}; it must be uint8, 0 to 255")
        if self.xyz is not None:
            self._require_shape("xyz", self.xyz, 3)
            if not np.issubdtype(self.xyz.dtype, np.floating):
                raise ScanError(f"{self.name}: xyz is {self.xyz.dtype}; it must be float32 metres")
            wrong = int((~np.isfinite(self.xyz)).any(-1).sum())
            if wrong:
                raise ScanError(
                    f"{self.name}: xyz has {wrong} points that are NaN or infinite; a missing point is (0, 0, 0)"
                )
            object.__setattr__(self, "xyz", self.xyz.astype(np.float32, copy=False))
        if self.mask is not None:
            self._require_shape("mask", self.mask, None)
            object.__setattr__(self, "mask", np.asarray(self.mask) > 0)
        sizes = {
            name: value.shape[:2]
            for name in ("rgb", "xyz", "mask")
            if (value := getattr(self, name)) is not None
        }
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} {height} x {width}" for name, (height, width) in sizes.items())
            raise ScanError(
                f"{self.name}: sizes differ: {told} (height x width); they must be aligned pixel by pixel"
            )

    def _require_shape(self, field: str, value: Any, channels: int | None) -> None:
        fits = isinstance(value, np.ndarray) and value.ndim == (2 if channels is None else 3)
        if not fits or (channels is not None and value.shape[2] != channels) or 0 in value.shape:
            shape = getattr(value, "shape", type(value).__name__)
            right = "(H, W)" if channels is None else f"(H, W, {channels})"
            raise ScanError(f"{self.name}: {field} has shape {shape}; it must be an array {right}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        shown = self.rgb if self.rgb is not None else self.xyz
        assert shown is not None
        return shown.shape[0], shown.shape[1]

    @property
    def defective(self) -> bool:
        """Whether it shows a defect.

        Raises:
            ScanError: nobody knows.
        """
        if self.defect is not None:
            return self.defect != GOOD
        if self.mask is None:
            raise ScanError(f"{self.name}: neither a kind of defect nor a mask tells whether it is good")
        return bool(self.mask.any())

    @property
    def points(self) -> Mask:
        """(H, W) where there is a point; everywhere without depth."""
        return np.ones(self.size, bool) if self.xyz is None else has_point(self.xyz)

    def truth(self) -> Mask:
        """(H, W) defective pixels; none of a good part.

        Raises:
            ScanError: it is defective, or nobody knows, and it has no mask.
        """
        if self.mask is not None:
            return self.mask
        if self.defect == GOOD:
            return np.zeros(self.size, bool)
        raise ScanError(f"{self.name}: no mask of its defect {self.defect or '(unknown)'}")

    def only(self, modality: str) -> Scan:
        """The same scan with one modality left.

        Args:
            modality: rgb or xyz.

        Raises:
            ScanError: it does not have it.
        """
        if getattr(self, modality) is None:
            raise ScanError(f"{self.name}: no {modality}")
        return replace(self, rgb=None) if modality == "xyz" else replace(self, xyz=None)


def has_point(xyz: Floats, rule: str = "any") -> Mask:
    """Where an organised cloud has a point.

    Args:
        xyz: (..., 3).
        rule: "any" coordinate that is not 0, or "all" of them, as published: that loses points on the axes.
    """
    if rule not in ("any", "all"):
        raise InputError(f"rule {rule!r} for points: any or all")
    found: Mask = (xyz != 0).any(-1) if rule == "any" else (xyz != 0).all(-1)
    return found
