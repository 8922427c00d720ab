"""The relational block of the paper: entities attend to one another, an MLP takes in what they found, a residual keeps what they were."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class HeadNorm(nn.Module):
    """Gain and bias of a layer normalisation of each head's vectors; `RelationalBlock` applies them.

    Args:
        heads: H.
        dim: d, the width that is normalised.
    """

    gain: nn.Parameter
    bias: nn.Parameter

    def __init__(self, heads: int, dim: int) -> None:
        super().__init__()
        self.gain, self.bias = (
            nn.Parameter(torch.ones(heads, 1, dim)),
            nn.Parameter(torch.zeros(heads, 1, dim)),
        )


class RelationalBlock(nn.Module):
    """One round of messages between all entities: multi-head dot-product attention, a shared MLP, a residual.

    For head h: Q, K, V = LN(E W + b), A = softmax(Q K^T / sqrt(d)), and E' = LN(E + g(concat over heads of A V)).

    Args:
        entity_dim: D, width of an entity.
        heads: H.
        head_dim: d, of queries and keys.
        value_dim: of values; None takes `head_dim`.
        qkv_norm: per_head, joint or none; see `nets.AgentOptions`.
        mlp_final_relu: a ReLU after the second layer of the MLP too.

    Source: Section 3.2, equation 1.
    """

    def __init__(
        self,
        entity_dim: int,
        heads: int = 2,
        head_dim: int = 64,
        value_dim: int | None = None,
        qkv_norm: str = "per_head",
        mlp_final_relu: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.head_dim, self.value_dim = heads, head_dim, value_dim or head_dim
        self.qkv_norm, self.mlp_final_relu = qkv_norm, mlp_final_relu
        self.sizes = [heads * head_dim, heads * head_dim, heads * self.value_dim]
        self.qkv = nn.Linear(entity_dim, sum(self.sizes))
        per_head = [HeadNorm(heads, size // heads) for size in self.sizes]
        joint = [nn.LayerNorm(size) for size in self.sizes]
        norms: dict[str, list[nn.Module]] = {"per_head": [*per_head], "joint": [*joint]}
        self.norms = nn.ModuleList(norms.get(qkv_norm, []))
        self.hidden, self.out = nn.Linear(self.sizes[2], entity_dim), nn.Linear(entity_dim, entity_dim)
        self.norm = nn.LayerNorm(entity_dim)

    def forward(self, entities: Tensor, need_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """One round.

        Args:
            entities: (B, N, D).
            need_weights: also return the attention.

        Returns:
            (B, N, D), and the attention (B, H, N, N), whose rows sum to 1, or None.
        """
        if self.qkv_norm == "per_head" and entities.device.type == "cpu":
            update, weights = self._head_by_head(entities, need_weights)
        else:
            update, weights = self._all_heads(entities, need_weights)
        update = self.out(update.relu())
        if self.mlp_final_relu:
            update = update.relu()
        return self.norm(entities + update), weights if need_weights else None

    def _head_by_head(self, entities: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        """The MLP's first layer (B, N, D) and the attention. A third faster on a CPU: every product reads what lies side by side."""
        weight, bias = self.qkv.weight.split(self.sizes), self.qkv.bias.split(self.sizes)
        mixed, weights = [], []
        for h in range(self.heads):
            parts = []
            for i, norm in enumerate(cast(list[HeadNorm], self.norms)):
                dim = self.sizes[i] // self.heads
                own = slice(h * dim, (h + 1) * dim)
                x = F.linear(entities, weight[i][own], bias[i][own])
                parts.append(F.layer_norm(x, (dim,), norm.gain[h, 0], norm.bias[h, 0]))
            query, key, value = parts  # (B, N, d) each
            scores = torch.bmm(query, key.transpose(1, 2)) / math.sqrt(self.head_dim)
            weights.append(scores.softmax(-1))  # over the keys
            mixed.append(torch.bmm(weights[-1], value))
        return self.hidden(torch.cat(mixed, -1)), torch.stack(weights, 1) if need_weights else None

    def _all_heads(self, entities: Tensor, need_weights: bool) -> tuple[Tensor, Tensor | None]:
        """The same with few large operations, as a GPU likes them; the attention where it is asked for."""
        query, key, value = self._projected(entities)  # (B, H, N, d) each
        weights = None
        if need_weights:
            weights = (query @ key.transpose(-1, -2)).softmax(-1)
            mixed = weights @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return F.linear(mixed.transpose(1, 2).flatten(2), *self._hidden()), weights

    def _projected(self, entities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, D) -> queries, keys (B, H, N, d) and values (B, H, N, v), such that a score is a query times a key.

        Gains and biases of the norms of each head cost passes over memory where they stand. They are moved to where there are fewer
        numbers: a key's gain and the root of d to the query, and a value's to the MLP (`_hidden`). A key's bias adds the same to all scores
        of a query, which the softmax does not see.
        """
        projected = self.qkv(entities)  # (B, N, H (d + d + v))
        root = math.sqrt(self.head_dim)
        if self.qkv_norm != "per_head":
            parts = list(projected.split(self.sizes, dim=-1))
            if self.qkv_norm == "joint":
                parts = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
            query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
            return query / root, key, value
        if self.value_dim == self.head_dim:
            x = projected.unflatten(-1, (3, self.heads, self.head_dim))
            query, key, value = F.layer_norm(x, x.shape[-1:]).permute(2, 0, 3, 1, 4)
        else:
            heads = (part.unflatten(-1, (self.heads, -1)) for part in projected.split(self.sizes, dim=-1))
            query, key, value = (F.layer_norm(x, x.shape[-1:]).transpose(1, 2) for x in heads)
        of_query, of_key = (cast(HeadNorm, self.norms[i]) for i in range(2))
        # The key's bias takes part with nothing, so that it has a gradient as every parameter should: 0.
        bias = of_query.bias * of_key.gain + 0 * of_key.bias
        query = torch.addcmul(bias / root, query, of_query.gain * of_key.gain / root)
        return query, key, value

    def _hidden(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the MLP's first layer, with the gain and bias of the values' norm in them: a row of attention sums to 1."""
        weight, bias = self.hidden.weight, self.hidden.bias
        if self.qkv_norm != "per_head":
            return weight, bias
        of_value = cast(HeadNorm, self.norms[2])
        return weight * of_value.gain.flatten(), bias + weight @ of_value.bias.flatten()
