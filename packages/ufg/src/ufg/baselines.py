"""What framelets are compared with: networks for nodes and poolings for graphs, in plain torch; `ufg.dgl_baselines` has DGL's."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ufg.graph import GraphOperator
from ufg.networks import SmoothingLayer
from ufg.sparse import ConstantMatrix

POOLS = ("sum", "mean", "max", "attention", "topk", "sag")


class _Linear(nn.Module):
    """x weight + bias, of dense or sparse features."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, out_features)))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        return x @ self.weight + self.bias


class ChebyshevLayer(nn.Module):
    """Sum over k < order of T_k(L_scaled - I) x weight_k. Source: Defferrard, Bresson and Vandergheynst 2016.

    Args:
        in_features: F.
        out_features: H.
        order: number of terms, 2 or more.
    """

    def __init__(self, in_features: int, out_features: int, order: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_features, order * out_features))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.order = order

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        shifted = op.cached("chebyshev", lambda: op.shifted(1.0))
        matrix = ConstantMatrix(shifted, shifted)
        parts = (x @ self.weight).chunk(self.order, 1)  # the product with L has H columns then, and not F
        # Clenshaw, as synthesis does.
        after, term = torch.zeros_like(parts[-1]), parts[-1]
        for k in range(self.order - 2, -1, -1):
            after, term = term, parts[k] + (2 if k else 1) * (matrix @ term) - after
        return term + self.bias


class Network(nn.Module):
    """Layers of one kind with ReLU and dropout between them.

    Args:
        kind: "mlp", "gcn" or "chebyshev".
        in_features: F.
        hidden: width between the layers.
        classes: of the labels.
        dropout: share of the hidden units that is dropped.
        layers: how many.

    Raises:
        InputError: there is no such kind.
    """

    KINDS = ("mlp", "gcn", "chebyshev")

    def __init__(
        self, kind: str, in_features: int, hidden: int, classes: int, dropout: float = 0.5, layers: int = 2
    ) -> None:
        super().__init__()
        made = {"mlp": _Linear, "gcn": SmoothingLayer, "chebyshev": ChebyshevLayer}
        if kind not in made:
            raise InputError(f"no baseline is called {kind!r}: one of {', '.join(made)}")
        widths = [in_features, *[hidden] * (layers - 1), classes]
        self.layers = nn.ModuleList(made[kind](before, after) for before, after in pairwise(widths))
        self.dropout = nn.Dropout(dropout)

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """(N, classes) logits of (N, F) features."""
        for layer in self.layers[:-1]:
            hidden: Tensor = layer(op, x)
            x = self.dropout(hidden.relu())
        logits: Tensor = self.layers[-1](op, x)
        return logits


class SimplifiedNetwork(nn.Module):
    """One linear map of features that were smoothed several times. Source: Wu et al. 2019 (SGC).

    Args:
        in_features: F.
        classes: of the labels.
        hops: how many times.
    """

    def __init__(self, in_features: int, classes: int, hops: int = 2) -> None:
        super().__init__()
        self.linear = _Linear(in_features, classes)
        self.hops = hops

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """(N, classes) logits of (N, F) features."""
        hidden = x @ self.linear.weight  # smoothing and the map commute: it has fewer columns so
        for _ in range(self.hops):
            hidden = op.smoothing @ hidden
        return hidden + self.linear.bias


class PlainPool(nn.Module):
    """Read-outs of a graph without a transform.

    Args:
        features: H.
        mode: "sum", "mean", "max"; "attention", a mean weighted by a learned softmax over the nodes (Li et al. 2016); "topk", the
            mean of the share of nodes with the largest learned score, each times its score's tanh (Gao and Ji 2019); "sag", the same
            with a score that a GCN layer gives, so that it knows the neighbours (Lee, Lee and Kang 2019).
        share: of the nodes that "topk" and "sag" keep.

    Raises:
        InputError: there is no such mode.
    """

    def __init__(self, features: int, mode: str = "sum", share: float = 0.5) -> None:
        super().__init__()
        if mode not in POOLS:
            raise InputError(f"no pooling is called {mode!r}: one of {', '.join(POOLS)}")
        self.mode, self.share = mode, share
        self.score: nn.Module
        if mode in ("attention", "topk"):
            self.score = nn.Linear(features, 1)
        elif mode == "sag":
            self.score = SmoothingLayer(features, 1)

    def forward(self, op: GraphOperator, x: Tensor) -> Tensor:
        """(G, H) of (N, H)."""
        if self.mode == "sum":
            return op.sum_over_graphs(x)
        sizes = op.sizes.to(x.dtype).unsqueeze(1)
        if self.mode == "mean":
            return op.sum_over_graphs(x) / sizes
        if self.mode == "max":
            return _largest(op, x)
        score = self.score(op, x) if self.mode == "sag" else self.score(x)
        if self.mode == "attention":
            weight = (score - _largest(op, score)[op.graph_of_node]).exp()
            return op.sum_over_graphs(weight * x) / op.sum_over_graphs(weight)
        kept = (op.sizes * self.share).ceil().long()
        # Nodes in the order of their graph and, within it, of falling score: the first of each graph stay.
        by_score = score.detach().squeeze(1).argsort(descending=True)
        order = by_score[op.graph_of_node[by_score].argsort(stable=True)]
        first = op.sizes.cumsum(0) - op.sizes
        place = torch.arange(op.num_nodes, device=x.device) - first[op.graph_of_node]
        chosen = torch.zeros(op.num_nodes, 1, dtype=x.dtype, device=x.device)
        chosen[order] = (place < kept[op.graph_of_node]).to(x.dtype).unsqueeze(1)
        return op.sum_over_graphs(chosen * score.tanh() * x) / kept.to(x.dtype).unsqueeze(1)


def _largest(op: GraphOperator, x: Tensor) -> Tensor:
    index = op.graph_of_node.unsqueeze(1).expand_as(x)
    # Filled, because what it holds counts among the ties that share a gradient, included or not.
    empty = x.new_full((op.num_graphs, x.shape[1]), -torch.inf)
    return empty.scatter_reduce(0, index, x, "amax", include_self=False)
