"""From pairs of nodes to the scaled Laplacian of one graph or of a batch, and what is refused on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from offprints.errors import InputError

from ufg.spectrum import largest_eigenvalues

LambdaMax = float | str | Sequence[float] | NDArray[np.float64]
_POLICIES = ("bound", "lanczos")
_MOST = 2**31 - 1
_ROUNDING = 1e-6  # of float32 weights that were computed once for each direction


@dataclass(frozen=True)
class ScaledLaplacian:
    """2 L / lambda_max of each graph, block after block, with L = I - D^(-1/2) A D^(-1/2).

    Attributes:
        matrix: (N, N), float64.
        degree: (N,) sum of the weights of a node's edges.
        sizes: (G,) nodes of each graph.
        lambda_max: (G,) what each graph was scaled by.
    """

    matrix: csr_array
    degree: NDArray[np.float64]
    sizes: NDArray[np.int64]
    lambda_max: NDArray[np.float64]


def scaled_laplacian(
    pairs: NDArray[Any],
    weights: NDArray[np.float64],
    num_nodes: int,
    sizes: ArrayLike | None,
    lambda_max: LambdaMax,
    symmetrize: bool,
    form: str = "in both directions",
) -> ScaledLaplacian:
    """The scaled Laplacian of directed pairs that hold every edge in both directions.

    Args:
        pairs: (E, 2) node ids; self loops are left out.
        weights: (E,) 0 or more.
        num_nodes: N.
        sizes: (G,) nodes of each graph; None means one graph.
        lambda_max: see `GraphOperator.from_scipy`.
        symmetrize: add missing directions and merge repeated pairs, with the larger weight, instead of refusing them.
        form: how the caller's edges have to be, for the message.

    Raises:
        InputError: as `GraphOperator.from_scipy`.
    """
    blocks = _blocks(sizes, num_nodes)
    _check_pairs(pairs, weights, num_nodes)
    apart = pairs[:, 0] != pairs[:, 1]
    rows, columns = (pairs[apart, end].astype(np.int64) for end in (0, 1))
    owner = np.repeat(np.arange(len(blocks)), blocks)
    if (crossing := np.flatnonzero(owner[rows] != owner[columns])).size:
        u, v = rows[crossing[0]], columns[crossing[0]]
        raise InputError(f"edge ({u}, {v}) joins graphs {owner[u]} and {owner[v]} of the batch")
    adjacency = _adjacency(rows, columns, weights[apart], num_nodes, symmetrize, form)
    degree = np.asarray(adjacency.sum(1)).ravel()
    laplacian = _laplacian(adjacency, degree)
    if laplacian.nnz > _MOST:
        raise InputError(f"{laplacian.nnz} entries are more than 32-bit indices can count")
    scale = _scaling(lambda_max, laplacian, blocks)
    laplacian.data *= np.repeat(np.repeat(2 / scale, blocks), np.diff(laplacian.indptr))
    return ScaledLaplacian(laplacian, degree, blocks, scale)


def _laplacian(adjacency: csr_array, degree: NDArray[np.float64]) -> csr_array:
    nodes = len(degree)
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros(nodes), where=degree > 0)
    off, diagonal = adjacency.tocoo(), np.arange(nodes)
    values = np.concatenate([-off.data * (root[off.row] * root[off.col]), np.ones(nodes)])
    places = (np.concatenate([off.row, diagonal]), np.concatenate([off.col, diagonal]))
    found = csr_array((values, places), shape=(nodes, nodes))
    found.sort_indices()
    return found


def edge_weights(weight: ArrayLike | None, count: int) -> NDArray[np.float64]:
    """(count,) the weights given, or ones.

    Raises:
        InputError: they are of another number.
    """
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
