"""A graph, or a batch of graphs, as the transform reads it: one CSR of the normalised Laplacian, each block on [0, 2].

    op = GraphOperator.from_edges([[0, 1], [1, 2]], num_nodes=4)      # each undirected edge once
    op = GraphOperator.from_scipy(adjacency)                         # or from_networkx, from_dgl, from_edge_index
    op = GraphOperator.batch([op, other])                            # one block for each graph

L = I - D^(-1/2) A D^(-1/2), with 1 on every diagonal entry, also that of a node without edges (whose row is that of I).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from offprints.errors import InputError

from ufg.sparse import ConstantMatrix, csr_tensor
from ufg.spectrum import largest_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
LambdaMax = float | str | Sequence[float] | NDArray[np.float64]
_POLICIES = ("bound", "lanczos")
_MOST = 2**31 - 1
_ROUNDING = 1e-6  # of float32 weights that were computed once for each direction


class GraphOperator:
    """The Laplacian of undirected graphs with weights of 0 or more; made by one of the `from_...` methods.

    Nodes of a graph stand together, in the order of the graphs. Nothing here changes after it was made, so that what is derived
    from it (`cached`) stays right.

    Args:
        row_starts: (N + 1,) int32.
        columns: (nnz,) int32, ascending in each row; the diagonal is always among them.
        values: (nnz,) float; 2 L / lambda_max of each graph, so that its spectrum lies in [0, 2].
        degree: (N,) float, sum of the weights of a node's edges.
        sizes: (G,) int64, nodes of each graph.
        lambda_max: (G,) float64, what each graph was scaled by.

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
    ) -> None:
        self.row_starts, self.columns, self.values = row_starts, columns, values
        self.degree, self.sizes, self.lambda_max = degree, sizes, lambda_max
        self._cache: dict[Any, Any] = {}

    # From what a user has

    @classmethod
    def from_edges(
        cls,
        edges: ArrayLike,
        num_nodes: int,
        weight: ArrayLike | None = None,
        *,
        sizes: ArrayLike | None = None,
        lambda_max: LambdaMax = "bound",
        symmetrize: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> GraphOperator:
        """From undirected edges, each given once, in either orientation.

        Args:
            edges: (E, 2) node ids; self loops are left out.
            num_nodes: N.
            weight: (E,) 0 or more; None means 1.
            sizes: (G,) nodes of each graph, if these are several; edges must not join two of them.
            lambda_max: see `from_scipy`.
            symmetrize: an edge given twice counts once, with the larger weight, instead of being an error.
            dtype: float32 or float64.

        Raises:
            InputError: as `from_scipy`; or an edge stands twice.
        """
        pairs = np.asarray(edges)
        pairs = pairs.reshape(-1, 2) if pairs.size == 0 else pairs
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise InputError(
                f"edges have the shape (E, 2), not {pairs.shape}; for (2, E) see from_edge_index"
            )
        values = _weights(weight, len(pairs))
        both = np.concatenate([pairs, pairs[:, ::-1]])
        return cls._of(
            both, np.tile(values, 2), num_nodes, sizes, lambda_max, symmetrize, dtype, "given once"
        )

    @classmethod
    def from_edge_index(
        cls,
        edge_index: ArrayLike | Tensor,
        num_nodes: int,
        weight: ArrayLike | None = None,
        *,
        sizes: ArrayLike | None = None,
        lambda_max: LambdaMax = "bound",
        symmetrize: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> GraphOperator:
        """From directed pairs that hold every edge in both directions, as PyTorch Geometric keeps them.

        Args:
            edge_index: (2, E) node ids; self loops are left out.
            num_nodes: N.
            weight: (E,) 0 or more, the same in both directions; None means 1.
            sizes: (G,) nodes of each graph.
            lambda_max: see `from_scipy`.
            symmetrize: add missing directions and merge repeated pairs, with the larger weight, instead of refusing them.
            dtype: float32 or float64.

        Raises:
            InputError: as `from_scipy`.
        """
        pairs = np.asarray(edge_index)
        pairs = pairs.reshape(2, -1) if pairs.size == 0 else pairs
        if pairs.ndim != 2 or pairs.shape[0] != 2:
            raise InputError(f"edge_index has the shape (2, E), not {pairs.shape}; for (E, 2) see from_edges")
        return cls._of(
            pairs.T, _weights(weight, pairs.shape[1]), num_nodes, sizes, lambda_max, symmetrize, dtype
        )

    @classmethod
    def from_scipy(
        cls,
        adjacency: Any,
        *,
        sizes: ArrayLike | None = None,
        lambda_max: LambdaMax = "bound",
        symmetrize: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> GraphOperator:
        """From a symmetric adjacency matrix, sparse or dense.

        Args:
            adjacency: (N, N) weights, 0 or more; the diagonal is left out.
            sizes: (G,) nodes of each graph, if the matrix is block-diagonal.
            lambda_max: what the spectrum is scaled by. "bound" takes 2, which no normalised Laplacian exceeds; "lanczos"
                measures each graph; a number or one for each graph is taken as it is.
            symmetrize: take the larger of both directions instead of refusing a matrix that is not symmetric.
            dtype: float32 or float64.

        Raises:
            InputError: it is not square or not symmetric, a weight is negative or not finite, a node id is out of range, an edge
                joins two graphs, a graph of the batch is empty, or `lambda_max` fits none of the above.
        """
        matrix = coo_array(adjacency)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"an adjacency matrix is square, not of shape {matrix.shape}")
        pairs = np.stack([matrix.row, matrix.col], 1)
        values = np.asarray(matrix.data, np.float64)
        kept = values != 0  # written down or not, a zero is no edge
        return cls._of(pairs[kept], values[kept], matrix.shape[0], sizes, lambda_max, symmetrize, dtype)

    @classmethod
    def from_networkx(
        cls,
        graph: Any,
        weight: str | None = None,
        *,
        lambda_max: LambdaMax = "bound",
        dtype: torch.dtype = torch.float32,
    ) -> GraphOperator:
        """From an undirected NetworkX graph; node i is the i-th in its order.

        Args:
            graph: networkx.Graph.
            weight: name of the edge attribute that holds weights; None means 1.
            lambda_max: see `from_scipy`.
            dtype: float32 or float64.

        Raises:
            InputError: the graph is directed or has parallel edges; or as `from_scipy`.
        """
        if graph.is_directed() or graph.is_multigraph():
            kind = "directed" if graph.is_directed() else "a multigraph"
            raise InputError(f"the NetworkX graph is {kind}: convert it with networkx.Graph(graph) first")
        number = {node: i for i, node in enumerate(graph)}
        found = (
            list(graph.edges(data=weight, default=1.0)) if weight else [(u, v, 1.0) for u, v in graph.edges]
        )
        edges = np.array([(number[u], number[v]) for u, v, _ in found], np.int64).reshape(-1, 2)
        weights = np.array([w for _, _, w in found], np.float64)
        return cls.from_edges(edges, len(number), weights, lambda_max=lambda_max, dtype=dtype)

    @classmethod
    def from_dgl(
        cls,
        graph: Any,
        weight: str | None = None,
        *,
        lambda_max: LambdaMax = "bound",
        symmetrize: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> GraphOperator:
        """From a DGLGraph that holds every edge in both directions; a batch made by `dgl.batch` keeps its graphs apart.

        Args:
            graph: homogeneous dgl.DGLGraph.
            weight: name in `graph.edata`; None means 1.
            lambda_max: see `from_scipy`.
            symmetrize: see `from_edge_index`.
            dtype: float32 or float64.

        Raises:
            InputError: as `from_edge_index`.
        """
        source, target = graph.edges()
        values = None if weight is None else graph.edata[weight].detach().double().cpu().numpy()
        made: GraphOperator = cls.from_edge_index(
            torch.stack([source, target]).cpu(),
            graph.num_nodes(),
            values,
            sizes=graph.batch_num_nodes().cpu().numpy(),
            lambda_max=lambda_max,
            symmetrize=symmetrize,
            dtype=dtype,
        )
        return made

    @classmethod
    def batch(cls, operators: Sequence[GraphOperator]) -> GraphOperator:
        """Several operators as one, each with its own scaling; also of batches.

        Raises:
            InputError: the list is empty.
        """
        if not operators:
            raise InputError("a batch of no graphs: give one or more")
        nodes = np.cumsum([0] + [op.num_nodes for op in operators])
        entries = np.cumsum([0] + [op.num_entries for op in operators])
        return cls(
            torch.cat(
                [
                    op.row_starts[(i > 0) :] + int(first)
                    for i, (op, first) in enumerate(zip(operators, entries, strict=False))
                ]
            ),
            torch.cat([op.columns + int(first) for op, first in zip(operators, nodes, strict=False)]),
            torch.cat([op.values for op in operators]),
            torch.cat([op.degree for op in operators]),
            torch.cat([op.sizes for op in operators]),
            torch.cat([op.lambda_max for op in operators]),
        )

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
        return f"GraphOperator({graphs}{self.num_nodes} nodes, {edges} edges, {self.dtype}, {self.device})"

    # What follows from it

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` gives, made once for each key of this operator."""
        if key not in self._cache:
            self._cache[key] = make()
        found: T = self._cache[key]
        return found

    @property
    def graph_of_node(self) -> Tensor:
        """(N,) int64, the graph of each node."""
        return self.cached("graph", lambda: torch.repeat_interleave(self.sizes))

    @property
    def row_of_entry(self) -> Tensor:
        """(nnz,) int64, the row of each stored entry."""
        return self.cached("rows", lambda: torch.repeat_interleave(self.row_starts.diff().long()))

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
            root = (self.degree + 1).rsqrt()
            diagonal = (self.row_of_entry == self.columns).to(self.dtype)
            values = (self.adjacency.values() + diagonal) * root[self.row_of_entry] * root[self.columns]
            matrix = self.matrix(values)
            return ConstantMatrix(matrix, matrix)

        return self.cached("smoothing", make)

    def subset(self, graphs: Tensor) -> GraphOperator:
        """Some graphs of a batch, in the order given; a gather, without a loop over graphs.

        Args:
            graphs: (B,) int64.
        """
        nodes, entries = self.nodes_of(graphs), self._entries_of(graphs)
        sizes = self.sizes[graphs]
        counts = self.row_starts.diff()[nodes]
        row_starts = torch.zeros(len(nodes) + 1, dtype=torch.int32, device=self.device)
        row_starts[1:] = counts.cumsum(0)
        # Column ids move with the first node of their graph.
        old = (self.sizes.cumsum(0) - self.sizes)[graphs]
        new = sizes.cumsum(0) - sizes
        moved = torch.repeat_interleave(torch.repeat_interleave(new - old, sizes), counts.long())
        columns = (self.columns[entries] + moved).to(torch.int32)
        return GraphOperator(
            row_starts, columns, self.values[entries], self.degree[nodes], sizes, self.lambda_max[graphs]
        )

    def nodes_of(self, graphs: Tensor) -> Tensor:
        """The nodes of some graphs, in the order of `subset`.

        Args:
            graphs: (B,) int64.
        """
        first = (self.sizes.cumsum(0) - self.sizes)[graphs]
        return _ranges(first, self.sizes[graphs])

    def _entries_of(self, graphs: Tensor) -> Tensor:
        ends = self.sizes.cumsum(0)
        starts = self.row_starts.long()
        first = starts[(ends - self.sizes)[graphs]]
        return _ranges(first, starts[ends[graphs]] - first)

    def sum_over_graphs(self, values: Tensor) -> Tensor:
        """Sum of rows over the nodes of each graph.

        Args:
            values: (N, ...).

        Returns:
            (G, ...).
        """
        if self.num_graphs == 1:
            return values.sum(0, keepdim=True)
        sums = values.new_zeros(self.num_graphs, *values.shape[1:])
        return sums.index_add(0, self.graph_of_node, values)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> GraphOperator:
        """The same on another device or with another dtype.

        Raises:
            InputError: the dtype is neither float32 nor float64.
        """
        if dtype is not None:
            _require_float(dtype)
        if (device is None or torch.device(device) == self.device) and dtype in (None, self.dtype):
            return self
        return GraphOperator(
            self.row_starts.to(device),
            self.columns.to(device),
            self.values.to(device, dtype),
            self.degree.to(device, dtype),
            self.sizes.to(device),
            self.lambda_max.to(device),
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

    @classmethod
    def _of(
        cls,
        pairs: NDArray[Any],
        weights: NDArray[np.float64],
        num_nodes: int,
        sizes: ArrayLike | None,
        lambda_max: LambdaMax,
        symmetrize: bool,
        dtype: torch.dtype,
        form: str = "in both directions",
    ) -> GraphOperator:
        _require_float(dtype)
        blocks = _blocks(sizes, num_nodes)
        _check_pairs(pairs, weights, num_nodes)
        apart = pairs[:, 0] != pairs[:, 1]  # self loops are left out
        rows, columns, weights = (
            pairs[apart, 0].astype(np.int64),
            pairs[apart, 1].astype(np.int64),
            weights[apart],
        )
        owner = np.repeat(np.arange(len(blocks)), blocks)
        if (crossing := np.flatnonzero(owner[rows] != owner[columns])).size:
            u, v = rows[crossing[0]], columns[crossing[0]]
            raise InputError(f"edge ({u}, {v}) joins graphs {owner[u]} and {owner[v]} of the batch")
        adjacency = _adjacency(rows, columns, weights, num_nodes, symmetrize, form)
        degree = np.asarray(adjacency.sum(1)).ravel()
        root = np.divide(1.0, np.sqrt(degree), out=np.zeros(num_nodes), where=degree > 0)
        off = adjacency.tocoo()
        diagonal = np.arange(num_nodes)
        laplacian = csr_array(
            (
                np.concatenate([-off.data * (root[off.row] * root[off.col]), np.ones(num_nodes)]),
                (np.concatenate([off.row, diagonal]), np.concatenate([off.col, diagonal])),
            ),
            shape=(num_nodes, num_nodes),
        )
        laplacian.sort_indices()
        if laplacian.nnz > _MOST:
            raise InputError(f"{laplacian.nnz} entries are more than 32-bit indices can count")
        scale = _scaling(lambda_max, laplacian, blocks)
        per_row = np.repeat(2 / scale, blocks)
        values = laplacian.data * np.repeat(per_row, np.diff(laplacian.indptr))
        return cls(
            torch.from_numpy(laplacian.indptr.astype(np.int32)),
            torch.from_numpy(laplacian.indices.astype(np.int32)),
            torch.from_numpy(values).to(dtype),
            torch.from_numpy(degree).to(dtype),
            torch.from_numpy(blocks),
            torch.from_numpy(scale),
        )


def _ranges(first: Tensor, counts: Tensor) -> Tensor:
    """first[0], first[0] + 1, ... (counts[0] of them), then first[1], ..."""
    before = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum()), device=first.device) + torch.repeat_interleave(
        first - before, counts
    )


def _weights(weight: ArrayLike | None, count: int) -> NDArray[np.float64]:
    if weight is None:
        return np.ones(count)
    values = np.asarray(weight, np.float64)
    if values.shape != (count,):
        raise InputError(f"{count} edges need weights of shape ({count},), not {values.shape}")
    return values


def _check_pairs(pairs: NDArray[Any], weights: NDArray[np.float64], num_nodes: int) -> None:
    if pairs.size and not np.issubdtype(pairs.dtype, np.integer):
        raise InputError(f"node ids are integers, not {pairs.dtype}")
    outside = np.flatnonzero(((pairs < 0) | (pairs >= num_nodes)).any(1))
    if outside.size:
        u, v = pairs[outside[0]]
        raise InputError(f"edge {outside[0]} is ({u}, {v}), but nodes are 0 to {num_nodes - 1}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        raise InputError(f"edge {wrong[0]} has weight {weights[wrong[0]]}: weights are finite and 0 or more")


def _blocks(sizes: ArrayLike | None, num_nodes: int) -> NDArray[np.int64]:
    if num_nodes < 1:
        raise InputError("a graph has one node or more")
    if sizes is None:
        return np.array([num_nodes], np.int64)
    blocks = np.asarray(sizes, np.int64)
    if blocks.ndim != 1 or blocks.sum() != num_nodes:
        raise InputError(f"the sizes of the graphs sum to {blocks.sum()}, but there are {num_nodes} nodes")
    if (blocks < 1).any():
        raise InputError(f"graph {int((blocks < 1).argmax())} of the batch is empty: leave it out")
    return blocks


def _adjacency(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    weights: NDArray[np.float64],
    num_nodes: int,
    symmetrize: bool,
    form: str,
) -> csr_array:
    if symmetrize:
        rows, columns = np.concatenate([rows, columns]), np.concatenate([columns, rows])
        weights = np.tile(weights, 2)
    order = np.lexsort((-weights, columns, rows))  # of repeated pairs the heaviest comes first
    rows, columns, weights = rows[order], columns[order], weights[order]
    again = np.zeros(len(rows), bool)
    again[1:] = (rows[1:] == rows[:-1]) & (columns[1:] == columns[:-1])
    if again.any():
        if not symmetrize:
            u, v = rows[again][0], columns[again][0]
            raise InputError(f"edge ({u}, {v}) stands twice: edges are {form} (symmetrize=True merges them)")
        rows, columns, weights = rows[~again], columns[~again], weights[~again]
    matrix = csr_array((weights, (rows, columns)), shape=(num_nodes, num_nodes))
    difference = (matrix - matrix.T).tocoo()
    if (uneven := np.flatnonzero(np.abs(difference.data) > _ROUNDING * weights.max(initial=0))).size:
        u, v = difference.row[uneven[0]], difference.col[uneven[0]]
        raise InputError(
            f"the graph is directed: edges ({u}, {v}) and ({v}, {u}) differ (symmetrize=True takes the larger)"
        )
    return csr_array((matrix + matrix.T) / 2)


def _scaling(lambda_max: LambdaMax, laplacian: csr_array, blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    if isinstance(lambda_max, str):
        if lambda_max not in _POLICIES:
            raise InputError(
                f"lambda_max={lambda_max!r} is neither a number nor one of {', '.join(_POLICIES)}"
            )
        return np.full(len(blocks), 2.0) if lambda_max == "bound" else largest_eigenvalues(laplacian, blocks)
    given = np.asarray(lambda_max, np.float64)
    if given.shape not in ((), (1,), blocks.shape):
        raise InputError(
            f"lambda_max is one number or one for each of {len(blocks)} graphs, not {given.shape}"
        )
    if not (np.isfinite(given).all() and (given > 0).all()):
        raise InputError(f"lambda_max={lambda_max} has to be positive")
    return np.broadcast_to(given, blocks.shape).astype(np.float64)


def _require_float(dtype: torch.dtype) -> None:
    if dtype not in (torch.float32, torch.float64):
        raise InputError(f"the operator is kept in float32 or float64, not {dtype}")
