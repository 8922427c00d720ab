"""The planner: it solves every level, and no plan is shorter."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from relational_rl import (
    BoxWorldSpec,
    BoxWorldVectorEnv,
    Levels,
    Oracle,
    load_levels,
    optimal_lengths,
    sample_levels,
)


def by_search(level: Levels) -> int:
    """Steps of the shortest solution, by breadth-first search over whole states under the rules."""
    side = level.side
    start = (int(level.agent[0]), 200, level.objects[0].tobytes())
    seen, queue = {start}, deque([(start, 0)])
    while queue:
        (agent, held, cells), steps = queue.popleft()
        for delta in (-side, side, -1, 1):
            target = agent + delta
            code, now = cells[target], held
            if code == 1 or code >= 43:
                continue
            if code >= 23:
                if code != held + 20:
                    continue
                now = 200
            elif code >= 2:
                if cells[target + 1] >= 23:
                    continue
                if code == 2:
                    return steps + 1
                now = code
            after = cells if code == 0 else cells[:target] + b"\0" + cells[target + 1 :]
            state = (target, now, after)
            if state not in seen:
                seen.add(state)
                queue.append((state, steps + 1))
    return -1


def test_its_length_is_that_of_an_exhaustive_search() -> None:
    for spec in (BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1)), BoxWorldSpec()):
        levels = sample_levels(spec, 12, seed=6)
        assert optimal_lengths(levels).tolist() == [by_search(levels[i : i + 1]) for i in range(len(levels))]


def solved_by_oracle(levels: Levels, max_steps: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether, in how many steps, and with what return the oracle solves each level in the environment."""
    env = BoxWorldVectorEnv(len(levels), BoxWorldSpec(size=levels.side - 2, max_steps=max_steps), "NextStep")
    env.play(levels)
    oracle = Oracle(env.boards)
    solved, steps, gained = (np.zeros(len(levels), kind) for kind in (bool, int, float))
    open_ = np.ones(len(levels), bool)
    while open_.any():
        _, reward, terminated, truncated, info = env.step(oracle.actions())
        steps += open_
        gained += reward * open_
        solved |= info["solved"] & open_
        open_ &= ~(terminated | truncated)
    return solved, steps, gained


@pytest.mark.parametrize("spec", [BoxWorldSpec(), BoxWorldSpec(branch_length=3), BoxWorldSpec(size=20)])
def test_it_solves_every_level_in_the_planned_steps_for_the_highest_return(spec: BoxWorldSpec) -> None:
    levels = sample_levels(spec, 200, seed=2)
    solved, steps, gained = solved_by_oracle(levels)
    assert solved.all()
    assert np.array_equal(steps, optimal_lengths(levels))
    assert np.array_equal(gained, levels.solution_length + 10.0)


@pytest.mark.real_data
def test_it_solves_the_four_thousand_fixed_levels(fixed_levels) -> None:
    count = 0
    for name in ("branch1", "branch3", "backward", "length6", "length8", "length10"):
        levels = load_levels(fixed_levels / f"{name}.npz")
        solved, steps, gained = solved_by_oracle(levels)
        assert solved.all() and np.array_equal(gained, levels.solution_length + 10.0)
        assert np.array_equal(steps, optimal_lengths(levels))
        if name == "branch1":
            assert steps.mean() == pytest.approx(26.063)  # played, so no shortest plan can be longer
        count += len(levels)
    assert count == 4000


def test_a_level_without_a_way_has_no_plan(example: Levels) -> None:
    lost = Levels(*(array.copy() for array in vars(example).values()))
    lost.objects[0, 8, 4] = 43 + 3  # the only lock is a distractor's
    assert optimal_lengths(lost).tolist() == [-1]
    assert optimal_lengths(example).tolist() == [7]  # the key, four down, into the lock, and the gem
