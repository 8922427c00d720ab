"""The relational agent as it is usually written: a layer for each head and each of queries, keys and values, and the softmax in full."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from relational_rl import AgentOptions, Stem


class PlainHead(nn.Module):
    """One head of the attention."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(width, dim), nn.LayerNorm(dim)) for _ in range(3))
        self.dim = dim

    def forward(self, entities: Tensor) -> Tensor:
        query, key, value = (layer(entities) for layer in self.layers)
        scores = torch.einsum("bnd,bmd->bnm", query, key) / math.sqrt(self.dim)
        return torch.einsum("bnm,bmd->bnd", scores.softmax(-1), value)


class PlainAgent(nn.Module):
    """Stem, one round of attention, pool and heads, of the same sizes as `Agent(options)`."""

    def __init__(self, options: AgentOptions) -> None:
        super().__init__()
        self.options = options
        self.stem = Stem(options.padding, options.input_norm)
        width = self.stem.width
        self.heads = nn.ModuleList(PlainHead(width, options.head_dim) for _ in range(options.heads))
        self.mlp = nn.Sequential(
            nn.Linear(options.heads * options.head_dim, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)
        layers: list[nn.Module] = []
        for layer in range(options.layers):
            layers += [nn.Linear(width if layer == 0 else options.hidden, options.hidden), nn.ReLU()]
        self.head = nn.Sequential(*layers)
        self.policy, self.value = nn.Linear(options.hidden, 4), nn.Linear(options.hidden, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        entities = self.stem(frames).flatten(1, 2)
        mixed = torch.cat([head(entities) for head in self.heads], dim=-1)
        entities = self.norm(entities + self.mlp(mixed))
        hidden = self.head(entities.amax(1))
        return self.policy(hidden), self.value(hidden)[:, 0]
