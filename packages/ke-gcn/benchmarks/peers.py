"""What ours is compared with: the layer over arrays of all edges, and ranks by sorting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ke_gcn import KEGCN, Graph, Score
from ke_gcn.algebra import conjugate, multiply
from ke_gcn.scores import TransE


class EdgeArrays(KEGCN):
    """The same network as it is usually written: rows of all edges gathered, multiplied, and summed where they belong.

    Args:
        reducer: "gather-scatter torch" sums by index_add, "dgl 1.1.3" by DGL's message passing.
    """

    def __init__(self, *sizes: Any, reducer: str) -> None:
        super().__init__(*sizes)
        self.reducer = reducer
        self._graphs: dict[str, Any] = {}

    @classmethod
    def with_reducer(cls, reducer: str) -> Callable[..., EdgeArrays]:
        return partial(cls, reducer=reducer)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        e, r = self.embeddings()
        head, relation, tail = torch.from_numpy(graph.triples).to(e.device).T
        by_degree, by_count = graph.inverse_degree(e.dtype), graph.inverse_count(r.dtype)
        for convolution in self.convolutions:
            rho = self.score.normalise(r)
            to_head, to_relation, to_tail = messages(self.score, e[head], rho[relation], e[tail])
            to_entities = self._sum("head", to_head, head, len(e)) + self._sum("tail", to_tail, tail, len(e))
            e = e + 2 * convolution.alpha * by_degree * to_entities
            r = rho + 2 * convolution.beta * by_count * self._sum("relation", to_relation, relation, len(r))
            if convolution.act is not None:
                e, r = torch.relu(e), torch.relu(r)
        return e, r

    def _sum(self, name: str, message: Tensor, target: Tensor, count: int) -> Tensor:
        if self.reducer == "gather-scatter torch":
            return message.new_zeros(count, message.shape[1]).index_add(0, target, message)
        import dgl  # here: it has no build for Python 3.12, where the GPU's peers run too

        if name not in self._graphs:
            ends = {("edge", "to", "node"): (torch.arange(len(target)), target)}
            self._graphs[name] = dgl.heterograph(ends, {"edge": len(target), "node": count})
        graph = self._graphs[name]
        with graph.local_scope():
            graph.nodes["edge"].data["message"] = message
            graph.update_all(dgl.function.copy_u("message", "m"), dgl.function.sum("m", "sum"))
            return graph.nodes["node"].data["sum"]


def messages(score: Score, h: Tensor, r: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half the gradient of each triple's score, for its head, relation and tail."""
    if isinstance(score, TransE):
        u = h + r - t
        return -u, -u, u
    k = score.components
    u = multiply(h, r, k) - t
    return -multiply(u, conjugate(r, k), k), -multiply(conjugate(h, k), u, k), u


def sorted_ranks(left: Tensor, right: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Ranks from all distances at once, by sorting every row and every column."""
    distance = cdist(left.numpy(), right.numpy(), "cityblock")
    own = np.arange(len(left))
    ranks = [np.argmax(np.argsort(table, 1) == own[:, None], 1) + 1 for table in (distance, distance.T)]
    return ranks[0], ranks[1]
