"""Crossmodal feature mapping: two small networks tell colours from shape and shape from colours; where both fail, something is wrong.

There is no memory bank, so that neither time nor memory grows with the training set.

Source: Costanzino et al., CVPR 2024, re-derived from the paper; the score of a patch is the product of both errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.training import EpochLoop, LoopOptions, Outcome

from m3dm.arrays import Floats
from m3dm.detector import Prediction
from m3dm.features import ScanFeatures
from m3dm.fusion import pairs, training_pairs
from m3dm.maps import heat_map
from m3dm.standard import Standard


@dataclass
class MappingOptions(LoopOptions):
    """How to train the two mappings.

    Attributes:
        hidden: width of the two inner layers; 960 in the paper.
    """

    epochs: int = 50
    learning_rate: float = 0.001
    evaluate_every: int = 0
    hidden: int = 960


class Mappings(nn.Module):
    """From one modality to the other, both ways.

    Args:
        xyz_dim: width of features of points.
        rgb_dim: width of features of colours.
        hidden: width of the inner layers.
    """

    def __init__(self, xyz_dim: int, rgb_dim: int, hidden: int = 960) -> None:
        super().__init__()

        def network(width: int, target: int) -> nn.Sequential:
            inner = [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()]
            return nn.Sequential(*inner, nn.Linear(hidden, target))

        self.to_xyz, self.to_rgb = network(rgb_dim, xyz_dim), network(xyz_dim, rgb_dim)

    def loss(self, xyz: Tensor, rgb: Tensor) -> Tensor:
        """1 - cosine of what is told and what is, both ways; (P, Dx) and (P, Dr) of the same patches."""
        there = F.cosine_similarity(self.to_rgb(xyz), rgb).mean()
        back = F.cosine_similarity(self.to_xyz(rgb), xyz).mean()
        return (1 - there) + (1 - back)

    def errors(self, xyz: Tensor, rgb: Tensor) -> Tensor:
        """(P,) product of the distances between the unit vectors of what is told and what is."""
        there = F.normalize(self.to_rgb(xyz), dim=1) - F.normalize(rgb, dim=1)
        back = F.normalize(self.to_xyz(rgb), dim=1) - F.normalize(xyz, dim=1)
        found: Tensor = there.norm(dim=1) * back.norm(dim=1)
        return found


class MappingTrainer(EpochLoop[int]):
    """Trains the mappings on pairs of good scans; a step is one scan. Arguments as of `fusion.FusionTrainer`."""

    options_at = "cfm"

    def __init__(
        self,
        network: Mappings,
        scans: Sequence[tuple[Floats, Floats]],
        options: MappingOptions | None = None,
        *,
        seed: int = 0,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        if not scans:
            raise InputError("no scan to train the mappings on")
        options = options or MappingOptions()
        self.network = network
        self.scans = [tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in both) for both in scans]
        self.generator = torch.Generator().manual_seed(seed)
        made_of = fingerprint(sums=[float(np.float64(xyz.sum())) for xyz, _ in scans], seed=seed)
        super().__init__(
            network,
            torch.optim.Adam(network.parameters(), options.learning_rate),
            options,
            order=self.generator,
            checkpoints=None if directory is None else Checkpoints(directory, "m3dm-cfm", made_of),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return len(self.scans)

    def batches(self, done: int) -> Iterator[int]:
        """The scans in a new order."""
        yield from torch.randperm(len(self.scans), generator=self.generator).tolist()[done:]

    def step(self, batch: int) -> Tensor:
        loss = self.network.loss(*self.scans[batch])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss


class CrossModal:
    """Detector by crossmodal mapping.

    Args:
        options: of the training.
        standardise: modality -> whether each feature gets a scale of its own, as its backbone says.
        sigma: pixels of the blur.
        seed: of weights and order.
    """

    def __init__(
        self,
        options: MappingOptions | None = None,
        standardise: tuple[bool, bool] = (False, True),
        sigma: float = 4.0,
        seed: int = 0,
    ) -> None:
        self.options, self.each, self.sigma, self.seed = options or MappingOptions(), standardise, sigma, seed
        self.network: Mappings | None = None
        self.outcome: Outcome | None = None

    def fit_features(self, features: Sequence[ScanFeatures]) -> CrossModal:
        """Learn from features of good scans.

        Raises:
            InputError: there is none, or one lacks a modality.
        """
        xyz = [scan.xyz for scan in features if scan.xyz is not None]
        rgb = [scan.rgb for scan in features if scan.rgb is not None]
        if not features or len(xyz) != len(features) or len(rgb) != len(features):
            raise InputError("crossmodal mapping learns from scans with both points and colours")
        found = training_pairs(xyz, rgb)
        rows = [np.concatenate([both[k] for both in found]) for k in range(2)]
        self.standards = [Standard.fit(part, each) for part, each in zip(rows, self.each, strict=True)]
        scans = [(self.standards[0](points), self.standards[1](colours)) for points, colours in found]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network = Mappings(rows[0].shape[1], rows[1].shape[1], self.options.hidden)
        self.outcome = MappingTrainer(self.network, scans, self.options, seed=self.seed).fit()
        return self

    @torch.inference_mode()
    def predict_features(self, scan: ScanFeatures) -> Prediction:
        """Judge features of a scan."""
        if self.network is None or scan.xyz is None or scan.rgb is None:
            raise InputError(f"{scan.name}: crossmodal mapping needs points, colours, and a fit before")
        points, colours = pairs(scan.xyz, scan.rgb)
        grid = max(scan.xyz.grid, scan.rgb.grid)
        valid = scan.xyz.on(grid).valid & scan.rgb.on(grid).valid
        away = np.zeros(len(points), np.float32)
        both = (
            torch.from_numpy(standard(rows[valid]))
            for standard, rows in zip(self.standards, (points, colours), strict=True)
        )
        away[valid] = self.network.errors(*both).numpy()
        found = heat_map(away, grid, scan.side, sigma=self.sigma)
        score = float(found.max())
        return Prediction(scan.name, score, found, {"both": score}, {"both": found})
