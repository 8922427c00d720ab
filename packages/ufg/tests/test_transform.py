"""Analysis and synthesis: identities, the recorded operators, derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.errors import InputError

from ufg import FrameletTransform, GraphOperator, NotConverged
from ufg.filters import filter_bank
from ufg.plain import analyze as plain_analyze
from ufg.plain import synthesize as plain_synthesize
from ufg.sparse import ConstantMatrix

TRANSFORMS = [
    FrameletTransform("haar", 2, 2.0, 2),
    FrameletTransform("haar", 1, 2.0, 3),
    FrameletTransform("linear", 3, 1.5, 5),
    FrameletTransform("quadratic", 2, 2.5, 4, "descending"),
    FrameletTransform("haar", 2, 2.0, 8),
]
each_transform = pytest.mark.parametrize("transform", TRANSFORMS, ids=str)


def signal(op: GraphOperator, columns: int = 3, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(op.num_nodes, columns, dtype=op.dtype, generator=draw)


def blocks_for(op: GraphOperator, transform: FrameletTransform, columns: int = 3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(transform.num_blocks, op.num_nodes, columns, dtype=op.dtype, generator=draw)


@each_transform
def test_recursion_is_the_polynomial_of_the_eigenvalues(
    any_operator: GraphOperator, transform: FrameletTransform
) -> None:
    eigenvalues, vectors = np.linalg.eigh(any_operator.laplacian.to_dense().numpy())
    scaled = 2 * eigenvalues / float(any_operator.lambda_max)
    expected = np.stack([vectors * row @ vectors.T for row in transform.response(scaled)])
    assert transform.operators(any_operator).numpy() == pytest.approx(expected, abs=1e-12)


@each_transform
def test_recursion_is_the_plain_formula(op: GraphOperator, transform: FrameletTransform) -> None:
    matrices = [ConstantMatrix(m, m) for m in transform.matrices(op)]
    table = torch.from_numpy(transform.table.copy())
    x, blocks = signal(op), blocks_for(op, transform)
    torch.testing.assert_close(
        transform.analyze(op, x), plain_analyze(matrices, table, x), rtol=0, atol=1e-12
    )
    expected = plain_synthesize(matrices, table, blocks)
    torch.testing.assert_close(transform.synthesize(op, blocks), expected, rtol=0, atol=1e-12)


@pytest.mark.parity
def test_operators_are_the_published_ones(parity: Callable[[str], dict[str, np.ndarray]]) -> None:
    recorded = parity("operators")
    op = GraphOperator.from_edges(
        recorded["edges"],
        int(recorded["num_nodes"]),
        lambda_max=float(recorded["lambda_max"]),
        dtype=torch.float64,
    )
    assert op.laplacian.to_dense().numpy() == pytest.approx(recorded["laplacian"], abs=1e-14)
    cases = [name for name in recorded if "_W" in name]
    assert len(cases) == 20
    for case in cases:
        name, terms, scale, levels, place = case.split("_", 4)
        filter_number, level = map(int, place[1:].split("_"))
        # An operator of level l of Lev is that of the last level of a transform dilated less; take them all from the blocks.
        transform = FrameletTransform(name.lower(), int(levels[3:]), float(scale[1:]), int(terms[1:]))
        if filter_number:
            row = 1 + (filter_number - 1) * transform.levels + level - 1
            found = transform.operators(op)[row]
        elif level == transform.levels:
            found = transform.operators(op)[0]
        else:
            found = _low_pass_until(op, transform, level)
        assert found.numpy() == pytest.approx(recorded[case], abs=1e-12), case


def _low_pass_until(op: GraphOperator, transform: FrameletTransform, level: int) -> torch.Tensor:
    matrices = [ConstantMatrix(m, m) for m in transform.matrices(op)[:level]]
    eye = torch.eye(op.num_nodes, dtype=op.dtype)
    return plain_analyze(matrices, torch.from_numpy(transform.table.copy()), eye)[0]


def test_the_frame_is_tight_on_every_graph(any_operator: GraphOperator) -> None:
    for name, terms in (("haar", 14), ("linear", 18), ("quadratic", 20)):
        transform = FrameletTransform(name, levels=3, terms=terms)
        x = signal(any_operator)
        blocks = transform.analyze(any_operator, x)
        torch.testing.assert_close(transform.synthesize(any_operator, blocks), x, rtol=0, atol=1e-11)
        energy = blocks.square().sum((0, 1))
        torch.testing.assert_close(energy, x.square().sum(0), rtol=1e-12, atol=0)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=40),
    scale=st.floats(1.05, 4),
    levels=st.integers(1, 4),
)
@settings(max_examples=40)
def test_eight_terms_reconstruct_in_float32(pairs: list[tuple[int, int]], scale: float, levels: int) -> None:
    op = GraphOperator.from_edges(np.array(pairs, int).reshape(-1, 2), 12, symmetrize=True)
    transform = FrameletTransform("haar", levels, scale, terms=8)
    x = signal(op)
    again = transform.synthesize(op, transform.analyze(op, x))
    assert float((again - x).norm() / x.norm()) <= 1e-6


@each_transform
def test_exact_synthesis_inverts_analysis_at_any_number_of_terms(
    any_operator: GraphOperator, transform: FrameletTransform
) -> None:
    x = signal(any_operator)
    again = transform.synthesize(any_operator, transform.analyze(any_operator, x), exact=True)
    torch.testing.assert_close(again, x, rtol=0, atol=1e-11)


def test_exact_synthesis_in_float32_with_two_terms(op: GraphOperator) -> None:
    small = op.to(dtype=torch.float32)
    transform = FrameletTransform(terms=2)
    x = signal(small)
    blocks = transform.analyze(small, x)
    assert float((transform.synthesize(small, blocks) - x).norm() / x.norm()) > 0.1
    assert float((transform.synthesize(small, blocks, exact=True) - x).norm() / x.norm()) <= 1e-6


def test_exact_synthesis_of_no_signal_is_none(op: GraphOperator) -> None:
    transform = FrameletTransform(terms=2)
    x = signal(op)
    x[:, 1] = 0
    again = transform.synthesize(op, transform.analyze(op, x), exact=True)
    torch.testing.assert_close(again, x, rtol=0, atol=1e-11)


@each_transform
def test_synthesis_is_the_transpose_of_analysis(
    any_operator: GraphOperator, transform: FrameletTransform
) -> None:
    x, blocks = signal(any_operator), blocks_for(any_operator, transform)
    left = (transform.analyze(any_operator, x) * blocks).sum()
    right = (x * transform.synthesize(any_operator, blocks)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@each_transform
def test_derivatives_are_right_and_may_be_taken_twice(
    op: GraphOperator, transform: FrameletTransform
) -> None:
    small = op.subset(torch.tensor([0])).to(dtype=torch.float64)
    x = signal(small, 1).requires_grad_()
    blocks = blocks_for(small, transform, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: transform.analyze(small, x), x, fast_mode=True)
    assert torch.autograd.gradcheck(lambda c: transform.synthesize(small, c), blocks, fast_mode=True)
    assert torch.autograd.gradcheck(
        lambda c: transform.synthesize(small, c, exact=True), blocks, fast_mode=True
    )
    assert torch.autograd.gradgradcheck(lambda x: transform.analyze(small, x).sin(), x, fast_mode=True)
    assert torch.autograd.gradgradcheck(
        lambda c: transform.synthesize(small, c).sin(), blocks, fast_mode=True
    )


def test_a_batch_is_its_graphs_each_with_its_own_scaling(op: GraphOperator) -> None:
    ring = GraphOperator.from_edges(
        [[i, (i + 1) % 5] for i in range(5)], 5, lambda_max="lanczos", dtype=op.dtype
    )
    lonely = GraphOperator.from_edges([], 1, lambda_max=1.3, dtype=op.dtype)
    parts = [ring, op, lonely, ring]
    batch = GraphOperator.batch([GraphOperator.batch(parts[:2]), *parts[2:]])
    transform = FrameletTransform("linear", levels=2, terms=5)
    x = signal(batch)
    whole = transform.analyze(batch, x)
    separate = [
        transform.analyze(p, piece) for p, piece in zip(parts, x.split(batch.sizes.tolist()), strict=True)
    ]
    torch.testing.assert_close(whole, torch.cat(separate, 1), rtol=0, atol=1e-13)
    assert batch.lambda_max.tolist() == pytest.approx([1 + np.cos(np.pi / 5), 2, 1.3, 1 + np.cos(np.pi / 5)])


def test_a_larger_lambda_max_keeps_the_frame_and_a_smaller_one_nearly(op: GraphOperator) -> None:
    dense = op.laplacian.to_dense().numpy()
    largest = float(np.linalg.eigvalsh(dense)[-1])
    transform = FrameletTransform(terms=8)
    x = signal(op)
    for factor, bound in ((1.0, 1e-7), (1.3, 1e-7), (0.95, 1e-6)):
        scaled = GraphOperator.from_scipy(
            op.adjacency.to_dense().numpy(), lambda_max=factor * largest, dtype=torch.float64
        )
        again = transform.synthesize(scaled, transform.analyze(scaled, x))
        assert float((again - x).norm() / x.norm()) <= bound, factor


def test_operators_move_with_the_nodes(op: GraphOperator) -> None:
    order = torch.randperm(op.num_nodes, generator=torch.Generator().manual_seed(3))
    moved = GraphOperator.from_scipy(op.adjacency.to_dense()[order][:, order].numpy(), dtype=op.dtype)
    x = signal(op)
    transform = FrameletTransform(terms=4)
    torch.testing.assert_close(
        transform.analyze(moved, x[order]), transform.analyze(op, x)[:, order], rtol=0, atol=1e-12
    )


def test_float32_agrees_with_float64(op: GraphOperator) -> None:
    x = signal(op)
    transform = FrameletTransform("quadratic", levels=3, terms=12)
    small = transform.analyze(op.to(dtype=torch.float32), x.float())
    torch.testing.assert_close(small.double(), transform.analyze(op, x), rtol=0, atol=1e-5)


def test_a_step_keeps_no_more_than_its_outputs_for_backward(op: GraphOperator) -> None:
    """No Chebyshev term is kept: that is what makes training cheap in memory."""
    kept: list[torch.Size] = []
    transform = FrameletTransform(terms=8)
    x = signal(op).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        transform.synthesize(op, transform.analyze(op, x))
    assert kept == []


def test_integer_signals_are_cast(op: GraphOperator) -> None:
    x = torch.arange(op.num_nodes * 2).reshape(-1, 2)
    transform = FrameletTransform()
    torch.testing.assert_close(transform.analyze(op, x), transform.analyze(op, x.double()))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda op, t: t.analyze(op, torch.ones(5, 2, dtype=torch.float64)), "33 nodes"),
        (lambda op, t: t.analyze(op, torch.ones(33, dtype=torch.float64)), "2 dimensions"),
        (lambda op, t: t.analyze(op, torch.ones(33, 2, dtype=torch.float16)), "float16"),
        (lambda op, t: t.analyze(op, torch.full((33, 1), torch.nan).double(), check=True), "node 0"),
        (lambda op, t: t.synthesize(op, torch.ones(2, 33, 1).double()), "2 blocks"),
        (lambda op, t: t.synthesize(op, torch.ones(3, 31, 1).double()), "33 nodes"),
        (lambda op, t: t.synthesize(op, t.analyze(op, signal(op)), exact=True, tolerance=1e-30), "rounding"),
    ],
)
def test_signals_that_do_not_fit_are_refused(op: GraphOperator, use, message: str) -> None:
    with pytest.raises(InputError, match=message):
        use(op, FrameletTransform(terms=3))


def test_conjugate_gradients_that_run_out_of_steps_say_so(
    op: GraphOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ufg.exact.MOST_STEPS", 3)
    transform = FrameletTransform(terms=2)
    with pytest.raises(NotConverged, match="in 3 steps"):
        transform.synthesize(op, transform.analyze(op, signal(op)), exact=True)


def test_a_loose_bank_that_loses_something_has_no_exact_synthesis(op: GraphOperator) -> None:
    from ufg import FilterBank

    bank = FilterBank("hole", (lambda x: np.cos(x), lambda x: np.cos(x)), tight=False)
    transform = FrameletTransform(bank, levels=1, terms=30)
    with pytest.raises(InputError, match="no frame"):
        transform.synthesize(op, transform.analyze(op, signal(op)), exact=True)
    assert filter_bank(bank) is bank
