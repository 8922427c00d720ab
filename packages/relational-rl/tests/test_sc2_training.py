"""V-trace on whole calls, in a game of one plane: how near is a move to the middle of the marked quarter of the screen?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from offprints.checkpoint import CheckpointError
from offprints.errors import InputError

from relational_rl.learner import Unroll, VTraceOptions, unroll_losses
from relational_rl.sc2 import (
    Action,
    Call,
    Environments,
    Interface,
    InvalidCall,
    Memory,
    Observation,
    SC2Agent,
    SC2Options,
    SC2Training,
    TimeStep,
    play,
)

NET = SC2Options(
    cells=4, stream=8, embedding=3, vector=[8, 8], memory=8, blocks=1, heads=1, head_dim=8, plane=8, hidden=16, head=16,
    function=4, upward=8,
)  # fmt: skip

LEARNING_UPDATES = 60


class Quarters:
    """Up to +1 for Move_screen, less by a sixteenth for each cell away from the marked quarter's middle; another one is marked at every step."""

    def __init__(self, interface: Interface, steps: int = 5, cut_off: bool = False) -> None:
        self.interface, self.steps, self.cut_off = interface, steps, cut_off
        self.seed, self.done, self.total = 0, 0, 0
        self.closed = False

    def reset(self, seed: int | None = None) -> TimeStep:
        self.seed, self.total = (self.seed, self.total) if seed is None else (seed, 0)
        self.done = 0
        return self._show(0.0)

    def step(self, call: Call | None) -> TimeStep:
        if self.done == self.steps:
            return self.reset()
        assert call is not None
        self.interface.check(call, self._available())
        paid = 0.0
        if call.function == 331:
            x, y = call.arguments[1]
            row, column = divmod(self.marked, 2)
            paid = 1 - (abs(y - 3.5 - 8 * row) + abs(x - 3.5 - 8 * column)) / 16
        self.done += 1
        return self._show(paid)

    def state(self) -> dict[str, Any]:
        names = ("seed", "done", "total", "marked", "paid")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> TimeStep:
        vars(self).update(state)
        return self._shown()

    def close(self) -> None:
        self.closed = True

    def _available(self) -> tuple[int, ...]:
        return (0, 7, 331) if self.done % 2 else (0, 331)

    def _show(self, paid: float) -> TimeStep:
        self.total += 1
        self.marked = int(np.random.Generator(np.random.Philox(key=[self.seed, self.total])).integers(4))
        self.paid = paid
        return self._shown()

    def _shown(self) -> TimeStep:
        screen = np.zeros((4, 16, 16), np.int32)
        y, x = divmod(self.marked, 2)
        screen[1, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 3
        last = self.done == self.steps
        discount = 1.0 if self.cut_off or not last else 0.0
        player = np.full(11, self.done)
        minimap = np.zeros((2, 8, 8), np.int32)
        return TimeStep(screen, minimap, player, self._available(), self.paid, discount, self.done == 0, last)


def games(interface: Interface, count: int = 4, **told) -> Environments:
    return Environments([Quarters(interface, **told) for _ in range(count)])


def options(**changes) -> VTraceOptions:
    base = {
        "epochs": 2, "environments": 4, "unroll": 7, "unrolls": 3, "minibatches": 1, "reward_scale": 1.0, "optimizer": "adam", "learning_rate": 0.003,
        "epsilon": 1e-8, "reduction": "mean", "max_grad_norm": 1.0, "baseline_cost": 0.5,
    }  # fmt: skip
    return VTraceOptions(**{**base, **changes})


def agent(interface: Interface, seed: int = 0, **changes) -> SC2Agent:
    torch.manual_seed(seed)
    return SC2Agent(interface, replace(NET, **changes))


def played(interface: Interface, net: SC2Agent, cut_off: bool = False, **told) -> tuple[SC2Training, Unroll]:
    """The second unroll, which begins in the middle of episodes."""
    training = SC2Training(net, games(interface, cut_off=cut_off), options(unroll=8, **told))
    training.act(0)
    return training, training.act(8)


def memory_of(unroll: Unroll) -> Memory:
    return Memory(*(unroll.seen[name][0] for name in Memory._fields))


@pytest.mark.parametrize("cut_off", [False, True])
def test_on_policy_the_loss_is_that_of_n_step_returns(sc2_interface: Interface, cut_off: bool) -> None:
    net = agent(sc2_interface).double()
    training, unroll = played(sc2_interface, net, cut_off, discount=0.9, reward_scale=0.5)
    seen, last = unroll.seen, unroll.truncated
    assert last.any() and seen["first"][1:].any()
    features, _ = net(Observation(*(seen[name] for name in Observation._fields)), memory_of(unroll))
    values = features.value.detach().unflatten(0, (9, 4))
    policy = baseline = entropy = 0.0
    for place in range(4):
        target = values[8, place]
        for t in range(7, -1, -1):
            if last[t, place]:  # the next episode tells nothing of this one
                target = values[t, place]
                continue
            target = 0.5 * unroll.rewards[t, place].double() + 0.9 * ~unroll.terminated[t, place] * target
            policy -= float(unroll.behaviour_logp[t, place] * (target - values[t, place]))
            baseline += 0.5 * float((target - values[t, place]) ** 2)
            row = Action(seen["function"][t, place][None], seen["arguments"][t, place][None])
            one = type(features)(*(part[4 * t + place][None] for part in features))
            entropy += float(net.score(one, row).entropy.detach())
    with torch.no_grad():
        loss = unroll_losses(training.judge(unroll), unroll, training.options)
    assert float(loss.policy) == pytest.approx(policy / 32, rel=1e-6)
    assert float(loss.baseline) == pytest.approx(baseline / 32, rel=1e-6)
    assert float(loss.entropy) == pytest.approx(entropy / 32, rel=1e-6)
    assert bool((unroll.terminated[:-1][last[1:]] != cut_off).all())  # over, or out of time


def test_the_learner_finds_the_actors_log_probabilities(sc2_interface: Interface) -> None:
    """Memory from the roll-out before, emptied at the starts of episodes within it: the ratios are 1."""
    net = agent(sc2_interface).double()
    training, unroll = played(sc2_interface, net)
    assert any(bool(part.any()) for part in memory_of(unroll))
    torch.testing.assert_close(training.judge(unroll).logp, unroll.behaviour_logp)


def test_the_call_behind_an_episodes_end_changes_nothing(sc2_interface: Interface) -> None:
    net = agent(sc2_interface).double()
    training, unroll = played(sc2_interface, net)
    last, seen = unroll.truncated, unroll.seen
    function = torch.where(last, 0, seen["function"])
    assert not torch.equal(function, seen["function"])
    other = unroll._replace(
        seen={**seen, "function": function, "arguments": seen["arguments"] * ~last[..., None]},
        behaviour_logp=torch.where(last, -3.0, unroll.behaviour_logp),
    )
    found = []
    for case in (unroll, other):
        net.zero_grad()
        parts = unroll_losses(training.judge(case), case, training.options)
        (parts.policy + parts.baseline - parts.entropy).backward()
        found.append([*parts, *(weights.grad.clone() for weights in net.parameters())])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_an_agent_learns_better_than_any_policy_that_does_not_look(sc2_interface: Interface) -> None:
    """The best point that does not depend on the mark is 8 cells away from it on average: half a point for each of 5 steps."""
    net = agent(sc2_interface)
    environments, trying = games(sc2_interface, 32), games(sc2_interface, 8)
    random = play(None, trying, 80, seed=10**6).metrics()["return"]
    assert 0.5 < random < 1.5
    told = options(
        epochs=4,
        environments=32,
        unroll=4,
        unrolls=LEARNING_UPDATES // 4,
        learning_rate=0.01,
        entropy_cost=0.001,
        discount=0.0,
        evaluate_every=2,
        max_grad_norm=40.0,
    )
    training = SC2Training(net, environments, told, validation=games(sc2_interface, 8), valid_episodes=16)
    outcome = training.fit()
    assert play(net, trying, 40, seed=10**6).metrics()["return"] > 2.8
    assert outcome.best["return"] == max(
        row["valid/return"] for row in outcome.history if "valid/return" in row
    )
    assert outcome.history[-1]["train/return"] > outcome.history[0]["train/return"]


@pytest.mark.parametrize("passes", [1, 2])
def test_a_killed_training_goes_on_to_the_same_weights(
    sc2_interface: Interface, tmp_path, passes: int
) -> None:
    told = options(passes=passes, minibatches=2, save_every=0.0)
    whole = SC2Training(agent(sc2_interface), games(sc2_interface), told, seed=3)
    expected = whole.fit()

    class Killed(Exception):
        """What stops the training."""

    class Kill(SC2Training):
        updates = 0

        def step(self, batch):
            if self.updates == self.num_batches + 1:  # in the second epoch, behind its first update
                raise Killed
            self.updates += 1
            return super().step(batch)

    with pytest.raises(Killed):
        Kill(agent(sc2_interface), games(sc2_interface), told, seed=3, directory=tmp_path).fit()
    resumed = SC2Training(agent(sc2_interface, 5), games(sc2_interface), told, seed=3, directory=tmp_path)
    found = resumed.fit()
    for a, b in zip(whole.agent.parameters(), resumed.agent.parameters(), strict=True):
        assert torch.equal(a, b)
    told_of = [[row["train/loss"], row["train/episodes"]] for row in (*expected.history, *found.history)]
    assert told_of[:2] == told_of[2:]


def test_a_game_that_cannot_be_stored_begins_anew_after_a_kill(sc2_interface: Interface, tmp_path) -> None:
    class Game(Quarters):
        def state(self):
            return None

    def made() -> Environments:
        return Environments([Game(sc2_interface) for _ in range(4)])

    SC2Training(agent(sc2_interface), made(), options(epochs=1), directory=tmp_path).fit()
    training = SC2Training(agent(sc2_interface, 5), made(), options(epochs=2), directory=tmp_path)
    assert training.resume() == 1
    assert bool(training.answer.seen.first.all()) and not any(bool(part.any()) for part in training.memory)
    assert training.fit().epochs == 2


def test_threads_answer_as_one_after_the_other(sc2_interface: Interface) -> None:
    net, found = agent(sc2_interface), []
    for threads in (False, True):
        environments = Environments([Quarters(sc2_interface) for _ in range(5)], threads=threads)
        found.append(play(net, environments, 10, seed=4))
        environments.close()
        assert all(environment.closed for environment in environments.environments)
    assert np.array_equal(found[0].returns, found[1].returns) and np.array_equal(
        found[0].calls, found[1].calls
    )


def test_as_many_episodes_of_each_environment_are_counted(sc2_interface: Interface) -> None:
    """One is three times as long as the others: of the first episodes to end it would have hardly any."""
    lengths = [3, 3, 9]
    environments = Environments([Quarters(sc2_interface, steps) for steps in lengths])
    episodes = play(None, environments, 6, seed=0)
    assert sorted(episodes.steps.tolist()) == [3, 3, 3, 3, 9, 9]
    assert episodes.calls.sum() >= 30


def test_a_wrong_call_is_refused_before_it_is_sent(sc2_interface: Interface) -> None:
    environments = games(sc2_interface, 1)
    environments.reset(0)
    with pytest.raises(InvalidCall, match="select_army.*not available"):
        environments.step(Action(torch.tensor([4]), torch.zeros(1, 6, dtype=torch.int64)))


def test_other_environments_than_the_options_ask_for_are_refused(sc2_interface: Interface) -> None:
    with pytest.raises(InputError, match="environments=4, but 3"):
        SC2Training(agent(sc2_interface), games(sc2_interface, 3), options())


def test_a_checkpoint_of_another_world_or_network_is_refused(sc2_interface: Interface, tmp_path) -> None:
    told = {"directory": tmp_path, "world": "one"}
    SC2Training(agent(sc2_interface), games(sc2_interface), options(epochs=1), **told).fit()
    with pytest.raises(CheckpointError, match="other data or another model"):
        SC2Training(agent(sc2_interface), games(sc2_interface), options(), **{**told, "world": "two"}).fit()
    with pytest.raises(CheckpointError, match="other data or another model"):
        SC2Training(agent(sc2_interface, hidden=8), games(sc2_interface), options(), **told).fit()


@pytest.mark.parametrize(
    "name, value",
    [
        ("environments", 0),
        ("unroll", 0),
        ("passes", 0),
        ("discount", 1.1),
        ("c_bar", 1.5),
        ("reduction", "max"),
        ("optimizer", "sgd"),
        ("reward_scale", 0.0),
        ("entropy_cost", -1.0),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        options(**{name: value})
