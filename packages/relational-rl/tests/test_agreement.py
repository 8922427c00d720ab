"""The planner's play in every form of the environment, and the fixed levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from offprints.errors import DataError, InputError

from relational_rl import (
    BoxWorldSpec,
    TorchBoxWorld,
    fixed_levels,
    optimal_lengths,
    played_by_planner,
    sample_levels,
)

SMALL = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1), max_steps=80)


def test_all_forms_tell_the_same_story_of_the_planners_play() -> None:
    levels = sample_levels(SMALL, 40, seed=3)
    played = played_by_planner(SMALL, levels, compare=12)
    assert played.solved.all() and played.forms == ("arrays", "single", "tensors", "compiled")
    assert np.array_equal(played.steps, optimal_lengths(levels))
    assert np.array_equal(played.returns, levels.solution_length + 10.0)
    assert played.compared == played.steps[:12].sum()


def test_levels_longer_than_the_limit_are_cut_off() -> None:
    levels = sample_levels(SMALL, 20, seed=3)
    short = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1), max_steps=10)
    played = played_by_planner(short, levels)
    assert np.array_equal(played.solved, optimal_lengths(levels) <= 10)


@pytest.mark.parametrize("part", ["obs", "reward", "terminated"])
def test_a_form_that_differs_is_found_out(monkeypatch, part: str) -> None:
    whole = TorchBoxWorld.step

    def spoiled(self: TorchBoxWorld, actions: torch.Tensor):
        step = whole(self, actions)
        given = getattr(step, part)
        return step._replace(**{part: ~given if given.dtype == torch.bool else given + 1})

    monkeypatch.setattr(TorchBoxWorld, "step", spoiled)
    with pytest.raises(AssertionError, match="'tensors'"):
        played_by_planner(SMALL, sample_levels(SMALL, 4, seed=1))


def test_a_state_of_tensors_put_back_goes_on_alike() -> None:
    first, second = TorchBoxWorld(6, SMALL), TorchBoxWorld(6, SMALL)
    first.reset(1)
    draws = torch.Generator().manual_seed(0)
    moves = torch.randint(0, 4, (160, 6), generator=draws)
    for row in moves[:60]:
        now = first.step(row).obs
    assert torch.equal(second.set_state(first.get_state()), now)
    ends = 0
    for row in moves[60:]:
        one, other = first.step(row), second.step(row)
        ends += len(one.ended)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert ends > 3
    with pytest.raises(ValueError, match="the state has boards"):
        TorchBoxWorld(5, SMALL).set_state(first.get_state())
    with pytest.raises(ValueError, match="2 levels"):
        first.play(sample_levels(SMALL, 2))


@pytest.mark.real_data
@pytest.mark.parametrize("name, limit", [("branch3", 120), ("length8", 240)])
def test_fixed_levels_are_found_by_name_and_the_planner_solves_them_in_time(
    needs_fixed_levels: object, name: str, limit: int
) -> None:
    spec, levels, digest = fixed_levels(name)
    assert spec.max_steps == limit and len(digest) == 64
    assert (optimal_lengths(levels) <= limit).all()
    assert played_by_planner(spec, levels[:50]).solved.all()


def test_fixed_levels_that_are_none_or_not_there_are_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="branch1, branch3, backward"):
        fixed_levels("branch2")
    monkeypatch.setenv("OFFPRINTS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"branch1\.npz"):
        fixed_levels("branch1")
