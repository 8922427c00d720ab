"""Training: what is learned, what chooses the epoch, and going on after a kill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from offprints.errors import InputError

from ufg import FrameletTransform, GraphOperator, UFGGraphNet, UFGNet, UFGPool
from ufg.baselines import POOLS, ChebyshevLayer, Network, PlainPool, SimplifiedNetwork
from ufg.dgl_baselines import KINDS, DGLNetwork
from ufg.graph_data import GraphData, random_split
from ufg.node_data import NodeData
from ufg.training import GraphTrainer, NodeTrainer, TrainingOptions


class Stop(Exception):
    """What ends a training in the middle."""


@pytest.fixture(scope="module")
def rings() -> NodeData:
    """Three rings of 60 nodes; the features say little of the ring, and only the neighbours together say more."""
    edges = np.array(
        [[60 * r + i, 60 * r + (i + step) % 60] for r in range(3) for i in range(60) for step in (1, 2, 3)]
    )
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 60)
    features = 0.3 * draw.standard_normal((180, 6))
    features[np.arange(180), labels] += 0.4
    order = draw.permutation(180)
    train = np.concatenate([order[labels[order] == ring][:4] for ring in range(3)])
    rest = order[~np.isin(order, train)]
    return NodeData("rings", edges, csr_array(features), labels, train, rest[:40], rest[40:])


@pytest.fixture(scope="module")
def shapes() -> GraphData:
    """Rings and stars of several sizes, all nodes alike: only the structure tells them apart."""
    edges, sizes, targets, first = [], [], [], 0
    draw = np.random.default_rng(0)
    for number in range(120):
        size = int(draw.integers(5, 12))
        if number % 2:
            edges += [[first + i, first + (i + 1) % size] for i in range(size)]
        else:
            edges += [[first, first + i] for i in range(1, size)]
        sizes.append(size)
        targets.append(number % 2)
        first += size
    return GraphData(
        "shapes", np.array(sizes), np.array(edges), np.ones((first, 2), np.float32), np.array(targets)
    )


def net_for(data: NodeData, **options: object) -> UFGNet:
    torch.manual_seed(0)
    return UFGNet(data.features.shape[1], 8, data.num_classes, dropout=0.2, gain_init=(1.5, 0.3), **options)


OPTIONS = TrainingOptions(epochs=40, learning_rate=0.02, weight_decay=0.001)


@pytest.mark.parametrize("shrinkage", [None, "soft"])
def test_convolutions_learn_what_the_features_of_one_node_hardly_tell(
    rings: NodeData, shrinkage: str | None
) -> None:
    trainer = NodeTrainer(net_for(rings, shrinkage=shrinkage), rings, OPTIONS, seed=0)
    outcome = trainer.fit()
    alone = NodeTrainer(Network("mlp", 6, 8, 3), rings, OPTIONS, seed=0)
    alone.fit()
    assert trainer.accuracy("test") > alone.accuracy("test") + 0.08
    assert outcome.best["accuracy"] == max(row["valid/accuracy"] for row in outcome.history)
    first = next(row for row in outcome.history if row["valid/accuracy"] == outcome.best["accuracy"])
    assert outcome.best_epoch == first["epoch"]
    assert trainer.accuracy("valid") == outcome.best["accuracy"]


def test_the_same_seed_gives_the_same_numbers_and_a_resume_too(rings: NodeData, tmp_path: Path) -> None:
    whole = NodeTrainer(net_for(rings), rings, OPTIONS, seed=3)
    whole.fit()

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 17:
            raise Stop

    options = TrainingOptions(**{**vars(OPTIONS), "save_every": 0.0})
    killed = NodeTrainer(net_for(rings), rings, options, seed=3, directory=tmp_path, on_epoch=stop)
    with pytest.raises(Stop):
        killed.fit()
    again = NodeTrainer(net_for(rings), rings, options, seed=3, directory=tmp_path)
    outcome = again.fit()
    assert outcome.epochs == 40
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name]), name
    ended = NodeTrainer(net_for(rings), rings, options, seed=3, directory=tmp_path)  # with nothing left to do
    ended.fit()
    for resumed in (again, ended):
        assert resumed.last_accuracy("test") == whole.last_accuracy("test")


@pytest.mark.parametrize("mode", ["sum", "spectrum"])
def test_pooling_tells_rings_from_stars(shapes: GraphData, mode: str) -> None:
    torch.manual_seed(0)
    net = UFGGraphNet.of(2, 8, 2, UFGPool(FrameletTransform(), mode), dropout=0.0, layers=1)
    options = TrainingOptions(
        epochs=25, learning_rate=0.02, weight_decay=0.0, batch_size=32, plateau_factor=0.5, plateau_patience=3
    )
    trainer = GraphTrainer(net, shapes, random_split(120, 0), options, seed=0)
    untrained = trainer.measure("test")["accuracy"]
    trainer.fit()
    assert trainer.measure("test")["accuracy"] > max(0.9, untrained)


def test_training_on_graphs_resumes_to_the_same_bits(shapes: GraphData, tmp_path: Path) -> None:
    options = TrainingOptions(
        epochs=6, learning_rate=0.02, batch_size=32, plateau_factor=0.5, plateau_patience=0, save_every=0.0
    )

    def trainer(**more: object) -> GraphTrainer:
        torch.manual_seed(0)
        net = UFGGraphNet.of(2, 4, 2, UFGPool())
        return GraphTrainer(net, shapes, random_split(120, 0), options, seed=1, **more)

    whole = trainer()
    whole.fit()

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 3:
            raise Stop

    with pytest.raises(Stop):
        trainer(directory=tmp_path, on_epoch=stop).fit()
    again = trainer(directory=tmp_path)
    again.fit()
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name]), name


def test_the_learning_rate_falls_when_the_validation_loss_stands_still(shapes: GraphData) -> None:
    torch.manual_seed(0)
    options = TrainingOptions(epochs=6, learning_rate=1e-12, plateau_factor=0.5, plateau_patience=1)
    trainer = GraphTrainer(
        UFGGraphNet.of(2, 4, 2, UFGPool(), dropout=0.0), shapes, random_split(120, 0), options
    )
    trainer.fit()
    assert trainer.state()["factor"] <= 0.25


def test_numbers_are_told_in_their_own_unit(shapes: GraphData) -> None:
    from dataclasses import replace

    energies = replace(shapes, targets=-100.0 * shapes.sizes)
    torch.manual_seed(0)
    options = TrainingOptions(epochs=40, learning_rate=0.02, weight_decay=0.0, batch_size=32)
    net = UFGGraphNet.of(2, 8, 1, UFGPool(), dropout=0.0)
    trainer = GraphTrainer(net, energies, random_split(120, 0), options)
    spread = trainer.measure("test")["mae"]
    assert spread > 100
    trainer.fit()
    assert trainer.measure("test")["mae"] < 0.3 * spread


def test_what_counts_explain_is_left_to_them(shapes: GraphData) -> None:
    """Targets that are a sum over counts need no network, and those of the test graphs are no part of the fit."""
    from dataclasses import replace

    draw = np.random.default_rng(0)
    counts = draw.integers(0, 9, (120, 2)).astype(float)
    split = random_split(120, 0)
    linear = counts @ [3.0, -7.0] + 20
    net = UFGGraphNet.of(2, 4, 1, UFGPool(), dropout=0.0)

    def known(targets: np.ndarray) -> np.ndarray:
        data = replace(shapes, targets=targets, counts=counts)
        return GraphTrainer(net, data, split, OPTIONS).known

    np.testing.assert_allclose(known(linear), linear, rtol=0, atol=1e-9)
    spoilt = linear.copy()
    spoilt[split.test] += 1000
    np.testing.assert_allclose(known(spoilt), linear, rtol=0, atol=1e-9)
    with torch.no_grad():
        net.head[-1].weight.zero_()
        net.head[-1].bias.zero_()
    trainer = GraphTrainer(
        net, replace(shapes, targets=linear + draw.normal(0, 0.1, 120), counts=counts), split
    )
    assert trainer.measure("test")["mae"] < 0.3  # of a network that says nothing, in the unit of the targets


# Baselines


@pytest.fixture
def signal(op: GraphOperator) -> torch.Tensor:
    return torch.randn(op.num_nodes, 5, dtype=op.dtype, generator=torch.Generator().manual_seed(0))


def test_the_chebyshev_layer_is_its_formula(op: GraphOperator, signal: torch.Tensor) -> None:
    layer = ChebyshevLayer(5, 2, order=4).double()
    shifted = op.shifted(1.0).to_dense()
    terms = [torch.eye(len(shifted), dtype=op.dtype), shifted]
    while len(terms) < 4:
        terms.append(2 * shifted @ terms[-1] - terms[-2])
    weights = layer.weight.chunk(4, 1)
    expected = sum(t @ signal @ w for t, w in zip(terms, weights, strict=True))
    torch.testing.assert_close(layer(op, signal), expected, rtol=0, atol=1e-12)


def test_sgc_smooths_twice(op: GraphOperator, signal: torch.Tensor) -> None:
    net = SimplifiedNetwork(5, 2).double()
    smoothing = op.smoothing.to_dense()
    torch.testing.assert_close(
        net(op, signal), smoothing @ smoothing @ signal @ net.linear.weight, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("mode", POOLS)
def test_plain_pooling_of_a_batch_is_that_of_its_graphs(op: GraphOperator, mode: str) -> None:
    torch.manual_seed(0)
    # No ring: smoothing would make its nodes equal, and which of equal nodes stay is for rounding to say.
    path = GraphOperator.from_edges([[0, 1], [1, 2]], 3, dtype=op.dtype)
    batch = GraphOperator.batch([path, op, path])
    x = torch.randn(batch.num_nodes, 4, dtype=op.dtype)
    pool = PlainPool(4, mode).double()
    pieces = x.split([3, op.num_nodes, 3])
    expected = torch.cat([pool(one, piece) for one, piece in zip([path, op, path], pieces, strict=True)])
    torch.testing.assert_close(pool(batch, x), expected, rtol=0, atol=1e-12)


def test_topk_keeps_the_best_nodes() -> None:
    graph = GraphOperator.from_edges([], 4)
    pool = PlainPool(1, "topk", share=0.5)
    with torch.no_grad():
        pool.score.weight.fill_(1.0)
        pool.score.bias.fill_(0.0)
        x = torch.tensor([[3.0], [-1.0], [2.0], [0.5]])
        expected = (3 * np.tanh(3) + 2 * np.tanh(2)) / 2
        assert float(pool(graph, x)) == pytest.approx(expected, rel=1e-6)


def test_sag_scores_a_node_by_its_neighbours_too() -> None:
    """All nodes of the path are alike; its middle is smoothed to more than its ends."""
    graph = GraphOperator.from_edges([[0, 1], [1, 2]], 3)
    pool = PlainPool(1, "sag", share=0.3)
    with torch.no_grad():
        pool.score.weight.fill_(1.0)
        pool.score.bias.fill_(0.0)
        score = 1 / 3 + 2 / np.sqrt(6)  # of the middle, by (D + I)^(-1/2) (A + I) (D + I)^(-1/2)
        assert float(pool(graph, torch.ones(3, 1))) == pytest.approx(np.tanh(score), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_dgl_train_on_the_same_graph(rings: NodeData, kind: str) -> None:
    pytest.importorskip("dgl", reason="dgl is not installed: its layers are not tried")
    torch.manual_seed(0)
    trainer = NodeTrainer(
        DGLNetwork(kind, 6, 16, 3), rings, TrainingOptions(epochs=25, learning_rate=0.02), seed=0
    )
    before = trainer.accuracy("test")
    trainer.fit()
    assert trainer.accuracy("test") > max(0.6, before)


def test_smoothing_is_the_message_passing_of_dgl(op: GraphOperator, signal: torch.Tensor) -> None:
    dgl = pytest.importorskip("dgl", reason="dgl is not installed: its message passing is not compared with")
    from ufg.dgl_baselines import to_dgl

    graph = to_dgl(op)
    found = dgl.ops.u_mul_e_sum(graph, signal, graph.edata["weight"].unsqueeze(1))
    torch.testing.assert_close(found, op.adjacency.to_dense() @ signal, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network("gcm", 2, 2, 2), "gcn"),
        (lambda: PlainPool(2, "median"), "attention"),
        (lambda: TrainingOptions(weight_decay=-1), "weight_decay"),
        (lambda: TrainingOptions(plateau_factor=0), "plateau_factor"),
        (lambda: TrainingOptions(batch_size=0), "batch_size"),
    ],
)
def test_options_that_do_not_fit_are_refused(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
