"""On a GPU: the numbers of the CPU. All of it is skipped where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ke_gcn import (
    SCORES,
    Aligner,
    ClassificationData,
    EntityClassifier,
    Graph,
    KEGCNConv,
    MarginOptions,
    TrainingOptions,
    cldr_twins,
    rank_pairs,
    score_named,
    split_entities,
    split_pairs,
)

DATA = cldr_twins(0.9, 0)
SPLIT = split_pairs(DATA.pairs, 0.3)
DEVICES = ("cpu", "cuda")
BASELINES = ["mtranse", "gcn_align", "rgcn", "compgcn_sub", "compgcn_mult", "compgcn_corr", "vr_gcn"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("mode", sorted(SCORES))
def test_a_layer_and_its_gradients(
    awkward, cuda: torch.device, mode: str, backend: str, dtype: torch.dtype
) -> None:
    score = score_named(mode)
    outcomes = []
    for device, kernels in ((torch.device("cpu"), "numba"), (cuda, backend)):
        graph = Graph(awkward(3, entities=500, edges=9_000).triples, 500, 4, backend=kernels, device=device)
        generator = torch.Generator().manual_seed(0)
        e, r = (
            torch.randn(rows, 8 * factor, generator=generator, dtype=dtype).to(device).requires_grad_()
            for rows, factor in ((500, score.entity_factor), (4, score.relation_factor))
        )
        moved = KEGCNConv(score, 0.3, act=torch.tanh, rel_act=torch.tanh)(graph, e, r)
        gradients = torch.autograd.grad(sum(x.sum() for x in moved), (e, r), materialize_grads=True)
        outcomes.append([x.detach().cpu() for x in (*moved, *gradients)])
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    for on_cpu, on_gpu in zip(*outcomes, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, **tolerance)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("mode", ["None", "TransE", "TransH", "TransD", "DistMult", "RotatE", "QuatE"])
def test_training_goes_the_way_it_goes_on_the_cpu(mode: str) -> None:
    losses = [
        loss_curve(Aligner(mode, 32, 1, training=TrainingOptions(evaluate_every=0, epochs=8), device=d))
        for d in DEVICES
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", BASELINES)
def test_baselines_go_the_same_way(name: str) -> None:
    losses = [
        loss_curve(
            Aligner(baseline=name, dim=32, training=TrainingOptions(evaluate_every=0, epochs=8), device=d)
        )
        for d in DEVICES
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


@pytest.mark.usefixtures("cuda")
def test_hard_negatives_and_proposals_are_drawn_there_too() -> None:
    loss = MarginOptions(hard_among=40, propose_every=10)
    aligner = Aligner("TransE", 32, 1, loss=loss, training=TrainingOptions(evaluate_every=0), device="cuda")
    losses = loss_curve(aligner)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.usefixtures("cuda")
def test_what_a_gpu_trained_a_cpu_reads(tmp_path: Path) -> None:
    aligner = Aligner("QuatE", 32, 1, training=TrainingOptions(evaluate_every=0, epochs=20), device="cuda")
    aligner.fit(DATA, SPLIT, directory=tmp_path / "checkpoints")
    aligner.save(tmp_path / "aligner.ckpt")
    read = Aligner.load(tmp_path / "aligner.ckpt", DATA)
    for ours, theirs in zip(aligner.embed(), read.embed(), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-5)
    assert len(aligner.predict(2, csls=3)) == len(read.predict(2, csls=3))
    going_on = Aligner("QuatE", 32, 1, training=TrainingOptions(evaluate_every=0, epochs=30), device="cuda")
    assert going_on.fit(DATA, SPLIT, directory=tmp_path / "checkpoints").epochs == 30


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
def test_ranks_and_ties(cuda: torch.device, metric: str) -> None:
    # Small whole numbers: distances are exact, many are equal, and rows are of one length for the cosine.
    left, right = torch.randint(0, 2, (2, 1_300, 12), generator=torch.Generator().manual_seed(0)).float()
    left, right = (torch.cat([x, 1 - x], 1) for x in (left, right))
    on_cpu, on_gpu = (rank_pairs(left.to(d), right.to(d), metric) for d in ("cpu", cuda))
    if metric == "l1":
        np.testing.assert_array_equal(on_gpu.closer, on_cpu.closer)
        np.testing.assert_array_equal(on_gpu.tied, on_cpu.tied)
    # Roots and quotients may part what is equal: ranks then stay between the best and the last place of their ties.
    assert (on_gpu.ranks("optimistic") <= on_cpu.ranks("pessimistic")).all()
    assert (on_gpu.ranks("pessimistic") >= on_cpu.ranks("optimistic")).all()


@pytest.mark.usefixtures("cuda")
def test_classification() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    ends = rng.integers(0, 90, (4_000, 2))
    alike = ends[labels[ends[:, 0]] == labels[ends[:, 1]]]
    triples = np.stack([alike[:, 0], rng.integers(0, 2, len(alike)), alike[:, 1]], 1)
    data = ClassificationData("alike", triples, 90, 2, np.arange(90), labels, ("a", "b", "c"))
    split = split_entities(data)
    classifier = EntityClassifier(
        "QuatE", 16, training=TrainingOptions(evaluate_every=0, epochs=60), device="cuda"
    )
    classifier.fit(data, split)
    assert classifier.accuracy(split.test) > 0.8


def loss_curve(aligner: Aligner) -> list[float]:
    return [row["train/loss"] for row in aligner.fit(DATA, SPLIT).history]
