"""V-trace: values and advantages for a policy that others acted for.

With importance ratios w = pi(a|x) / mu(a|x), rho = min(rho_bar, w) and c = lambda min(c_bar, w),

    v_s = V(x_s) + sum over t >= s of (product over s <= i < t of gamma_i c_i) rho_t (r_t + gamma_t V(x_{t+1}) - V(x_t))

and the policy's gradient is weighted by min(rho_pg, w_s) (r_s + gamma_s v_{s+1} - V(x_s)).

Source: Espeholt et al. 2018 (IMPALA), equation 1 and section 4.2; Section 3 of the paper trains with it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class VTrace(NamedTuple):
    """Constants for the gradient.

    Attributes:
        vs: (T, B) targets of the values.
        pg_advantages: (T, B) weights of the policy's gradient.
    """

    vs: Tensor
    pg_advantages: Tensor


class ActorCriticLoss(NamedTuple):
    """Sums over all steps.

    Attributes:
        policy: () minus log-probability times advantage.
        baseline: () half the squared error of the values.
        entropy: () of the policy, positive.
    """

    policy: Tensor
    baseline: Tensor
    entropy: Tensor


@torch.no_grad()
def vtrace(
    behaviour_logp: Tensor,
    target_logp: Tensor,
    rewards: Tensor,
    discounts: Tensor,
    values: Tensor,
    bootstrap: Tensor,
    rho_bar: float = 1.0,
    c_bar: float = 1.0,
    pg_rho_bar: float = 1.0,
    lam: float = 1.0,
    check_finite: bool = True,
) -> VTrace:
    """Targets of T steps of B environments.

    Args:
        behaviour_logp: (T, B) log mu(a_t | x_t) of the policy that acted.
        target_logp: (T, B) log pi(a_t | x_t) of the policy that learns.
        rewards: (T, B) of the steps.
        discounts: (T, B) gamma, and 0 where the step ended an episode.
        values: (T, B) V(x_t) of the learner.
        bootstrap: (B,) V of the observation after the last step.
        rho_bar: bound of the ratios in a temporal difference: it decides which policy is evaluated. inf for none.
        c_bar: bound of the ratios that carry differences back: it decides how fast. inf for none.
        pg_rho_bar: bound of the ratios of the policy's gradient.
        lam: lambda.
        check_finite: refuse targets that are not finite; looking makes a GPU wait.

    Raises:
        ValueError: shapes differ, or, where that is checked, a number is not finite.
    """
    shape = rewards.shape
    for name, given in (
        ("behaviour_logp", behaviour_logp),
        ("target_logp", target_logp),
        ("discounts", discounts),
        ("values", values),
    ):
        if given.shape != shape:
            raise ValueError(f"{name} has the shape {tuple(given.shape)}, rewards {tuple(shape)}")
    if bootstrap.shape != shape[1:]:
        raise ValueError(f"bootstrap has the shape {tuple(bootstrap.shape)}, expected {tuple(shape[1:])}")
    ratio = (target_logp - behaviour_logp).exp()
    rho, carried = ratio.clamp(max=rho_bar), lam * ratio.clamp(max=c_bar)
    following = torch.cat([values[1:], bootstrap[None]])
    deltas = rho * (rewards + discounts * following - values)
    error, errors = torch.zeros_like(bootstrap), []
    for t in range(len(rewards) - 1, -1, -1):  # v_s - V_s = delta_s + gamma_s c_s (v_{s+1} - V_{s+1})
        error = deltas[t] + discounts[t] * carried[t] * error
        errors.append(error)
    vs = values + torch.stack(errors[::-1]) if errors else values
    if check_finite and not bool(torch.isfinite(vs).all()):
        raise ValueError(
            "V-trace's targets are not finite: a reward, value or log-probability is NaN or infinite"
        )
    after = torch.cat([vs[1:], bootstrap[None]])
    return VTrace(vs, ratio.clamp(max=pg_rho_bar) * (rewards + discounts * after - values))


def actor_critic_loss(logits: Tensor, values: Tensor, actions: Tensor, targets: VTrace) -> ActorCriticLoss:
    """The three parts of the loss of a policy over A actions; no gradient flows into the targets.

    Args:
        logits: (T, B, A) of the learner's policy.
        values: (T, B) of the learner.
        actions: (T, B) int64, as played.
        targets: from `vtrace`.
    """
    logp = logits.log_softmax(-1)
    chosen = logp.gather(-1, actions[..., None])[..., 0]
    return losses(chosen, -(logp.exp() * logp).sum(-1), values, targets)


def losses(logp: Tensor, entropy: Tensor, values: Tensor, targets: VTrace) -> ActorCriticLoss:
    """The same for any policy that can tell its log-probabilities and entropies.

    Args:
        logp: (T, B) log pi(a_t | x_t) of the actions played, with their gradient.
        entropy: (T, B) of the policy.
        values: (T, B) of the learner.
        targets: from `vtrace`.
    """
    return ActorCriticLoss(
        policy=-(logp * targets.pg_advantages).sum(),
        baseline=0.5 * (targets.vs - values).square().sum(),
        entropy=entropy.sum(),
    )
