"""The agents for StarCraft II on specs written by hand: inputs, memory, trunk, and the policy over calls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from offprints.errors import InputError

from relational_rl.sc2 import Action, ConvLSTM, Interface, Layer, Memory, Observation, SC2Agent, SC2Options
from relational_rl.sc2.inputs import Planes, Stream, halvings
from relational_rl.sc2.observations import arguments_of, blank, random_action

SMALL = {
    "cells": 4, "stream": 6, "embedding": 3, "vector": [10, 8], "memory": 7, "blocks": 2, "control_blocks": 2,
    "head_dim": 5, "plane": 6, "hidden": 12, "head": 9, "function": 4, "upward": 5,
}  # fmt: skip


def agent(interface: Interface, seed: int = 0, **options) -> SC2Agent:
    torch.manual_seed(seed)
    return SC2Agent(interface, SC2Options(**{**SMALL, **options})).double()


def observed(interface: Interface, *shape: int, seed: int = 0) -> Observation:
    """Anything that the specs allow."""
    draws = torch.Generator().manual_seed(seed)

    def planes(layers: tuple[Layer, ...], size: tuple[int, int]) -> Tensor:
        drawn = [torch.randint(0, layer.scale, (*shape, *size), generator=draws) for layer in layers]
        return torch.stack(drawn, -3).to(torch.int16)

    functions = len(interface.functions)
    available = torch.rand(*shape, functions, generator=draws) < 0.6
    available[..., 0] = True
    return Observation(
        planes(interface.screen, interface.screen_size),
        planes(interface.minimap, interface.minimap_size),
        torch.randint(0, 500, (*shape, interface.player), generator=draws).double(),
        torch.randint(0, functions, shape, generator=draws),
        available,
        torch.rand(shape, generator=draws) < 0.2,
    )


# Inputs


def test_quantities_are_logarithms_between_0_and_1() -> None:
    planes = Planes([Layer("energy", 1000, False), Layer("height", 256, False)], 3)
    shown = torch.tensor([[[[0, 999]], [[255, 15]]]], dtype=torch.int16)
    expected = torch.tensor([[[[0.0, 1.0]], [[1.0, math.log(16) / math.log(256)]]]])
    torch.testing.assert_close(planes(shown), expected)


def test_embedding_a_category_is_a_1x1_convolution_of_its_one_hot_plane() -> None:
    layers = [Layer("relative", 5, True), Layer("height", 256, False), Layer("type", 9, True)]
    planes = Planes(layers, 4).double()
    shown = torch.stack([torch.randint(0, layer.scale, (6, 8, 8)) for layer in layers], 1)
    weights = planes.embedding.weight
    begins = {0: 0, 2: 6}  # behind the rows of the first layer comes its row for what is unknown
    expected = [
        torch.einsum(
            "nhwc,ce->nehw",
            nn.functional.one_hot(shown[:, k], layers[k].scale).double(),
            weights[b : b + layers[k].scale],
        )
        for k, b in begins.items()
    ]
    torch.testing.assert_close(planes(shown)[:, 1:], torch.cat(expected, 1))


def test_a_category_beyond_the_specs_has_a_row_of_its_own() -> None:
    planes = Planes([Layer("type", 9, True), Layer("relative", 5, True)], 2)
    known, unknown, newer = (
        planes(torch.full((1, 2, 1, 1), value, dtype=torch.int16))[0, :2, 0, 0] for value in (4, 9, 1000)
    )
    assert torch.equal(unknown, newer) and torch.equal(unknown, planes.embedding.weight[9])
    assert not torch.equal(known, unknown)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_a_stream_halves_its_planes_to_the_map(side: int) -> None:
    stream = Stream([Layer("relative", 5, True)], (side, side), 3, 6, 4)
    out = stream(torch.zeros(2, 1, side, side, dtype=torch.int16), torch.tensor([True, False]))
    assert out.shape == (2, 6, 4, 4)
    assert not torch.allclose(out[0], out[1])  # whether the call before was on this stream is seen
    strided = [part for part in stream.down if isinstance(part, nn.Conv2d) and part.stride == (2, 2)]
    assert len(strided) == halvings((side, side), 4)


@pytest.mark.parametrize("size", [(12, 12), (16, 8), (2, 2), (20, 20)])
def test_sizes_that_do_not_halve_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]} does not halve to 4 x 4"):
        Stream([Layer("relative", 5, True)], size, 3, 6, 4)


# Memory


def drawn_memory(lstm: ConvLSTM, batch: int, side: int) -> Memory:
    return Memory(*(torch.randn(batch, lstm.width, side, side).double() for _ in range(2)))


def test_on_one_cell_the_convolutional_lstm_is_an_lstm() -> None:
    torch.manual_seed(0)
    ours, theirs = ConvLSTM(3, 4, kernel=1).double(), nn.LSTMCell(3, 4).double()
    order = torch.tensor([0, 1, 3, 2])  # torch has the content before the output gate
    with torch.no_grad():
        for mine, weight in (
            (ours.from_input.weight, theirs.weight_ih),
            (ours.from_hidden.weight, theirs.weight_hh),
        ):
            mine.copy_(weight.unflatten(0, (4, 4))[order].flatten(0, 1)[:, :, None, None])
        bias = (theirs.bias_ih + theirs.bias_hh).unflatten(0, (4, 4))[order]
        bias[1] -= 1
        ours.from_input.bias.copy_(bias.flatten())
    inputs, memory = torch.randn(5, 2, 3).double(), drawn_memory(ours, 2, 1)
    hidden, cell = (part[:, :, 0, 0] for part in memory)
    outputs, after = ours(inputs[..., None, None], memory, torch.zeros(5, 2, dtype=torch.bool))
    for t in range(5):
        hidden, cell = theirs(inputs[t], (hidden, cell))
        torch.testing.assert_close(outputs[t, :, :, 0, 0], hidden)
    torch.testing.assert_close(after.cell[:, :, 0, 0], cell)


def test_an_unroll_is_its_steps_one_by_one() -> None:
    torch.manual_seed(1)
    lstm = ConvLSTM(3, 5).double()
    inputs, memory = torch.randn(6, 2, 3, 4, 4).double(), drawn_memory(lstm, 2, 4)
    first = torch.tensor([[0, 0], [0, 1], [0, 0], [1, 0], [0, 0], [0, 0]], dtype=torch.bool)
    whole, after = lstm(inputs, memory, first)
    for t in range(6):
        step, memory = lstm(inputs[t : t + 1], memory, first[t : t + 1])
        torch.testing.assert_close(step[0], whole[t])
    torch.testing.assert_close(memory.cell, after.cell)


def test_an_episodes_start_forgets_all_before_it_and_in_that_environment_alone() -> None:
    torch.manual_seed(2)
    lstm = ConvLSTM(3, 5).double()
    inputs, first = torch.randn(4, 2, 3, 4, 4).double(), torch.zeros(4, 2, dtype=torch.bool)
    first[2, 1] = True
    one, _ = lstm(inputs, drawn_memory(lstm, 2, 4), first)
    other, _ = lstm(inputs, drawn_memory(lstm, 2, 4), first)
    torch.testing.assert_close(one[2:, 1], other[2:, 1])
    fresh, _ = lstm(inputs[2:], lstm.start(2, 4, 4), first[2:])
    torch.testing.assert_close(one[2:, 1], fresh[:, 1])
    assert not torch.allclose(one[2:, 0], other[2:, 0])


# Trunk


@pytest.mark.parametrize("kind", ["relational", "control"])
def test_an_agent_going_through_a_roll_out_is_the_agent_step_by_step(
    sc2_interface: Interface, kind: str
) -> None:
    net, seen = agent(sc2_interface, kind=kind), observed(sc2_interface, 5, 3)
    whole, after = net(seen, net.start(3))
    memory = net.start(3)
    for t in range(5):
        step, memory = net(Observation(*(part[t : t + 1] for part in seen)), memory)
        for of_step, of_whole in zip(step, whole, strict=True):
            torch.testing.assert_close(of_step, of_whole[3 * t : 3 * t + 3])
    torch.testing.assert_close(after.hidden, memory.hidden)


def test_every_input_reaches_the_value(sc2_interface: Interface) -> None:
    net, seen = agent(sc2_interface), observed(sc2_interface, 1, 1)
    value = net(seen, net.start(1))[0].value
    for name in ("screen", "minimap", "player", "previous"):
        other = getattr(observed(sc2_interface, 1, 1, seed=1), name)
        assert not torch.allclose(net(seen._replace(**{name: other}), net.start(1))[0].value, value), name


def test_cells_in_another_order_give_the_same_to_the_relational_vector_but_not_without_coordinates_lost(
    sc2_interface: Interface,
) -> None:
    maps = torch.randn(2, 7, 4, 4).double()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = maps.flatten(2)[:, :, order].unflatten(2, (4, 4))
    blind, placed = agent(sc2_interface, coordinates=False), agent(sc2_interface)
    torch.testing.assert_close(blind._related(maps)[1], blind._related(shuffled)[1])
    assert not torch.allclose(placed._related(maps)[1], placed._related(shuffled)[1])


def test_the_control_agent_has_twelve_convolutions_and_flattens(sc2_interface: Interface) -> None:
    control = agent(sc2_interface, kind="control", control_blocks=SC2Options().control_blocks)
    layers = [part for part in control.trunk.modules() if isinstance(part, nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in layers] == [4, 3, 3] * 4
    assert control.to_vector[0].in_features == 9 * 16
    assert agent(sc2_interface).to_vector[0].in_features == 9


def test_options_that_do_not_fit_are_refused() -> None:
    for options, match in (
        ({"kind": "plain"}, "kind='plain'"),
        ({"vector": [3]}, "vector"),
        ({"heads": 0}, "heads=0"),
        ({"qkv_norm": "batch"}, "qkv_norm"),
    ):
        with pytest.raises(InputError, match=match):
            SC2Options(**options)


# The policy over calls


def test_functions_that_are_not_available_are_never_drawn(sc2_interface: Interface) -> None:
    """10,000 draws; the others come as often as the policy says."""
    net = agent(sc2_interface)
    seen = observed(sc2_interface, 1, 1)
    available = torch.tensor([[True, False, True, False, True, True]])
    features, _ = net(seen, net.start(1))
    parts = [part.expand(10_000, *part.shape[1:]) for part in (features.shared, features.plane, available)]
    with torch.no_grad():
        action, log_prob = net.heads.sample(*parts, torch.Generator().manual_seed(0))
        policy = net.heads.functions(features.shared, available)[0].exp()
    counts = torch.bincount(action.function, minlength=6)
    assert counts[~available[0]].sum() == 0 and bool((counts[available[0]] > 0).all())
    torch.testing.assert_close(counts / 10_000, policy.float(), rtol=0, atol=0.02)
    assert bool(torch.isfinite(log_prob).all())
    has = arguments_of(sc2_interface)[action.function]
    assert not action.arguments[~has].any()
    limits = torch.tensor([kind.choices for kind in sc2_interface.arguments])
    assert bool((action.arguments < limits).all())
    # A point is drawn as often as the policy says, too: of the cells of Move_screen, all have their turn.
    moves = action.arguments[action.function == 5, 0]
    assert len(moves.unique()) > 0.9 * 256 * (1 - math.exp(-len(moves) / 256))


def test_the_log_probability_of_a_call_is_the_sum_of_its_parts(sc2_interface: Interface) -> None:
    net, seen = agent(sc2_interface), observed(sc2_interface, 1, 6)
    seen = seen._replace(available=torch.ones_like(seen.available))
    features, _ = net(seen, net.start(6))
    action = random_action(sc2_interface, seen.available[0], torch.Generator().manual_seed(3))
    action = action._replace(function=torch.arange(6))
    scored = net.score(features, action)
    functions = net.heads.function(features.shared)
    arguments = net.heads.arguments(features.shared, features.plane, action.function)
    for n, function in enumerate(sc2_interface.functions):
        policy = torch.softmax(functions[n], 0)
        log_prob, entropy = policy[n].log(), -(policy * policy.log()).sum()
        for place in function.arguments:
            choice = arguments[place][n].exp()
            torch.testing.assert_close(choice.sum(), torch.tensor(1.0).double())
            log_prob = log_prob + choice[action.arguments[n, place]].log()
            entropy = entropy - (choice * choice.log()).sum()
        torch.testing.assert_close(scored.log_prob[n], log_prob)
        torch.testing.assert_close(scored.entropy[n], entropy)


def test_what_is_drawn_is_scored_alike(sc2_interface: Interface) -> None:
    net, seen = agent(sc2_interface), observed(sc2_interface, 40)
    action, log_prob, _ = net.act(seen, net.start(40), torch.Generator().manual_seed(1))
    features, _ = net(Observation(*(part[None] for part in seen)), net.start(40))
    torch.testing.assert_close(net.score(features, action).log_prob, log_prob)


def test_an_argument_that_the_function_does_not_have_gets_no_gradient(sc2_interface: Interface) -> None:
    for place, function in enumerate(sc2_interface.functions):
        net, seen = agent(sc2_interface), blank(sc2_interface, (1, 1))
        features, _ = net(seen._replace(player=seen.player.double()), net.start(1))
        choices = torch.tensor([[min(1, kind.choices - 1) for kind in sc2_interface.arguments]])
        scored = net.score(features, Action(torch.tensor([place]), choices))
        (scored.log_prob + scored.entropy).sum().backward()
        heads = net.heads
        gradients = {
            argument: linear.weight.grad for argument, linear in zip(heads.plain, heads.linear, strict=True)
        }
        for head, arguments in zip(heads.spatial, heads.planes.values(), strict=True):
            gradients |= {a: head.points.weight.grad[k] for k, a in enumerate(arguments)}
        assert gradients.keys() == set(range(len(sc2_interface.arguments)))
        touched = {a for a, gradient in gradients.items() if gradient is not None and gradient.any()}
        assert touched == set(function.arguments), function.name


def test_points_depend_on_the_function_that_they_are_for(sc2_interface: Interface) -> None:
    """An embedding added behind the last nonlinearity would shift all cells alike and tell the functions nothing."""
    net, seen = agent(sc2_interface), observed(sc2_interface, 1, 1)
    features, _ = net(seen, net.start(1))
    one, other = (net.heads.arguments(features.shared, features.plane, torch.tensor([f]))[0] for f in (2, 5))
    assert (one - other).abs().max() > 1e-3


def test_heads_follow_the_specs(sc2_interface: Interface) -> None:
    net, seen = agent(sc2_interface), observed(sc2_interface, 1, 2)
    features, _ = net(seen, net.start(2))
    logits = net.heads.arguments(features.shared, features.plane, torch.zeros(2, dtype=torch.int64))
    assert [part.shape[1] for part in logits] == [256, 64, 256, 2, 4, 2]
    assert net.heads.planes == {(16, 16): [0, 2], (8, 8): [1]}
    assert net.heads.functions(features.shared, features.available).shape == (2, 6)


def test_random_play_takes_every_available_function_alike(sc2_interface: Interface) -> None:
    available = torch.tensor([[True, False, True, True, False, True]]).expand(8000, -1)
    action = random_action(sc2_interface, available, torch.Generator().manual_seed(0))
    counts = torch.bincount(action.function, minlength=6) / 8000
    torch.testing.assert_close(counts, available[0] / 4, rtol=0, atol=0.02)
    assert not action.arguments[~arguments_of(sc2_interface)[action.function]].any()
