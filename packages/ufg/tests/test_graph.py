"""Graphs from whatever a user has, and what is refused."""

from __future__ import annotations

import sys

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import block_diag, coo_array, csr_array

from offprints.errors import InputError

from ufg import ConstantMatrix, GraphOperator, largest_eigenvalues

EDGES = np.array([[0, 1], [1, 2], [3, 1], [4, 5]])
WEIGHTS = np.array([0.5, 2.0, 1.0, 3.0])


def laplacian_of(adjacency: np.ndarray) -> np.ndarray:
    degree = adjacency.sum(1)
    root = np.array([1 / np.sqrt(d) if d > 0 else 0 for d in degree])
    return np.eye(len(adjacency)) - root[:, None] * adjacency * root


@pytest.fixture
def adjacency() -> np.ndarray:
    found = np.zeros((8, 8))
    for (u, v), w in zip(EDGES, WEIGHTS, strict=True):
        found[u, v] = found[v, u] = w
    return found


def test_every_source_gives_the_same_laplacian(adjacency: np.ndarray) -> None:
    graph = nx.Graph()
    graph.add_nodes_from(range(8))
    graph.add_weighted_edges_from([(u, v, w) for (u, v), w in zip(EDGES.tolist(), WEIGHTS, strict=True)])
    both = np.concatenate([EDGES, EDGES[:, ::-1]]).T
    double = {"dtype": torch.float64}
    made = [
        GraphOperator.from_edges(EDGES, 8, WEIGHTS, **double),
        GraphOperator.from_edge_index(both, 8, np.tile(WEIGHTS, 2), **double),
        GraphOperator.from_edge_index(torch.from_numpy(both), 8, np.tile(WEIGHTS, 2), **double),
        GraphOperator.from_scipy(csr_array(adjacency), **double),
        GraphOperator.from_scipy(adjacency, **double),
        GraphOperator.from_scipy(np.triu(adjacency), symmetrize=True, **double),
        GraphOperator.from_networkx(graph, weight="weight", **double),
        GraphOperator.from_edges(
            np.concatenate([EDGES, [[2, 2]], EDGES]),
            8,
            np.r_[WEIGHTS, 9, WEIGHTS / 2],
            symmetrize=True,
            **double,
        ),
    ]
    for op in made:
        assert op.laplacian.to_dense().numpy() == pytest.approx(laplacian_of(adjacency), abs=1e-15)
        assert op.adjacency.to_dense().numpy() == pytest.approx(adjacency, abs=1e-14)
        assert op.degree.numpy() == pytest.approx(adjacency.sum(1))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="DGL 1.1.3 has no build for Python 3.12 and later")
def test_a_dgl_batch_keeps_its_graphs_apart(adjacency: np.ndarray) -> None:
    import dgl  # of the test extra: without it this fails

    u, v = np.nonzero(adjacency)
    graph = dgl.graph((u, v), num_nodes=8)
    graph.edata["w"] = torch.from_numpy(adjacency[u, v])
    op = GraphOperator.from_dgl(
        dgl.batch([graph, graph]), weight="w", lambda_max=[2.0, 1.5], dtype=torch.float64
    )
    expected = block_diag([laplacian_of(adjacency)] * 2).toarray()
    assert op.laplacian.to_dense().numpy() == pytest.approx(expected, abs=1e-15)
    assert op.sizes.tolist() == [8, 8]
    assert op.values[-1] == 2 / 1.5  # the diagonal of an isolated node, scaled as its graph
    with pytest.raises(InputError, match="directed"):
        GraphOperator.from_dgl(dgl.graph(([0, 1], [1, 2])))
    with pytest.raises(InputError, match="twice"):
        GraphOperator.from_dgl(dgl.graph(([0, 1, 0, 1], [1, 0, 1, 0])))


def test_isolated_nodes_and_no_edges_at_all_are_graphs() -> None:
    op = GraphOperator.from_edges([], 3)
    assert op.laplacian.to_dense().tolist() == np.eye(3).tolist()
    assert op.smoothing.to_dense().tolist() == np.eye(3).tolist()


def test_the_smoothing_matrix_is_that_of_a_gcn(adjacency: np.ndarray) -> None:
    op = GraphOperator.from_scipy(adjacency, lambda_max=1.9, dtype=torch.float64)
    loops = adjacency + np.eye(8)
    root = 1 / np.sqrt(loops.sum(1))
    assert op.smoothing.to_dense().numpy() == pytest.approx(root[:, None] * loops * root)


def test_a_subset_of_a_batch_is_the_batch_of_the_subset(op: GraphOperator) -> None:
    small = [
        GraphOperator.from_edges(EDGES, 8, dtype=op.dtype),
        GraphOperator.from_edges([], 2, dtype=op.dtype),
    ]
    batch = GraphOperator.batch([op, *small, op])
    chosen = batch.subset(torch.tensor([2, 0, 1]))
    expected = GraphOperator.batch([small[1], op, small[0]])
    for name in ("row_starts", "columns", "values", "degree", "sizes", "lambda_max"):
        assert torch.equal(getattr(chosen, name), getattr(expected, name)), name
    x = torch.arange(batch.num_nodes)
    assert x[batch.nodes_of(torch.tensor([2, 1]))].tolist() == [41, 42, *range(33, 41)]
    sums = batch.sum_over_graphs(torch.ones(batch.num_nodes, 2, dtype=batch.dtype))
    assert sums.tolist() == [[33, 33], [8, 8], [2, 2], [33, 33]]


def test_lanczos_finds_the_largest_eigenvalue_of_every_graph() -> None:
    graphs = [
        nx.path_graph(60),
        nx.star_graph(5),
        nx.complete_graph(6),
        nx.empty_graph(3),
        nx.gnm_random_graph(80, 200, 1),
    ]
    blocks = [laplacian_of(nx.to_numpy_array(graph)) for graph in graphs]
    expected = [np.linalg.eigvalsh(block)[-1] for block in blocks]
    sizes = np.array([len(block) for block in blocks])
    found = largest_eigenvalues(csr_array(block_diag(blocks)), sizes)
    assert found == pytest.approx(expected, abs=1e-9)
    assert (found == largest_eigenvalues(csr_array(block_diag(blocks)), sizes)).all()
    with pytest.raises(InputError, match="not converged after 3"):
        largest_eigenvalues(csr_array(block_diag(blocks)), sizes, most_steps=3)


def test_a_constant_matrix_has_the_derivative_of_its_dense_form(draw: torch.Generator) -> None:
    dense = torch.randn(7, 5, generator=draw, dtype=torch.float64) * (torch.rand(7, 5, generator=draw) < 0.4)
    matrix = ConstantMatrix.of(coo_array(dense.numpy()), torch.float64)
    weight = torch.randn(5, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(matrix @ weight, dense @ weight)
    assert torch.autograd.gradcheck(lambda w: matrix @ w, weight)
    assert torch.autograd.gradgradcheck(lambda w: (matrix @ w).sin(), weight)
    with pytest.raises(InputError, match="finite"):
        ConstantMatrix.of(np.array([[np.nan, 1]]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphOperator.from_edge_index([[0, 1], [1, 2]], 3), r"directed: edges \(0, 1\)"),
        (lambda: GraphOperator.from_scipy(np.array([[0, 1], [2, 0]])), "directed"),
        (lambda: GraphOperator.from_edges([[0, 1], [1, 0]], 3), "stands twice"),
        (lambda: GraphOperator.from_edge_index([[0, 0, 1, 1], [1, 1, 0, 0]], 3), "stands twice"),
        (lambda: GraphOperator.from_edges([[0, 3]], 3), r"edge 0 is \(0, 3\), but nodes are 0 to 2"),
        (lambda: GraphOperator.from_edges([[0, -1]], 3), "nodes are 0 to 2"),
        (lambda: GraphOperator.from_edges([[0.0, 1.5]], 3), "integers"),
        (lambda: GraphOperator.from_edges([[0, 1, 2]], 3), r"\(E, 2\)"),
        (lambda: GraphOperator.from_edge_index(EDGES, 8), r"\(2, E\)"),
        (lambda: GraphOperator.from_scipy(np.ones((2, 3))), "square"),
        (lambda: GraphOperator.from_edges([[0, 1]], 3, [-1.0]), "0 or more"),
        (lambda: GraphOperator.from_edges([[0, 1]], 3, [np.nan]), "finite"),
        (lambda: GraphOperator.from_edges([[0, 1]], 3, [1.0, 2.0]), r"shape \(1,\)"),
        (lambda: GraphOperator.from_edges([], 0), "one node or more"),
        (lambda: GraphOperator.from_edges([], 3, sizes=[3, 0]), "graph 1 of the batch is empty"),
        (lambda: GraphOperator.from_edges([], 3, sizes=[2, 2]), "sum to 4"),
        (lambda: GraphOperator.from_edges([[0, 2]], 3, sizes=[2, 1]), "joins graphs 0 and 1"),
        (lambda: GraphOperator.from_edges([], 3, lambda_max=0.0), "positive"),
        (lambda: GraphOperator.from_edges([], 3, lambda_max=[1.0, 2.0]), "one for each of 1"),
        (lambda: GraphOperator.from_edges([], 3, lambda_max="exact"), "lanczos"),
        (lambda: GraphOperator.from_edges([], 3, dtype=torch.float16), "float16"),
        (lambda: GraphOperator.from_networkx(nx.DiGraph([(0, 1)])), "directed"),
        (lambda: GraphOperator.from_networkx(nx.MultiGraph([(0, 1)])), "multigraph"),
        (lambda: GraphOperator.batch([]), "no graphs"),
    ],
)
def test_what_is_no_undirected_graph_is_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
