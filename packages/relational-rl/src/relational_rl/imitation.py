"""Learning to act from the planner: cross-entropy on the set of optimal moves, on states that the planner and the learner visit.

A reinforcement learner needs hundreds of millions of steps on Box-World before it does better than chance. A planner's labels show
within a minute whether a network can express and generalise the solution, which is what the relational block is about.
The levels are fresh throughout: none is seen twice, and held-out ones are of other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.training import EpochLoop, LoopOptions

from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.oracle import Oracle
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.vector import BoxWorldVectorEnv
from relational_rl.evaluation import sampled, validation
from relational_rl.nets import Agent


@dataclass
class ImitationOptions(LoopOptions):
    """How to learn from the planner; an epoch is one roll-out of all environments, learnt from once.

    Attributes:
        environments: played side by side.
        rollout: steps of each environment in an epoch; an epoch has environments * rollout states.
        batch_size: states of an update.
        random_share: share of the moves that are random, so that states off the shortest way are seen.
        learner_share: share of the environments whose moves are the learner's own, labelled by the planner all the same.
        object_cost: weight of a second question, by a layer that training alone has: which entity shows the thing to step on next.
            It tells the trunk about objects where the moves tell of it only through the pool; 0 leaves it out.
        max_grad_norm: gradients are scaled down to this norm.

    Source: relabelling of the learner's own states: Ross, Gordon and Bagnell 2011 (DAgger).
    """

    epochs: int = 30
    learning_rate: float = 0.002
    schedule: str = "cosine"
    evaluate_every: int = 5
    environments: int = 512
    rollout: int = 8
    batch_size: int = 64
    random_share: float = 0.15
    learner_share: float = 0.5
    object_cost: float = 0.5
    max_grad_norm: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("environments", self.environments >= 1, "1 or more"),
            ("rollout", self.rollout >= 1, "1 or more"),
            (
                "batch_size",
                1 <= self.batch_size <= self.environments * self.rollout,
                "1 to the states of an epoch",
            ),
            ("random_share", 0 <= self.random_share <= 1, "0 to 1"),
            ("learner_share", 0 <= self.learner_share <= 1, "0 to 1"),
            ("object_cost", self.object_cost >= 0, "0 or more"),
            ("max_grad_norm", self.max_grad_norm > 0, "positive"),
        )


def imitation_loss(logits: Tensor, optimal: Tensor) -> Tensor:
    """Minus the log-probability that the policy plays one of the optimal moves, mean over states.

    Args:
        logits: (B, 4) of the policy.
        optimal: (B, 4) bool, at least one true in each row.
    """
    logp = logits.log_softmax(-1).masked_fill(~optimal, -torch.inf)
    return -logp.logsumexp(-1).mean()


class Labelled(NamedTuple):
    """States and what the planner says of them.

    Attributes:
        frames: (B, side, side, 3) uint8.
        optimal: (B, 4) bool, the moves with which a shortest solution goes on.
        objects: (B,) int64, the cell of the board that has to be stepped on next.
    """

    frames: Tensor
    optimal: Tensor
    objects: Tensor

    def rows(self, which: Tensor, device: torch.device) -> Labelled:
        """Some of them, on a device."""
        return Labelled(*(tensor[which].to(device) for tensor in self))


class Imitation(EpochLoop[Labelled]):
    """Trains an agent on the planner's moves.

    Args:
        agent: trained in place; on its device.
        spec: of the levels to learn on; the authors' rules.
        options: how.
        held_out: levels to choose the epoch by; None keeps the last epoch.
        seed: of levels, moves and order.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which an update runs, so that an interrupt comes between two.

    Raises:
        InputError: the rules are not the authors': the planner knows no others.
    """

    advice = ", or a smaller training.max_grad_norm"

    def __init__(
        self,
        agent: Agent,
        spec: BoxWorldSpec,
        options: ImitationOptions | None = None,
        *,
        held_out: Levels | None = None,
        seed: int = 0,
        directory: Path | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        options = options or ImitationOptions()
        if spec.rules != "authors":
            raise InputError(f"the planner knows the authors' rules only, not rules={spec.rules}")
        self.agent, self.told, self.seed = agent, options, seed
        self.device = next(agent.parameters()).device
        self.env = BoxWorldVectorEnv(options.environments, spec, "SameStep", copy=False)
        self.env.reset(seed=seed)
        self.oracle = Oracle(self.env.boards)
        self.order = torch.Generator().manual_seed(seed)
        self.labelled = Labelled(*(torch.empty(0) for _ in range(3)))
        self.pointer = nn.Linear(agent.stem.width, 1).to(self.device)
        nn.init.zeros_(self.pointer.weight)  # nothing is drawn for it: the agent is the same with and without
        nn.init.zeros_(self.pointer.bias)
        self.learnt = [*agent.parameters(), *self.pointer.parameters()]
        made_of = taught_on(spec, agent, options, seed)
        kept = None if directory is None else Checkpoints(directory, "relational-rl", made_of)

        super().__init__(
            agent,
            torch.optim.Adam(self.learnt, options.learning_rate),
            options,
            order=self.order,
            seed=seed,
            validate=None if held_out is None else lambda: validation(agent, spec, held_out, seed),
            select="solved",
            checkpoints=kept,
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return self.told.environments * self.told.rollout // self.told.batch_size

    def batches(self, done: int) -> Iterator[Labelled]:
        order = torch.randperm(self.told.environments * self.told.rollout, generator=self.order)
        if done == 0:  # within an epoch the states are those that the checkpoint kept
            self._roll_out(self.outcome.epochs)
        for rows in order.split(self.told.batch_size)[done : self.num_batches]:
            yield self.labelled.rows(rows, self.device)

    def step(self, batch: Labelled) -> Tensor:
        entities = self.agent.entities(batch.frames)
        loss = imitation_loss(self.agent.decide(entities)[0], batch.optimal)
        if self.told.object_cost:
            asked = self.agent.stem.entity_of(batch.objects, batch.frames.shape[1])
            loss = loss + self.told.object_cost * F.cross_entropy(self.pointer(entities)[..., 0], asked)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learnt, self.told.max_grad_norm)
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        env = {
            name: torch.from_numpy(array.view(np.int64) if name == "streams" else array)
            for name, array in self.env.get_state().items()
        }
        return {"env": env, "labelled": list(self.labelled), "pointer": self.pointer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        env = {name: tensor.numpy() for name, tensor in state["env"].items()}
        env["streams"] = env["streams"].view(np.uint64)
        self.env.set_state(env)
        self.labelled = Labelled(*state["labelled"])
        self.pointer.load_state_dict(state["pointer"])

    @torch.no_grad()
    def _roll_out(self, epoch: int) -> None:
        """Play `rollout` steps of every environment; the moves are a function of seed, epoch and weights."""
        told, env = self.told, self.env
        draws = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        policy = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        learners = round(told.learner_share * told.environments)
        frames, optimal, objects = [], [], []
        self.agent.eval()
        obs = env.boards.frames.reshape(told.environments, env.world.side, env.world.side, 3)
        for _ in range(told.rollout):
            best, target = self.oracle.labels()
            frames.append(torch.from_numpy(obs.copy()))
            optimal.append(torch.from_numpy(best))
            objects.append(torch.from_numpy(target))
            # One of the optimal moves, each as likely, so that no direction is preferred.
            actions = (best * (1 + draws.random(best.shape))).argmax(1)
            if learners:
                logits = self.agent(frames[-1][:learners].to(self.device))[0]
                actions[:learners] = sampled(logits.float().cpu(), policy).numpy()
            wander = draws.random(told.environments) < told.random_share
            actions = np.where(wander, draws.integers(0, 4, told.environments), actions)
            env.step(actions)
        self.agent.train()
        self.labelled = Labelled(torch.cat(frames), torch.cat(optimal), torch.cat(objects))


def taught_on(spec: BoxWorldSpec, agent: Agent, options: ImitationOptions, seed: int) -> str:
    """What a checkpoint must be of to go on from it."""
    return fingerprint(spec=repr(spec), model=repr(agent.options), seed=seed, states=options.environments)
