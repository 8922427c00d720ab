"""What a GPU computes against what a CPU does: the same recursion on torch's own sparse products.

The path of the GPU also runs on a CPU here, so that it is tried on every machine; on CUDA it is skipped where there is none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from ufg import (
    ConstantMatrix,
    FrameletTransform,
    GraphOperator,
    UFGConv,
    UFGGraphNet,
    UFGNet,
    UFGPool,
    Universal,
    denoise,
    kernels,
    shrink,
    sure_threshold,
    train_copies,
)
from ufg.digits import digits_graph
from ufg.graph_data import GraphData, GraphSplit
from ufg.layers import GAINS, POOLS
from ufg.networks import SmoothingLayer
from ufg.shrink import RULES
from ufg.training import GraphTrainer, NodeTrainer, TrainingOptions

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing is run on one")
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
Both = Callable[..., None]


@pytest.fixture(params=["cpu, as on a GPU", pytest.param("cuda", marks=needs_cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param.split(",")[0])


@pytest.fixture
def as_a_gpu(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and nothing that is made from then on computes in compiled loops."""
    return lambda: monkeypatch.setattr(kernels, "are_for", lambda device: False)


@pytest.fixture
def same(device: torch.device, as_a_gpu: Callable[[], None]) -> Both:
    """Holds what a function gives here to what it gives there."""

    def check(compute: Callable[..., Any], *given: Any, atol: float) -> None:
        here = compute(*given)
        as_a_gpu()
        there = compute(*(moved(thing, device) for thing in given))
        for one, other in zip(here, there, strict=True):
            assert other.device.type == device.type
            torch.testing.assert_close(other.cpu(), one, rtol=0, atol=atol * max(1, float(one.abs().max())))

    return check


def moved(thing: Any, device: torch.device) -> Any:
    if isinstance(thing, GraphOperator):
        parts = (thing.row_starts, thing.columns, thing.values, thing.degree, thing.sizes, thing.lambda_max)
        return GraphOperator(*parts).to(device)
    if isinstance(thing, nn.Module):
        return copy.deepcopy(thing).to(device)
    if isinstance(thing, ConstantMatrix):
        return ConstantMatrix(thing.csr, thing.transposed).to(device)
    return (
        thing.detach().to(device).requires_grad_(thing.requires_grad)
        if isinstance(thing, torch.Tensor)
        else thing
    )


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 2e-5


def graphs(dtype: torch.dtype) -> GraphOperator:
    """Three graphs with weights, one of a single node, each with its own scaling."""
    draw = np.random.default_rng(0)
    edges = np.array([(u, v) for u in range(40) for v in range(u) if draw.random() < 0.15])
    first = GraphOperator.from_edges(edges, 40, draw.random(len(edges)) + 0.1, lambda_max=1.7, dtype=dtype)
    second = GraphOperator.from_edges([[0, 1], [1, 2], [2, 3]], 5, dtype=dtype)
    return GraphOperator.batch([first, GraphOperator.from_edges([], 1, dtype=dtype), second])


def drawn(*shape: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def with_gradients(module: nn.Module, op: GraphOperator, x: Any) -> list[torch.Tensor]:
    """Outputs, and the derivative of a function of them by the input and by each parameter."""
    y = module(op, x)
    wanted = [*module.parameters(), *([x] if isinstance(x, torch.Tensor) and x.requires_grad else [])]
    return [y.detach(), *torch.autograd.grad(y.square().sum() + y.sum(), wanted)]


@each_dtype
@pytest.mark.parametrize("terms", [2, 6])
@pytest.mark.parametrize("filters", ["haar", "linear", "quadratic"])
def test_analysis_and_synthesis(same: Both, filters: str, terms: int, dtype: torch.dtype) -> None:
    transform = FrameletTransform(filters, levels=3, terms=terms)
    op, gain = graphs(dtype), drawn(transform.num_blocks, 46, dtype=dtype, seed=1)

    def compute(op: GraphOperator, x: torch.Tensor, gain: torch.Tensor) -> list[torch.Tensor]:
        blocks = transform.analyze(op, x)
        again = transform.synthesize(op, blocks)
        exact = transform.synthesize(op, blocks, exact=True)
        return [blocks, again, exact, transform.amplify(op, x, gain), transform.energies(op, x)]

    same(compute, op, drawn(46, 5, dtype=dtype), gain, atol=5 * tolerance(dtype))


@each_dtype
@pytest.mark.parametrize("rule", [None, *RULES])
@pytest.mark.parametrize("gain", GAINS)
def test_convolution_and_its_gradients(same: Both, gain: str, rule: str | None, dtype: torch.dtype) -> None:
    conv = UFGConv(
        5, 4, FrameletTransform(terms=3), gain=gain, num_nodes=46, shrinkage=rule,
        threshold=Universal(0.1, multiscale=rule is not None), generator=torch.Generator().manual_seed(0),
    ).to(dtype)  # fmt: skip
    x = drawn(46, 5, dtype=dtype).requires_grad_()
    same(with_gradients, conv, graphs(dtype), x, atol=10 * tolerance(dtype))


@each_dtype
def test_layers_side_by_side_on_sparse_features(same: Both, dtype: torch.dtype) -> None:
    conv = UFGConv(9, 4, copies=3, generator=torch.Generator().manual_seed(0)).to(dtype)
    words = drawn(46, 9, dtype=dtype) * (drawn(46, 9, dtype=dtype, seed=1) > 0.8)
    same(
        with_gradients,
        conv,
        graphs(dtype),
        ConstantMatrix.of(words.numpy(), dtype),
        atol=10 * tolerance(dtype),
    )


@each_dtype
@pytest.mark.parametrize("mode", POOLS)
def test_pooling_and_its_gradients(same: Both, mode: str, dtype: torch.dtype) -> None:
    pool = UFGPool(FrameletTransform("linear", terms=4), mode)
    x = drawn(46, 6, dtype=dtype).requires_grad_()
    same(with_gradients, pool, graphs(dtype), x, atol=10 * tolerance(dtype))


@each_dtype
def test_layers_of_a_gcn(same: Both, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = drawn(46, 6, dtype=dtype).requires_grad_()
    same(with_gradients, SmoothingLayer(6, 4).to(dtype), graphs(dtype), x, atol=10 * tolerance(dtype))


@each_dtype
@pytest.mark.parametrize("rule", RULES)
def test_shrinkage(same: Both, rule: str, dtype: torch.dtype) -> None:
    def compute(op: GraphOperator, blocks: torch.Tensor) -> list[torch.Tensor]:
        universal, multiscale = Universal(0.5).of(op, blocks), Universal(0.5, multiscale=True).of(op, blocks)
        sure = sure_threshold(blocks[1:])  # one of the magnitudes, at which the hard rule jumps
        return [
            sure,
            *(shrink(blocks, t, rule) for t in (universal, multiscale, sure)[: 2 if rule == "hard" else 3]),
        ]

    same(compute, graphs(dtype), drawn(3, 46, 5, dtype=dtype), atol=tolerance(dtype))


@each_dtype
def test_denoising(same: Both, dtype: torch.dtype) -> None:
    op = graphs(dtype).subset([0])

    def compute(op: GraphOperator, x: torch.Tensor) -> list[torch.Tensor]:
        found = denoise(op, x, "universal")
        return [found.signal, found.sigma, found.thresholds, found.kept]

    same(compute, op, drawn(40, 4, dtype=dtype), atol=20 * tolerance(dtype))


def test_batches(same: Both) -> None:
    def compute(op: GraphOperator, x: torch.Tensor) -> list[torch.Tensor]:
        chosen = op.subset([2, 0, 1])
        parts = list(chosen.parts(2))
        arrays = [
            getattr(part, name) for part in (chosen, *parts) for name in ("row_starts", "columns", "values")
        ]
        values = [part.smoothing.csr.values() for part in parts]
        return [*arrays, *values, x[op.nodes_of([2, 0])], op.sum_over_graphs(x), op.adjacency.values()]

    same(compute, graphs(torch.float64), drawn(46, 2, dtype=torch.float64), atol=1e-12)


def test_an_operator_knows_that_it_is_there(device: torch.device) -> None:
    op = graphs(torch.float32).to(device.type)
    assert op.to(device.type) is op
    assert op.to(op.device, torch.float32) is op


# Training


@each_dtype
@pytest.mark.parametrize("shrinkage", [None, "soft"])
def test_training_on_the_digits(
    device: torch.device, as_a_gpu: Callable[[], None], shrinkage: str | None, dtype: torch.dtype
) -> None:
    data = digits_graph()
    options = TrainingOptions(epochs=8, gain_decay=0.01)

    def train(device: torch.device | str) -> tuple[list[float], float]:
        torch.manual_seed(0)
        net = UFGNet(
            64,
            16,
            10,
            dropout=0.0,
            transform=FrameletTransform(terms=4),
            gain_init=(1.0, 0.1),
            shrinkage=shrinkage,
        )
        trainer = NodeTrainer(net, data, options, device=device, dtype=dtype, seed=0)
        return [row["train/loss"] for row in trainer.fit().history], trainer.accuracy("test")

    losses, accuracy = train("cpu")
    as_a_gpu()
    losses_there, accuracy_there = train(device)
    assert losses_there == pytest.approx(losses, rel=1e-9 if dtype == torch.float64 else 1e-3)
    assert accuracy_there == pytest.approx(accuracy, abs=0.01)
    assert accuracy > 0.5


def test_training_several_copies(device: torch.device, as_a_gpu: Callable[[], None]) -> None:
    def train(device: torch.device | str) -> torch.Tensor:
        torch.manual_seed(0)
        net = UFGNet(64, 16, 10, dropout=0.0, copies=2)
        return train_copies(net, digits_graph(), TrainingOptions(epochs=8), device=device).last.cpu()

    here = train("cpu")
    as_a_gpu()
    assert train(device).tolist() == pytest.approx(here.tolist(), abs=0.01)


def stars_and_rings(count: int = 30) -> GraphData:
    ring = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)])
    star = np.array([(0, 1), (0, 2), (0, 3), (0, 4)])
    edges = np.concatenate([5 * g + (star if g % 2 else ring) for g in range(count)])
    features = np.ones((5 * count, 2), np.float32)
    return GraphData("shapes", np.full(count, 5), edges, features, np.arange(count) % 2)


SPLIT = GraphSplit(np.arange(20), np.arange(20, 25), np.arange(25, 30))


@pytest.mark.parametrize("mode", POOLS)
def test_training_on_graphs(device: torch.device, as_a_gpu: Callable[[], None], mode: str) -> None:
    def train(device: torch.device | str) -> list[float]:
        torch.manual_seed(0)
        net = UFGGraphNet.of(2, 8, 2, UFGPool(FrameletTransform(terms=2), mode), dropout=0.0)
        options = TrainingOptions(epochs=3, batch_size=7, learning_rate=0.002)
        trainer = GraphTrainer(net, stars_and_rings(), SPLIT, options, device=device)
        return [row[key] for row in trainer.fit().history for key in ("train/loss", "valid/loss")]

    here = train("cpu")
    as_a_gpu()
    assert train(device) == pytest.approx(here, rel=1e-3)


@needs_cuda
def test_a_step_does_not_wait_for_the_gpu() -> None:
    draw = np.random.default_rng(0)
    data = digits_graph()
    words = csr_array(data.features.toarray() * (draw.random(data.features.shape) < 0.2))
    sparse = type(data)(data.name, data.edges, words, data.labels, data.train, data.valid, data.test)
    node = NodeTrainer(UFGNet(64, 16, 10, transform=FrameletTransform(terms=4)), sparse, device="cuda")
    pool = UFGPool(FrameletTransform(terms=2), "spectrum")
    graph = GraphTrainer(
        UFGGraphNet.of(2, 8, 2, pool), stars_and_rings(), SPLIT, TrainingOptions(batch_size=7), device="cuda"
    )
    batches = list(graph.batches(0))
    node.step(None)
    graph.step(batches[0])
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        node.step(None)
        graph.step(batches[1])
    finally:
        torch.cuda.set_sync_debug_mode("default")
