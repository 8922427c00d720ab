"""Batches of 1-N training: distinct (head, relation) queries with all their answers in the training set.

An epoch visits every query of both directions once, shuffled. Targets hold training answers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError
from offprints.triples import Answers, KnowledgeGraph


class Batch(NamedTuple):
    """Queries and their answers, on the device.

    Attributes:
        head: (batch,) int64.
        relation: (batch,) int64.
        row: (facts,) int64, the query of each true answer.
        answer: (facts,) int64, the entity that answers it.
        size: queries of the global batch, of which this process has its share.
    """

    head: Tensor
    relation: Tensor
    row: Tensor
    answer: Tensor
    size: int


class Batches:
    """The training queries of a graph, cut into batches.

    The last batch of an epoch is trained on too; if it were too small to normalise (fewer than two queries a
    process) it joins the one before.

    Args:
        batch_size: queries of a global batch.
        seed: of the order.
        rank: which share of every batch this process takes.
        world: how many processes share it.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if len(graph.train) == 0:
            raise InputError(f"graph {graph.name!r} has no training triples")
        if batch_size < 2 * world:
            raise InputError(
                f"batch_size {batch_size}: batch normalisation needs two queries or more a process"
            )
        self.queries = Answers.of(graph.train.with_reciprocals(graph.num_relations), 2 * graph.num_relations)
        count = len(self.queries)
        self.bounds = list(range(0, count, batch_size))
        if len(self.bounds) > 1 and count - self.bounds[-1] < 2 * world:
            self.bounds.pop()
        self.bounds.append(count)
        self.generator = torch.Generator().manual_seed(seed)
        self.device, self.rank, self.world = torch.device(device), rank, world

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def order(self) -> NDArray[np.int64]:
        """A new order of the queries, the same on every process."""
        drawn: NDArray[np.int64] = torch.randperm(len(self.queries), generator=self.generator).numpy()
        return drawn

    def of(self, order: NDArray[np.int64], first: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from number `first` on."""
        for begin, end in zip(self.bounds[first:-1], self.bounds[first + 1 :], strict=True):
            rows = order[begin:end][self.rank :: self.world]
            offsets, answers = self.queries.gather(rows)
            yield Batch(
                self._send(self.queries.head[rows]),
                self._send(self.queries.relation[rows]),
                self._send(np.repeat(np.arange(len(rows)), np.diff(offsets))),
                self._send(answers),
                end - begin,
            )

    def _send(self, ids: NDArray[np.integer]) -> Tensor:
        tensor = torch.from_numpy(ids.astype(np.int64))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor
