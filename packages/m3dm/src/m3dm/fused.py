"""The third bank's patches: features of points and of colours of the same place, side by side or fused by the trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from offprints.training import Outcome

from m3dm.features import PatchFeatures
from m3dm.fusion import FeatureFusion, FusionOptions, pairs, train_fusion


class Fusion:
    """Makes fused patches of those of points and of colours.

    Args:
        kind: concat or uff.
        network: a trained one, for uff; None trains one in `fit`.
        options: how to train it.
        seed: of the training.

    Attributes:
        outcome: of the training, where there was one.
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

    def fit(self, xyz: Sequence[PatchFeatures], rgb: Sequence[PatchFeatures]) -> None:
        """Train the network, if there is one to train.

        Args:
            xyz: features of points, one for each good scan.
            rgb: features of colours, of the same scans.
        """
        if self.kind == "uff" and not self._given:
            self.network, self.outcome = train_fusion(xyz, rgb, self.options, self.seed)

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
        if self.kind == "concat":
            # Each modality counts alike, however many numbers it has.
            widths = [np.sqrt(part.shape[1], dtype=np.float32) for part in (shape, colour)]
            return PatchFeatures(np.concatenate([shape / widths[0], colour / widths[1]], 1), grid, valid)
        assert self.network is not None
        device = next(self.network.parameters()).device
        both = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (shape, colour))
        found = self.network.eval()(*both).cpu().numpy()
        return replace(xyz.on(grid), values=found, valid=valid)
