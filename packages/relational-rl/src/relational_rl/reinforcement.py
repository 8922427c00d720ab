"""Reinforcement learning on Box-World by V-trace: environment, actor and learner on one device, no queue and no copy between them."""

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

from relational_rl.boxworld.counter import stream_keys, uniforms
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.torch_env import TorchBoxWorld
from relational_rl.evaluation import validation
from relational_rl.learner import Judgement, Unroll, VTraceLearner, VTraceOptions
from relational_rl.nets import Agent

_ACTING = 2**63
"""Added to the seed for the draws of actions, so that levels and moves have nothing in common."""


class Reinforcement(VTraceLearner):
    """Trains an agent by playing Box-World.

    Level k of environment i and the draws of its actions are functions of the seed and i, so that what is learnt does not depend
    on how many processes share the environments.

    Args:
        agent: trained in place; on its device, the same in every process.
        spec: of the levels to play; the authors' rules.
        options: how.
        held_out: levels to choose the epoch by; None keeps the last epoch.
        seed: of levels and actions.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        autocast: context in which the agent plays and judges, for lower precision on a GPU; None leaves the precision alone.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which an update runs, so that an interrupt comes between two.

    Raises:
        InputError: the rules are not the authors'; an unroll is longer than an episode; the environments cannot be shared out.
    """

    options_at = "reinforcement"

    def __init__(
        self,
        agent: Agent,
        spec: BoxWorldSpec,
        options: VTraceOptions | None = None,
        *,
        held_out: Levels | None = None,
        seed: int = 0,
        directory: Path | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        options = options or VTraceOptions()
        if spec.rules != "authors":
            raise InputError(f"training plays by the authors' rules only, not rules={spec.rules}")
        if options.unroll > spec.last_step:  # an unroll then cuts off at most one episode of an environment
            raise InputError(
                f"unroll={options.unroll} is longer than an episode of max_steps={spec.max_steps}"
            )
        self.agent, self.seed = agent, seed

        super().__init__(
            agent,
            options,
            value_parameters=agent.value.parameters(),
            autocast=autocast,
            validate=None if held_out is None else lambda: validation(agent, spec, held_out, seed),
            select="solved",
            checkpoints=None
            if directory is None
            else Checkpoints(directory, "relational-rl", played_on(spec, agent, options, seed)),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )
        self.env = TorchBoxWorld(self.share, spec, self.device, first_index=self.first_index)
        self.env.reset(seed)
        index = np.arange(self.first_index, self.first_index + self.share)
        self._streams = stream_keys((seed + _ACTING) % 2**64, index)
        self._returns = torch.zeros(self.share, device=self.device)

    @torch.no_grad()
    def act(self, first: int) -> Unroll:
        steps, env = self.options.unroll, self.env
        side, device = env.world.side, self.device
        draws = torch.from_numpy(uniforms(self._streams, first, steps)).to(device)
        # The frames before each step, the one after the last, and the last one of the episode that was cut off, where one was.
        frames = torch.empty(steps + 2, self.share, side, side, 3, dtype=torch.uint8, device=device)
        frames[0] = frames[-1] = env.observation()
        actions = torch.empty(steps, self.share, dtype=torch.int64, device=device)
        logps, rewards = (torch.empty(steps, self.share, device=device) for _ in range(2))
        terminated, truncated = (
            torch.empty(steps, self.share, dtype=torch.bool, device=device) for _ in range(2)
        )
        for t in range(steps):
            with self.autocast():
                logits = self.agent(frames[t])[0]
            logp = _exact(logits).log_softmax(-1)
            actions[t] = drawn(logp.exp(), draws[t])
            logps[t] = logp.gather(1, actions[t][:, None])[:, 0]
            step = env.step(actions[t])
            frames[t + 1] = step.obs
            rewards[t], terminated[t], truncated[t] = step.reward, step.terminated, step.truncated
            cut = step.truncated[step.ended][:, None, None, None]
            frames[-1, step.ended] = torch.where(cut, step.final_obs, frames[-1, step.ended])
            self._count_episodes(step.reward, step.terminated | step.truncated, step.solved)
        seen = {"frames": frames, "actions": actions}
        return Unroll(seen, logps, rewards, terminated, truncated)

    def judge(self, unroll: Unroll) -> Judgement:
        frames, actions = unroll.seen["frames"], unroll.seen["actions"]
        logits, values = (
            _exact(part).unflatten(0, frames.shape[:2]) for part in self.agent(frames.flatten(0, 1))
        )
        logp = logits[:-2].log_softmax(-1)  # of the frames that an action was taken in
        return Judgement(
            logp=logp.gather(-1, actions[..., None])[..., 0],
            entropy=-(logp.exp() * logp).sum(-1),
            values=values[:-2],
            bootstrap=values[-2],
            cut=self.options.discount * values[-1],
        )

    def actors(self) -> dict[str, Tensor]:
        return self.env.get_state() | {"returns": self._returns.clone()}

    def set_actors(self, state: dict[str, Tensor]) -> None:
        self.env.set_state(state)
        self._returns.copy_(state["returns"])

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        """Of the episodes that ended in the epoch: how many, the share solved, the mean return (unscaled)."""
        episodes = sums.get("episodes", 0.0)
        told = {"episodes": episodes}
        if episodes:
            told |= {"solved": sums["solved"] / episodes, "return": sums["returns"] / episodes}
        return super().summary(sums) | told

    def _count_episodes(self, reward: Tensor, over: Tensor, solved: Tensor) -> None:
        self._returns += reward
        self.count(episodes=over.sum(), solved=solved.sum(), returns=(self._returns * over).sum())
        self._returns *= ~over


def drawn(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """(B,) actions of a policy (B, A), by inverting its distribution at numbers (B,) in [0, 1)."""
    above = uniform[:, None] >= probabilities.cumsum(-1)
    return above.sum(-1).clamp(max=probabilities.shape[-1] - 1)  # a sum may fall short of 1 by rounding


def played_on(spec: BoxWorldSpec, agent: Agent, options: VTraceOptions, seed: int) -> str:
    """What a checkpoint must be of to go on from it."""
    return fingerprint(
        spec=repr(spec),
        model=repr(agent.options),
        seed=seed,
        environments=options.environments,
        unroll=options.unroll,
    )


def _exact(numbers: Tensor) -> Tensor:
    """In single precision at least: a softmax in half of it loses what V-trace compares."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))
