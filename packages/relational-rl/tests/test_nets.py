"""The networks: recorded cases of stem and attention, and what must hold of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from offprints.errors import InputError

from relational_rl import Agent, AgentOptions, RelationalBlock, Stem


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array)


@pytest.mark.parity
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_stem_gives_the_recorded_entities(parity, padding: str) -> None:
    case = parity("stem.npz")
    stem = Stem(padding, "unit").double()
    names = {"first": "conv1", "second": "conv2"}
    stem.load_state_dict(
        {
            f"{ours}.{part}": tensor(case[f"{padding}_{theirs}_{part[0]}"])
            for ours, theirs in names.items()
            for part in ("weight", "bias")
        }
    )
    found = stem(tensor(case[f"{padding}_frames"])).flatten(1, 2)
    torch.testing.assert_close(found, tensor(case[f"{padding}_entities"]), rtol=0, atol=1e-9)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["stackA", "stackB"])
def test_the_block_gives_the_recorded_outputs_and_attention(parity, name: str) -> None:
    case = parity("attention.npz")
    heads, width, applications, _, final_relu = case[f"{name}_spec"].tolist()
    w = {
        key.removeprefix(f"{name}_b0_"): tensor(value)
        for key, value in case.items()
        if key.startswith(f"{name}_b0")
    }
    block = RelationalBlock(26, heads, width, mlp_final_relu=bool(final_relu)).double()
    state = {
        "qkv.weight": torch.cat([w[f"w{part}"].transpose(1, 2).flatten(0, 1) for part in "qkv"]),
        "qkv.bias": torch.cat([w[f"b{part}"].flatten() for part in "qkv"]),
        "hidden.weight": w["mlp_w1"].T,
        "hidden.bias": w["mlp_b1"],
        "out.weight": w["mlp_w2"].T,
        "out.bias": w["mlp_b2"],
        "norm.weight": w["out_gain"],
        "norm.bias": w["out_bias"],
    }
    for i, part in enumerate("qkv"):
        state |= {f"norms.{i}.{kind}": w[f"ln{part}_{kind}"][:, None] for kind in ("gain", "bias")}
    block.load_state_dict(state)
    entities = tensor(case[f"{name}_entities"])
    for k in range(applications):
        entities, weights = block(entities, need_weights=True)
        torch.testing.assert_close(entities, tensor(case[f"{name}_block_outputs"][k]), rtol=0, atol=1e-9)
        torch.testing.assert_close(weights, tensor(case[f"{name}_attention"][k]), rtol=0, atol=1e-9)
    torch.testing.assert_close(entities.amax(1), tensor(case[f"{name}_pooled"]), rtol=0, atol=1e-9)


@pytest.mark.parity
def test_another_implementation_is_a_setting_of_the_block(parity) -> None:
    case = parity("attention.npz")
    w = {k.removeprefix("refA_w__"): tensor(v) for k, v in case.items() if k.startswith("refA_w")}
    block = RelationalBlock(26, 2, 64, value_dim=26, mlp_final_relu=True).double()
    parts = {"q": "query", "k": "key", "v": "value"}
    heads = range(2)
    state = {
        f"qkv.{kind}": torch.cat([w[f"heads__{h}__{part}__{kind}"] for part in parts.values() for h in heads])
        for kind in ("weight", "bias")
    }
    for i, part in enumerate(parts):
        for kind, theirs in (("gain", "weight"), ("bias", "bias")):
            state[f"norms.{i}.{kind}"] = torch.stack([w[f"heads__{h}__{part}ln__{theirs}"] for h in heads])[
                :, None
            ]
    for ours, theirs in (("hidden", "linear1"), ("out", "linear2"), ("norm", "ln")):
        state |= {f"{ours}.{kind}": w[f"{theirs}__{kind}"] for kind in ("weight", "bias")}
    block.load_state_dict(state)
    output, weights = block(tensor(case["refA_entities"]), need_weights=True)
    torch.testing.assert_close(output, tensor(case["refA_output"]), rtol=0, atol=1e-9)
    recorded = tensor(case["refA_attention"])
    assert any(torch.allclose(weights, found, atol=1e-9) for found in (recorded, recorded.transpose(0, 1)))


@pytest.mark.parametrize("norm", ["per_head", "joint", "none"])
def test_entities_in_another_order_give_the_same_in_that_order(norm: str) -> None:
    torch.manual_seed(0)
    block = RelationalBlock(10, 3, 8, qkv_norm=norm).double()
    entities, order = torch.randn(2, 70, 10).double(), torch.randperm(70)
    fused, _ = block(entities)
    written, weights = block(entities, need_weights=True)
    assert weights is not None
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 70).double())
    torch.testing.assert_close(fused, written)
    torch.testing.assert_close(block(entities[:, order])[0], fused[:, order])


def frames(count: int, side: int = 10) -> Tensor:
    return torch.randint(
        0, 256, (count, side, side, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
    )


def test_shared_weights_are_one_block_applied_again() -> None:
    torch.manual_seed(1)
    once, twice = Agent(AgentOptions(blocks=1)), Agent(AgentOptions(blocks=2))
    twice.load_state_dict(once.state_dict())
    entities = once.stem(frames(2)).flatten(1, 2)
    for _ in range(2):
        entities, _ = once.trunk[0](entities)
    torch.testing.assert_close(twice(frames(2))[0], once.policy(once.head(entities.amax(1))))
    assert len(Agent(AgentOptions(blocks=2, shared_weights=False)).trunk) == 2


def test_agents_are_of_like_size() -> None:
    def size(**options) -> int:
        return sum(p.numel() for p in Agent(AgentOptions(**options)).parameters())

    assert size() == 222_149
    assert size(kind="control", blocks=3) == 243_565


def test_coordinates_run_along_columns_then_rows_from_minus_one_to_one() -> None:
    place = Stem()(frames(1, 8))[0, :, :, 24:]
    assert (
        place[0, 0].tolist() == [-1, -1]
        and place[0, 7].tolist() == [1, -1]
        and place[7, 0].tolist() == [-1, 1]
    )


def test_floor_is_nothing_in_centered_input() -> None:
    stem = Stem("valid")
    torch.nn.init.zeros_(stem.first.bias)
    torch.nn.init.zeros_(stem.second.bias)
    assert not stem(torch.full((1, 8, 8, 3), 204, dtype=torch.uint8))[..., :24].any()


def test_relational_and_control_agents_take_boards_of_any_side_and_plain_ones_say_why_not() -> None:
    for kind in ("relational", "control"):
        agent = Agent(AgentOptions(kind=kind))
        assert agent(frames(2, 8))[0].shape == agent(frames(2, 15))[0].shape == (2, 4)
    plain = Agent(AgentOptions(kind="plain", side=10, padding="valid"))
    assert plain(frames(2))[1].shape == (2,)
    with pytest.raises(InputError, match="side 10, not 8"):
        plain(frames(2, 8))
    with pytest.raises(InputError, match="no attention"):
        plain.attention(frames(2))
    with pytest.raises(InputError, match="kind='transformer'"):
        AgentOptions(kind="transformer")


def test_a_frame_gets_the_same_policy_in_any_batch() -> None:
    agent = Agent().double()
    torch.testing.assert_close(agent(frames(5))[0][2:3], agent(frames(5)[2:3])[0])


@pytest.mark.parametrize("value_dim", [8, 5])
@pytest.mark.parametrize("need_weights", [True, False])
def test_heads_one_by_one_and_all_at_once_give_the_same(value_dim: int, need_weights: bool) -> None:
    torch.manual_seed(2)
    block = RelationalBlock(10, 3, 8, value_dim=value_dim).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    entities = torch.randn(2, 70, 10, dtype=torch.float64, requires_grad=True)
    found = []
    for update, weights in (
        block._head_by_head(entities, need_weights),
        block._all_heads(entities, need_weights),
    ):
        found.append(
            [
                update,
                *torch.autograd.grad(
                    update.sin().sum(), [entities, *block.norms.parameters()], allow_unused=True
                ),
            ]
        )
        if need_weights:
            found[-1].append(weights)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
