"""The Laplacian of a graph, or of a batch of graphs, in one CSR matrix; what follows from it, and batches of it.

`ufg.graph` makes it from what a user has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from offprints.errors import InputError

from ufg import batches
from ufg.batches import Extent, Index, Operator
from ufg.sparse import ConstantMatrix, csr_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_DTYPES = (torch.float32, torch.float64)


class LaplacianOperator:
    """The Laplacian of undirected graphs with weights of 0 or more.

    Nodes of a graph stand together, in the order of the graphs. Nothing here changes after it was made, so that what is derived
    from it (`cached`) stays right.

    Args:
        row_starts: (N + 1,) int32.
        columns: (nnz,) int32, ascending in each row; the diagonal is always among them.
        values: (nnz,) float; 2 L / lambda_max of each graph, so that its spectrum lies in [0, 2].
        degree: (N,) float, sum of the weights of a node's edges.
        sizes: (G,) int64, nodes of each graph.
        lambda_max: (G,) float64, what each graph was scaled by.
        extent: where each graph begins, if the host knows it already.
        origin: the operator that this is a choice of, and the nodes and entries that were chosen.

    Attributes:
        row_starts, columns, values, degree, sizes, lambda_max: as given.
    """

    def __init__(
        self,
        row_starts: Tensor,
        columns: Tensor,
        values: Tensor,
        degree: Tensor,
        sizes: Tensor,
        lambda_max: Tensor,
        *,
        extent: Extent | None = None,
        origin: tuple[LaplacianOperator, Index, Index] | None = None,
    ) -> None:
        self.row_starts, self.columns, self.values = row_starts, columns, values
        self.degree, self.sizes, self.lambda_max = degree, sizes, lambda_max
        self._origin = origin
        self._cache: dict[Any, Any] = {} if extent is None else {"extent": extent}

    # What it is

    @property
    def num_nodes(self) -> int:
        """N, of all graphs."""
        return len(self.row_starts) - 1

    @property
    def num_graphs(self) -> int:
        return len(self.sizes)

    @property
    def num_entries(self) -> int:
        """Stored entries, the diagonal included."""
        return len(self.columns)

    @property
    def device(self) -> torch.device:
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def __repr__(self) -> str:
        graphs = "" if self.num_graphs == 1 else f"{self.num_graphs} graphs, "
        edges = (self.num_entries - self.num_nodes) // 2
        return f"{type(self).__name__}({graphs}{self.num_nodes} nodes, {edges} edges, {self.dtype}, {self.device})"

    # What follows from it

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once for each key of this operator."""
        if key not in self._cache:
            self._cache[key] = make()
        found: T = self._cache[key]
        return found

    def of_nodes(self, key: Any, make: Callable[[LaplacianOperator], Tensor]) -> Tensor:
        """(N, ...) what `make` says of nodes, where it says of each graph what it would say of it alone.

        A batch that was chosen from other graphs takes it from what is known of these, so that it is made once for all batches.
        """
        return self._inherited(key, make, 0)

    def of_entries(self, key: Any, make: Callable[[LaplacianOperator], Tensor]) -> Tensor:
        """(nnz, ...) what `make` says of stored entries; otherwise as `of_nodes`."""
        return self._inherited(key, make, 1)

    def _inherited(self, key: Any, make: Callable[[LaplacianOperator], Tensor], which: int) -> Tensor:
        def found() -> Tensor:
            if self._origin is None:
                return make(self)
            whole, *index = self._origin
            return batches.chosen(whole._inherited(key, make, which), index[which])

        return self.cached(key, found)

    @property
    def extent(self) -> Extent:
        """Where each graph begins, on the host."""
        return self.cached("extent", lambda: Extent.of(self.sizes, self.row_starts))

    @property
    def graph_of_node(self) -> Tensor:
        """(N,) int64, the graph of each node."""
        count = self.num_nodes
        return self.cached("graph", lambda: torch.repeat_interleave(self.sizes, output_size=count))

    @property
    def row_of_entry(self) -> Tensor:
        """(nnz,) int64, the row of each stored entry."""

        def make() -> Tensor:
            rows = torch.arange(self.num_nodes, device=self.device)
            return rows.repeat_interleave(self.row_starts.diff(), output_size=self.num_entries)

        return self.cached("rows", make)

    def shifted(self, dilation: float) -> Tensor:
        """dilation * L_scaled - I as a CSR matrix that shares the indices: the argument of the Chebyshev polynomials.

        Args:
            dilation: t; at t=1 the spectrum is in [-1, 1].
        """

        def make() -> Tensor:
            diagonal = self.row_of_entry == self.columns
            return self.matrix(self.values * dilation - diagonal.to(self.dtype))

        return self.cached(("shifted", dilation), make)

    def matrix(self, values: Tensor) -> Tensor:
        """(N, N) CSR with other values at the same places."""
        return csr_tensor(self.row_starts, self.columns, values, (self.num_nodes, self.num_nodes))

    @property
    def laplacian(self) -> Tensor:
        """(N, N) CSR of L as it is, not scaled."""
        scale = (self.lambda_max / 2).to(self.dtype)[self.graph_of_node]
        return self.matrix(self.values * scale[self.row_of_entry])

    @property
    def adjacency(self) -> Tensor:
        """(N, N) CSR of the weights, with zeros on the diagonal."""
        root = self.degree.sqrt()
        values = -self.laplacian.values() * (root[self.row_of_entry] * root[self.columns])
        return self.matrix(values.masked_fill(self.row_of_entry == self.columns, 0.0))

    @property
    def smoothing(self) -> ConstantMatrix:
        """(N, N) of a GCN layer: (D + I)^(-1/2) (A + I) (D + I)^(-1/2). Source: Kipf and Welling 2017."""

        def make() -> ConstantMatrix:
            matrix = self.matrix(self.of_entries("smoothing values", _smoothing))
            return ConstantMatrix(matrix, matrix)

        return self.cached("smoothing", make)

    # Batches

    def subset(self: Operator, graphs: Tensor | ArrayLike) -> Operator:
        """Some graphs of a batch, in the order given; a gather, without a loop over graphs.

        Args:
            graphs: (B,) integers; best on the host, where they are needed.
        """
        return batches.subset(self, _on_host(graphs))

    def nodes_of(self, graphs: Tensor | ArrayLike) -> Tensor:
        """The nodes of some graphs, in the order of `subset`.

        Args:
            graphs: (B,) integers.
        """
        return batches.nodes_of(self, _on_host(graphs))

    def parts(self: Operator, size: int) -> Iterator[Operator]:
        """Batches of so many consecutive graphs, the last one perhaps smaller; they share this operator's memory.

        Args:
            size: graphs a batch.
        """
        return batches.parts(self, size)

    @property
    def indicator(self) -> ConstantMatrix:
        """(G, N), 1 where a node is one of the graph's: its product with a signal is the sum over nodes of each graph."""

        def make() -> ConstantMatrix:
            ones = torch.ones(self.num_nodes, dtype=self.dtype, device=self.device)
            nodes = torch.arange(self.num_nodes + 1, dtype=torch.int32, device=self.device)
            ends = self.sizes.cumsum(0, dtype=torch.int32)
            starts, shape = torch.cat([ends.new_zeros(1), ends]), (self.num_graphs, self.num_nodes)
            forward = csr_tensor(starts, nodes[:-1], ones, shape)
            back = csr_tensor(nodes, self.graph_of_node.to(torch.int32), ones, shape[::-1])
            return ConstantMatrix(forward, back)

        return self.cached("indicator", make)

    def sum_over_graphs(self, values: Tensor) -> Tensor:
        """Sum of rows over the nodes of each graph.

        Args:
            values: (N, ...), of the operator's dtype.

        Returns:
            (G, ...).
        """
        if self.num_graphs == 1:
            return values.sum(0, keepdim=True)
        sums = self.indicator @ values.reshape(self.num_nodes, -1)
        return sums.reshape(self.num_graphs, *values.shape[1:])

    def to(
        self: Operator, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Operator:
        """The same on another device or with another dtype.

        Raises:
            InputError: the dtype is neither float32 nor float64.
        """
        require_float(dtype or self.dtype)
        device = (
            self.device if device is None else torch.empty(0, device=device).device
        )  # "cuda" has a number then
        if device == self.device and dtype in (None, self.dtype):
            return self
        return type(self)(
            self.row_starts.to(device),
            self.columns.to(device),
            self.values.to(device, dtype),
            self.degree.to(device, dtype),
            self.sizes.to(device),
            self.lambda_max.to(device),
            extent=self.extent,
        )

    def require_signal(self, x: Tensor, axis: int = 0) -> None:
        """Refuse a signal of another number of nodes.

        Raises:
            InputError: names both numbers.
        """
        if x.ndim <= axis or x.shape[axis] != self.num_nodes:
            raise InputError(
                f"a signal of shape {tuple(x.shape)} does not fit a graph of {self.num_nodes} nodes: "
                f"dimension {axis} has to be {self.num_nodes}"
            )


def _smoothing(op: LaplacianOperator) -> Tensor:
    root = (op.degree + 1).rsqrt()
    diagonal = (op.row_of_entry == op.columns).to(op.dtype)
    return (op.adjacency.values() + diagonal) * root[op.row_of_entry] * root[op.columns]


def _on_host(graphs: Tensor | ArrayLike) -> NDArray[np.int64]:
    found = graphs.cpu().numpy() if isinstance(graphs, Tensor) else graphs
    return np.asarray(found, np.int64)


def require_float(dtype: torch.dtype) -> None:
    """Refuse what the Laplacian is not kept in.

    Raises:
        InputError: the dtype is neither float32 nor float64.
    """
    if dtype not in _DTYPES:
        raise InputError(f"the operator is kept in float32 or float64, not {dtype}")
