"""On a GPU: the numbers of the CPU. All of it is skipped where there is no GPU."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from ukge import UKGE, Completion, Evaluation, ModelPredictor, Trainer, TrainingOptions, UncertainGraph
from ukge.loss import OBJECTIVES
from ukge.scorers import SCORERS

DEVICES = ("cpu", "cuda")


def model_of(graph: UncertainGraph, kind: str = "logi", scorer: str = "distmult") -> UKGE:
    generator = torch.Generator().manual_seed(0)
    return UKGE(graph.num_entities, graph.num_relations, 16, kind, scorer, "unit", generator)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("changed", [{}, {"shared": True, "filtered": True}, {"draw": "degree"}])
def test_training_goes_the_way_it_goes_on_the_cpu(
    graph: UncertainGraph, scorer: str, objective: str, changed: dict[str, object]
) -> None:
    curves, values = [], []
    for device in DEVICES:
        model = model_of(graph, scorer=scorer)
        options = TrainingOptions(epochs=5, batch_size=32, objective=objective, l2=0.01, **changed)
        outcome = Trainer(model, graph.train, options, device=device).fit()
        curves.append([row["train/loss"] for row in outcome.history])
        values.append(ModelPredictor(model).predict(graph.test))
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-3)
    np.testing.assert_allclose(values[1], values[0], atol=1e-3)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("kind", ["rect", "logi"])
def test_evaluation_and_completion(graph: UncertainGraph, kind: str) -> None:
    on_cpu = model_of(graph, kind)
    on_gpu = copy.deepcopy(on_cpu).to("cuda")
    reports = [Evaluation(graph).report(ModelPredictor(model)) for model in (on_cpu, on_gpu)]
    assert reports[0].keys() == reports[1].keys()
    for name, value in reports[0].items():
        assert reports[1][name] == pytest.approx(value, abs=1e-3, nan_ok=True), name
    found = [Completion(model, graph).top("likes", tail="e3", k=20) for model in (on_cpu, on_gpu)]
    found = [table.set_index("entity")["confidence"].sort_index() for table in found]
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


@pytest.mark.usefixtures("cuda")
def test_a_killed_training_goes_on(graph: UncertainGraph, tmp_path: Path) -> None:
    for epochs in (2, 4):
        model = model_of(graph)
        trainer = Trainer(
            model, graph.train, TrainingOptions(epochs=epochs), device="cuda", directory=tmp_path
        )
        assert trainer.fit().epochs == epochs
