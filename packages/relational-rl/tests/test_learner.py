"""The V-trace loop: its loss by the definition, what it learns, and that a kill or a second process changes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from offprints.errors import InputError

from relational_rl import (
    Agent,
    AgentOptions,
    BoxWorldSpec,
    BoxWorldVectorEnv,
    Judgement,
    Reinforcement,
    RMSProp,
    Unroll,
    VTraceLearner,
    VTraceOptions,
    sample_levels,
    unroll_losses,
)
from relational_rl.boxworld.counter import stream_keys, uniforms
from relational_rl.reinforcement import drawn

TINY = BoxWorldSpec(size=6, solution_lengths=(1,), forward=(0,), max_steps=7)


def agent(seed: int = 0) -> Agent:
    """In double precision, so that two ways to the same numbers give the same actions."""
    torch.manual_seed(seed)
    return Agent(
        AgentOptions(heads=1, head_dim=8, hidden=16, layers=1, padding="valid", init="orthogonal")
    ).double()


def options(**changes) -> VTraceOptions:
    told = {"epochs": 2, "environments": 8, "unroll": 5, "unrolls": 3, "minibatches": 2, "passes": 2}
    return VTraceOptions(**{**told, **changes})


# The loss


def by_definition(judged: Judgement, unroll: Unroll, told: VTraceOptions) -> tuple[float, float, float]:
    """Policy, value and entropy parts from the O(T^2) sum of the definition, in plain numbers."""
    judged = Judgement(*(part.detach() for part in judged))
    steps, envs = unroll.rewards.shape
    parts = np.zeros(3)
    for b in range(envs):
        ratio = (judged.logp[:, b] - unroll.behaviour_logp[:, b]).exp().tolist()
        value = [*judged.values[:, b].tolist(), float(judged.bootstrap[b])]
        ends, cuts = unroll.terminated[:, b].tolist(), unroll.truncated[:, b].tolist()
        reward = [told.reward_scale * r for r in unroll.rewards[:, b].tolist()]
        after = [
            0 if ends[t] else float(judged.cut[b]) if cuts[t] else told.discount * value[t + 1]
            for t in range(steps)
        ]  # discounted
        target = []
        for s in range(steps):
            v, carried = value[s], 1.0
            for t in range(s, steps):
                v += carried * min(told.rho_bar, ratio[t]) * (reward[t] + after[t] - value[t])
                if ends[t] or cuts[t]:
                    break
                carried *= told.discount * told.trace_decay * min(told.c_bar, ratio[t])
            target.append(v)
        target.append(value[-1])
        for s in range(steps):
            nearest = after[s] if ends[s] or cuts[s] else told.discount * target[s + 1]
            advantage = min(told.pg_rho_bar, ratio[s]) * (reward[s] + nearest - value[s])
            parts += [
                -float(judged.logp[s, b]) * advantage,
                0.5 * (target[s] - value[s]) ** 2,
                float(judged.entropy[s, b]),
            ]
    return tuple(parts / (steps * envs))


def test_the_loss_of_an_update_is_the_definitions() -> None:
    trainer = Reinforcement(agent(), TINY, options(trace_decay=0.9, discount=0.95), seed=3)
    unroll = trainer.act(0)
    unroll = trainer.act(5)  # the limit of 7 steps cuts episodes off in it
    assert unroll.truncated.any()
    shifted = unroll._replace(behaviour_logp=unroll.behaviour_logp + 0.4 * torch.randn(5, 8).double())
    part = shifted.part(1, 2)
    judged = trainer.judge(part)
    policy, baseline, entropy = by_definition(judged, part, trainer.options)
    found = unroll_losses(judged, part, trainer.options)
    for ours, theirs in zip(found, (policy, baseline, entropy), strict=True):
        assert float(ours.detach()) == pytest.approx(theirs, abs=1e-12)
    loss = float(trainer.step(part).detach())
    assert loss == pytest.approx(policy + 0.5 * baseline - 0.001 * entropy, abs=1e-12)


def test_a_terminal_step_has_nothing_after_it_and_a_cut_one_has_its_last_observations_value() -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    judged = Judgement(-0.5 * one, one, 2 * one, 100 * one[0], 6.3 * one[0])
    yes, no = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)
    told = VTraceOptions(discount=0.9, reward_scale=1.0)
    for terminated, truncated, target in ((yes, no, 3), (no, yes, 3 + 6.3), (no, no, 3 + 90)):
        unroll = Unroll({}, -0.5 * one, 3 * one, terminated, truncated)
        assert float(unroll_losses(judged, unroll, told).baseline) == pytest.approx(0.5 * (target - 2) ** 2)


def test_what_is_cut_off_is_the_frame_that_gymnasiums_environment_ends_on() -> None:
    trainer = Reinforcement(agent(), TINY, options(), seed=3)
    env = BoxWorldVectorEnv(8, TINY, "SameStep")
    obs, _ = env.reset(seed=3)
    cut = 0
    for number in range(6):
        unroll = trainer.act(5 * number)
        for t in range(5):
            assert np.array_equal(unroll.seen["frames"][t].numpy(), obs)
            obs, reward, terminated, truncated, info = env.step(unroll.seen["actions"][t].numpy())
            assert np.array_equal(unroll.rewards[t].numpy(), reward)
            assert np.array_equal(unroll.terminated[t].numpy(), terminated)
            assert np.array_equal(unroll.truncated[t].numpy(), truncated)
            for place in np.flatnonzero(truncated):
                cut += 1
                assert np.array_equal(unroll.seen["frames"][-1, place].numpy(), info["final_obs"][place])
        assert np.array_equal(unroll.seen["frames"][-2].numpy(), obs)
    assert cut > 20


def test_behaviour_is_kept_as_it_was_played() -> None:
    trainer = Reinforcement(agent(), TINY, options(), seed=1)
    unroll = trainer.act(0)
    judged = trainer.judge(unroll)
    torch.testing.assert_close(judged.logp, unroll.behaviour_logp.double(), atol=1e-6, rtol=0)
    trainer.step(unroll)
    assert (trainer.judge(unroll).logp - judged.logp).abs().max() > 1e-4


def test_the_sum_is_the_mean_times_the_steps() -> None:
    losses = [
        float(trainer.step(trainer.act(0)).detach())
        for trainer in (Reinforcement(agent(), TINY, options(reduction=r)) for r in ("sum", "mean"))
    ]
    assert losses[0] == pytest.approx(40 * losses[1])


def test_at_first_only_the_values_layer_learns_where_that_is_asked_for() -> None:
    net = agent()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Reinforcement(net, TINY, options(epochs=1, value_first=1)).fit()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"value.weight", "value.bias"}


def test_the_value_that_learns_alone_does_so_at_its_own_rate() -> None:
    moved = []
    for rate in (0.001, 0.1):
        net = agent()
        before = net.value.weight.clone()
        Reinforcement(net, TINY, options(epochs=1, value_first=1, value_rate=rate)).fit()
        moved.append(float((net.value.weight - before).detach().abs().max()))
    assert moved[1] > 10 * moved[0] > 0


def test_gradients_of_earlier_training_do_not_count_while_the_value_learns_alone() -> None:
    trained, norms = [], []
    for left in (None, 3.0):
        net = agent()
        for parameter in net.parameters():
            parameter.grad = None if left is None else torch.full_like(parameter, left)
        outcome = Reinforcement(net, TINY, options(epochs=1, value_first=1)).fit()
        trained.append(weights_of(net))
        norms.append(outcome.history[0]["train/grad_norm"])
    assert norms[0] == norms[1] > 0
    assert same(*trained)


def test_draws_follow_the_policy_and_belong_to_environment_and_step() -> None:
    streams = stream_keys(5, np.arange(4000))
    numbers = torch.from_numpy(uniforms(streams, 7, 3))
    assert torch.equal(numbers[1:], torch.from_numpy(uniforms(streams, 8, 2)))
    assert np.array_equal(uniforms(streams[100:103], 7, 3), numbers[:, 100:103].numpy())
    assert float(numbers.min()) >= 0 and float(numbers.max()) < 1
    policy = torch.tensor([0.1, 0.0, 0.6, 0.3])
    shares = torch.bincount(drawn(policy.expand(4000, 4), numbers[0]), minlength=4) / 4000
    torch.testing.assert_close(shares, policy, atol=0.03, rtol=0)
    assert shares[1] == 0
    assert drawn(torch.tensor([[0.5, 0.4999]]), torch.tensor([0.99999])).tolist() == [1]


def test_rmsprop_has_the_small_number_under_the_root() -> None:
    p = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = RMSProp([p], lr=0.5, decay=0.9, eps=0.1)
    expected, square = p.detach().clone(), torch.ones(2)
    for gradient in (torch.tensor([0.3, -0.1]), torch.tensor([0.0, 2.0])):
        p.grad = gradient.clone()
        optimizer.step()
        square = 0.9 * square + 0.1 * gradient**2
        expected -= 0.5 * gradient / (square + 0.1).sqrt()
        torch.testing.assert_close(p.detach(), expected)


# Learning


class Corridor(VTraceLearner):
    """Seven cells; the right end pays 1 and ends, a step to the left end ends with nothing. Tables for policy and value."""

    def __init__(self, told: VTraceOptions) -> None:
        self.table = nn.ParameterDict(
            {"policy": nn.Parameter(torch.zeros(7, 2)), "value": nn.Parameter(torch.zeros(7))}
        )
        super().__init__(self.table, told)
        self.at = torch.full((self.share,), 3)

    def act(self, first: int) -> Unroll:
        draws = torch.from_numpy(uniforms(stream_keys(0, np.arange(self.share)), first, self.options.unroll))
        places, actions, logps, rewards, over = ([] for _ in range(5))
        for uniform in draws:
            logp = self.table["policy"].detach()[self.at].log_softmax(-1)
            actions.append(drawn(logp.exp(), uniform))
            logps.append(logp.gather(1, actions[-1][:, None])[:, 0])
            places.append(self.at)
            at = self.at + 2 * actions[-1] - 1
            over.append((at == 0) | (at == 6))
            rewards.append((at == 6).float())
            self.at = torch.where(over[-1], 3, at)
            self.count(episodes=over[-1].sum(), won=rewards[-1].sum())
        seen = {"at": torch.stack([*places, self.at]), "actions": torch.stack(actions)}
        ends = torch.stack(over)
        return Unroll(seen, torch.stack(logps), torch.stack(rewards), ends, torch.zeros_like(ends))

    def judge(self, unroll: Unroll) -> Judgement:
        at = unroll.seen["at"]
        logp, values = self.table["policy"][at[:-1]].log_softmax(-1), self.table["value"][at]
        chosen = logp.gather(-1, unroll.seen["actions"][..., None])[..., 0]
        return Judgement(chosen, -(logp.exp() * logp).sum(-1), values[:-1], values[-1], values[-1])

    def actors(self) -> dict[str, Tensor]:
        return {"at": self.at.clone()}

    def set_actors(self, state: dict[str, Tensor]) -> None:
        self.at = state["at"]

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        return super().summary(sums) | {"won": sums["won"] / max(1.0, sums["episodes"])}


def test_it_learns_a_corridor_that_chance_wins_half_the_time_and_its_values() -> None:
    told = VTraceOptions(
        epochs=40, environments=16, unroll=8, unrolls=4, learning_rate=0.05, reward_scale=1.0, passes=2
    )
    learner = Corridor(told)
    history = learner.fit().history
    assert history[-1]["train/won"] > 0.98
    assert history[-1]["train/steps"] == 40 * 16 * 8 * 4
    torch.testing.assert_close(
        learner.table["value"].detach()[3:6], 0.99 ** torch.tensor([2.0, 1, 0]), atol=0.05, rtol=0
    )


def test_the_share_solved_is_counted_over_the_episodes_that_ended() -> None:
    rows = []
    Reinforcement(agent(), TINY, options(epochs=1, unrolls=20), seed=2, on_epoch=rows.append).fit()
    row = rows[0]
    assert 8 * 100 / 7 - 8 <= row["train/episodes"] <= 8 * 100
    assert 0 <= row["train/solved"] <= 1 and -1 <= row["train/return"] <= 11
    assert 0 < row["train/entropy"] <= np.log(4) + 1e-6


# Kill, resume, processes


def weights_of(net: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    (
        "update",
        "first",
    ),  # within an unroll, between two, at the end of an epoch; while the value learns alone
    [(2, 0), (5, 0), (7, 0), (13, 0), (15, 0), (7, 1)],
)
def test_killed_without_warning_it_goes_on_to_the_same_weights(
    tmp_path: Path, update: int, first: int
) -> None:
    whole = agent()
    told = {"held_out": sample_levels(TINY, 4, 99), "seed": 4}
    expected = Reinforcement(whole, TINY, options(value_first=first), **told).fit()

    class Kill(Reinforcement):
        updates = 0

        def step(self, unroll: Unroll) -> Tensor:
            Kill.updates += 1
            if Kill.updates == update:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(unroll)

    child = os.fork()
    if child == 0:
        try:
            alike = options(save_every=0.0, value_first=first)
            Kill(agent(), TINY, alike, directory=tmp_path, **told).fit()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    resumed = agent(5)
    outcome = Reinforcement(resumed, TINY, options(value_first=first), directory=tmp_path, **told).fit()
    assert same(weights_of(whole), weights_of(resumed))
    clocks = {"seconds", "cpu_seconds"}
    for mine, other in zip(outcome.history, expected.history, strict=True):
        assert {k: v for k, v in mine.items() if k not in clocks} == {
            k: v for k, v in other.items() if k not in clocks
        }


def trained(directory: Path | None = None, epochs: int = 3, reduction: str = "mean") -> tuple:
    net, rows = agent(), []
    told = options(epochs=epochs, reduction=reduction, max_grad_norm=0.5 if reduction == "mean" else 20.0)
    Reinforcement(net, TINY, told, seed=6, directory=directory, on_epoch=rows.append).fit()
    return weights_of(net), [
        [row[f"train/{name}"] for name in ("entropy", "baseline_loss", "episodes", "return")] for row in rows
    ]


def one_of_two(directory: Path | None, epochs: int, reduction: str) -> tuple:
    torch.set_num_threads(1)  # before anything computes: threads of OpenMP do not live on in a fork
    torch.distributed.init_process_group("gloo")
    try:
        return trained(directory, epochs, reduction)
    finally:
        torch.distributed.destroy_process_group()


def by_two(*arguments) -> dict[int, tuple]:
    two_here = LaunchConfig(
        1, 1, 2, rdzv_backend="c10d", rdzv_endpoint="localhost:0", start_method="fork", max_restarts=0
    )
    return elastic_launch(two_here, one_of_two)(*arguments)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_two_processes_with_a_share_of_the_environments_each_learn_what_one_does(reduction: str) -> None:
    two = by_two(None, 3, reduction)
    weights, told = trained(reduction=reduction)
    for rank in range(2):
        np.testing.assert_allclose(two[rank][1], told, rtol=1e-9)
        for name, values in weights.items():
            np.testing.assert_allclose(two[rank][0][name], values, atol=1e-10, err_msg=name)


def test_one_process_goes_on_with_what_two_have_begun(tmp_path: Path) -> None:
    by_two(tmp_path, 2, "mean")
    weights, _ = trained(tmp_path, 3)
    expected, _ = trained(None, 3)
    for name, values in expected.items():
        np.testing.assert_allclose(weights[name], values, atol=1e-10, err_msg=name)


# Bad input


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"environments": 0}, "environments=0"),
        ({"minibatches": 3}, "minibatches=3 .* a divisor"),
        ({"discount": 1.5}, "discount"),
        ({"c_bar": 2.0}, "c_bar=2.0 .* rho_bar or less"),
        ({"reduction": "total"}, "mean, sum"),
        ({"optimizer": "sgd"}, "adam, rmsprop"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"entropy_cost": -1.0}, "entropy_cost"),
    ],
)
def test_options_that_do_not_fit_are_refused(changes: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        options(**changes)


def test_worlds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="unroll=8 is longer than an episode of max_steps=7"):
        Reinforcement(agent(), TINY, options(unroll=8))
    with pytest.raises(InputError, match="authors' rules"):
        Reinforcement(agent(), BoxWorldSpec(rules="legacy"), options())


def test_weights_that_are_no_longer_finite_end_the_training_with_advice() -> None:
    net = agent()
    with torch.no_grad():
        net.value.bias.fill_(torch.nan)
    with pytest.raises(InputError, match=r"diverged.*lower reinforcement\.learning_rate"):
        Reinforcement(net, TINY, options()).fit()


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    Reinforcement(agent(), TINY, options(epochs=1), directory=tmp_path).fit()
    with pytest.raises(InputError, match="fingerprint"):
        Reinforcement(agent(), TINY, options(epochs=1, environments=16), directory=tmp_path).fit()
