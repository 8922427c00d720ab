"""The two networks of the paper: one labels nodes, one labels graphs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from offprints.dropout import Dropout
from offprints.errors import InputError

from ufg.filters import Floats
from ufg.graph import GraphOperator
from ufg.layers import UFGConv, UFGPool
from ufg.sparse import ConstantMatrix


class UFGNet(nn.Module):
    """Two convolutions with dropout between them: labels of nodes.

    Without shrinkage, ReLU follows the first convolution (UFGConv-R); with it, shrinkage is the only non-linearity (UFGConv-S).

    Args:
        in_features: F.
        hidden: width between the convolutions.
        classes: of the labels.
        dropout: share of the hidden units that is dropped.
        layers: number of convolutions, 1 or more.
        conv: options of `UFGConv`.

    Raises:
        InputError: an option does not fit.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        classes: int,
        *,
        dropout: float = 0.5,
        layers: int = 2,
        **conv: Any,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout} must be in [0, 1)")
        if layers < 1:
            raise InputError(f"layers={layers} must be 1 or more")
        widths = [in_features, *[hidden] * (layers - 1), classes]
        self.convolutions = nn.ModuleList(
            UFGConv(before, after, **conv) for before, after in pairwise(widths)
        )
        self.dropout = Dropout(dropout)
        self.rectify = conv.get("shrinkage") is None

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """Logits of the nodes.

        Args:
            op: of the graph.
            x: (N, F) features.

        Returns:
            (N, classes), or (N, S, classes) with copies.
        """
        for convolution in self.convolutions[:-1]:
            x = self._activated(convolution(op, x))
        logits: Tensor = self.convolutions[-1](op, x)
        return logits

    @torch.no_grad()
    def kept(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> float:
        """Share of the high-pass coefficients that are not 0, over all convolutions, without dropout: the compression of shrinkage.

        Args:
            op: of the graph.
            x: (N, F) features.
        """
        self.eval()
        shares, counts = [], []
        for convolution in self.convolutions:
            layer = cast(UFGConv, convolution)
            shares.append(float(layer.kept(op, x).mean()))
            counts.append(layer.out_features)
            x = self._activated(convolution(op, x))
        return sum(share * count for share, count in zip(shares, counts, strict=True)) / sum(counts)

    def responses(self, eigenvalues: Floats) -> Floats:
        """(layers, M) what each convolution passes through of (M,) eigenvalues; see `UFGConv.response`."""
        return np.stack([cast(UFGConv, layer).response(eigenvalues) for layer in self.convolutions])

    def _activated(self, hidden: Tensor) -> Tensor:
        activated: Tensor = self.dropout(hidden.relu() if self.rectify else hidden)
        return activated


def parameter_groups(
    module: nn.Module, decay: float, gain_decay: float, bias_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, one for each L2 factor.

    The published program decays all alike: a product of weight and gain then shrinks faster and faster, and training collapses
    late. Without decay of gains and biases it does not.

    Args:
        module: a network.
        decay: of the matrices.
        gain_decay: of the gains of a convolution, and of the angles of learned filters.
        bias_decay: of the rest.
    """
    factors = {"weight": decay, "gain": gain_decay, "angles": gain_decay, "bias": bias_decay}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, value in module.named_parameters():
        factor = factors.get(name.rpartition(".")[2], bias_decay)
        groups.setdefault(factor, []).append(value)
    return [{"params": values, "weight_decay": factor} for factor, values in groups.items()]


class UFGGraphNet(nn.Module):
    """GCN layers, a pooling, and two dense layers: labels or numbers of graphs.

    Args:
        in_features: F.
        hidden: width of all layers.
        outputs: classes, or 1 for regression.
        pool: the read-out: a module called with (op, x), and told how wide its output is.
        pooled: K, its number of columns over `hidden`.
        dropout: before the last layer.
        layers: number of GCN layers.

    Source: Section 5 of the paper and its program.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int,
        outputs: int,
        pool: nn.Module,
        pooled: int,
        *,
        dropout: float = 0.5,
        layers: int = 2,
    ) -> None:
        super().__init__()
        widths = [in_features, *[hidden] * layers]
        self.layers = nn.ModuleList(SmoothingLayer(before, after) for before, after in pairwise(widths))
        self.pool = pool
        self.head = nn.Sequential(
            nn.Linear(pooled * hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
        )

    @classmethod
    def of(cls, in_features: int, hidden: int, outputs: int, pool: UFGPool, **options: Any) -> UFGGraphNet:
        """With a framelet pooling, whose width is known."""
        return cls(in_features, hidden, outputs, pool, pool.transform.num_blocks, **options)

    def forward(self, op: GraphOperator, x: Tensor) -> Tensor:
        """Outputs of the graphs.

        Args:
            op: of the batch.
            x: (N, F) features.

        Returns:
            (G, outputs).
        """
        for layer in self.layers:
            x = layer(op, x).relu()
        outputs: Tensor = self.head(self.pool(op, x))
        return outputs


class SmoothingLayer(nn.Module):
    """A GCN layer: (D + I)^(-1/2) (A + I) (D + I)^(-1/2) (x weight) + bias. Source: Kipf and Welling 2017.

    Args:
        in_features: F.
        out_features: H.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(in_features, out_features)))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        if isinstance(x, Tensor) and not x.requires_grad and x.shape[1] < self.weight.shape[1]:
            return (
                op.smoothing @ x
            ) @ self.weight + self.bias  # fewer columns to smooth, and no gradient through them
        return op.smoothing @ (x @ self.weight) + self.bias


def load_published(net: UFGNet, parameters: Mapping[str, Tensor]) -> None:
    """Take the parameters of the published program's two-layer network with node gains.

    It keeps gains as one column, filter after filter and level after level, with low-pass levels below the last that nothing reads.

    Args:
        net: with gain="node".
        parameters: GConv1.weight, GConv1.filter, GConv1.bias and the same of GConv2.
    """
    with torch.no_grad():
        for number, convolution in enumerate(net.convolutions, 1):
            assert isinstance(convolution, UFGConv)
            convolution.weight.copy_(parameters[f"GConv{number}.weight"])
            convolution.gain.copy_(published_gain(convolution, parameters[f"GConv{number}.filter"]))
            convolution.bias.copy_(parameters[f"GConv{number}.bias"])


def published_gain(convolution: UFGConv, stored: Tensor) -> Tensor:
    """(K, N) gains of the published (r Lev N, 1) or (r, Lev, N)."""
    transform = convolution.transform
    gains = stored.reshape(len(transform.bank), transform.levels, -1)
    return torch.cat([gains[0, -1:], gains[1:].flatten(0, 1)])
