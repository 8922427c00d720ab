"""UFGConv and UFGPool: the layers of the paper.

conv = UFGConv(1433, 16)
y = conv(op, x)                      # (N, 16)
pool = UFGPool(FrameletTransform(), "sum")
readout = pool(op, y)                # (G, K * 16)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ufg import plain
from ufg.filters import Floats
from ufg.graph import GraphOperator
from ufg.laplacian import LaplacianOperator
from ufg.learned import TightFilters
from ufg.shrink import RULES, Universal, shrink
from ufg.sparse import ConstantMatrix, csr_tensor
from ufg.transform import FrameletTransform

GAINS = ("band", "node", "band-channel")
POOLS = ("sum", "spectrum", "mean", "max")


class UFGConv(nn.Module):
    """Framelet convolution: analyse, scale each coefficient by a learned gain, shrink if asked, synthesise.

    C = gain * W (x weight); shrunk = shrink(C); y = W^T shrunk + bias.

    Args:
        in_features: F.
        out_features: H.
        transform: of the graph signals; None takes a narrow low-pass filter, cos64 with one level and 32 terms, because that of the
            paper's filters is so wide that a layer hardly smooths. Haar with 8 terms costs a third of it.
        gain: one gain for each block ("band"), for each block and column ("band-channel"), or for each block and node ("node", as
            published). Only the first two can be used on another graph than the one trained on.
        gain_init: about what the low-pass gains start at, and what the high-pass ones do, or those of each level; each is drawn within
            a tenth of it. The published (1, 1) makes a layer with a tight frame the identity, and a network of such layers an MLP;
            lower high-pass gains make it smooth.
        anchored: keep gains as a constant, `gain_init`, and a learned difference from it, so that weight decay draws them to where they
            began and not to 0.
        learned: waves by which filters are learned, starting from those of the transform and tight whatever is learned; 0 keeps them.
            See `TightFilters`.
        num_nodes: N, for gain="node".
        shrinkage: "soft", "hard", "firm" or "garrote"; None does not shrink. Without a further activation this is UFGConv-S.
        threshold: of the shrinkage.
        copies: S independent layers in one, which share every sparse product; x is then (N, S, F) or, for the first layer, (N, F).
        generator: of the initial values.

    Attributes:
        weight: (F, H), Xavier uniform; (S, F, H) with copies.
        gain: (K,), (K, H) or (K, N); with copies S comes before H, and last otherwise. If anchored, the difference.
        filters: the learned ones, or None.
        bias: (H,) or (S, H), 0.

    Raises:
        InputError: an option has no such value, node gains lack `num_nodes`, or filters are to be learned for several copies at once.

    Source: Section 3 of the paper.
    """

    anchor: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        transform: FrameletTransform | None = None,
        *,
        gain: str = "band",
        gain_init: Sequence[float] = (1.5, 0.3),
        anchored: bool = False,
        learned: int = 0,
        num_nodes: int | None = None,
        shrinkage: str | None = None,
        threshold: Universal | None = None,
        copies: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.transform = transform or FrameletTransform("cos64", levels=1, terms=32)
        self.gain_kind, self.shrinkage, self.threshold = gain, shrinkage, threshold or Universal()
        self.out_features, self.copies = out_features, copies
        if gain not in GAINS:
            raise InputError(f"gain={gain!r} is unknown: one of {', '.join(GAINS)}")
        if shrinkage is not None and shrinkage not in RULES:
            raise InputError(f"no shrinkage rule is called {shrinkage!r}: one of {', '.join(RULES)}")
        if gain == "node" and num_nodes is None:
            raise InputError("gain='node' needs num_nodes: there is a gain for each node")
        if learned < 0:
            raise InputError(f"learned={learned} waves of the filters are 0 or more")
        if learned and copies is not None:
            raise InputError(
                f"learned={learned} with copies={copies}: copies share the filters of every product"
            )
        self.filters = TightFilters(self.transform.bank, self.transform.terms, learned) if learned else None
        one_more = () if copies is None else (copies,)
        self.weight = nn.Parameter(torch.empty(*one_more, in_features, out_features))
        bound = (6 / (in_features + out_features)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)
        shape = {
            "band": one_more,
            "band-channel": (*one_more, out_features),
            "node": (num_nodes or 0, *one_more),
        }
        self.gain = nn.Parameter(torch.empty(self.transform.num_blocks, *shape[gain]))
        nn.init.uniform_(self.gain, 0.9, 1.1, generator=generator)
        low, *high = gain_init
        if len(high) not in (1, self.transform.levels):
            raise InputError(
                f"gain_init={tuple(gain_init)} has {len(high)} high-pass gains: one, or one for each of "
                f"{self.transform.levels} levels"
            )
        # Blocks are the low-pass one, then the levels of each high-pass filter.
        levels = torch.tensor(high).expand(self.transform.levels) if len(high) == 1 else torch.tensor(high)
        begun = torch.cat([torch.tensor([low]), levels.repeat(len(self.transform.bank) - 1)])
        with torch.no_grad():
            self.gain.mul_(begun.reshape(-1, *[1] * (self.gain.ndim - 1)))
        self.anchored = anchored
        if anchored:
            self.register_buffer("anchor", self.gain.detach().clone())
            nn.init.zeros_(self.gain)
        self.bias = nn.Parameter(torch.zeros(*one_more, out_features))

    def forward(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """Convolve a signal.

        Args:
            op: of the graph or graphs.
            x: (N, F), a tensor or a sparse matrix without gradient; or (N, S, F) with copies.

        Returns:
            (N, H), or (N, S, H).

        Raises:
            InputError: x or node gains are of another number of nodes than the graph.
        """
        self._require_nodes(op, x)
        hidden = self._linear(x).to(op.dtype)  # autocast may have made it narrower than the frame bears
        if self._is_amplification:
            gain = self._gains() if self.gain_kind == "node" else self._gains().unsqueeze(1)
            return self.transform.amplify(op, hidden, gain) + self.bias
        table = None if self.filters is None else self.filters.table().to(op.dtype)
        blocks = self._scaled(op, hidden, table)
        y = self._synthesize(op, blocks.reshape(len(blocks), op.num_nodes, -1), table)
        return y.reshape(hidden.shape) + self.bias

    @torch.no_grad()
    def kept(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> Tensor:
        """Share of the coefficients of each high-pass block that shrinkage leaves other than 0: what would have to be stored.

        Args:
            op: as of `forward`.
            x: as of `forward`.

        Returns:
            (K - 1,).
        """
        self._require_nodes(op, x)
        table = None if self.filters is None else self.filters.table().to(op.dtype)
        blocks = self._scaled(op, self._linear(x).to(op.dtype), table)[1:]
        return (blocks != 0).to(op.dtype).flatten(1).mean(1)

    def response(self, eigenvalues: Floats) -> Floats:
        """What the layer does to an eigenvector before shrinkage, with gains averaged over nodes, columns and copies.

        Args:
            eigenvalues: (M,) of the scaled Laplacian, in [0, 2].

        Returns:
            (M,).
        """
        transform = self.transform
        if self.filters is not None:
            transform = replace(transform, filters=self.filters.bank())
        gains = self._gain().detach().double().flatten(1).mean(1).cpu().numpy()
        found: Floats = gains @ np.square(transform.response(eigenvalues))
        return found

    def _scaled(self, op: GraphOperator, hidden: Tensor, table: Tensor | None) -> Tensor:
        """(K, N, H) or (K, N, S, H): the coefficients that synthesis is made of."""
        flat = hidden.reshape(op.num_nodes, -1)
        blocks = (
            self.transform.analyze(op, flat)
            if table is None
            else plain.analyze(self._levels(op), table, flat)
        )
        blocks = blocks.reshape(len(blocks), *hidden.shape) * self._gain()
        if self.shrinkage is None:
            return blocks
        return shrink(blocks, self.threshold.of(op, blocks), self.shrinkage)

    def _synthesize(self, op: GraphOperator, blocks: Tensor, table: Tensor | None) -> Tensor:
        if table is None:
            return self.transform.synthesize(op, blocks)
        return plain.synthesize(self._levels(op), table, blocks)

    def _levels(self, op: GraphOperator) -> list[ConstantMatrix]:
        """The argument of the polynomials of each level; kept with the graph."""
        return op.cached(
            ("constant levels", self.transform.dilations),
            lambda: [ConstantMatrix(matrix, matrix) for matrix in self.transform.matrices(op)],
        )

    @property
    def _is_amplification(self) -> bool:
        """Whether nothing but a factor for each node and block stands between analysis and synthesis."""
        plain_gains = self.copies is None and self.gain_kind != "band-channel"
        return plain_gains and self.shrinkage is None and self.filters is None

    def _linear(self, x: Tensor | ConstantMatrix) -> Tensor:
        if self.copies is None:
            return x @ self.weight
        if isinstance(x, Tensor) and x.ndim == 3:
            return torch.einsum("nsf,sfh->nsh", x, self.weight)
        wide = self.weight.permute(1, 0, 2).reshape(self.weight.shape[1], -1)  # (F, S H): one product for all
        return (x @ wide).reshape(x.shape[0], self.copies, self.out_features)

    def _gains(self) -> Tensor:
        """In the shape of `gain`."""
        return self.gain + self.anchor if self.anchored else self.gain

    def _gain(self) -> Tensor:
        """Broadcasts with (K, N, H) or (K, N, S, H)."""
        gain = self._gains()
        if self.gain_kind == "node":
            return gain.unsqueeze(-1)
        if self.gain_kind == "band-channel":
            return gain.unsqueeze(1)
        return gain.reshape(len(gain), 1, *gain.shape[1:], 1)

    def _require_nodes(self, op: GraphOperator, x: Tensor | ConstantMatrix) -> None:
        if x.shape[0] != op.num_nodes:
            raise InputError(f"features of {x.shape[0]} nodes do not fit a graph of {op.num_nodes} nodes")
        if self.gain_kind == "node" and self.gain.shape[1] != op.num_nodes:
            raise InputError(
                f"this layer has gains for {self.gain.shape[1]} nodes and cannot be used on a graph of {op.num_nodes}: "
                "gain='band' or 'band-channel' can"
            )

    def extra_repr(self) -> str:
        kind = f"{self.gain_kind}, anchored" if self.anchored else self.gain_kind
        return f"{self.transform}, gain={kind}, shrinkage={self.shrinkage}"


class UFGPool(nn.Module):
    """Read-out of a graph: for each block of coefficients one number a column, side by side.

    A tight frame conserves energy, so that the "spectrum" of all blocks sums to that of the signal.

    Args:
        transform: of the node embeddings.
        mode: "sum", "mean" or "max" of the coefficients over nodes, or "spectrum", the sum of their squares.

    Raises:
        InputError: there is no such mode.

    Source: Section 4 of the paper.
    """

    def __init__(self, transform: FrameletTransform | None = None, mode: str = "sum") -> None:
        super().__init__()
        self.transform, self.mode = transform or FrameletTransform(), mode
        if mode not in POOLS:
            raise InputError(f"pooling mode={mode!r} is unknown: one of {', '.join(POOLS)}")

    def forward(self, op: GraphOperator, x: Tensor) -> Tensor:
        """Read out every graph.

        Args:
            op: of the graphs.
            x: (N, H) node embeddings.

        Returns:
            (G, K * H): block after block.

        Raises:
            InputError: as `FrameletTransform.analyze`.
        """
        op.require_signal(x)
        x = x.to(op.dtype)
        if self.mode in ("sum", "mean"):
            # 1^T W x = (W 1)^T x: what the transform makes of the constant is known before training.
            pooled = self._atoms(op) @ x
            if self.mode == "mean":
                pooled = pooled / op.sizes.repeat_interleave(self.transform.num_blocks).unsqueeze(1)
            return pooled.reshape(op.num_graphs, -1)
        blocks = self.transform.analyze(op, x).movedim(0, 1)  # (N, K, H)
        if self.mode == "spectrum":
            return op.sum_over_graphs(blocks.square()).flatten(1)
        index = op.graph_of_node[:, None, None].expand_as(blocks)
        # Filled, because what it holds counts among the ties that share a gradient, included or not.
        empty = blocks.new_full((op.num_graphs, *blocks.shape[1:]), -torch.inf)
        return empty.scatter_reduce(0, index, blocks, "amax", include_self=False).flatten(1)

    def _atoms(self, op: GraphOperator) -> ConstantMatrix:
        """(G K, N): row (g, b) is block b of the constant 1, on the nodes of graph g."""

        def of_nodes(op: LaplacianOperator) -> Tensor:  # (N, K)
            ones = torch.ones(op.num_nodes, 1, dtype=op.dtype, device=op.device)
            return self.transform.recursion(op).analyze(ones).squeeze(-1).T.contiguous()

        def make() -> ConstantMatrix:
            count, nodes = self.transform.num_blocks, op.num_nodes
            values = op.of_nodes(("atoms", self.transform), of_nodes)
            shape = (op.num_graphs * count, nodes)
            block = torch.arange(count, device=op.device)
            place = torch.arange(nodes * count + 1, device=op.device)
            # Row (g, b) holds the nodes of g, one after the other.
            row_sizes = op.sizes.repeat_interleave(count)
            starts = torch.cat([row_sizes.new_zeros(1), row_sizes.cumsum(0)])
            row = torch.repeat_interleave(row_sizes, output_size=nodes * count)
            first = op.sizes.cumsum(0) - op.sizes
            columns = place[:-1] - starts[row] + first[row // count]
            forward = csr_tensor(
                starts.to(torch.int32), columns.to(torch.int32), values[columns, row % count], shape
            )
            # Transposed, each node has its K blocks side by side already.
            rows = op.graph_of_node[:, None] * count + block
            back = csr_tensor(
                place[::count].to(torch.int32), rows.flatten().to(torch.int32), values.flatten(), shape[::-1]
            )
            return ConstantMatrix(forward, back)

        return op.cached(("pooling atoms", self.transform), make)

    def extra_repr(self) -> str:
        return f"{self.transform}, mode={self.mode}"
