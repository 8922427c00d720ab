"""From what an environment shows to features: two streams of planes that become small maps, and a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from relational_rl.nets import ResidualBlock
from relational_rl.sc2.interface import Interface, Layer


class Planes(nn.Module):
    """Planes of integers as features: quantities by their logarithm, categories embedded.

    A table of embeddings looked up at each cell is a 1 x 1 convolution of the one-hot plane. A category that the specs do not
    know, of a unit newer than they are, has a row of its own.

    Args:
        layers: of the screen or of the minimap, as the specs tell.
        embedding: width of a category's embedding.
    """

    def __init__(self, layers: Sequence[Layer], embedding: int) -> None:
        super().__init__()
        categorical = [place for place, layer in enumerate(layers) if layer.categorical]
        scalar = [place for place, layer in enumerate(layers) if not layer.categorical]
        rows = [layers[place].scale for place in categorical]
        self.embedding = nn.Embedding(sum(rows) + len(rows), embedding)
        begins = [sum(rows[:place]) + place for place in range(len(rows))]
        self.categorical: Tensor
        self.scalar: Tensor
        self.rows: Tensor
        self.begins: Tensor
        self.ranges: Tensor
        self.register_buffer("categorical", torch.tensor(categorical, dtype=torch.int64), persistent=False)
        self.register_buffer("scalar", torch.tensor(scalar, dtype=torch.int64), persistent=False)
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.int64)[:, None, None], persistent=False)
        self.register_buffer(
            "begins", torch.tensor(begins, dtype=torch.int64)[:, None, None], persistent=False
        )
        ranges = [math.log1p(max(1, layers[place].scale - 1)) for place in scalar]
        self.register_buffer("ranges", torch.tensor(ranges)[:, None, None], persistent=False)
        self.width = len(scalar) + embedding * len(categorical)

    def forward(self, planes: Tensor) -> Tensor:
        """(N, layers, rows, columns) integers -> (N, width, rows, columns)."""
        quantities = planes[:, self.scalar].to(self.ranges.dtype).clamp(min=0).log1p() / self.ranges
        categories = planes[:, self.categorical].long()
        known = (categories >= 0) & (categories < self.rows)
        places = torch.where(known, categories, self.rows) + self.begins
        embedded = self.embedding(places).permute(0, 1, 4, 2, 3).flatten(1, 2)  # (N, layers * embedding, ...)
        return torch.cat([quantities, embedded], dim=1)


class Stream(nn.Module):
    """Screen or minimap to a map of cells x cells: 4 x 4 convolutions of stride 2, each with a residual block behind.

    A plane more says whether the call before was one on this stream.

    Args:
        layers: of the stream.
        size: rows and columns.
        embedding: width of a category's embedding.
        width: channels of the map.
        cells: side of the map.

    Raises:
        InputError: the size is no square whose side is cells times a power of two.
    """

    def __init__(
        self, layers: Sequence[Layer], size: tuple[int, int], embedding: int, width: int, cells: int
    ) -> None:
        super().__init__()
        stages = halvings(size, cells)
        self.planes = Planes(layers, embedding)
        channels = self.planes.width + 1
        parts: list[nn.Module] = []
        for _ in range(stages):
            parts += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU(), ResidualBlock(width)]
            channels = width
        if not parts:
            parts = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), ResidualBlock(width)]
        self.down = nn.Sequential(*parts)

    def forward(self, planes: Tensor, just_used: Tensor) -> Tensor:
        """A batch of planes.

        Args:
            planes: (N, layers, rows, columns) integers.
            just_used: (N,) bool, whether the call before was one on this stream.

        Returns:
            (N, width, cells, cells).
        """
        features = self.planes(planes)
        flag = just_used.to(features.dtype)[:, None, None, None].expand(-1, -1, *features.shape[2:])
        mapped: Tensor = self.down(torch.cat([features, flag], dim=1))
        return mapped


class VectorInputs(nn.Module):
    """The player's numbers, by their logarithm, and the call before, embedded: 128 and 64 units.

    Args:
        interface: of the environments.
        embedding: width of the embedding of a function.
        hidden: widths of the two layers.
    """

    def __init__(self, interface: Interface, embedding: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(interface.functions), embedding)
        first, second = hidden
        self.layers = nn.Sequential(
            nn.Linear(interface.player + embedding, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
        )

    def forward(self, player: Tensor, previous: Tensor) -> Tensor:
        """(N, numbers) and (N,) places of functions -> (N, hidden[1])."""
        known = torch.cat([player.clamp(min=0).log1p(), self.embedding(previous)], dim=-1)
        features: Tensor = self.layers(known)
        return features


def halvings(size: tuple[int, int], cells: int) -> int:
    """How often a square of this size is halved to come to cells x cells.

    Raises:
        InputError: it never does.
    """
    stages = round(math.log2(size[0] / cells))
    if size[0] != size[1] or cells * 2**stages != size[0] or stages < 0:
        raise InputError(
            f"a screen or minimap of {size[0]} x {size[1]} does not halve to {cells} x {cells}: "
            f"{cells}, {2 * cells}, {4 * cells}, ... do"
        )
    return stages
