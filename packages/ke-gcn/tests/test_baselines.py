"""Baselines: their sparse forms are the layers of the unification, and they learn in the same trainer."""

from __future__ import annotations

import pytest
import torch

from offprints.errors import InputError

from ke_gcn import Aligner, AlignmentData, TrainingOptions, cldr_twins, special_cases, split_pairs
from ke_gcn.baselines import BASELINES, Baseline, baseline_named, composed_messages
from ke_gcn.general import GeneralConv
from ke_gcn.generic import gradients


@pytest.fixture(scope="module")
def twins() -> AlignmentData:
    return cldr_twins()


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize(
    ("name", "composition"), [("sub", "subtraction"), ("mult", "multiplication"), ("corr", "correlation")]
)
def test_composed_messages_are_gradients_of_the_composition(
    awkward, name: str, composition: str, direction: str
) -> None:
    graph = awkward()
    e, r = torch.randn(9, 6, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    score = special_cases.compgcn(getattr(special_cases, composition))
    if direction == "in":
        expected = gradients(score, graph, e, r)[2]
    else:
        expected = gradients(special_cases.backwards(score), graph, e, r)[0]
    torch.testing.assert_close(composed_messages(graph, f"compgcn_{name}", e, r, direction), expected)


def test_the_relational_layer_is_the_gradient_of_a_bilinear_form(awkward) -> None:
    graph = awkward()
    model = Baseline("rgcn", 9, 4, 6, 1).double()
    e, _ = model(graph)
    weights, mixed = model.matrices(0), model.coefficients[0]
    rows = [special_cases.basis(mixed[way], weights[1 + 4 * way : 5 + 4 * way]) for way in range(2)]
    layer = GeneralConv(
        6,
        6,
        36,
        incoming=special_cases.rgcn,
        outgoing=special_cases.backwards(special_cases.rgcn),
        weights=False,
    )
    start = torch.nn.functional.normalize(model.entities)
    messages, _ = layer(
        graph, start, rows[0], inverse_r=rows[1], self_weight=torch.zeros(9, dtype=torch.float64)
    )
    expected = start @ weights[0] + graph.inverse_degree(torch.float64) * messages
    torch.testing.assert_close(e, torch.nn.functional.normalize(expected))


@pytest.mark.parametrize("name", ["compgcn_sub", "compgcn_mult", "compgcn_corr", "rgcn", "vr_gcn"])
def test_networks_with_matrices_cannot_meet_a_margin_by_growing(awkward, name: str) -> None:
    model = Baseline(name, 9, 4, 6, 2).double()
    torch.testing.assert_close(model.matrices(0)[0], torch.eye(6, dtype=torch.float64), atol=0.1, rtol=0)
    with torch.no_grad():
        for weights in model.weights:
            weights.mul_(50)
    e, _ = model(awkward())
    torch.testing.assert_close(e.norm(dim=1), torch.ones(9, dtype=torch.float64))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_in_the_same_trainer(name: str, twins: AlignmentData) -> None:
    split = split_pairs(twins.pairs, 0.3, kind="shuffle")
    # Without a convolution, what a seed knows reaches its neighbours only by many small steps.
    epochs = 400 if name == "mtranse" else 30
    aligner = Aligner(
        baseline=name, dim=16, layers=2, training=TrainingOptions(epochs=epochs, evaluate_every=0)
    )
    outcome = aligner.fit(twins, split)
    assert outcome.history[-1]["train/loss"] < 0.9 * outcome.history[0]["train/loss"]
    assert aligner.evaluate(split.test).metrics()["hits@10"] > 0.03  # chance is 10 in 1,261


def test_without_convolutions_triples_are_told_from_corrupted_ones(twins: AlignmentData) -> None:
    split = split_pairs(twins.pairs, 0.3, kind="shuffle")
    aligner = Aligner(baseline="mtranse", dim=16, training=TrainingOptions(epochs=30, evaluate_every=0))
    aligner.fit(twins, split)
    e, r = aligner.embed()
    head, relation, tail = torch.from_numpy(twins.triples).T
    other = torch.randint(twins.num_entities, tail.shape, generator=torch.Generator().manual_seed(1))
    true, false = ((e[head] + r[relation] - e[t]).abs().sum(1) for t in (tail, other))
    assert (true < false).float().mean() > 0.85  # half by chance
    seeds = torch.from_numpy(split.train)
    apart = (e[seeds[:, 0]] - e[seeds[:, 1]]).abs().sum(1).mean()
    assert apart < 0.5 * (e[seeds[:, 0]] - e[seeds[:, 1].roll(1)]).abs().sum(1).mean()


def test_unknown_baselines_and_sizes_are_refused() -> None:
    for name, dim, message in (
        ("gat", 4, "mtranse, gcn_align"),
        ("mtranse", 0, "1 or more"),
        ("compgcn_corr", 5, "even"),
        ("rgcn", 0, "1 or more"),
    ):
        with pytest.raises(InputError, match=message):
            baseline_named(name, 3, 1, dim)
