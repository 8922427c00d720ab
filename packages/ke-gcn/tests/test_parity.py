"""The published program's numbers, recorded: activations, losses, gradients, a trace of training, and metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ke_gcn import KEGCN, Graph, score_named
from ke_gcn.algebra import interleaved, planar
from ke_gcn.alignment import margin_loss

MODES = ["None", "TransE", "TransH", "TransD", "DistMult", "RotatE", "QuatE"]


def model_of(
    cases: dict[str, np.ndarray], prefix: str, mode: str, graph: Graph, out_dim: int | None
) -> KEGCN:
    """A model with the recorded parameters."""
    score = score_named(mode)
    frozen = f"{prefix}/param/rel_embeds_0" not in cases
    layers = 1
    model = KEGCN(
        graph.num_entities, graph.num_relations, score, 8, layers, out_dim=out_dim, train_relations=not frozen
    )
    k = score.components
    with torch.no_grad():
        model.entities.copy_(planar(torch.from_numpy(cases[f"{prefix}/param/ent_embeds_0"]), k))
        if model.relations is not None:
            model.relations.copy_(planar(torch.from_numpy(cases[f"{prefix}/param/rel_embeds_0"]), k))
        if model.weight is not None:
            rows = torch.from_numpy(cases[f"{prefix}/param/ent_weights_0"])
            model.weight.copy_(planar(rows.T, k).T)
    return model


def close(found: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance)


@pytest.mark.parity
@pytest.mark.parametrize("task", ["align", "class", "label"])
@pytest.mark.parametrize("mode", MODES)
def test_layers_losses_and_gradients_are_those_of_the_published_program(parity, mode: str, task: str) -> None:
    cases = parity("layers.npz")
    prefix = f"{mode}/{task}/a0.3_b0.3_u1"
    graph = Graph(cases["triples"], 12, 4)
    close(graph.inverse_degree(torch.float64)[:, 0], cases["ent_invdeg"], 1e-12)
    close(graph.inverse_count(torch.float64)[:, 0], cases["rel_invcount"], 1e-12)
    model = model_of(cases, prefix, mode, graph, None if task == "align" else 3)
    k = model.score.components

    for i, (e, r) in enumerate(model.states(graph)):
        if f"{prefix}/act{i}_rel" in cases:
            close(interleaved(r, k), cases[f"{prefix}/act{i}_rel"], 1e-5)
        if task == "align" or i < 3:  # the last one is behind W in classification
            close(interleaved(e, k), cases[f"{prefix}/act{i}_ent"], 1e-5)
    out_e, out_r = model(graph)
    width = 1 if task != "align" else k
    close(interleaved(out_e, width), cases[f"{prefix}/out_ent"], 1e-5)
    close(interleaved(out_r, k), cases[f"{prefix}/out_rel"], 1e-5)

    if task == "align":
        k_negatives = len(cases["neg_left"]) // len(cases["train_pairs"])
        negatives = [torch.from_numpy(cases[n]).reshape(-1, k_negatives) for n in ("neg_left", "neg_right")]
        loss = margin_loss(graph, out_e, torch.from_numpy(cases["train_pairs"]), *negatives, 3.0)
    elif task == "class":
        index = torch.from_numpy(cases["class_train_idx"])
        loss = F.cross_entropy(out_e[index], torch.from_numpy(cases["class_labels"])[index])
    else:
        index = torch.from_numpy(cases["class_train_idx"])
        target = torch.from_numpy(cases["multi_labels"])[index]
        loss = F.binary_cross_entropy_with_logits(out_e[index], target)
    assert float(loss.detach()) == pytest.approx(float(cases[f"{prefix}/loss"]), abs=1e-5)
    loss.backward()
    for name, parameter in (("ent_embeds_0", model.entities), ("rel_embeds_0", model.relations)):
        if parameter is not None:
            expected = cases[f"{prefix}/grad/{name}"]
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            close(interleaved(gradient, k), expected, 1e-4 * max(np.abs(expected).max(), 1e-3))
    if model.weight is not None:
        expected = cases[f"{prefix}/grad/ent_weights_0"]
        close(interleaved(model.weight.grad.T, k).T, expected, 1e-4 * np.abs(expected).max())


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["TransE", "DistMult", "QuatE"])
def test_twenty_steps_of_adam_go_the_same_way(parity, mode: str) -> None:
    cases = parity("trace.npz")
    graph = Graph(cases["triples"], 14, 3)
    model = model_of(cases, mode, mode, graph, None)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    negatives = [torch.from_numpy(cases[n]).reshape(4, 3) for n in ("neg_left", "neg_right")]
    losses = []
    for _ in range(20):
        loss = margin_loss(graph, model(graph)[0], torch.from_numpy(cases["train_pairs"]), *negatives, 3.0)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, cases[f"{mode}/losses"], atol=1e-4)
    e, r = model(graph)
    close(interleaved(e, model.score.components), cases[f"{mode}/out_ent_after20"], 1e-4)
    close(interleaved(r, model.score.components), cases[f"{mode}/out_rel_after20"], 1e-4)
