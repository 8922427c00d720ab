"""Point Transformer over groups of points, by the names of Point-MAE's and Point-BERT's files.

A small PointNet makes a token of each group of 128 points; twelve blocks let the tokens of 1,024 groups look at each other. Outputs
of blocks 4, 8 and 12 are the features of a group (Section 3.2 of the paper).

The published program never leaves training mode: its norms take the statistics of the scan at hand, and whole branches are dropped
at random, so that features change from one look to the next. Here the network is in eval mode; `stochastic_reference` is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from offprints.errors import InputError

from m3dm.align import alignment
from m3dm.arrays import Floats, Indices
from m3dm.features import PatchFeatures
from m3dm.grouping import farthest_points, nearest_points
from m3dm.scan import Scan, ScanError
from m3dm.vit import Block
from m3dm.weights import Loaded, fit_weights, read_weights

TAPS = (3, 7, 11)
"""Blocks whose outputs are features, from 0."""
DIM, HEADS, DEPTH, DROP = 384, 6, 12, 0.1


class GroupEncoder(nn.Module):
    """A token for each group of points: a PointNet with one look at the whole group in between.

    Args:
        dim: of the token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, dim, 1)
        )

    def forward(self, groups: Tensor) -> Tensor:
        """Tokens of groups.

        Args:
            groups: (G, K, 3) points relative to their centre.

        Returns:
            (G, dim).
        """
        each = self.first_conv(groups.transpose(1, 2))  # (G, 256, K)
        whole = each.amax(2, keepdim=True).expand(-1, -1, each.shape[2])
        found: Tensor = self.second_conv(torch.cat([whole, each], 1)).amax(2)
        return found


class Blocks(nn.Module):
    """The blocks, under the name that the files have them by; positions are added before each."""

    def __init__(self) -> None:
        super().__init__()
        rates = np.linspace(0, DROP, DEPTH)
        self.blocks = nn.ModuleList(
            Block(DIM, HEADS, bias=False, eps=1e-5, drop=float(rate)) for rate in rates
        )

    def forward(self, tokens: Tensor, positions: Tensor) -> list[Tensor]:
        """Outputs of the blocks of `TAPS`, each (B, T, DIM)."""
        found = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens + positions)
            if number in TAPS:
                found.append(tokens)
        return found


class PointTransformer(nn.Module):
    """The transformer of Point-MAE; `bert=True` is that of Point-BERT, with a narrower encoder and a class token.

    Args:
        bert: which.
    """

    def __init__(self, bert: bool = False) -> None:
        super().__init__()
        self.bert = bert
        self.encoder = GroupEncoder(256 if bert else DIM)
        if bert:
            self.reduce_dim = nn.Linear(256, DIM)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, DIM))
            self.cls_pos = nn.Parameter(torch.zeros(1, 1, DIM))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, DIM))
        self.blocks = Blocks()
        self.norm = nn.LayerNorm(DIM)

    def forward(self, groups: Tensor, centres: Tensor) -> Tensor:
        """Features of groups.

        Args:
            groups: (G, K, 3) points relative to their centre, metres.
            centres: (G, 3) metres.

        Returns:
            (G, 1152): blocks 4, 8 and 12, each behind the norm.
        """
        tokens, positions = self.encoder(groups)[None], self.pos_embed(centres)[None]
        if self.bert:
            tokens = torch.cat([self.cls_token, self.reduce_dim(tokens)], 1)
            positions = torch.cat([self.cls_pos, positions], 1)
        first = 1 if self.bert else 0
        return torch.cat([self.norm(x)[0, first:] for x in self.blocks(tokens, positions)], 1)


def load_point_transformer(path: Path | str) -> tuple[PointTransformer, Loaded]:
    """From a file of weights: Point-MAE's or Point-BERT's, as their authors publish them.

    Args:
        path: the file.

    Raises:
        InputError: it is missing or damaged, or a tensor is missing or of another shape.
    """
    tensors = {
        name.removeprefix("module."): value for name, value in read_weights(path, "base_model").items()
    }
    bert = any(name.startswith("transformer_q.") for name in tensors)
    prefix = "transformer_q." if bert else "MAE_encoder."
    network = PointTransformer(bert)
    renamed = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    others = {
        name: value for name, value in tensors.items() if not name.startswith(prefix) and name not in renamed
    }
    return network, fit_weights(network, {**others, **renamed}, path)


@dataclass(frozen=True, eq=False)
class PointFeatures:
    """The paper's features of points: a pretrained Point Transformer, aligned to the image.

    Attributes:
        network: with its weights.
        source: the file they come from.
        groups: centres of a scan; a scan of fewer points is refused.
        size: points of a group.
        patches: of a row.
        pooling: mean or published, see `align.alignment`.
        stochastic_reference: leave the network in training mode, as published: features are then random.
        device: where it runs.
    """

    network: PointTransformer
    source: Loaded
    groups: int = 1024
    size: int = 128
    patches: int = 56
    pooling: str = "published"
    stochastic_reference: bool = False
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - a device is a plain value

    modality = "xyz"
    standardise = False

    @classmethod
    def from_file(
        cls, path: Path | str, device: torch.device | str = "cpu", **options: bool | int | str
    ) -> PointFeatures:
        """From a file of weights; see `load_point_transformer`."""
        network, source = load_point_transformer(path)
        return cls(network.to(device), source, device=torch.device(device), **options)  # type: ignore[arg-type]

    def __call__(self, scan: Scan) -> PatchFeatures:
        """Features of a prepared scan.

        Raises:
            ScanError: it has no points, or fewer than groups.
        """
        if scan.xyz is None:
            raise ScanError(f"{scan.name}: no xyz; a point transformer looks at points")
        points = scan.xyz[scan.points]
        try:
            at, features = self.of_groups(points)
        except InputError as error:
            raise ScanError(f"{scan.name}: {error}") from error
        matrix, seen = alignment(scan, points[at], self.patches, self.pooling)
        return PatchFeatures(matrix @ features, (self.patches, self.patches), seen)

    @torch.no_grad()
    def of_groups(self, points: Floats) -> tuple[Indices, Floats]:
        """Centres, as (G,) indices of points, and (G, 1152) features.

        Args:
            points: (N, 3) float32 metres.
        """
        at = farthest_points(points, self.groups)
        members = nearest_points(points, points[at], self.size)
        groups = torch.from_numpy(points[members] - points[at][:, None]).to(self.device)
        centres = torch.from_numpy(points[at]).to(self.device)
        self.network.train(self.stochastic_reference)
        found: Floats = self.network(groups, centres).cpu().numpy()
        return at, found

    def describe(self) -> dict[str, object]:
        return {
            "kind": "point_transformer",
            "path": str(self.source.path),
            "sha256": self.source.sha256,
            "groups": self.groups,
            "size": self.size,
            "patches": self.patches,
            "pooling": self.pooling,
            "stochastic_reference": self.stochastic_reference,
        }
