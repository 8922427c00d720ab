"""V-trace: recorded cases, the worked example, and the theorems."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from relational_rl import actor_critic_loss, vtrace


@pytest.mark.parity
@pytest.mark.parametrize("i", [0, 1, 2])
def test_recorded_targets_and_losses(parity, i: int) -> None:
    all_cases = parity("vtrace.npz")
    prefix = f"case{i}_"
    case = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in all_cases.items() if k.startswith(prefix)}
    bounds = [math.inf if bound < 0 else bound for bound in case["params"][:3].tolist()]
    logp = [
        case[f"{whose}_logits"].log_softmax(-1).gather(-1, case["actions"][..., None])[..., 0]
        for whose in ("behaviour", "target")
    ]
    found = vtrace(
        *logp,
        case["rewards"],
        case["discounts"],
        case["values"],
        case["bootstrap_value"],
        *bounds,
        lam=float(case["params"][3]),
    )
    torch.testing.assert_close(found.vs, case["vs"], rtol=0, atol=1e-10)
    torch.testing.assert_close(found.pg_advantages, case["pg_advantages"], rtol=0, atol=1e-10)
    loss = actor_critic_loss(case["target_logits"], case["values"], case["actions"], found)
    sums = ("policy_gradient_loss_sum", "baseline_loss_sum", "entropy_sum")
    for ours, name in zip(loss, sums, strict=True):
        assert float(ours) == pytest.approx(float(case[name]), abs=1e-9)


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def test_the_worked_example() -> None:
    ratio = column(0.5, 2).log()
    found = vtrace(
        torch.zeros_like(ratio),
        ratio,
        column(0, 1),
        column(0.9, 0.9),
        column(1, 2),
        torch.tensor([3.0]).double(),
    )
    torch.testing.assert_close(found.vs, column(2.165, 3.7))
    torch.testing.assert_close(found.pg_advantages, column(1.165, 1.7))


def drawn(steps: int = 12, envs: int = 3) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [torch.randn(steps, envs, generator=draws, dtype=torch.float64) for _ in range(4)]


def test_on_policy_targets_are_n_step_returns() -> None:
    logp, rewards, values, _ = drawn()
    bootstrap, discounts = values[0] + 1, torch.full_like(rewards, 0.97)
    discounts[5, 1] = 0
    expected, following = [], bootstrap
    for t in reversed(range(len(rewards))):
        following = rewards[t] + discounts[t] * following
        expected.append(following)
    found = vtrace(logp, logp, rewards, discounts, values, bootstrap)
    torch.testing.assert_close(found.vs, torch.stack(expected[::-1]))


def test_nothing_crosses_an_episodes_end() -> None:
    behaviour, rewards, values, target = drawn()
    discounts = torch.full_like(rewards, 0.9)
    discounts[4] = 0
    one = vtrace(behaviour, target, rewards, discounts, values, values[0])
    other = rewards.clone()
    other[5:] += 7
    two = vtrace(behaviour, target, other, discounts, values, values[0] - 3)
    torch.testing.assert_close(one.vs[:5], two.vs[:5])
    torch.testing.assert_close(one.pg_advantages[:5], two.pg_advantages[:5])
    assert (one.vs[5:] != two.vs[5:]).all()


def test_the_fixed_point_is_the_value_of_the_clipped_policy() -> None:
    """Two states, two actions, known dynamics: expected updates go to V of pi_rho ~ min(rho_bar mu, pi)."""
    mu, pi, rho_bar, gamma = torch.tensor([0.2, 0.8]).double(), torch.tensor([0.9, 0.1]).double(), 1.5, 0.8
    reward = torch.tensor([[1.0, -0.5], [0.3, 2.0]]).double()
    goes = torch.tensor([[0, 1], [1, 0]])
    clipped = torch.minimum(rho_bar * mu, pi)
    policy = clipped / clipped.sum()
    moves = torch.zeros(2, 2).double()
    for s in range(2):
        for a in range(2):
            moves[s, goes[s, a]] += policy[a]
    expected = torch.linalg.solve(torch.eye(2).double() - gamma * moves, (reward * policy).sum(1))
    value = torch.zeros(2).double()
    states, actions = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    for _ in range(300):
        after = value[goes[states, actions]]
        found = vtrace(
            mu.log()[actions][None],
            pi.log()[actions][None],
            reward[states, actions][None],
            torch.full((1, 4), gamma).double(),
            value[states][None],
            after,
            rho_bar=rho_bar,
        )
        error = (mu[actions] * (found.vs[0] - value[states])).view(2, 2).sum(1)
        value = value + 0.7 * error
    torch.testing.assert_close(value, expected)


def test_no_gradient_flows_into_the_targets() -> None:
    logits = torch.randn(4, 2, 4, requires_grad=True)
    values = torch.randn(4, 2, requires_grad=True)
    actions = torch.zeros(4, 2, dtype=torch.int64)
    logp = logits.log_softmax(-1)[..., 0]
    targets = vtrace(logp.detach(), logp, torch.ones(4, 2), torch.full((4, 2), 0.9), values, values[0])
    assert not targets.vs.requires_grad and not targets.pg_advantages.requires_grad
    actor_critic_loss(logits, values, actions, targets).baseline.backward()
    torch.testing.assert_close(values.grad, values.detach() - targets.vs)
    assert logits.grad is None


def test_numbers_that_are_not_finite_and_shapes_that_differ_are_refused() -> None:
    logp, rewards, values, _ = drawn()
    with pytest.raises(ValueError, match="not finite"):
        vtrace(logp, logp, rewards * math.nan, rewards, values, values[0])
    with pytest.raises(ValueError, match=r"values has the shape \(11, 3\)"):
        vtrace(logp, logp, rewards, rewards, values[1:], values[0])
    with pytest.raises(ValueError, match="bootstrap"):
        vtrace(logp, logp, rewards, rewards, values, values)
