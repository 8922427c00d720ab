"""V-trace on whole calls: roll-outs of several environments, and the memory that each began with.

An epoch is a number of roll-outs, each learnt from once or several times; with the first, the policy that acted is the one that learns, and
with the others V-trace weighs the difference. The learner goes through a roll-out again from the memory that the actor began it with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.gpu import processes
from offprints.training import EpochLoop, LoopOptions

from relational_rl.sc2.environments import Environments
from relational_rl.sc2.memory import Memory
from relational_rl.sc2.nets import SC2Agent
from relational_rl.sc2.observations import Action, Observation, stacked
from relational_rl.sc2.playing import play
from relational_rl.vtrace import ActorCriticLoss, vtrace

KIND = "relational-rl sc2"
"""What a checkpoint says it is of."""

CHOOSING = 2**33
"""Seeds of the episodes that the epoch is chosen by; those of training are below 2^32."""


@dataclass
class SC2TrainingOptions(LoopOptions):
    """How to learn by V-trace; an epoch is so many roll-outs of all environments.

    Attributes:
        environments: played side by side.
        unroll: steps of a roll-out.
        rollouts: roll-outs of an epoch.
        reuse: updates from each roll-out.
        discount: gamma.
        reward_scale: rewards are multiplied by it.
        entropy_cost: weight of the policy's entropy.
        baseline_cost: weight of the values' squared error.
        rho_bar: bound of V-trace's ratios in temporal differences and in the policy's gradient.
        c_bar: bound of V-trace's ratios that carry differences back.
        reduction: sum or mean of the loss over steps and environments; a learning rate is tuned for one of them.
        optimizer: rmsprop or adam.
        epsilon: of the optimiser; with rmsprop, IMPALA's 0.1 is large beside gradients of a mean.
        max_grad_norm: gradients are scaled down to this norm.

    Source: reported for the paper's runs: discount 0.99, unroll 80, batch 32, RMSProp with epsilon 0.1, baseline cost 0.1, norm 100, learning
    rate about 1e-4, entropy cost swept from 1e-3 to 1e-1.
    """

    epochs: int = 100
    learning_rate: float = 0.0001
    evaluate_every: int = 0
    environments: int = 32
    unroll: int = 80
    rollouts: int = 10
    reuse: int = 1
    discount: float = 0.99
    reward_scale: float = 1.0
    entropy_cost: float = 0.01
    baseline_cost: float = 0.1
    rho_bar: float = 1.0
    c_bar: float = 1.0
    reduction: str = "sum"
    optimizer: str = "rmsprop"
    epsilon: float = 0.1
    max_grad_norm: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("environments", self.environments >= 1, "1 or more"),
            ("unroll", self.unroll >= 1, "1 or more"),
            ("rollouts", self.rollouts >= 1, "1 or more"),
            ("reuse", self.reuse >= 1, "1 or more"),
            ("discount", 0 <= self.discount <= 1, "0 to 1"),
            ("reward_scale", 0 < self.reward_scale < math.inf, "positive"),
            ("entropy_cost", self.entropy_cost >= 0, "0 or more"),
            ("baseline_cost", self.baseline_cost >= 0, "0 or more"),
            ("rho_bar", self.rho_bar >= self.c_bar, "c_bar or more, or V-trace need not converge"),
            ("c_bar", self.c_bar > 0, "positive"),
            ("reduction", self.reduction in ("sum", "mean"), "sum or mean"),
            ("optimizer", self.optimizer in ("rmsprop", "adam"), "rmsprop or adam"),
            ("epsilon", self.epsilon > 0, "positive"),
            ("max_grad_norm", self.max_grad_norm > 0, "positive"),
        )


class Rollout(NamedTuple):
    """T steps of B environments.

    Attributes:
        seen: (T + 1, B), the observation after the last step included.
        memory: the actor's, before the first step.
        action: (T, B).
        log_prob: (T, B) of the policy that acted.
        reward: (T, B) of the actions.
        discount: (T, B) behind them, 0 where the game was over or the next episode begins.
        last: (T, B) bool, an episode's last observation: its action was ignored.
    """

    seen: Observation
    memory: Memory
    action: Action
    log_prob: Tensor
    reward: Tensor
    discount: Tensor
    last: Tensor


def rollout_loss(agent: SC2Agent, rollout: Rollout, options: SC2TrainingOptions) -> ActorCriticLoss:
    """The three parts of the loss, summed over the steps whose action counted.

    Args:
        agent: that learns.
        rollout: of this or an earlier policy.
        options: discount, bounds and the rewards' scale.
    """
    steps = rollout.reward.shape
    features, _ = agent(rollout.seen, rollout.memory)
    values = features.value.unflatten(0, (steps[0] + 1, steps[1]))
    acted = type(features)(
        *(part[: rollout.reward.numel()] for part in features)
    )  # without the step after the last
    scored = agent.score(
        acted, Action(rollout.action.function.flatten(), rollout.action.arguments.flatten(0, 1))
    )
    log_prob, entropy = scored.log_prob.unflatten(0, steps), scored.entropy.unflatten(0, steps)
    # An episode's last observation stands for its value alone. With this reward, and the discount of 0 behind it, the target of that value
    # is the value itself and the advantage of the ignored action is 0.
    fixed = values[:-1].detach()
    reward = torch.where(rollout.last, fixed, options.reward_scale * rollout.reward)
    targets = vtrace(
        torch.where(rollout.last, log_prob.detach(), rollout.log_prob),
        log_prob.detach(),
        reward,
        options.discount * rollout.discount,
        fixed,
        values[-1].detach(),
        options.rho_bar,
        options.c_bar,
        options.rho_bar,
    )
    return ActorCriticLoss(
        policy=-(log_prob * targets.pg_advantages).sum(),
        baseline=0.5 * (targets.vs - values[:-1]).square().sum(),
        entropy=torch.where(rollout.last, 0.0, entropy).sum(),
    )


class SC2Training(EpochLoop[Rollout]):
    """Trains an agent by V-trace.

    A killed training of environments that can be stored goes on to the same weights. Games cannot be: after a kill they begin new episodes, with
    the weights, the optimiser and the numbers drawn as they were.

    Args:
        agent: trained in place; on its device.
        environments: to learn in.
        options: how.
        validation: environments to choose the epoch by; None keeps the last epoch.
        valid_episodes: episodes played there each time.
        world: what the environments are, for the checkpoint to belong to.
        seed: of the actions, and of the episodes where environments can be seeded.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which an update runs, so that an interrupt comes between two.

    Raises:
        InputError: it was started as several processes.
    """

    advice = ", or a smaller sc2.training.max_grad_norm"

    def __init__(
        self,
        agent: SC2Agent,
        environments: Environments,
        options: SC2TrainingOptions | None = None,
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
        self.agent, self.environments, self.told = agent, environments, options or SC2TrainingOptions()
        self.device = next(agent.parameters()).device
        self.draws = torch.Generator(self.device).manual_seed(seed)
        self.memory = agent.start(len(environments))
        self.answer = environments.reset(seed)
        self.gained = torch.zeros(len(environments))
        self.ended: list[float] = []  # returns of the episodes that ended in this epoch
        self.rollout: Rollout | None = None
        self.tell = on_epoch or (lambda row: None)
        kept = None if directory is None else Checkpoints(directory, KIND, made_of(agent, world))
        super().__init__(
            agent,
            optimizer_of(agent, self.told),
            self.told,
            seed=seed,
            validate=None if validation is None else lambda: self._validate(validation, valid_episodes, seed),
            select="return",
            checkpoints=kept,
            on_epoch=self._tell,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return self.told.rollouts * self.told.reuse

    def batches(self, done: int) -> Iterator[Rollout]:
        for update in range(done, self.num_batches):
            if update % self.told.reuse == 0 or self.rollout is None:
                self.rollout = self._play()
            yield self.rollout

    def step(self, batch: Rollout) -> Tensor:
        told = self.told
        parts = rollout_loss(self.agent, batch, told)
        loss = parts.policy + told.baseline_cost * parts.baseline - told.entropy_cost * parts.entropy
        if told.reduction == "mean":
            loss = loss / batch.reward.numel()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.agent.parameters(), told.max_grad_norm)
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        games = self.environments.state()
        return {
            "draws": self.draws.get_state(),
            "games": games,
            "memory": tuple(self.memory),
            "gained": self.gained,
            "ended": self.ended,
            # Only a roll-out that is still to be learnt from: it is most of the file.
            "rollout": _plain(self.rollout) if self.done_batches % self.told.reuse else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.draws.set_state(state["draws"])
        self.answer = self.environments.restore(state["games"])
        self.ended = state["ended"]
        if state["games"] is not None:
            self.memory = Memory(*(part.to(self.device) for part in state["memory"]))
            self.gained = state["gained"]
        self.rollout = None if state["rollout"] is None else _rollout(state["rollout"], self.device)

    @torch.no_grad()
    def _play(self) -> Rollout:
        """T steps with the weights as they are."""
        began = self.memory
        seen, functions, arguments, log_probs = [], [], [], []
        rewards, discounts, lasts = [], [], []
        for _ in range(self.told.unroll):
            observed = self.answer.seen.to(self.device)
            action, log_prob, self.memory = self.agent.act(observed, self.memory, self.draws)
            seen.append(observed)
            lasts.append(self.answer.last)
            self.answer = self.environments.step(action)
            functions.append(action.function)
            arguments.append(action.arguments)
            log_probs.append(log_prob)
            rewards.append(self.answer.reward)
            discounts.append(self.answer.discount)
            self.gained += self.answer.reward
            for place in self.answer.last.nonzero()[:, 0].tolist():
                self.ended.append(float(self.gained[place]))
                self.gained[place] = 0.0
        seen.append(self.answer.seen.to(self.device))
        return Rollout(
            stacked(seen),
            began,
            Action(torch.stack(functions), torch.stack(arguments)),
            torch.stack(log_probs),
            *(torch.stack(parts).to(self.device) for parts in (rewards, discounts, lasts)),
        )

    def _validate(self, validation: Environments, episodes: int, seed: int) -> dict[str, float]:
        return {"return": play(self.agent, validation, episodes, CHOOSING + seed).metrics()["return"]}

    def _tell(self, row: dict[str, float]) -> None:
        row["train/episodes"] = float(len(self.ended))
        if self.ended:
            row["train/return"] = sum(self.ended) / len(self.ended)
        self.ended = []
        self.tell(row)


def optimizer_of(agent: SC2Agent, options: SC2TrainingOptions) -> torch.optim.Optimizer:
    """RMSProp without momentum and with a decay of 0.99, as IMPALA's, or Adam."""
    parameters = agent.parameters()
    if options.optimizer == "adam":
        return torch.optim.Adam(parameters, options.learning_rate, eps=options.epsilon)
    return torch.optim.RMSprop(parameters, options.learning_rate, alpha=0.99, eps=options.epsilon)


def made_of(agent: SC2Agent, world: str) -> str:
    """What a checkpoint must be of: the network, what it is built from, and the environments."""
    return fingerprint(model=repr(agent.options), interface=repr(agent.interface), world=world)


def _plain(rollout: Rollout | None) -> dict[str, Any] | None:
    """As tensors in plain tuples: a checkpoint holds no classes."""
    if rollout is None:
        return None
    return {
        name: tuple(value) if isinstance(value, tuple) else value for name, value in rollout._asdict().items()
    }


def _rollout(kept: dict[str, Any], device: torch.device) -> Rollout:
    def moved(value: Any) -> Any:
        return tuple(part.to(device) for part in value) if isinstance(value, tuple) else value.to(device)

    kept = {name: moved(value) for name, value in kept.items()}
    kinds = {"seen": Observation, "memory": Memory, "action": Action}
    return Rollout(**{name: kinds[name](*value) if name in kinds else value for name, value in kept.items()})
