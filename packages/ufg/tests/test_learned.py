"""Filters that are learned: tight whatever the parameters, and the layer that learns them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from ufg import (
    FILTERS,
    FilterBank,
    FrameletTransform,
    GraphOperator,
    TightFilters,
    UFGConv,
    UFGNet,
    chebyshev_table,
    filter_bank,
    parameter_groups,
)


def learned(name: str = "haar", terms: int = 12, amplitude: float = 0.0, seed: int = 0) -> TightFilters:
    filters = TightFilters(name, terms, waves=4)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        filters.angles.copy_(amplitude * torch.randn(filters.angles.shape, generator=draw))
    return filters


@pytest.mark.parametrize("name", [*FILTERS, "cos6"])
def test_learned_filters_begin_as_the_bank_that_is_given(name: str) -> None:
    table = learned(name).table().detach().numpy()
    np.testing.assert_allclose(table, chebyshev_table(filter_bank(name), 12), rtol=0, atol=1e-8)


@given(st.floats(-3, 3), st.integers(0, 2**31), st.sampled_from([*FILTERS, "cos6"]))
def test_squares_of_learned_filters_sum_to_one_whatever_was_learned(
    amplitude: float, seed: int, name: str
) -> None:
    values = learned(name, amplitude=amplitude, seed=seed).values().detach()
    np.testing.assert_allclose(values.square().sum(0), 1, rtol=0, atol=1e-12)


def test_learning_moves_the_filters_and_leaves_both_ends() -> None:
    begun, moved = learned().values().detach(), learned(amplitude=0.3).values().detach()
    assert (moved - begun).abs().max() > 0.1
    torch.testing.assert_close(moved[:, [0, -1]], begun[:, [0, -1]], rtol=0, atol=1e-12)


def test_learned_filters_can_be_taken_out_as_a_bank_of_their_own() -> None:
    filters = learned("linear", 24, amplitude=0.1)
    bank = filters.bank()
    assert isinstance(bank, FilterBank)
    assert len(bank) == 3  # FilterBank itself insists that the squares sum to 1
    np.testing.assert_allclose(
        chebyshev_table(bank, 24), filters.table().detach().numpy(), rtol=0, atol=1e-12
    )
    lower, upper = FrameletTransform(bank, terms=24).frame_bounds()
    assert max(upper - 1, 1 - lower) < 1e-3


def test_the_derivative_of_the_table_is_right() -> None:
    filters = learned(terms=6, amplitude=0.2).double()
    torch.autograd.gradcheck(
        lambda angles: torch.func.functional_call(filters, {"angles": angles}, ()),
        filters.angles.detach().requires_grad_(),
    )


@pytest.mark.parametrize("shrinkage", [None, "soft"])
def test_a_layer_with_filters_not_yet_learned_is_the_layer_without(
    op: GraphOperator, shrinkage: str | None
) -> None:
    torch.manual_seed(0)
    plain = UFGConv(5, 3, FrameletTransform("linear"), shrinkage=shrinkage).double()
    torch.manual_seed(0)
    learning = UFGConv(5, 3, FrameletTransform("linear"), shrinkage=shrinkage, learned=3).double()
    x = torch.randn(op.num_nodes, 5, dtype=op.dtype)
    torch.testing.assert_close(learning(op, x), plain(op, x), rtol=0, atol=1e-9)


def test_a_layer_learns_its_filters(op: GraphOperator) -> None:
    """The filters of the target are others than those begun with; nothing but angles may move."""
    transform = FrameletTransform("haar", levels=1, terms=10)
    torch.manual_seed(0)
    target = UFGConv(4, 4, transform, gain_init=(1.0, 0.0), learned=3).double()
    torch.manual_seed(0)
    layer = UFGConv(4, 4, transform, gain_init=(1.0, 0.0), learned=3).double()
    assert target.filters is not None and layer.filters is not None
    with torch.no_grad():
        target.filters.angles.copy_(torch.tensor([[0.3, -0.1, 0.05]]))
    x = torch.randn(op.num_nodes, 4, dtype=op.dtype)
    wanted = target(op, x).detach()
    optimizer = torch.optim.Adam([layer.filters.angles], 0.03)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = (layer(op, x) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1e-3 * losses[0]
    torch.testing.assert_close(layer.filters.angles, target.filters.angles, rtol=0, atol=0.02)


def test_the_response_of_a_layer_is_what_it_does_to_an_eigenvector(op: GraphOperator) -> None:
    layer = UFGConv(1, 1, FrameletTransform(terms=6), gain="band", learned=2).double()
    assert layer.filters is not None
    with torch.no_grad():
        layer.filters.angles.normal_(0, 0.1)
        layer.weight.fill_(1.0)
    dense = op.shifted(1.0).to_dense() + torch.eye(op.num_nodes, dtype=op.dtype)
    values, vectors = torch.linalg.eigh(dense)
    passed = torch.from_numpy(layer.response(values.numpy()))
    for k in (0, op.num_nodes // 2, op.num_nodes - 1):
        vector = vectors[:, k : k + 1]
        torch.testing.assert_close(layer(op, vector), passed[k] * vector, rtol=0, atol=1e-9)


def test_anchored_gains_decay_to_where_they_began(op: GraphOperator) -> None:
    torch.manual_seed(0)
    layer = UFGConv(3, 2, gain="node", gain_init=(1.5, 0.3), anchored=True, num_nodes=op.num_nodes).double()
    torch.manual_seed(0)
    loose = UFGConv(3, 2, gain="node", gain_init=(1.5, 0.3), num_nodes=op.num_nodes).double()
    x = torch.randn(op.num_nodes, 3, dtype=op.dtype)
    torch.testing.assert_close(layer(op, x), loose(op, x))
    began = layer(op, x).detach()
    with torch.no_grad():
        layer.gain.normal_(0, 0.5)
    optimizer = torch.optim.SGD(parameter_groups(layer, 0.0, 1.0, 0.0), 0.1)
    assert not torch.allclose(layer(op, x), began, atol=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        (0.0 * layer(op, x).sum()).backward()
        optimizer.step()
    torch.testing.assert_close(layer(op, x), began, rtol=0, atol=1e-6)


def test_learned_filters_train_and_come_back_from_a_state(op: GraphOperator) -> None:
    net = UFGNet(4, 3, 2, learned=2).double()
    assert "convolutions.0.filters.angles" in dict(net.named_parameters())
    again = UFGNet(4, 3, 2, learned=2).double()
    x = torch.randn(op.num_nodes, 4, dtype=op.dtype)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again.eval()(op, x), net.eval()(op, x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TightFilters("haar", waves=0), "1 or more"),
        (lambda: TightFilters("haar", terms=1), "2 or more"),
        (lambda: TightFilters(FilterBank("signed", (np.cos, np.sin))), "0 or more"),
        (lambda: UFGConv(2, 2, learned=2, copies=3), "copies"),
        (lambda: filter_bank("cos0"), "1 to 99"),
        (lambda: filter_bank("cosine"), "cos1 to cos99"),
    ],
)
def test_options_that_do_not_fit_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("power", [1, 2, 8, 30])
def test_narrow_banks_are_tight_and_the_narrower_the_higher_their_power(power: int) -> None:
    x = np.linspace(0, np.pi, 400)
    low, high = filter_bank(f"cos{power}")(x)
    np.testing.assert_allclose(low**2 + high**2, 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(high[1:4] / x[1:4], np.sqrt(power) / 2, rtol=2e-2)  # no digits lost near 0
    if power == 1:
        np.testing.assert_allclose([low, high], filter_bank("haar")(x), rtol=0, atol=1e-7)
    else:
        assert (low[1:-1] < filter_bank(f"cos{power - 1}")(x)[0][1:-1]).all()
