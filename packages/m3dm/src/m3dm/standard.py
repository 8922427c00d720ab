"""Every feature on the scale that it has among good parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from m3dm.arrays import Floats

FLOOR = 0.1


@dataclass(frozen=True, eq=False)
class Standard:
    """Subtracts a mean and divides by a scale, for each feature.

    Attributes:
        mean: (D,) float32.
        scale: (D,) float32, standard deviations; none is below a tenth of the median one, so that a feature which never varies among
            good parts does not outweigh all others when it does.
    """

    mean: Floats
    scale: Floats

    @classmethod
    def fit(cls, rows: Floats, each: bool) -> Standard:
        """From patches of good parts.

        Args:
            rows: (N, D).
            each: every feature by its own numbers; else one mean and one scale for all.
        """
        dim = rows.shape[1]
        if not each:
            mean, std = float(rows.mean(dtype=np.float64)), float(rows.std(dtype=np.float64))
            return cls(np.full(dim, mean, np.float32), np.full(dim, std if std > 0 else 1.0, np.float32))
        std = rows.std(0, dtype=np.float64)
        floor = FLOOR * (float(np.median(std)) or 1.0)
        return cls(
            rows.mean(0, dtype=np.float64).astype(np.float32), np.maximum(std, floor).astype(np.float32)
        )

    def __call__(self, rows: Floats) -> Floats:
        """(N, D) float32 on the scale of good parts."""
        found: Floats = (rows - self.mean) / self.scale
        return found
