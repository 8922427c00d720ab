"""The third bank's patches: features of points and of colours of the same place, side by side or fused by the trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from offprints.errors import InputError
from offprints.training import Outcome

from m3dm.features import PatchFeatures
from m3dm.fusion import FeatureFusion, FusionOptions, pairs, train_fusion
from m3dm.neighbours import Neighbours


class Fusion:
    """Makes fused patches of those of points and of colours.

    Args:
        kind: concat (side by side, each modality on the scale of its usual distances), plain (on that of its standard deviation, as
            BTF has them) or uff.
        network: a trained one, for uff; None trains one in `fit`.
        options: how to train it.
        seed: of the training.

    Attributes:
        outcome: of the training, where there was one.
        scales: what features of points and of colours are divided by before they stand side by side.
    """

    def __init__(
        self,
        kind: str = "concat",
        network: FeatureFusion | None = None,
        options: FusionOptions | None = None,
        seed: int = 0,
    ) -> None:
        self.kind, self.network, self.options, self.seed = kind, network, options, seed
        self._given = network is not None
        self.outcome: Outcome | None = None
        self.scales: tuple[float, float] | None = None

    def fit(self, xyz: Sequence[PatchFeatures], rgb: Sequence[PatchFeatures]) -> None:
        """Train the network, if there is one to train; find the scales, if there is none.

        Args:
            xyz: features of points, one for each good scan.
            rgb: features of colours, of the same scans.
        """
        if self.kind == "uff" and not self._given:
            self.network, self.outcome = train_fusion(xyz, rgb, self.options, self.seed)
        if self.kind == "concat":
            self.scales = usual_gap(xyz), usual_gap(rgb)
        if self.kind == "plain":
            self.scales = xyz[0].values.shape[1] ** 0.5, rgb[0].values.shape[1] ** 0.5

    @torch.inference_mode()
    def __call__(self, xyz: PatchFeatures, rgb: PatchFeatures) -> PatchFeatures:
        """Fused features of a scan, on the finer grid of the two.

        Args:
            xyz: of points.
            rgb: of colours.
        """
        grid = max(xyz.grid, rgb.grid)
        shape, colour = pairs(xyz, rgb)
        valid = xyz.on(grid).valid & rgb.on(grid).valid
        if self.kind != "uff":
            assert self.scales is not None
            scaled = [
                part / np.float32(scale) for part, scale in zip((shape, colour), self.scales, strict=True)
            ]
            return PatchFeatures(np.concatenate(scaled, 1), grid, valid)
        assert self.network is not None
        device = next(self.network.parameters()).device
        both = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (shape, colour))
        found = self.network.eval()(*both).cpu().numpy()
        return replace(xyz.on(grid), values=found, valid=valid)


def usual_gap(scans: Sequence[PatchFeatures], most: int = 2000) -> float:
    """The mean distance of a patch of a good part to the nearest patch of others.

    Histograms of a smooth surface hardly differ from one place to the next, colours do: on the scale of their standard deviations,
    points would have no say beside colours.

    Args:
        scans: features of good scans; of a single one, every other patch stands for another part.
        most: patches of either side that are looked at.
    """
    rows = [scan.values[scan.valid] for scan in scans]
    sides = (rows[::2], rows[1::2]) if len(rows) > 1 else ([rows[0][::2]], [rows[0][1::2]])
    one, other = (np.concatenate(side) for side in sides)
    if not len(one) or not len(other):
        raise InputError(
            "no patch of a good part shows the part: features of points and colours have no scale"
        )
    one, other = (
        side[np.linspace(0, len(side) - 1, min(most, len(side))).astype(int)] for side in (one, other)
    )
    distance, _ = Neighbours(one).query(other)
    return float(distance.mean()) or 1.0
