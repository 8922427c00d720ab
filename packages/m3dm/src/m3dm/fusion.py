"""Unsupervised feature fusion: two small networks are trained so that features of one patch in colour and in shape agree.

Source: Section 3.3 of the paper. A patch contrasts with all others of its scan: its colour has to find its own shape.
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
from m3dm.features import PatchFeatures
from m3dm.vit import MLP
from m3dm.weights import Loaded, fit_weights, read_weights


class FeatureFusion(nn.Module):
    """The fusion network; names as in the published file of weights.

    Args:
        xyz_dim: width of features of points, 1152 in the paper.
        rgb_dim: width of features of colours, 768 in the paper.
        heads: width of the space in which the two are compared.
    """

    def __init__(self, xyz_dim: int = 1152, rgb_dim: int = 768, heads: int = 256) -> None:
        super().__init__()
        self.xyz_norm, self.xyz_mlp = nn.LayerNorm(xyz_dim), MLP(xyz_dim, 4 * xyz_dim)
        self.rgb_norm, self.rgb_mlp = nn.LayerNorm(rgb_dim), MLP(rgb_dim, 4 * rgb_dim)
        self.rgb_head, self.xyz_head = nn.Linear(rgb_dim, heads), nn.Linear(xyz_dim, heads)

    def forward(self, xyz: Tensor, rgb: Tensor) -> Tensor:
        """Fused features.

        Args:
            xyz: (..., xyz_dim).
            rgb: (..., rgb_dim) of the same patches.

        Returns:
            (..., xyz_dim + rgb_dim), those of points first.
        """
        return torch.cat([self.xyz_mlp(self.xyz_norm(xyz)), self.rgb_mlp(self.rgb_norm(rgb))], -1)

    def logits(self, xyz: Tensor, rgb: Tensor, temperature: float = 1.0) -> Tensor:
        """(..., P, P) cosines of every patch's colour with every patch's shape, over the temperature.

        Args:
            xyz: (..., P, xyz_dim).
            rgb: (..., P, rgb_dim).
            temperature: 1 is the published value; cosines then move the loss by 2 at most.
        """
        shape = F.normalize(self.xyz_head(self.xyz_mlp(self.xyz_norm(xyz))), dim=-1)
        colour = F.normalize(self.rgb_head(self.rgb_mlp(self.rgb_norm(rgb))), dim=-1)
        return colour @ shape.transpose(-1, -2) / temperature

    def loss(self, xyz: Tensor, rgb: Tensor, temperature: float = 1.0, symmetric: bool = False) -> Tensor:
        """Twice the temperature times the cross-entropy of finding one's own patch (Equation 4).

        Args:
            xyz: (P, xyz_dim).
            rgb: (P, rgb_dim) of the same patches.
            temperature: of the softmax.
            symmetric: also let shapes find colours; published is the one direction.
        """
        found = self.logits(xyz, rgb, temperature)
        own = torch.arange(len(found), device=found.device)
        loss = F.cross_entropy(found, own)
        if symmetric:
            loss = (loss + F.cross_entropy(found.T, own)) / 2
        return 2 * temperature * loss


def load_fusion(path: Path | str) -> tuple[FeatureFusion, Loaded]:
    """From a file of weights with the published names.

    Args:
        path: the file.

    Raises:
        InputError: it is missing or damaged, or a tensor is missing or of another shape.
    """
    tensors = read_weights(path, "model")
    wide = {
        name: tensors[f"{name}_norm.weight"].shape[0]
        for name in ("xyz", "rgb")
        if f"{name}_norm.weight" in tensors
    }
    network = FeatureFusion(wide.get("xyz", 1152), wide.get("rgb", 768))
    return network, fit_weights(network, tensors, path)


def pairs(xyz: PatchFeatures, rgb: PatchFeatures) -> tuple[Floats, Floats]:
    """Features of the same patches, in the same order, of a scan: for training and for use alike.

    Features of the coarser grid are repeated over the patches of the finer one that they cover. The published program that
    collects training pairs reorders them instead, so that 3 of 1,000 rows meet their own partner (`scrambled_rows`).

    Args:
        xyz: of points.
        rgb: of colours.

    Returns:
        (P, Dx) and (P, Dr).
    """
    grid = max(xyz.grid, rgb.grid)
    return xyz.on(grid).values, rgb.on(grid).values


def scrambled_rows(rgb: Floats, grid: int = 28, fine: int = 56) -> Floats:
    """The order in which the published program pairs colours with points when it collects training data.

    It stacks four copies of all patches, cuts the stack into fours and stacks what comes first in each, then what comes second,
    and so on: of 3,136 rows a handful meet their own partner.

    Args:
        rgb: (grid², D).
        grid: rows of the coarse grid.
        fine: rows of the fine grid.

    Returns:
        (fine², D).
    """
    copies, count = (fine // grid) ** 2, grid * grid
    order = np.tile(np.arange(count), copies).reshape(count, copies).T.ravel()
    return rgb[order]


@dataclass
class FusionOptions(LoopOptions):
    """How to train the fusion network.

    Attributes:
        temperature: of the contrast; 1 as published, at which cosines can hardly move the loss.
        symmetric: shapes look for colours too.
        weight_decay: of AdamW.
        patches: of a scan that contrast in one step; 0 takes all.
        heads: width of the space of comparison.
        aligned: false pairs as the published program does, for comparison.
    """

    epochs: int = 3
    learning_rate: float = 0.003
    schedule: str = "cosine"
    warmup_epochs: float = 1.0
    evaluate_every: int = 0
    temperature: float = 1.0
    symmetric: bool = False
    weight_decay: float = 0.01
    patches: int = 0
    heads: int = 256
    aligned: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("temperature", self.temperature > 0, "positive"),
            ("patches", self.patches == 0 or self.patches >= 2, "0, or 2 or more"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
        )


class FusionTrainer(EpochLoop[int]):
    """Trains a fusion network on pairs of good scans; a step is one scan.

    Args:
        network: what is trained.
        scans: (xyz, rgb) features of the valid patches of each scan, each (P, D).
        options: how.
        seed: of the order and of the patches that are drawn.
        directory: of checkpoints; None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which a step runs.
    """

    options_at = "fusion"
    advice = ", or a higher fusion.temperature"

    def __init__(
        self,
        network: FeatureFusion,
        scans: Sequence[tuple[Floats, Floats]],
        options: FusionOptions | None = None,
        *,
        seed: int = 0,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        if not scans:
            raise InputError("no scan to train the fusion on")
        self.options = options or FusionOptions()
        self.network, self.scans = network, scans
        self.generator = torch.Generator().manual_seed(seed)
        made_of = fingerprint(
            sizes=[len(xyz) for xyz, _ in scans],
            sums=[float(np.float64(xyz.sum())) for xyz, _ in scans],
            seed=seed,
        )
        super().__init__(
            network,
            torch.optim.AdamW(
                network.parameters(),
                self.options.learning_rate,
                betas=(0.9, 0.95),
                weight_decay=self.options.weight_decay,
            ),
            self.options,
            order=self.generator,
            checkpoints=None if directory is None else Checkpoints(directory, "m3dm-fusion", made_of),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return len(self.scans)

    def batches(self, done: int) -> Iterator[int]:
        """The scans in a new order."""
        order = torch.randperm(len(self.scans), generator=self.generator).tolist()
        # Patches are drawn by a seed of the epoch's own, so that a resumed epoch draws what an unbroken one does.
        self._draw = int(torch.randint(1 << 40, (1,), generator=self.generator))
        yield from order[done:]

    def step(self, batch: int) -> Tensor:
        xyz, rgb = self.scans[batch]
        if self.options.patches and len(xyz) > self.options.patches:
            some = np.random.default_rng((self._draw, batch)).permutation(len(xyz))[: self.options.patches]
            xyz, rgb = xyz[some], rgb[some]
        device = next(self.network.parameters()).device
        shape, colour = (torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (xyz, rgb))
        loss = self.network.loss(shape, colour, self.options.temperature, self.options.symmetric)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss


def training_pairs(
    xyz: Sequence[PatchFeatures], rgb: Sequence[PatchFeatures], aligned: bool = True
) -> list[tuple[Floats, Floats]]:
    """Pairs of the patches of each scan that show the part in both modalities.

    Args:
        xyz: features of points, one for each scan.
        rgb: features of colours, of the same scans.
        aligned: false pairs as the published program does.
    """
    found = []
    for points, colours in zip(xyz, rgb, strict=True):
        grid = max(points.grid, colours.grid)
        valid = points.on(grid).valid & colours.on(grid).valid
        shape, colour = pairs(points, colours)
        if not aligned and colours.grid != grid:
            colour = scrambled_rows(colours.values, colours.grid[0], grid[0])
        elif not aligned:
            raise InputError(
                "aligned=false needs colours on a coarser grid than points, as the published program has them"
            )
        if valid.any():
            found.append((shape[valid], colour[valid]))
    return found


def train_fusion(
    xyz: Sequence[PatchFeatures],
    rgb: Sequence[PatchFeatures],
    options: FusionOptions | None = None,
    seed: int = 0,
    **told: object,
) -> tuple[FeatureFusion, Outcome]:
    """Train a fusion network on the features of good scans.

    Args:
        xyz: features of points, one for each scan.
        rgb: features of colours, of the same scans.
        options: how.
        seed: of the weights, of the order and of the patches that are drawn.
        told: what else `FusionTrainer` takes.
    """
    options = options or FusionOptions()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FeatureFusion(xyz[0].values.shape[1], rgb[0].values.shape[1], options.heads)
    scans = training_pairs(xyz, rgb, options.aligned)
    outcome = FusionTrainer(network, scans, options, seed=seed, **told).fit()  # type: ignore[arg-type]
    return network, outcome
