"""A graph, or a batch of graphs, as the transform reads it: one CSR of the normalised Laplacian, each block on [0, 2].

    op = GraphOperator.from_edges([[0, 1], [1, 2]], num_nodes=4)      # each undirected edge once
    op = GraphOperator.from_scipy(adjacency)                         # or from_networkx, from_dgl, from_edge_index
    op = GraphOperator.batch([op, other])                            # one block for each graph

L = I - D^(-1/2) A D^(-1/2), with 1 on every diagonal entry, also that of a node without edges (whose row is that of I).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from torch import Tensor

from offprints.errors import InputError

from ufg import batches
from ufg.adjacency import LambdaMax, edge_weights, scaled_laplacian
from ufg.laplacian import LaplacianOperator, require_float


class GraphOperator(LaplacianOperator):
    """The Laplacian of undirected graphs with weights of 0 or more, made by one of the `from_...` methods.

    Attributes:
        row_starts: (N + 1,) int32.
        columns: (nnz,) int32, ascending in each row; the diagonal is always among them.
        values: (nnz,) float; 2 L / lambda_max of each graph, so that its spectrum lies in [0, 2].
        degree: (N,) float, sum of the weights of a node's edges.
        sizes: (G,) int64, nodes of each graph, which stand together.
        lambda_max: (G,) float64, what each graph was scaled by.
    """

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
        values = edge_weights(weight, len(pairs))
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
            pairs.T, edge_weights(weight, pairs.shape[1]), num_nodes, sizes, lambda_max, symmetrize, dtype
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
        return batches.joined(operators)

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
        require_float(dtype)
        made = scaled_laplacian(pairs, weights, num_nodes, sizes, lambda_max, symmetrize, form)
        return cls(
            torch.from_numpy(made.matrix.indptr.astype(np.int32)),
            torch.from_numpy(made.matrix.indices.astype(np.int32)),
            torch.from_numpy(made.matrix.data).to(dtype),
            torch.from_numpy(made.degree).to(dtype),
            torch.from_numpy(made.sizes),
            torch.from_numpy(made.lambda_max),
        )
