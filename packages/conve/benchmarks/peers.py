"""What ours is compared with: a plain torch step of the same model, and PyKEEN."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.benchmark import Timing
from offprints.triples import KnowledgeGraph, Triples

from conve.batches import Batch


class DenseConvE(nn.Module):
    """ConvE as it is usually written: torch's layers one after the other, logits of the whole batch at once."""

    def __init__(
        self, entities: int, relations: int, dim: int = 200, height: int = 20, width: int = 10
    ) -> None:
        super().__init__()
        self.picture = (height, width)
        self.entity, self.relation = nn.Embedding(entities, dim), nn.Embedding(relations, dim)
        self.bias = nn.Parameter(torch.zeros(entities))
        self.drops = nn.ModuleList([nn.Dropout(0.2), nn.Dropout2d(0.2), nn.Dropout(0.3)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(1), nn.BatchNorm2d(32), nn.BatchNorm1d(dim)])
        self.conv = nn.Conv2d(1, 32, 3)
        self.projection = nn.Linear(32 * (2 * height - 2) * (width - 2), dim)
        nn.init.xavier_normal_(self.entity.weight)
        nn.init.xavier_normal_(self.relation.weight)

    def forward(self, head: Tensor, relation: Tensor) -> Tensor:
        shape = (-1, 1, *self.picture)
        image = torch.cat([self.entity(head).view(shape), self.relation(relation).view(shape)], 2)
        image = self.drops[0](self.norms[0](image))
        features = self.drops[1](F.relu(self.norms[1](self.conv(image))))
        hidden = self.drops[2](self.projection(features.flatten(1)))
        query = F.relu(self.norms[2](hidden))
        return query @ self.entity.weight.T + self.bias


class DenseStep:
    """One training step with a dense target, as most programs take it; the same dropouts, loss and optimiser."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        self.model = DenseConvE(graph.num_entities, 2 * graph.num_relations).train()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.003)

    def __call__(self, batch: Batch) -> None:
        target = torch.zeros(len(batch.head), len(self.model.bias))
        target[batch.row, batch.answer] = 1.0
        target = 0.9 * target + 1.0 / target.shape[1]
        loss = F.binary_cross_entropy_with_logits(self.model(batch.head, batch.relation), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class Pykeen:
    """PyKEEN's ConvE with its own training loop for 1-N scoring and its own evaluator."""

    def __init__(self, graph: KnowledgeGraph, dim: int = 200) -> None:
        from pykeen.models import ConvE
        from pykeen.triples import TriplesFactory

        self.make = lambda facts: TriplesFactory(
            facts,
            {name: i for i, name in enumerate(graph.entities.names)},
            {name: i for i, name in enumerate(graph.relations.names)},
            create_inverse_triples=True,
        )
        self.graph = graph
        self.factory = self.make(mapped(graph.train))
        # Its channels are left unset: it finds them, as well as the picture, from the embedding's size.
        self.model = ConvE(triples_factory=self.factory, embedding_dim=dim, random_seed=0)

    def train(self, queries: int, batch_size: int) -> int:
        """One epoch over facts with about so many queries of both directions; returns how many they are."""
        from pykeen.training import LCWATrainingLoop

        facts = mapped(self.graph.train[: queries // 2])
        factory = self.make(facts)
        loop = LCWATrainingLoop(
            model=self.model, triples_factory=factory, optimizer="adam", optimizer_kwargs={"lr": 0.003}
        )
        loop.train(factory, num_epochs=1, batch_size=batch_size, label_smoothing=0.1, use_tqdm=False)
        return len(facts[:, :2].unique(dim=0)) + len(facts[:, 1:].unique(dim=0))

    def seconds_of_training(self, queries: int) -> Timing:
        """For so many queries, from one epoch over ten times as many; it takes too long to be repeated."""
        self.train(2 * queries, queries)  # warm
        started = time.perf_counter()
        trained = self.train(10 * queries, queries)
        seconds = (time.perf_counter() - started) * queries / trained
        return Timing(seconds, seconds, None)

    def seconds_of_ranking(self, triples: int, few: int = 64) -> Timing:
        """For so many triples, from a few; it takes too long to be repeated."""
        self.evaluate(self.graph.test[:8], 8)  # warm
        started = time.perf_counter()
        self.evaluate(self.graph.test[:few], few)
        seconds = (time.perf_counter() - started) * triples / few
        return Timing(seconds, seconds, None)

    def evaluate(self, triples: Triples, batch_size: int) -> None:
        """Filtered ranks of both sides."""
        from pykeen.evaluation import RankBasedEvaluator

        RankBasedEvaluator(filtered=True).evaluate(
            self.model,
            mapped(triples),
            batch_size=batch_size,
            additional_filter_triples=[self.factory.mapped_triples],
            use_tqdm=False,
        )


def mapped(triples: Triples) -> Tensor:
    """(n, 3) int64, as PyKEEN has its triples."""
    columns = (triples.head, triples.relation, triples.tail)
    return torch.stack([torch.from_numpy(column).long() for column in columns], dim=1)
