"""ConvE and the bilinear models: recorded reference numbers, identities, parameter counts, bad shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from conve import ComplEx, ConvE, DistMult, from_reference_names, one_to_n_loss, smoothed_targets
from conve.lookup import look_up
from conve.loss import dense_loss
from conve.picture import convolve_norm_relu_drop, reference

Arrays = Callable[[str], dict[str, np.ndarray]]


def tensors(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, torch.Tensor]:
    found = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    return {name: torch.from_numpy(np.array(value)) for name, value in found.items()}


def reference_model(arrays: dict[str, np.ndarray]) -> ConvE:
    model = ConvE(17, 6, 20, (5, 4), input_dropout=0, feature_dropout=0, hidden_dropout=0, conv_bias=True)
    model.load_state_dict(from_reference_names(tensors(arrays, "w/")))
    return model


def labels_of(arrays: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    row, answer = torch.from_numpy(arrays["labels"]).nonzero(as_tuple=True)
    return row, answer


@pytest.mark.parity
def test_conve_scores_as_the_reference(parity: Arrays) -> None:
    arrays = parity("conve_small.npz")
    model = reference_model(arrays)
    head, relation = torch.from_numpy(arrays["e1"]), torch.from_numpy(arrays["rel"])
    model.eval()
    logits = model.score_tails(head, relation).detach()
    np.testing.assert_allclose(torch.sigmoid(logits).numpy(), arrays["eval/prob"], atol=2e-6)
    np.testing.assert_allclose(logits.numpy(), arrays["eval/logit"], atol=1e-3)
    model.train()
    train = torch.sigmoid(model.score_tails(head, relation)).detach()
    np.testing.assert_allclose(train.numpy(), arrays["train0/prob"], atol=2e-6)


@pytest.mark.parity
@pytest.mark.parametrize("chunk", [3, 17, 2048])
def test_both_smoothings_give_the_reference_loss_and_gradients(parity: Arrays, chunk: int) -> None:
    arrays = parity("conve_small.npz")
    head, relation = torch.from_numpy(arrays["e1"]), torch.from_numpy(arrays["rel"])
    row, answer = labels_of(arrays)
    for kind, epsilon, name in (
        ("standard", 0.1, "train0/loss_standard_smoothing"),
        ("reference", 0.0, "train0/loss_no_smoothing"),
        ("reference", 0.1, "train0/loss_ref_smoothing"),
    ):
        model = reference_model(arrays).train()
        targets = smoothed_targets(epsilon, 17, kind)
        query = model.encode(head, relation)
        loss = one_to_n_loss(query, model.entity, model.entity_bias, row, answer, targets, chunk=chunk)
        assert loss.item() == pytest.approx(float(arrays[name]), abs=1e-6)
    loss.backward()
    recorded = from_reference_names(tensors(arrays, "grad0/"))
    for name, parameter in model.named_parameters():
        expected = recorded[name].clone()
        if name == "conv.bias":  # a normalisation follows: its gradient is exactly zero, and ours has none
            assert parameter.grad is None
            np.testing.assert_allclose(expected.numpy(), 0, atol=1e-7)
            continue
        found = parameter.grad.clone()
        if name in (
            "entity",
            "relation",
        ):  # the reference's row 0 is a padding row: its lookup has no gradient
            expected, found = expected[1:], found[1:]
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-7, err_msg=name)


@pytest.mark.parity
def test_five_steps_of_adam_follow_the_reference(parity: Arrays) -> None:
    arrays = parity("conve_small.npz")
    model = reference_model(arrays).train()
    head, relation = torch.from_numpy(arrays["e1"]), torch.from_numpy(arrays["rel"])
    row, answer = labels_of(arrays)
    optimizer = torch.optim.Adam(model.parameters(), 0.003, fused=True)
    start = model.entity.detach().clone()
    losses = []
    for _ in range(5):
        # The reference's padding rows get no gradient through the lookup.
        image = model.stack(
            torch.where(head[:, None] == 0, model.entity.detach()[head], model.entity[head]),
            torch.where(relation[:, None] == 0, model.relation.detach()[relation], model.relation[relation]),
        )
        features = convolve_norm_relu_drop(model.input_norm(image), model.conv, model.feature_norm, 0.0, True)
        query = torch.relu(model.output_norm(model.projection(features)))
        targets = smoothed_targets(0.1, 17)
        loss = one_to_n_loss(query, model.entity, model.entity_bias, row, answer, targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, arrays["losses"], atol=1e-5)
    final = from_reference_names(tensors(arrays, "final/"))
    assert not torch.allclose(model.entity, start, atol=2e-4)
    # What a normalisation undoes (a scale of the picture, a bias before it) has no gradient but rounding, which Adam
    # turns into steps of its own size: 5 * 0.003 at most.
    free = ["input_norm.weight", "input_norm.bias", "conv.bias", "projection.bias"]
    free += ["feature_norm.running_mean", "output_norm.running_mean"]
    for name, value in model.state_dict().items():
        tolerance = 0.0151 if name in free else 2e-4
        np.testing.assert_allclose(value.numpy(), final[name].numpy(), atol=tolerance, err_msg=name)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["distmult", "complex"])
def test_bilinear_models_match_the_reference(parity: Arrays, name: str) -> None:
    arrays = parity("bilinear_small.npz")
    weights, gradients = tensors(arrays, f"{name}/w/"), tensors(arrays, f"{name}/grad/")
    model = {"distmult": DistMult, "complex": ComplEx}[name](15, 5, 8, input_dropout=0.0)
    if name == "complex":
        for kept in (weights, gradients):
            kept["emb_e.weight"] = torch.cat([kept["emb_e_real.weight"], kept["emb_e_img.weight"]], 1)
            kept["emb_rel.weight"] = torch.cat([kept["emb_rel_real.weight"], kept["emb_rel_img.weight"]], 1)
    model.load_state_dict({"entity": weights["emb_e.weight"], "relation": weights["emb_rel.weight"]})
    head, relation = torch.from_numpy(arrays["e1"]), torch.from_numpy(arrays["rel"])
    prob = torch.sigmoid(model.score_tails(head, relation)).detach()
    np.testing.assert_allclose(prob.numpy(), arrays[f"{name}/prob"], atol=2e-6)
    query = model.encode(head, relation)
    loss = one_to_n_loss(query, model.entity, None, *labels_of(arrays), smoothed_targets(0.1, 15), chunk=4)
    loss.backward()
    assert loss.item() == pytest.approx(float(arrays[f"{name}/loss_ref_smoothing"]), abs=1e-6)
    np.testing.assert_allclose(model.entity.grad, gradients["emb_e.weight"], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(model.relation.grad, gradients["emb_rel.weight"], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("bias", [True, False])
def test_the_folded_convolution_is_torchs_layers(bias: bool) -> None:
    torch.manual_seed(0)
    model = ConvE(7, 4, 20, (5, 4), channels=6, conv_bias=bias).double()
    image = torch.randn(5, 1, 10, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, 6 * 8 * 2, dtype=torch.float64)
    parameters = [image, *model.conv.parameters(), *model.feature_norm.parameters()]
    found, statistics = [], []
    for function in (convolve_norm_relu_drop, reference):
        model.feature_norm.running_mean.zero_(), model.feature_norm.running_var.fill_(1)
        out = function(image, model.conv, model.feature_norm, 0.0, True)
        found.append([out, *torch.autograd.grad((out * weights).sum(), parameters, materialize_grads=True)])
        statistics.append(torch.cat([model.feature_norm.running_mean, model.feature_norm.running_var]))
    for ours, oracle in zip(*found, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(*statistics)
    model.eval()
    for function in (convolve_norm_relu_drop, reference):
        found.append(function(image, model.conv, model.feature_norm, 0.5, False))
    torch.testing.assert_close(found[-1], found[-2])


def test_feature_dropout_drops_whole_maps_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    model = ConvE(7, 4, 20, (5, 4), channels=8)
    image = torch.randn(400, 1, 10, 4)
    maps = convolve_norm_relu_drop(image, model.conv, model.feature_norm, 0.25, True).view(400, 8, -1)
    whole = convolve_norm_relu_drop(image, model.conv, model.feature_norm, 0.0, True).view(400, 8, -1)
    dropped = (maps == 0).all(2) & (whole > 0).any(2)
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(maps[~dropped], whole[~dropped] / 0.75)


@pytest.mark.parametrize("kind", ["bce", "softmax"])
@pytest.mark.parametrize("chunk", [1, 7, 11, 16])
@pytest.mark.parametrize("smoothing", ["reference", "standard"])
def test_the_chunked_loss_is_the_dense_one(kind: str, chunk: int, smoothing: str) -> None:
    torch.manual_seed(chunk)
    query = torch.randn(5, 6, dtype=torch.float64, requires_grad=True)
    table = torch.randn(11, 6, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(11, dtype=torch.float64, requires_grad=True)
    labels = torch.rand(5, 11) < 0.3
    labels[:, 3] = True
    row, answer = labels.nonzero(as_tuple=True)
    shuffled = torch.randperm(len(row))
    targets = smoothed_targets(0.2, 11, smoothing)
    ours = one_to_n_loss(query, table, bias, row[shuffled], answer[shuffled], targets, kind=kind, chunk=chunk)
    oracle = dense_loss(query, table, bias, row, answer, targets, kind)
    torch.testing.assert_close(ours, oracle)
    for found, expected in zip(
        torch.autograd.grad(ours, [query, table, bias]),
        torch.autograd.grad(oracle, [query, table, bias]),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)
    silent = one_to_n_loss(query, table, bias, row, answer, targets, kind=kind, with_value=False)
    assert torch.isnan(silent)
    torch.testing.assert_close(
        torch.autograd.grad(silent, query)[0],
        torch.autograd.grad(dense_loss(query, table, bias, row, answer, targets, kind), query)[0],
    )


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_a_looked_up_table_gets_the_gradient_of_both_its_uses(factor: float) -> None:
    torch.manual_seed(3)
    model = DistMult(30, 4, dim=6, input_dropout=0.0).double()
    head, relation = torch.tensor([4, 4, 29, 0]), torch.tensor([0, 3, 1, 1])  # one head twice
    row, answer = torch.tensor([0, 1, 1, 3]), torch.tensor([7, 4, 29, 0])
    targets = smoothed_targets(0.1, 30)
    (factor * dense_loss(model.encode(head, relation), model.entity, None, row, answer, targets)).backward()
    expected = model.entity.grad
    model.entity.grad = None

    heads, table = look_up(model.entity, head)
    loss = one_to_n_loss(model.encode_rows(heads, relation), table, None, row, answer, targets, chunk=7)
    (factor * loss).backward(retain_graph=True)
    torch.testing.assert_close(model.entity.grad, expected)
    with pytest.raises(RuntimeError, match="handed out once"):  # the first gradient was written into
        loss.backward()


def test_bfloat16_stays_near_float32() -> None:
    torch.manual_seed(1)
    query, table = torch.randn(16, 64).relu(), torch.randn(300, 64) * 0.1
    row, answer = torch.arange(16), torch.arange(16) * 3
    grads = []
    for low in (False, True):
        leaf = table.clone().requires_grad_()
        one_to_n_loss(query, leaf, None, row, answer, smoothed_targets(0.1, 300), bfloat16=low).backward()
        grads.append(leaf.grad)
    assert ((grads[1] - grads[0]).norm() / grads[0].norm()).item() < 2e-2


@pytest.mark.parametrize("make", [ConvE, DistMult, ComplEx])
def test_a_triple_scores_what_its_row_says(make: type) -> None:
    torch.manual_seed(2)
    model = make(9, 4, 12).eval()
    head, relation, tail = torch.tensor([0, 3, 8]), torch.tensor([0, 3, 2]), torch.tensor([5, 3, 1])
    rows = model.score_tails(head, relation)
    torch.testing.assert_close(rows[torch.arange(3), tail], model.score(head, relation, tail))


def test_distmult_is_symmetric_and_complex_is_not() -> None:
    torch.manual_seed(3)
    head, relation, tail = torch.tensor([0]), torch.tensor([1]), torch.tensor([2])
    distmult, complex_ = DistMult(5, 4, 6).eval(), ComplEx(5, 4, 6).eval()
    torch.testing.assert_close(distmult.score(head, relation, tail), distmult.score(tail, relation, head))
    assert abs((complex_.score(head, relation, tail) - complex_.score(tail, relation, head)).item()) > 1e-4
    complex_.relation.data[:, 6:] = 0  # a real relation is symmetric
    torch.testing.assert_close(complex_.score(head, relation, tail), complex_.score(tail, relation, head))


def test_without_reciprocals_the_head_side_is_the_same_score() -> None:
    torch.manual_seed(4)
    for make in (DistMult, ComplEx):
        model = make(5, 4, 6, reciprocal=False).eval()
        assert model.relation.shape[0] == 2
        head, relation, tail = torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([2, 4])
        torch.testing.assert_close(model.score(head, relation, tail), model.score(tail, relation + 2, head))


def test_complex_without_imaginary_parts_is_distmult() -> None:
    torch.manual_seed(5)
    complex_, distmult = ComplEx(5, 4, 6).eval(), DistMult(5, 4, 6).eval()
    complex_.entity.data[:, 6:] = 0
    complex_.relation.data[:, 6:] = 0
    distmult.entity.data, distmult.relation.data = complex_.entity.data[:, :6], complex_.relation.data[:, :6]
    head, relation = torch.arange(5), torch.arange(5) % 4
    torch.testing.assert_close(complex_.score_tails(head, relation), distmult.score_tails(head, relation))


@pytest.mark.parametrize(
    ("dim", "shape", "count"),
    [(200, (10, 20), 5_092_127), (200, (20, 10), 4_964_127), (96, (8, 12), 1_886_735), (14, (2, 7), 229_659)],
)
def test_parameter_counts_are_those_of_the_papers_table(dim: int, shape: tuple[int, int], count: int) -> None:
    model = ConvE(14_541, 474, dim, shape, conv_bias=True)
    assert sum(p.numel() for p in model.parameters()) == count


def test_the_default_shape_is_the_published_one() -> None:
    assert ConvE(3, 2, 200).shape == (20, 10)


@pytest.mark.parametrize("stacking", ["rows", "interleaved", "flat"])
def test_every_stacking_sees_both_embeddings(stacking: str) -> None:
    torch.manual_seed(6)
    model = ConvE(4, 4, 12, (4, 3), stacking=stacking).eval()
    image = model.stack(torch.ones(1, 12), 2 * torch.ones(1, 12))
    assert (image == 1).sum() == (image == 2).sum() == 12
    if stacking == "interleaved":
        assert image[0, 0, :, 0].tolist() == [1, 2] * 4
    a, b = model.score_tails(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])).detach()[[1, 2]]
    assert not torch.allclose(a, b)


def test_a_shape_that_does_not_fit_lists_those_that_do() -> None:
    with pytest.raises(InputError, match=r"valid: 2x50.*20x5"):
        ConvE(3, 2, 100, (10, 11))
    with pytest.raises(InputError, match="kernel|filter"):
        ConvE(3, 2, 4, kernel=9)
    with pytest.raises(InputError, match=r"lies in \[0, 1\)"):
        ConvE(3, 2, 20, input_dropout=1.0)
    with pytest.raises(InputError, match="rows, interleaved, flat"):
        ConvE(3, 2, 20, stacking="columns")


def test_unknown_smoothing_is_refused() -> None:
    with pytest.raises(InputError, match="reference, standard"):
        smoothed_targets(0.1, 10, "none")  # type: ignore[arg-type]
    assert smoothed_targets(0.0, 10) == (1.0, 0.0)
    assert smoothed_targets(0.1, 10) == pytest.approx((0.9, 0.1))
    assert smoothed_targets(0.1, 10, "standard") == pytest.approx((0.9, 0.01))
