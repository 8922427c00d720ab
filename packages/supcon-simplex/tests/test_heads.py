"""The losses of the paper with their bounds, and the encoders under them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from offprints.errors import InputError

from supcon_simplex import regular_simplex
from supcon_simplex.heads import HEADS, CrossEntropyHead, SupConHead, build_head
from supcon_simplex.networks import NETWORKS, build_encoder
from supcon_simplex.probe import ProbeOptions, accuracy, class_means, linear_probe, nearest_mean_accuracy

LABELS = torch.arange(40) % 4


def gap_of(name: str, features: torch.Tensor) -> float:
    head = build_head(name, features.shape[1], 4)
    if name in ("ce", "ce_sphere", "ce_norm"):
        with torch.no_grad():
            head.linear.weight.copy_(regular_simplex(4, features.shape[1], 3.0))  # type: ignore[union-attr, operator]
    return head.gap(features, LABELS, 16, torch.Generator().manual_seed(0)).gap


@pytest.mark.parametrize("name", HEADS)
def test_the_gap_is_zero_at_the_simplex_and_nowhere_else(name: str) -> None:
    simplex = regular_simplex(4, 6, 2.0)
    assert abs(gap_of(name, simplex[LABELS])) < 1e-6  # the weights are in single precision
    draw = torch.Generator().manual_seed(1)
    for size in (0.2, 0.5, 3.0):
        moved = simplex[LABELS] + size * torch.randn(40, 6, generator=draw, dtype=torch.float64)
        assert gap_of(name, moved) > 2e-6


def test_the_bound_of_features_behind_a_relu_is_reached_by_an_orthogonal_frame() -> None:
    frame = torch.eye(4, dtype=torch.float64)[LABELS]
    head = SupConHead(4, 4, temperature=0.5)
    found = head.gap(frame, LABELS, 16, torch.Generator().manual_seed(0), nonnegative=True)
    assert abs(found.gap) < 1e-9
    assert head.gap(frame, LABELS, 16, torch.Generator().manual_seed(0)).gap > 0.05


def test_weights_of_one_norm_are_really_of_one_norm() -> None:
    head = CrossEntropyHead(5, 4, sphere=True, weight_norm=7.0)
    assert head.weight.norm(dim=1).detach().numpy() == pytest.approx(7, abs=1e-5)
    with torch.no_grad():
        head.linear.weight *= 3
    z = torch.randn(8, 5)
    expected = 7 * functional.normalize(z) @ functional.normalize(head.linear.weight).T
    assert torch.allclose(head.logits(z), expected, atol=1e-5)
    head(z, torch.arange(8) % 4).backward()
    # Along its own direction the length of a weight does not matter, so that there is no gradient.
    assert (head.linear.weight.grad * head.linear.weight).sum(1).abs().max() < 1e-5  # type: ignore[operator]


def test_the_fixed_simplex_has_no_parameter() -> None:
    head = build_head("ce_fixed", 8, 4)
    assert not list(head.parameters())
    assert "linear.weight" in head.state_dict()


def test_ce_on_the_sphere_does_not_see_the_norm_and_ce_does() -> None:
    z = torch.randn(40, 6)
    sphere, plain = build_head("ce_sphere", 6, 4), build_head("ce", 6, 4)
    assert torch.allclose(sphere(z, LABELS), sphere(9 * z, LABELS), atol=1e-6)
    assert abs(plain(z, LABELS) - plain(9 * z, LABELS)) > 0.01
    assert build_head("sc", 6, 4)(z, LABELS) == pytest.approx(
        float(build_head("sc", 6, 4)(9 * z, LABELS)), abs=1e-5
    )


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (("scc", 8, 4), "ce_sphere"),
        (("ce", 8, 1), "nothing to tell apart"),
        (("ce_fixed", 2, 4), "features"),
    ],
)
def test_a_head_that_cannot_be_is_refused(told: tuple[str, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_head(*told)
    with pytest.raises(InputError, match="positive"):
        CrossEntropyHead(8, 4, weight_norm=0.0)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_gives_features_of_both_signs_unless_it_ends_with_relu(network: str) -> None:
    torch.manual_seed(0)
    shape = (3, 32, 32)
    x = torch.randn(8, *shape)
    encoder = build_encoder(network, shape, features=16, batch_norm=True)
    assert encoder(x).shape == (8, 16)
    assert encoder(x).min() < 0
    paper = build_encoder(network, shape, final_relu=True, batch_norm=True)
    found = paper(x)
    assert found.shape == (8, paper.features)
    if network != "cnn13":  # its ReLU leaks
        assert found.min() >= 0
        means = class_means(functional.normalize(found), torch.arange(8) % 2, 2)
        assert float(functional.cosine_similarity(means[:1], means[1:]).detach()) >= 0


def test_resnet18_has_the_size_of_the_published_one() -> None:
    encoder = build_encoder("resnet18", (3, 32, 32), final_relu=True)
    assert encoder.features == 512
    assert sum(p.numel() for p in encoder.parameters()) == 11_168_832


def test_networks_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="use mlp"):
        build_encoder("cnn", (64,))
    with pytest.raises(InputError, match="resnet18"):
        build_encoder("resnet", (3, 32, 32))
    with pytest.raises(InputError, match="positive"):
        build_encoder("mlp", (64,), widths=[0])


def test_a_projection_is_seen_by_the_loss_alone() -> None:
    encoder = build_encoder("mlp", (10,), features=6, projection=3)
    z = encoder(torch.randn(5, 10))
    assert z.shape == (5, 6)
    assert encoder.project(z).shape == (5, 3)
    assert encoder.loss_features == 3


def test_the_probe_separates_what_class_means_cannot() -> None:
    # Both classes have one direction, which class means without normalisation confuse; a linear map does not.
    x = torch.tensor([[1.0, 0.1], [1.0, -0.1], [5.0, 0.1], [5.0, -0.1]]).repeat(50, 1)
    y = torch.tensor([0, 1, 0, 1]).repeat(50)
    weight = linear_probe(x, y, 2, ProbeOptions(steps=2000, learning_rate=1.0), seed=1)
    assert accuracy(weight, x, y) == 1
    assert torch.equal(weight, linear_probe(x, y, 2, ProbeOptions(steps=2000, learning_rate=1.0), seed=1))
    assert accuracy(torch.zeros(2, 2), x, y) == 0.5  # ties go to the lowest class
    means = class_means(x, y, 2)
    assert nearest_mean_accuracy(means, x, y) == 1
    with pytest.raises(InputError, match="class 2"):
        class_means(x, y, 3)


def test_the_probe_is_sgd_on_cross_entropy() -> None:
    draw = torch.Generator().manual_seed(5)
    x, y = torch.randn(30, 4, generator=draw, dtype=torch.float64), torch.arange(30) % 3
    options = ProbeOptions(steps=3, batch_size=8, learning_rate=0.5, power=2, weight_decay=0.1)
    found = linear_probe(x, y, 3, options, seed=2)
    draw = torch.Generator().manual_seed(2)
    weight = torch.empty(3, 4, dtype=torch.float64).uniform_(-0.5, 0.5, generator=draw).requires_grad_()
    for step in range(3):
        rows = torch.randint(30, (8,), generator=draw)
        optimizer = torch.optim.SGD([weight], 0.5 * (1 - step / 3) ** 2, weight_decay=0.1)
        optimizer.zero_grad()
        functional.cross_entropy(x[rows] @ weight.T, y[rows]).backward()
        optimizer.step()
    assert torch.allclose(found, weight.detach(), atol=1e-12)


def test_temperature_is_one_over_the_squared_radius() -> None:
    z = torch.randn(12, 5, dtype=torch.float64)
    unit = functional.normalize(z)
    loss = build_head("sc", 5, 4, temperature=0.25)(z, torch.arange(12) % 4)
    logits = (unit / math.sqrt(0.25)) @ (unit / math.sqrt(0.25)).T
    logits.fill_diagonal_(-math.inf)
    same = (torch.arange(12)[:, None] % 4 == torch.arange(12) % 4) & ~torch.eye(12, dtype=torch.bool)
    per_row = logits.logsumexp(1) - torch.where(same, logits, 0).sum(1) / same.sum(1)
    assert float(loss) == pytest.approx(float(per_row.mean()), abs=1e-9)
