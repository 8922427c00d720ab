"""DGL's own layers as networks for nodes; needs the extra `dgl`, whose wheels end with Python 3.11."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ufg.graph import GraphOperator
from ufg.sparse import ConstantMatrix

KINDS = ("dgl-gcn", "dgl-chebyshev", "dgl-gat", "dgl-sgc", "dgl-sage")


def to_dgl(op: GraphOperator, self_loops: bool = False) -> Any:
    """The graphs as one DGLGraph with both directions of every edge, weights in edata["weight"].

    Raises:
        InputError: DGL is not installed.
    """
    dgl = _dgl()
    apart = op.row_of_entry != op.columns
    graph = dgl.graph((op.columns[apart].long(), op.row_of_entry[apart]), num_nodes=op.num_nodes)
    graph.edata["weight"] = op.adjacency.values()[apart]
    return dgl.add_self_loop(graph) if self_loops else graph


class DGLNetwork(nn.Module):
    """Two layers of dgl.nn.pytorch with ReLU and dropout between them; SGC is one.

    Args:
        kind: one of `KINDS`.
        in_features: F.
        hidden: width between the layers; of GAT, of all eight heads together.
        classes: of the labels.
        dropout: share of the hidden units that is dropped.

    Raises:
        InputError: there is no such kind, or DGL is not installed.
    """

    def __init__(self, kind: str, in_features: int, hidden: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        _dgl()
        from dgl.nn import pytorch as layers

        self.kind, self.dropout = kind, nn.Dropout(dropout)
        if kind == "dgl-gcn":
            made = [layers.GraphConv(in_features, hidden), layers.GraphConv(hidden, classes)]
        elif kind == "dgl-chebyshev":
            made = [layers.ChebConv(in_features, hidden, 3), layers.ChebConv(hidden, classes, 3)]
        elif kind == "dgl-gat":
            made = [
                layers.GATConv(in_features, max(1, hidden // 8), 8, dropout, dropout),
                layers.GATConv(8 * max(1, hidden // 8), classes, 1, dropout, dropout),
            ]
        elif kind == "dgl-sgc":
            made = [layers.SGConv(in_features, classes, 2)]
        elif kind == "dgl-sage":
            made = [layers.SAGEConv(in_features, hidden, "mean"), layers.SAGEConv(hidden, classes, "mean")]
        else:
            raise InputError(f"no baseline is called {kind!r}: one of {', '.join(KINDS)}")
        self.layers = nn.ModuleList(made)

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """(N, classes) logits of (N, F) features."""
        loops = self.kind in ("dgl-gcn", "dgl-gat", "dgl-sgc")
        graph = op.cached(("dgl", loops), lambda: to_dgl(op, loops))
        if isinstance(x, Tensor):
            hidden = x
        else:
            # The matrix is kept beside its dense form, so that no other one can come by its id.
            _, hidden = op.cached(("dense", id(x)), lambda: (x, x.to_dense()))
        for number, layer in enumerate(self.layers):
            if self.kind == "dgl-chebyshev":
                hidden = layer(graph, hidden, torch.full((1,), 2.0))
            else:
                hidden = layer(graph, hidden)
            if self.kind == "dgl-gat":
                hidden = hidden.flatten(1)
            if number < len(self.layers) - 1:
                hidden = self.dropout(hidden.relu())
        return hidden


def _dgl() -> Any:
    try:
        import dgl
    except ImportError as error:
        raise InputError(
            "this baseline needs DGL: pip install offprints-ufg[dgl], with Python 3.11 or older"
        ) from error
    return dgl
