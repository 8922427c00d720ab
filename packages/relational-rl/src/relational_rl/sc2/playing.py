"""Whole episodes, by an agent or at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from relational_rl.sc2.environments import Environments
from relational_rl.sc2.nets import SC2Agent
from relational_rl.sc2.observations import random_action


@dataclass(frozen=True)
class Episodes:
    """What was played.

    Attributes:
        returns: (episodes,) sums of rewards.
        steps: (episodes,) calls.
        calls: (functions,) how often each function was called.
    """

    returns: NDArray[np.float64]
    steps: NDArray[np.int64]
    calls: NDArray[np.int64]

    def metrics(self) -> dict[str, float]:
        """Mean, deviation and highest return, mean steps."""
        return {
            "return": float(self.returns.mean()),
            "return_deviation": float(self.returns.std()),
            "return_highest": float(self.returns.max()),
            "steps": float(self.steps.mean()),
        }


@torch.no_grad()
def play(agent: SC2Agent | None, environments: Environments, episodes: int, seed: int = 0) -> Episodes:
    """Play episodes from their start to their end, as many in each environment.

    As many in each, and not the first so many to end: those would be the short ones.

    Args:
        agent: whose sampled actions are played; None plays any available function with any arguments.
        environments: to play in; they begin new episodes.
        episodes: at least; rounded up to as many in each environment.
        seed: of the actions, and of the episodes where environments can be seeded.
    """
    count = len(environments)
    each = -(-episodes // count)
    device = torch.device("cpu") if agent is None else next(agent.parameters()).device
    draws = torch.Generator(device).manual_seed(seed)
    memory = None if agent is None else agent.start(count)
    if agent is not None:
        agent.eval()
    returns: list[list[float]] = [[] for _ in range(count)]
    steps: list[list[int]] = [[] for _ in range(count)]
    calls = np.zeros(len(environments.interface.functions), np.int64)
    gained, taken = np.zeros(count), np.zeros(count, np.int64)
    answer = environments.reset(seed)
    while min(map(len, returns)) < each:
        if agent is None or memory is None:
            action = random_action(environments.interface, answer.seen.available, draws)
        else:
            action, _, memory = agent.act(answer.seen.to(device), memory, draws)
        under_way = ~answer.last.numpy()
        np.add.at(calls, action.function.cpu().numpy()[under_way], 1)
        answer = environments.step(action)
        gained += answer.reward.numpy()
        taken += under_way
        for place in np.flatnonzero(answer.last.numpy()):
            returns[place].append(float(gained[place]))
            steps[place].append(int(taken[place]))
            gained[place], taken[place] = 0.0, 0
    return Episodes(
        np.array([row[:each] for row in returns], np.float64).reshape(-1),
        np.array([row[:each] for row in steps], np.int64).reshape(-1),
        calls,
    )
