"""The planner plays levels to their end, and every form of the environment has to tell the same story of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from relational_rl.boxworld.codes import U8
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.oracle import Oracle
from relational_rl.boxworld.single import BoxWorldEnv
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.torch_env import TorchBoxWorld
from relational_rl.boxworld.vector import BoxWorldVectorEnv

Flags = NDArray[np.bool_]


class Told(NamedTuple):
    """What an environment says of a step of M levels; rows of levels that have ended before say nothing.

    Attributes:
        frames: (M, side, side, 3) uint8.
        reward: (M,) float32.
        terminated: (M,) bool.
        truncated: (M,) bool.
    """

    frames: U8
    reward: NDArray[np.float32]
    terminated: Flags
    truncated: Flags


@dataclass(frozen=True)
class Agreement:
    """What the planner's play came to.

    Attributes:
        solved: (M,) bool, whether it ended on the gem.
        steps: (M,) int64, in how many steps.
        returns: (M,) float64.
        compared: steps whose frame, reward and end are the same in all forms.
        forms: of the environment that were compared.
    """

    solved: Flags
    steps: NDArray[np.int64]
    returns: NDArray[np.float64]
    compared: int
    forms: tuple[str, ...]


def played_by_planner(spec: BoxWorldSpec, levels: Levels, compare: int = 64) -> Agreement:
    """Play each level by the planner, and the first ones once more in every form of the environment.

    Args:
        spec: rules and step limit.
        levels: to play.
        compare: levels that are compared; the single environment plays one after the other.

    Raises:
        AssertionError: two forms differ. It would be a defect of this package.
    """
    env = BoxWorldVectorEnv(len(levels), spec, AutoresetMode.NEXT_STEP, accelerate="numpy")
    env.play(levels)
    oracle, moves, story = Oracle(env.boards), [], []
    solved, steps = np.zeros(len(levels), np.bool_), np.zeros(len(levels), np.int64)
    returns = np.zeros(len(levels))
    under_way = np.ones(len(levels), np.bool_)
    while under_way.any():
        moves.append(oracle.actions())
        obs, reward, terminated, truncated, info = env.step(moves[-1])
        story.append(Told(obs, reward, terminated, truncated))
        steps += under_way
        returns += reward * under_way
        solved |= info["solved"] & under_way
        under_way &= ~(terminated | truncated)
    first = levels[:compare]
    forms: dict[str, Callable[..., Iterator[Told]]] = {"single": _single, "tensors": _tensors}
    if find_spec("numba") is not None:
        forms["compiled"] = _compiled
    for name, form in forms.items():
        _require_same(name, form(spec, first, [row[:compare] for row in moves]), story, steps[:compare])
    return Agreement(solved, steps, returns, int(steps[:compare].sum()), ("arrays", *forms))


def _require_same(name: str, other: Iterator[Told], story: list[Told], steps: NDArray[np.int64]) -> None:
    for t, (theirs, ours) in enumerate(zip(other, story, strict=True)):
        there = steps > t
        for part in Told._fields:
            a, b = getattr(theirs, part), getattr(ours, part)
            if not np.array_equal(a[there], b[: len(there)][there]):
                raise AssertionError(f"environment '{name}' has other {part} than the arrays at step {t + 1}")


def _compiled(spec: BoxWorldSpec, levels: Levels, moves: list[NDArray[np.int64]]) -> Iterator[Told]:
    env = BoxWorldVectorEnv(len(levels), spec, AutoresetMode.NEXT_STEP, accelerate="numba")
    env.play(levels)
    for actions in moves:
        yield Told(*env.step(actions)[:4])


def _tensors(spec: BoxWorldSpec, levels: Levels, moves: list[NDArray[np.int64]]) -> Iterator[Told]:
    env = TorchBoxWorld(len(levels), spec)
    env.play(levels)
    for actions in moves:
        step = env.step(torch.from_numpy(actions))
        step.obs[step.ended] = step.final_obs
        yield Told(*(part.numpy() for part in (step.obs, step.reward, step.terminated, step.truncated)))


def _single(spec: BoxWorldSpec, levels: Levels, moves: list[NDArray[np.int64]]) -> Iterator[Told]:
    envs = [BoxWorldEnv(spec, accelerate="numpy") for _ in range(len(levels))]
    last: list[Any] = [
        (env.reset(seed=0, options={"level": levels[i : i + 1]})[0], 0.0, False, False)
        for i, env in enumerate(envs)
    ]
    over = np.zeros(len(levels), np.bool_)
    for actions in moves:
        for i in np.flatnonzero(~over).tolist():
            last[i] = envs[i].step(int(actions[i]))[:4]
            over[i] = last[i][2] or last[i][3]
        yield Told(*(np.array([told[part] for told in last]) for part in range(4)))
