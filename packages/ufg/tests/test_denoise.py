"""Denoising and compression without training."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from offprints.errors import InputError

from ufg import FrameletTransform, GraphOperator, compress, denoise
from ufg.denoise import noise_gains, snr_gain, tikhonov


@pytest.fixture(scope="module")
def grid() -> GraphOperator:
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(24, 24))
    return GraphOperator.from_networkx(graph, dtype=torch.float64)


@pytest.fixture(scope="module")
def clean(grid: GraphOperator) -> torch.Tensor:
    """Piecewise constant: a sharp step that a smoother blurs, and a slope."""
    place = torch.arange(24.0, dtype=torch.float64)
    step = (place > 11).double()[:, None].expand(24, 24) * 2
    return torch.stack([step.flatten(), (place / 12).expand(24, 24).flatten()], 1)


def noise_like(x: torch.Tensor, sigma: float = 0.3) -> torch.Tensor:
    return sigma * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", ["sure", "universal"])
def test_denoising_brings_a_signal_closer_to_what_it_was(
    grid: GraphOperator, clean: torch.Tensor, method: str
) -> None:
    noisy = clean + noise_like(clean)
    found = denoise(grid, noisy, method)
    assert snr_gain(clean, noisy, found.signal) > 2
    assert found.sigma.tolist() == pytest.approx([0.3, 0.3], rel=0.25)
    assert bool((found.kept < 0.9).all())


@pytest.mark.parametrize("method", ["universal", "sure"])
def test_noise_that_is_known_to_be_none_leaves_the_signal(
    grid: GraphOperator, clean: torch.Tensor, method: str
) -> None:
    found = denoise(grid, clean, method, sigma=0.0)
    assert not found.thresholds.any()
    torch.testing.assert_close(found.signal, clean, rtol=0, atol=1e-10)


def test_a_signal_that_is_nearly_everywhere_0_has_no_noise_to_estimate(grid: GraphOperator) -> None:
    word = torch.zeros(grid.num_nodes, 1, dtype=torch.float64)
    word[5] = 1.0
    found = denoise(grid, word)
    assert found.sigma.tolist() == [0.0]
    torch.testing.assert_close(found.signal, word, rtol=0, atol=1e-10)


def test_noise_gains_are_the_traces_of_the_operators(op: GraphOperator) -> None:
    transform = FrameletTransform("linear", terms=6)
    traces = transform.operators(op).square().sum((1, 2)) / op.num_nodes
    torch.testing.assert_close(noise_gains(op, transform), traces.sqrt(), rtol=0.12, atol=0)


def test_keeping_all_coefficients_loses_nothing_and_fewer_lose_more(
    grid: GraphOperator, clean: torch.Tensor
) -> None:
    for terms in (2, 8):
        transform = FrameletTransform(terms=terms)
        errors = [compress(grid, clean, keep, transform).error for keep in (0.0, 0.1, 0.3, 1.0)]
        assert errors[3] < 1e-9
        assert errors[0] > errors[1] > errors[2] > errors[3]


def test_a_packed_signal_is_restored_from_what_was_kept(grid: GraphOperator, clean: torch.Tensor) -> None:
    packed = compress(grid, clean, keep=0.2)
    assert packed.ratio == pytest.approx(0.2, abs=1e-3)
    again = packed.restore(grid)
    assert float((again - clean).norm() / clean.norm()) == pytest.approx(packed.error)
    high = packed.transform.analyze(grid, clean)[1:].abs().flatten()
    assert high[packed.index].min() >= high.sort(descending=True).values[len(packed.index) - 1]


def test_tikhonov_solves_its_equation(op: GraphOperator) -> None:
    x = noise_like(torch.zeros(op.num_nodes, 2, dtype=torch.float64), 1.0)
    y = tikhonov(op, x, 3.0)
    torch.testing.assert_close(y + 3.0 * (op.shifted(1.0) @ y + y), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda op, x: denoise(op, x, "bayes"), "universal"),
        (lambda op, x: denoise(op, x, sigma=-1.0), "sigma"),
        (lambda op, x: denoise(op, x * torch.nan), "not finite"),
        (lambda op, x: denoise(op, x, rule="none"), "garrote"),
        (lambda op, x: compress(op, x, keep=1.5), "keep"),
        (lambda op, x: compress(op, x[:5]), "576 nodes"),
    ],
)
def test_what_does_not_fit_is_refused(grid: GraphOperator, clean: torch.Tensor, use, message: str) -> None:
    with pytest.raises(InputError, match=message):
        use(grid, clean)
