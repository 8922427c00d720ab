"""Playing fixed levels, each once, and how sure the share of solved ones is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError

from relational_rl.boxworld.codes import U8
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.rules import Boards, rules_for
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import use_compiled
from relational_rl.nets import Agent


@dataclass(frozen=True)
class Evaluation:
    """One episode of each level.

    Attributes:
        solved: (M,) bool, whether it ended on the gem.
        distractor: (M,) bool, whether a wrong lock ended it.
        returns: (M,) float64, sum of rewards.
        steps: (M,) int64.
    """

    solved: NDArray[np.bool_]
    distractor: NDArray[np.bool_]
    returns: NDArray[np.float64]
    steps: NDArray[np.int64]

    def metrics(self) -> dict[str, float]:
        """Share solved with its 95 % interval, share ended by a wrong lock, mean return and steps."""
        low, high = wilson_interval(int(self.solved.sum()), len(self.solved))
        return {
            "solved": float(self.solved.mean()),
            "solved_low": low,
            "solved_high": high,
            "distractor": float(self.distractor.mean()),
            "return": float(self.returns.mean()),
            "steps": float(self.steps.mean()),
        }


def validation(agent: Agent, spec: BoxWorldSpec, levels: Levels, seed: int) -> dict[str, float]:
    """What an epoch is chosen by: share solved and mean return."""
    played = evaluate(agent, spec, levels, seed=seed)
    return {"solved": float(played.solved.mean()), "return": float(played.returns.mean())}


def wilson_interval(hits: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share by Wilson's score; 95 % as it stands.

    Args:
        hits: successes.
        count: trials, 1 or more.
        z: quantile of the normal distribution.
    """
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


@torch.no_grad()
def evaluate(
    agent: Agent | None, spec: BoxWorldSpec, levels: Levels, seed: int = 0, greedy: bool = False
) -> Evaluation:
    """Play each level once.

    Args:
        agent: whose policy plays; None plays at random.
        spec: rules, palette and step limit; its distribution of levels is not looked at.
        levels: to play.
        seed: of the sampled actions.
        greedy: play the most likely action in place of a sampled one; a policy that hesitates then stands still.

    Raises:
        InputError: there is no level, or the levels are of another size than the spec's.
    """
    if not len(levels):
        raise InputError("there is no level to play")
    if levels.side != spec.side:
        raise InputError(
            f"levels on boards of side {levels.side} for a room of size {spec.size} (side {spec.side})"
        )
    everyone = np.arange(len(levels))
    rules = rules_for(spec, use_compiled("auto"))
    boards = Boards.empty(len(levels), levels.side)
    boards.begin(everyone, levels)
    rules.draw(boards, everyone)
    obs = boards.frames.reshape(len(levels), levels.side, levels.side, 3)
    draws = torch.Generator().manual_seed(seed)
    solved, distractor, under_way = (np.zeros(len(levels), np.bool_) for _ in range(3))
    under_way[:] = True
    returns, steps = np.zeros(len(levels)), np.zeros(len(levels), np.int64)
    actions = np.zeros(len(levels), np.int64)
    reward, terminated = np.zeros(len(levels), np.float32), np.zeros(len(levels), np.bool_)
    if agent is not None:
        agent.eval()
    while under_way.any():
        left = np.flatnonzero(under_way)
        actions[left] = _choose(agent, obs[left], draws, greedy)
        rules.step(boards, actions, reward, terminated)  # episodes that have ended walk on, unheeded
        returns += reward * under_way
        steps += under_way
        solved |= terminated & (reward > 0) & under_way
        distractor |= terminated & (reward < 0) & under_way
        under_way &= ~terminated & (steps < spec.last_step)
    return Evaluation(solved, distractor, returns, steps)


def _choose(agent: Agent | None, frames: U8, draws: torch.Generator, greedy: bool) -> NDArray[np.int64]:
    if agent is None:
        logits = torch.zeros(len(frames), 4)
    else:
        device = next(agent.parameters()).device
        logits = agent(torch.from_numpy(frames).to(device))[0].float().cpu()
    return (logits.argmax(1) if greedy else sampled(logits, draws)).numpy()


def sampled(logits: Tensor, draws: torch.Generator) -> Tensor:
    """(B,) actions drawn from the policy of (B, A) logits."""
    return torch.multinomial(logits.softmax(-1), 1, generator=draws)[:, 0]
