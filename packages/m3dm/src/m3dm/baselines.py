"""Simpler detectors, by the same interface: what the memory banks have to beat.

BTF, PatchCore on colours and FPFH alone are modes of the detector (`baseline`); what is here is not a memory bank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from offprints.errors import InputError

from m3dm.arrays import Floats
from m3dm.detector import DetectorOptions, Prediction
from m3dm.features import ScanFeatures
from m3dm.maps import heat_map

BASELINES = ("btf", "patchcore_rgb", "fpfh", "depth", "cfm")


class Detector(Protocol):
    """What learns from features of good scans and judges features of others."""

    def fit_features(self, features: Sequence[ScanFeatures]) -> object:
        """Learn."""
        ...

    def predict_features(self, scan: ScanFeatures) -> Prediction:
        """Judge."""
        ...


def baseline_options(name: str, options: DetectorOptions) -> DetectorOptions:
    """The options of the detector under which it is a published baseline.

    Args:
        name: btf (one bank of points and colours side by side, Horwitz and Hoshen 2023), patchcore_rgb (Roth et al. 2022) or fpfh.
        options: what else it has.
    """
    modes = {"btf": "fusion", "patchcore_rgb": "rgb", "fpfh": "xyz"}
    if name not in modes:
        raise InputError(f"{name} is no mode of the detector: {', '.join(modes)}")
    return replace(options, mode=modes[name], fusion="plain")


class DepthStatistics:
    """Standard deviations from the mean height at every place: good for parts that always lie alike, and for nothing else.

    Source: the voxel and depth baselines of the data set's authors (Bergmann et al. 2022), in their simplest form.

    Args:
        sigma: pixels of the blur.
    """

    def __init__(self, sigma: float = 4.0) -> None:
        self.sigma = sigma
        self.mean: Floats = np.zeros(0)
        self.std: Floats = np.zeros(0)

    def fit_features(self, features: Sequence[ScanFeatures]) -> DepthStatistics:
        """Learn from heights of good scans, those of `depth.Height`.

        Raises:
            InputError: there is none, or one has no points.
        """
        heights = np.stack([self._heights(scan) for scan in features]) if features else np.zeros((0, 0))
        if len(heights) < 2:
            raise InputError(f"{len(heights)} scans of good parts; a standard deviation needs two")
        self.mean = heights.mean(0)
        # A thousandth of a millimetre is below what any sensor tells; it keeps empty places from counting without bounds.
        self.std = np.maximum(heights.std(0), np.maximum(np.median(heights.std(0)), 1e-6))
        return self

    def predict_features(self, scan: ScanFeatures) -> Prediction:
        """Judge the heights of a scan."""
        assert scan.xyz is not None
        away = np.abs(self._heights(scan) - self.mean) / self.std
        found = heat_map(away, scan.xyz.grid, scan.side, sigma=self.sigma)
        score = float(found.max())
        return Prediction(scan.name, score, found, {"xyz": score}, {"xyz": found})

    @staticmethod
    def _heights(scan: ScanFeatures) -> Floats:
        if scan.xyz is None or scan.xyz.values.shape[1] != 1:
            raise InputError(
                f"{scan.name}: statistics of depth take heights as features of points (xyz backbone height)"
            )
        return scan.xyz.values[:, 0]
