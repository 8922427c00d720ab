"""The compiled walks of a CPU against the recursion in torch, which a GPU executes; batches that share memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from ufg import ConstantMatrix, FrameletTransform, GraphOperator, UFGPool, kernels, recursion

each_transform = pytest.mark.parametrize(
    "transform",
    [
        FrameletTransform(terms=2),
        FrameletTransform("linear", levels=1, terms=3),
        FrameletTransform("linear", levels=3, scale=1.5, terms=4),
        FrameletTransform("quadratic", terms=8, order="descending"),
        FrameletTransform(terms=9),
    ],
    ids=lambda transform: f"{transform.filters}-{transform.terms}",
)
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-13}


def random_graph(nodes: int = 300, dtype: torch.dtype = torch.float32) -> GraphOperator:
    draw = np.random.default_rng(0)
    edges = draw.integers(0, nodes - 3, (5 * nodes, 2))  # the last nodes have no edge
    edges = np.unique(np.sort(edges[edges[:, 0] != edges[:, 1]], 1), axis=0)
    return GraphOperator.from_edges(edges, nodes, draw.random(len(edges)) + 0.1, dtype=dtype)


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("columns", [1, 16, 39])
@each_transform
def test_compiled_walks_are_the_recursion_in_torch(
    transform: FrameletTransform, columns: int, dtype: torch.dtype
) -> None:
    op = random_graph(dtype=dtype)
    matrices, compiled = transform.matrices(op), transform.recursion(op)
    close = {"rtol": 0, "atol": TOLERANCE[dtype]}
    x = drawn(op.num_nodes, columns, dtype=dtype)
    before = x.clone()
    blocks = recursion.analyze(matrices, transform.table, x)
    torch.testing.assert_close(compiled.analyze(x), blocks, **close)
    assert torch.equal(x, before)
    torch.testing.assert_close(
        compiled.synthesize(blocks), recursion.synthesize(matrices, transform.table, blocks), **close
    )
    gain = drawn(len(blocks), op.num_nodes, dtype=dtype)
    amplified = recursion.synthesize(matrices, transform.table, blocks * gain.unsqueeze(-1))
    torch.testing.assert_close(compiled.synthesize(blocks, gain), amplified, **close)
    torch.testing.assert_close(compiled.row_products(blocks, blocks), blocks.square().sum(-1))


@pytest.mark.parametrize("columns", [1, 16, 39])
def test_the_compiled_product_is_that_of_dense_matrices(columns: int) -> None:
    dense = drawn(70, 50) * (drawn(70, 50) > 0.8)
    matrix, x = ConstantMatrix.of(dense.numpy()), drawn(50, columns)
    torch.testing.assert_close(matrix @ x, dense @ x)
    torch.testing.assert_close(matrix.T @ drawn(70, columns), dense.T @ drawn(70, columns))
    torch.testing.assert_close(matrix @ x[:, :1].expand(50, columns), dense @ x[:, :1].expand(50, columns))


def test_the_number_of_threads_changes_no_bit() -> None:
    op = random_graph(8000)
    assert op.num_entries > kernels._FEW  # so that there is something to share out
    transform, x = FrameletTransform(terms=4), drawn(op.num_nodes, 20)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            blocks = transform.analyze(op, x)
            found.append((blocks, transform.synthesize(op, blocks)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, three) for one, three in zip(*found, strict=True))


def test_a_number_that_is_none_stays_one() -> None:
    op = random_graph()
    x = drawn(op.num_nodes, 16)
    x[5, 3] = torch.nan
    blocks = FrameletTransform().analyze(op, x)
    assert blocks[:, 5, 3].isnan().all()
    assert not blocks[..., :3].isnan().any()


@pytest.mark.parametrize("per_node", [True, False])
def test_amplified_coefficients_and_their_derivatives_are_those_of_three_steps(per_node: bool) -> None:
    op = random_graph(24, torch.float64)
    transform = FrameletTransform("linear", terms=3)
    x = drawn(24, 2, dtype=torch.float64).requires_grad_()
    gain = drawn(transform.num_blocks, 24 if per_node else 1, dtype=torch.float64).requires_grad_()

    def three_steps(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return transform.synthesize(op, transform.analyze(op, x) * gain.unsqueeze(-1))

    torch.testing.assert_close(transform.amplify(op, x, gain), three_steps(x, gain))
    weight = drawn(24, 2, dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad((way(x, gain) * weight).sum(), (x, gain))
        for way in (lambda x, gain: transform.amplify(op, x, gain), three_steps)
    )
    torch.testing.assert_close(ours, theirs)
    inputs = (x, gain)
    assert torch.autograd.gradgradcheck(
        lambda x, g: transform.amplify(op, x, g).sin(), inputs, fast_mode=True
    )


# Batches


def some_graphs(dtype: torch.dtype = torch.float64) -> GraphOperator:
    made = [
        GraphOperator.from_edges(np.stack([np.arange(n - 1), np.arange(1, n)], 1), n, lambda_max=1.5 + 0.1 * n, dtype=dtype)
        for n in (2, 4, 1, 3, 5)
    ]  # fmt: skip
    return GraphOperator.batch(made)


def test_parts_of_a_batch_are_its_subsets_and_share_its_memory() -> None:
    whole = some_graphs().subset([3, 0, 4, 2, 1])
    parts = list(whole.parts(2))
    assert [part.num_graphs for part in parts] == [2, 2, 1]
    for part, graphs in zip(parts, ([3, 0], [4, 2], [1]), strict=True):
        expected = some_graphs().subset(graphs)
        for name in ("row_starts", "columns", "values", "degree", "sizes", "lambda_max"):
            assert torch.equal(getattr(part, name), getattr(expected, name)), name
        assert np.array_equal(part.extent.nodes, expected.extent.nodes)
        assert np.array_equal(part.extent.entries, expected.extent.entries)
    assert parts[0].values.data_ptr() == whole.values.data_ptr()


def test_a_batch_takes_from_the_whole_what_each_graph_would_say_alone() -> None:
    op, pool = some_graphs(), UFGPool(FrameletTransform(terms=3), "sum")
    x = drawn(op.num_nodes, 3, dtype=torch.float64)
    whole = op.subset([1, 4, 0])
    for graphs, part in zip(([1, 4], [0]), whole.parts(2), strict=True):
        alone = some_graphs().subset(graphs)  # knows of no whole
        torch.testing.assert_close(part.smoothing.to_dense(), alone.smoothing.to_dense())
        here = x[op.nodes_of(graphs)]
        torch.testing.assert_close(pool(part, here), pool(alone, here))
    calls: list[int] = []
    made = [
        part.of_nodes("numbers", lambda op: calls.append(1) or torch.arange(op.num_nodes))
        for part in whole.parts(1)
    ]
    assert [values.tolist() for values in made] == [[2, 3, 4, 5], [10, 11, 12, 13, 14], [0, 1]]
    assert len(calls) == 1


def test_an_operator_that_is_where_it_should_be_stays_itself() -> None:
    op = some_graphs()
    assert op.to("cpu") is op
    assert op.to(torch.device("cpu"), torch.float64) is op
    with pytest.raises(InputError, match="bfloat16"):
        op.to(dtype=torch.bfloat16)
