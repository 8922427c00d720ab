"""On a GPU: the numbers of the CPU. All of it is skipped where there is no GPU."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.triples import KnowledgeGraph

from conve import ComplEx, ConvE, DistMult, Predictor, Trainer, TrainingOptions, evaluate

DEVICES = ("cpu", "cuda")


def small(graph: KnowledgeGraph, dropout: float = 0.0) -> ConvE:
    torch.manual_seed(0)
    sizes = (graph.num_entities, 2 * graph.num_relations, 24, (6, 4), 8)
    return ConvE(*sizes, input_dropout=dropout, feature_dropout=dropout, hidden_dropout=dropout)


def options(**changed: object) -> TrainingOptions:
    return TrainingOptions(**{"epochs": 6, "batch_size": 16, "learning_rate": 0.01} | changed)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("loss", ["bce", "softmax"])
@pytest.mark.parametrize("name", ["conve", "distmult", "complex"])
def test_training_goes_the_way_it_goes_on_the_cpu(family: KnowledgeGraph, name: str, loss: str) -> None:
    curves = []
    for device in DEVICES:
        torch.manual_seed(0)
        if name == "conve":
            model = small(family)
        else:
            kind = {"distmult": DistMult, "complex": ComplEx}[name]
            model = kind(family.num_entities, 2 * family.num_relations, 16, input_dropout=0.0)
        outcome = Trainer(model, family, options(loss=loss, evaluate_every=0), device=device).fit()
        curves.append([row["train/loss"] for row in outcome.history])
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3)


@pytest.mark.usefixtures("cuda")
def test_half_the_bits_learn_too(family: KnowledgeGraph) -> None:
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this GPU does not compute in bfloat16")
    model = small(family)
    changed = options(epochs=120, label_smoothing=0.0, evaluate_every=0)
    Trainer(model, family, changed, device="cuda", bfloat16=True).fit()
    assert evaluate(model, family, "train").metrics()["mrr"] > 0.9


@pytest.mark.usefixtures("cuda")
def test_ranks_and_predictions(family: KnowledgeGraph) -> None:
    on_cpu = small(family)
    on_gpu = copy.deepcopy(on_cpu).to("cuda")
    ours, theirs = (evaluate(model, family).metrics() for model in (on_gpu, on_cpu))
    assert ours["mrr"] == pytest.approx(theirs["mrr"], abs=1e-3)
    head, relation = family.entities.names[0], family.relations.names[0]
    answers = [
        Predictor(model, family).top_k(head=head, relation=relation, k=3) for model in (on_cpu, on_gpu)
    ]
    assert len(answers[0]) == len(answers[1]) > 0


@pytest.mark.usefixtures("cuda")
def test_a_killed_training_goes_on(family: KnowledgeGraph, tmp_path: Path) -> None:
    for epochs in (2, 4):
        trainer = Trainer(small(family), family, options(epochs=epochs), device="cuda", directory=tmp_path)
        assert trainer.fit().epochs == epochs
