"""Dropout keeps the mean, drops as often as asked, and nothing where it is off."""

from __future__ import annotations

import pytest
import torch

from offprints.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_so_many_are_dropped_and_the_others_scaled(p: float) -> None:
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(1000, 333))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-4)
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=0.003)
    assert out.mean().item() == pytest.approx(1, abs=0.02)


def test_neighbours_are_dropped_apart_from_each_other() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) > 0).double().view(-1, 4) - 0.5
    together = kept.t() @ kept / len(kept)
    assert (together - 0.25 * torch.eye(4)).abs().max().item() < 0.003


def test_a_probability_of_next_to_one_drops_all_but_a_few() -> None:
    torch.manual_seed(0)
    out = Dropout(1 - 1e-9)(torch.ones(100_000))
    assert set(out.unique().tolist()) <= {0.0, 65536.0}


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_what_is_no_share_below_one_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        Dropout(p)


def test_the_gradient_goes_through_what_is_kept() -> None:
    x = torch.ones(50, 3, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, out.detach())


def test_the_same_seed_drops_the_same_and_evaluation_drops_nothing() -> None:
    layer, x = Dropout(0.5), torch.ones(9, 7)
    torch.manual_seed(1)
    one = layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), one) and not torch.equal(layer(x), one)
    assert torch.equal(layer.eval()(x), x) and torch.equal(Dropout(0.0)(x), x)
    assert layer(torch.ones(0, 4)).shape == (0, 4)
    layer.train()
    assert layer(torch.ones(0, 4)).shape == (0, 4)
