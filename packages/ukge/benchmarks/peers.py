"""What ours is compared with: the published step and the published ranking, as they are usually written."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ukge.facts import Facts
from ukge.ndcg import Queries
from ukge.step import Batch


class PlainStep:
    """One step of the published recipe with torch's layers: every row gathered, autograd, Adam."""

    def __init__(self, entities: int, relations: int, dim: int) -> None:
        self.entity, self.relation = nn.Embedding(entities, dim), nn.Embedding(relations, dim)
        self.weight, self.bias = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))
        tables = [*self.entity.parameters(), *self.relation.parameters()]
        self.optimizer = torch.optim.Adam([*tables, self.weight, self.bias], 1e-3)

    def __call__(self, batch: Batch, l2: float = 5e-4) -> None:
        size = batch.facts
        head, relation, tail = self.entity(batch.head), self.relation(batch.relation), self.entity(batch.tail)
        value = self.mapped((head * relation * tail).sum(-1))
        r = relation[:size].unsqueeze(1)
        heads = self.mapped((self.entity(batch.heads) * r * tail[:size].unsqueeze(1)).sum(-1))
        tails = self.mapped((head[:size].unsqueeze(1) * r * self.entity(batch.tails)).sum(-1))
        loss = (value[:size] - batch.targets.confidence).square().mean()
        loss = loss + (heads.square().mean() + tails.square().mean()) / 2
        loss = loss + 0.2 * (batch.targets.bound - value[size:]).clamp(min=0).square().mean()
        loss = loss + l2 / (2 * size) * sum(rows[:size].square().sum() for rows in (head, relation, tail))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def mapped(self, plausibility: Tensor) -> Tensor:
        return self.weight * plausibility + self.bias


@torch.no_grad()
def plain_ndcg(entity: Tensor, relation: Tensor, queries: Queries) -> float:
    """Published ranking: a question at a time, a comparison with all entities for each known tail."""
    values = []
    for i in range(len(queries)):
        span = slice(queries.offsets[i], queries.offsets[i + 1])
        score = entity @ (entity[int(queries.head[i])] * relation[int(queries.relation[i])])
        own = score[torch.from_numpy(queries.tail[span]).long()]
        rank = (score.unsqueeze(0) > own.unsqueeze(1)).sum(1).numpy() + 1
        gain = queries.confidence[span]
        ideal = np.sort(gain)[::-1] / np.log2(np.arange(2, len(gain) + 2))
        values.append((gain / np.log2(rank + 1)).sum() / ideal.sum())
    return float(np.mean(values))


def some_queries(facts: Facts, count: int) -> Queries:
    """The first `count` questions (h, r, ?) of some facts."""
    keys = np.unique(facts.query_keys(int(facts.relation.max()) + 1))[:count]
    return Queries.of(facts[np.isin(facts.query_keys(int(facts.relation.max()) + 1), keys)])
