"""Several seeds side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from offprints.errors import InputError

from ufg import FrameletTransform, UFGNet
from ufg.node_data import NodeData
from ufg.seeds import train_copies
from ufg.training import NodeTrainer, TrainingOptions


@pytest.fixture(scope="module")
def rings() -> NodeData:
    edges = np.array(
        [[20 * r + i, 20 * r + (i + s) % 20] for r in range(3) for i in range(20) for s in (1, 2)]
    )
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    features = 0.3 * draw.standard_normal((60, 4))
    features[np.arange(60), labels] += 0.4
    order = draw.permutation(60)
    return NodeData("rings", edges, csr_array(features), labels, order[:9], order[9:30], order[30:])


@pytest.mark.parametrize("gain", ["band", "node"])
def test_each_copy_is_trained_as_it_would_be_alone(rings: NodeData, gain: str) -> None:
    common = {"dropout": 0.0, "transform": FrameletTransform(terms=3), "gain": gain, "num_nodes": 60}
    options = TrainingOptions(epochs=15, learning_rate=0.02, weight_decay=0.01, gain_decay=0.02)
    torch.manual_seed(0)
    many = UFGNet(4, 5, 3, copies=3, **common)
    alone = []
    for copy in range(3):
        net = UFGNet(4, 5, 3, **common)
        with torch.no_grad():
            for one, together in zip(net.convolutions, many.convolutions, strict=True):
                one.weight.copy_(together.weight[copy])
                one.gain.copy_(together.gain[..., copy] if gain == "node" else together.gain[:, copy])
        alone.append(NodeTrainer(net, rings, options))
    found = train_copies(many, rings, options)
    for copy, trainer in enumerate(alone):
        outcome = trainer.fit()
        assert found.best_epoch[copy] == outcome.best_epoch
        assert float(found.valid[copy]) == pytest.approx(outcome.best["accuracy"])
        assert float(found.test[copy]) == pytest.approx(trainer.accuracy("test"))
        assert float(found.last[copy]) == pytest.approx(trainer.last_accuracy("test"))


def test_a_network_without_copies_is_refused(rings: NodeData) -> None:
    with pytest.raises(InputError, match="copies"):
        train_copies(UFGNet(4, 5, 3), rings)
