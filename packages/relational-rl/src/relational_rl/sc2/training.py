"""V-trace on whole calls: how several environments are played, and what an agent makes of what was played.

The learner goes through an unroll again from the memory that the actor began it with. An episode's last observation is part of the sequence,
as in DeepMind's environments, and the call behind it counts for nothing: its row stands for its value alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.gpu import processes

from relational_rl.learner import Judgement, Unroll, VTraceLearner, VTraceOptions
from relational_rl.sc2.environments import Environments
from relational_rl.sc2.memory import Memory
from relational_rl.sc2.nets import Features, SC2Agent
from relational_rl.sc2.observations import Action, Observation, stacked
from relational_rl.sc2.playing import play

KIND = "relational-rl sc2"
"""What a checkpoint says it is of."""

CHOOSING = 2**33
"""Seeds of the episodes that the epoch is chosen by; those of training are below 2^32."""


def published_training() -> VTraceOptions:
    """How the paper's agents are reported to have been trained; it swept the entropy cost from 1e-3 to 1e-1."""
    return VTraceOptions(
        learning_rate=0.0001,
        evaluate_every=0,
        environments=32,
        unroll=80,
        minibatches=1,
        reward_scale=1.0,
        baseline_cost=0.1,
        entropy_cost=0.01,
        reduction="sum",
        optimizer="rmsprop",
        epsilon=0.1,
        max_grad_norm=100.0,
    )


class SC2Training(VTraceLearner):
    """Trains an agent by V-trace.

    A killed training of environments that can be stored goes on to the same weights. Games cannot be: after a kill they begin new episodes, with
    the weights and the optimiser as they were.

    Args:
        agent: trained in place; on its device.
        environments: to learn in, as many as the options say.
        options: how; None is `published_training`.
        validation: environments to choose the epoch by; None keeps the last epoch.
        valid_episodes: episodes played there each time.
        world: what the environments are, for the checkpoint to belong to.
        seed: of the actions, and of the episodes where environments can be seeded.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which an update runs, so that an interrupt comes between two.

    Raises:
        InputError: it was started as several processes; there are more or fewer environments than the options say.
    """

    options_at = "sc2.training"
    memory: Memory

    def __init__(
        self,
        agent: SC2Agent,
        environments: Environments,
        options: VTraceOptions | None = None,
        *,
        validation: Environments | None = None,
        valid_episodes: int = 16,
        world: str = "",
        seed: int = 0,
        directory: Path | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        if processes() > 1:
            raise InputError(
                "StarCraft II is trained by one process with several environments, not under torchrun"
            )
        options = options or published_training()
        if len(environments) != options.environments:
            raise InputError(f"environments={options.environments}, but {len(environments)} were given")

        def validate() -> dict[str, float]:
            assert validation is not None
            return {"return": play(agent, validation, valid_episodes, CHOOSING + seed).metrics()["return"]}

        super().__init__(
            agent,
            options,
            value_parameters=agent.value.parameters(),
            seed=seed,
            validate=None if validation is None else validate,
            select="return",
            checkpoints=None if directory is None else Checkpoints(directory, KIND, made_of(agent, world)),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )
        self.agent, self.environments, self.seed = agent, environments, seed
        self.answer = environments.reset(seed)
        self._begin()

    @torch.no_grad()
    def act(self, first: int) -> Unroll:
        key = np.random.SeedSequence([self.seed, first]).generate_state(1, np.uint64)
        draws = torch.Generator(self.device).manual_seed(int(key[0]))
        began = self.memory
        seen, actions, log_probs, answers = [], [], [], []
        for _ in range(self.options.unroll):
            seen.append(self.answer.seen.to(self.device))
            action, log_prob, self.memory = self.agent.act(seen[-1], self.memory, draws)
            answers.append((self.answer.last, *self._step(action)))
            actions.append(action)
            log_probs.append(log_prob)
        seen.append(self.answer.seen.to(self.device))
        last, rewards, discounts = (
            torch.stack(parts).to(self.device) for parts in zip(*answers, strict=True)
        )
        return Unroll(
            {
                **stacked(seen)._asdict(),
                **Action(*map(torch.stack, zip(*actions, strict=True)))._asdict(),
                **{name: part[None] for name, part in began._asdict().items()},
            },
            torch.stack(log_probs),
            rewards,
            terminated=(discounts == 0) & ~last,
            truncated=last,
        )

    def judge(self, unroll: Unroll) -> Judgement:
        steps, seen = unroll.rewards.shape, unroll.seen
        memory = Memory(*(seen[name][0] for name in Memory._fields))
        features, _ = self.agent(Observation(*(seen[name] for name in Observation._fields)), memory)
        values = features.value.unflatten(0, (steps[0] + 1, steps[1]))
        acted = Features(*(part[: steps.numel()] for part in features))  # without what the last step led to
        action = Action(*(seen[name].flatten(0, 1) for name in Action._fields))
        scored = self.agent.score(acted, action)
        # At an episode's last observation nothing is to be learnt. Its value counts there as what was to come, for a reward of 0: so V-trace's
        # target is that value, and the advantage of the call behind it is 0.
        return Judgement(
            logp=scored.log_prob.unflatten(0, steps),
            entropy=scored.entropy.unflatten(0, steps) * ~unroll.truncated,
            values=values[:-1],
            bootstrap=values[-1],
            cut=values[:-1],
        )

    def actors(self) -> dict[str, Tensor]:
        return {**self.memory._asdict(), "returns": self._returns.clone()}

    def set_actors(self, state: dict[str, Tensor]) -> None:
        self.memory = Memory(*(state[name] for name in Memory._fields))
        self._returns = state["returns"]

    def state(self) -> dict[str, Any]:
        return super().state() | {"games": self.environments.state()}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.answer = self.environments.restore(state["games"])
        if state["games"] is None:
            self._begin()

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        """Of the episodes that ended in the epoch: how many, and their mean return (unscaled)."""
        episodes = sums.get("episodes", 0.0)
        told = {"episodes": episodes} | ({"return": sums["returns"] / episodes} if episodes else {})
        return super().summary(sums) | told

    def _begin(self) -> None:
        """Nothing is remembered, and nothing was gained yet."""
        self.memory = self.agent.start(len(self.environments))
        self._returns = torch.zeros(len(self.environments), device=self.device)

    def _step(self, action: Action) -> tuple[Tensor, Tensor]:
        """Rewards of the action, and discounts behind it."""
        self.answer = answer = self.environments.step(action)
        over = answer.last.to(self.device)
        self._returns += answer.reward.to(self.device)
        self.count(episodes=over.sum(), returns=(self._returns * over).sum())
        self._returns *= ~over
        return answer.reward, answer.discount


def made_of(agent: SC2Agent, world: str) -> str:
    """What a checkpoint must be of: the network, what it is built from, and the environments."""
    return fingerprint(model=repr(agent.options), interface=repr(agent.interface), world=world)
