"""The operations as DGL message passing; CPU, for Python versions that DGL's wheel is made for.

DGL's fused products cover sums over neighbours and dot products on edges. A relation's message has no fused form there:
it is a message function of our own, applied to a chunk of edges at a time so that no array of edges x width is made.
"""

from __future__ import annotations

from typing import Any

import dgl
import torch
from torch import Tensor

from ke_gcn.algebra import conjugate, multiply
from ke_gcn.pattern import ByRelation, Edges, Pattern
from ke_gcn.torch_kernels import TorchKernels

_CHUNK = 1 << 14


class DglKernels(TorchKernels):
    """See `ke_gcn.kernels.Kernels`; distances of pairs, which are no messages, are left to torch."""

    def __init__(self) -> None:
        # With the pattern beside its graphs: an id is only its own as long as the object lives.
        self._graphs: dict[tuple[int, str], tuple[object, list[Any]]] = {}

    def weighted_sum(self, pattern: Pattern, weight: Tensor, x: Tensor, transposed: bool) -> Tensor:
        graph = self._bipartite(pattern, transposed)
        out: Tensor = dgl.ops.u_mul_e_sum(graph, x.contiguous(), weight[:, None].contiguous())
        return out

    def pair_dot(self, pattern: Pattern, x: Tensor, y: Tensor) -> Tensor:
        graph = self._bipartite(pattern, transposed=False)
        out: Tensor = dgl.ops.u_dot_v(graph, y.contiguous(), x.contiguous())
        return out.squeeze(1)

    def aggregate(self, edges: Edges, x: Tensor, r: Tensor, k: int) -> Tensor:
        both = torch.cat([r, conjugate(r, k)])

        def message(batch: Any) -> dict[str, Tensor]:
            return {"message": multiply(batch.src["x"], both[batch.data["relation"]], k)}

        return self._chunked(self._messages(edges, len(r)), x, message)

    def relate(self, triples: ByRelation, x: Tensor, y: Tensor, k: int) -> Tensor:
        x = conjugate(x, k)

        def message(batch: Any) -> dict[str, Tensor]:
            return {"message": multiply(x[batch.data["head"]], batch.src["x"], k)}

        return self._chunked(self._products(triples, len(x)), y, message)

    def _chunked(self, graphs: list[Any], x: Tensor, message: Any) -> Tensor:
        out = x.new_zeros(graphs[0].num_dst_nodes(), x.shape[1])
        for graph in graphs:
            with graph.local_scope():
                graph.srcdata["x"] = x
                graph.update_all(message, dgl.function.sum("message", "sum"))
                out += graph.dstdata["sum"]
        return out

    def _bipartite(self, pattern: Pattern, transposed: bool) -> Any:
        """Columns send to rows, or rows to columns."""

        def make() -> list[Any]:
            rows, columns = pattern.shape
            if transposed:
                return [_graph(pattern.row, pattern.column, rows, columns)]
            return [_graph(pattern.column, pattern.row, columns, rows)]

        return self._once(pattern, f"transposed {transposed}", make)[0]

    def _messages(self, edges: Edges, relations: int) -> list[Any]:
        def make() -> list[Any]:
            made, nodes = [], len(edges.indptr) - 1
            relation = edges.relation.long() + (edges.sign < 0) * relations
            for begin in range(0, len(relation), _CHUNK):
                part = slice(begin, begin + _CHUNK)
                graph = _graph(edges.source[part], edges.receiver[part], nodes, nodes)
                graph.edata["relation"] = relation[part]
                made.append(graph)
            return made

        return self._once(edges, "messages", make)

    def _products(self, triples: ByRelation, entities: int) -> list[Any]:
        """Tails send to relations; the head is data of the edge."""

        def make() -> list[Any]:
            made = []
            for begin in range(0, len(triples.head), _CHUNK):
                part = slice(begin, begin + _CHUNK)
                graph = _graph(triples.tail[part], triples.relation[part], entities, len(triples.indptr) - 1)
                graph.edata["head"] = triples.head[part].long()
                made.append(graph)
            return made

        return self._once(triples, "products", make)

    def _once(self, owner: object, what: str, make: Any) -> list[Any]:
        key = (id(owner), what)
        if key not in self._graphs:
            self._graphs[key] = (owner, make())
        return self._graphs[key][1]


def _graph(source: Tensor, target: Tensor, sources: int, targets: int) -> Any:
    return dgl.heterograph(
        {("source", "to", "target"): (source, target)},
        {"source": sources, "target": targets},
        idtype=torch.int32,
    )
