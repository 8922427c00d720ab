"""The environments: the authors' traces, the rules by hand, and that all of them are one environment."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from offprints.errors import InputError

import relational_rl
from relational_rl import BoxWorldEnv, BoxWorldSpec, BoxWorldVectorEnv, Levels, TorchBoxWorld, sample_levels
from relational_rl.boxworld.codes import palette

SMALL = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1), max_steps=30)
SPECS = [
    SMALL,
    BoxWorldSpec(max_steps=40),
    BoxWorldSpec(size=8, solution_lengths=(1,), forward=(2,), rules="legacy"),
]


@pytest.fixture(params=["numpy", "numba"])
def accelerate(request) -> str:
    return request.param


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["single", "numpy", "numba"])
def test_every_reward_end_and_pixel_of_the_authors_episodes(parity, kind: str) -> None:
    trace = parity("boxworld_traces.npz")
    colours = palette("authors")[[*range(23), 255]]
    assert np.array_equal(colours, trace["palette_rgb"])
    for m, objects in enumerate(trace["init_objects"]):
        spec = BoxWorldSpec(max_steps=int(trace["max_num_steps"][m]), reference_time_limit=True)
        locks = [((objects >= low) & (objects < low + 20)).sum() for low in (23, 43)]
        row, column = trace["init_agent"][m]
        level = Levels(
            objects[None], np.array([row * 14 + column], np.int32), *(np.array([n], np.uint8) for n in locks)
        )
        actions = trace["actions"][slice(*trace["action_offsets"][m : m + 2])]
        rewards = trace["rewards"][slice(*trace["action_offsets"][m : m + 2])]
        ends = trace["terminated"][slice(*trace["action_offsets"][m : m + 2])]
        frames = colours[
            trace["frames"][trace["frame_offsets"][m] : trace["frame_offsets"][m] + len(actions) + 1]
        ]
        if kind == "single":
            env = BoxWorldEnv(spec)
            seen = [(env.reset(options={"level": level})[0], 0.0, False)]
            for action in actions:
                obs, reward, end, _, _ = env.step(action)
                seen.append((obs, reward, end))
        else:
            vector = BoxWorldVectorEnv(1, spec, AutoresetMode.DISABLED, accelerate=kind)
            seen = [(vector.play(level)[0][0], 0.0, False)]
            for action in actions:
                obs, reward, end, _, _ = vector.step(np.array([action]))
                seen.append((obs[0], reward[0], end[0]))
        assert np.array_equal(np.stack([obs for obs, _, _ in seen]), frames)
        assert np.array_equal([reward for _, reward, _ in seen[1:]], rewards)
        assert np.array_equal([end for _, _, end in seen[1:]], ends)


def played(env: BoxWorldEnv, moves: str) -> list[float]:
    return [env.step("UDLR".index(move))[1] for move in moves]


def test_the_worked_example_is_worth_eleven(example: Levels) -> None:
    env = BoxWorldEnv(BoxWorldSpec())
    env.reset(options={"level": example})
    obs, reward, *_ = env.step(3)
    assert reward == 0 and obs[0, 0].tolist() == [179, 169, 89]
    assert played(env, "DDDDDL") == [0] * 6
    obs, reward, over, *_ = env.step(0)
    assert reward == 1 and not over and obs[0, 0].tolist() == [0, 0, 0]
    assert (obs[8, 3] == 255).all() and (obs[8, 4] == 128).all()
    _, reward, over, truncated, info = env.step(2)
    assert (reward, over, truncated, info["solved"]) == (10, True, False, True)
    with pytest.raises(ResetNeeded):
        env.step(0)


def test_locked_contents_walls_and_foreign_locks_block_and_cost_a_step(example: Levels) -> None:
    env = BoxWorldEnv(BoxWorldSpec(max_steps=12))
    start, _ = env.reset(options={"level": example})
    assert played(env, "DDDDLD") == [0] * 6  # to (8, 3) from above, where the agent stays in (7, 3)
    obs, *_ = env.step(1)
    assert (obs[7, 3] == 128).all() and np.array_equal(obs[8], start[8])
    played(env, "R")
    obs, *_ = env.step(1)  # the lock, without its key
    assert (obs[7, 4] == 128).all()
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]  # step 12 of 12


def test_a_distractor_ends_the_episode_with_minus_one(example: Levels) -> None:
    example.objects[0, 2, 7:9] = 3 + 9, 43 + 3
    env = BoxWorldEnv(BoxWorldSpec())
    env.reset(options={"level": example})
    played(env, "RRRR")
    _, reward, over, truncated, info = [env.step(0) for _ in range(2)][-1]
    assert (reward, over, truncated, info["distractor"], info["solved"]) == (-1, True, False, True, False)


def test_legacy_rules_take_the_content_with_the_lock(example: Levels) -> None:
    env = BoxWorldEnv(BoxWorldSpec(rules="legacy"))
    env.reset(options={"level": example})
    assert played(env, "R") == [1]
    played(env, "DDDDDL")
    obs, reward, over, *_ = env.step(0)
    assert reward == 10 and over and (obs[8, 3] == 204).all() and (obs[0, 0] == 255).all()


def test_the_gem_on_the_last_step_is_an_end_and_no_cut(example: Levels) -> None:
    env = BoxWorldEnv(BoxWorldSpec(max_steps=9))
    env.reset(options={"level": example})
    played(env, "RDDDDDLU")
    assert env.step(2)[2:4] == (True, False)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_the_vector_is_gymnasiums_own_vector_of_single_environments(spec, mode, accelerate: str) -> None:
    ours = BoxWorldVectorEnv(5, spec, AutoresetMode(mode), accelerate)
    makes = [lambda i=i: BoxWorldEnv(spec, env_index=i, accelerate="numpy") for i in range(5)]
    theirs = SyncVectorEnv(makes, autoreset_mode=AutoresetMode(mode))
    assert np.array_equal(ours.reset(seed=3)[0], theirs.reset(seed=[3] * 5)[0])
    rng, ends = np.random.default_rng(0), 0
    for _ in range(120):
        actions = rng.integers(0, 4, 5)
        mine, its = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:4], its[:4], strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(mine[4]["solution_length"], its[4]["solution_length"]) or mode == "NextStep"
        assert ("final_obs" in mine[4]) == ("final_obs" in its[4])
        if "final_obs" in its[4]:
            assert np.array_equal(mine[4]["_final_obs"], its[4]["_final_obs"])
            for place in np.flatnonzero(its[4]["_final_obs"]):
                ends += 1
                assert np.array_equal(mine[4]["final_obs"][place], its[4]["final_obs"][place])
                for name in ("solved", "distractor"):
                    assert mine[4]["final_info"][name][place] == its[4]["final_info"][name][place]
    assert ends >= 3 or mode == "NextStep"


@pytest.mark.parametrize("spec", SPECS[:2])
def test_tensors_play_the_same_game(spec: BoxWorldSpec) -> None:
    ours = BoxWorldVectorEnv(33, spec, AutoresetMode.SAME_STEP, "numpy")
    tensors = TorchBoxWorld(33, spec)
    assert np.array_equal(ours.reset(seed=4)[0], tensors.reset(4).numpy())
    rng = np.random.default_rng(1)
    for _ in range(100):
        actions = rng.integers(0, 4, 33)
        obs, reward, terminated, truncated, info = ours.step(actions)
        step = tensors.step(torch.from_numpy(actions))
        for a, b in zip((obs, reward, terminated, truncated), step[:4], strict=True):
            assert np.array_equal(a, b.numpy())
        assert np.array_equal(step.ended.numpy(), np.flatnonzero(terminated | truncated))
        if len(step.ended):
            assert np.array_equal(
                step.final_obs.numpy(), np.stack(list(info["final_obs"][step.ended.numpy()]))
            )
        assert np.array_equal(step.solved.numpy(), info["solved"])
        assert np.array_equal(ours.boards.solution_length, tensors.solution_length.numpy())


def test_what_an_environment_plays_does_not_depend_on_how_many_there_are(accelerate: str) -> None:
    rng = np.random.default_rng(2)
    actions = rng.integers(0, 4, (60, 9))
    few = BoxWorldVectorEnv(2, SMALL, "SameStep", accelerate, first_index=3)
    many = BoxWorldVectorEnv(9, SMALL, "SameStep", "numpy")
    few.reset(seed=8)
    many.reset(seed=8)
    for row in actions:
        assert np.array_equal(few.step(row[3:5])[0], many.step(row)[0][3:5])


def test_a_state_put_back_goes_on_alike(accelerate: str) -> None:
    first, second = (BoxWorldVectorEnv(6, SMALL, "SameStep", accelerate) for _ in range(2))
    first.reset(seed=1)
    actions = np.random.default_rng(0).integers(0, 4, (90, 6))
    for row in actions[:45]:
        now = first.step(row)[0]
    assert np.array_equal(second.set_state(first.get_state()), now)
    for row in actions[45:]:
        assert np.array_equal(first.step(row)[0], second.step(row)[0])
    with pytest.raises(ValueError, match="the state has boards"):
        BoxWorldVectorEnv(5, SMALL).set_state(first.get_state())


def test_copies_are_handed_out_unless_asked_otherwise(accelerate: str) -> None:
    for copy in (True, False):
        env = BoxWorldVectorEnv(4, SMALL, accelerate=accelerate, copy=copy)
        obs, _ = env.reset(seed=0)
        before = obs.copy()
        for _ in range(3):
            env.step(np.array([0, 1, 2, 3]))
        assert np.array_equal(obs, before) == copy


def test_a_mask_resets_some_environments_only() -> None:
    env = BoxWorldVectorEnv(4, SMALL, AutoresetMode.DISABLED)
    first, _ = env.reset(seed=0)
    mask = np.array([False, True, False, True])
    second, _ = env.reset(options={"reset_mask": mask})
    assert [np.array_equal(a, b) for a, b in zip(first, second, strict=True)] == (~mask).tolist()
    again, _ = env.reset(seed=0, options={"reset_mask": mask})
    assert np.array_equal(again, first)


def test_gymnasium_makes_and_checks_every_registered_id() -> None:
    for name in relational_rl.IDS:
        env = gymnasium.make(name, render_mode="rgb_array")
        check_env(env.unwrapped, skip_render_check=True)
        assert env.unwrapped.render().shape[2] == 3
        vector = gymnasium.make_vec(name, num_envs=3, vectorization_mode="vector_entry_point")
        assert isinstance(vector.unwrapped, BoxWorldVectorEnv)
        assert np.array_equal(vector.reset(seed=1)[0][0], env.unwrapped.reset(seed=1)[0])


def test_text_and_pictures_show_the_board(example: Levels) -> None:
    env = BoxWorldEnv(BoxWorldSpec(), render_mode="ansi")
    env.reset(options={"level": example})
    assert "@ d" in env.render() and "* D" in env.render() and "holding nothing" in env.render()
    env.step(3)
    assert "holding key d" in env.render()
    vector = BoxWorldVectorEnv(2, SMALL, render_mode="rgb_array")
    vector.reset(seed=0)
    assert [picture.shape for picture in vector.render()] == [(240, 240, 3)] * 2


def test_bad_actions_seeds_and_calls_are_refused(accelerate: str) -> None:
    env = BoxWorldVectorEnv(3, SMALL, accelerate=accelerate)
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(3, int))
    env.reset(seed=0)
    state = env.get_state()
    for actions, match in (
        (np.array([0, 4, 1]), "action 4 of environment 1"),
        (np.array([0, 1, -1]), "action -1 of environment 2"),
        (np.array([0.0, 1.0, 1.0]), "expected integers"),
        (np.array([0, 1]), r"shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=match):
            env.step(actions)
    assert all(np.array_equal(state[name], array) for name, array in env.get_state().items())
    with pytest.raises(ValueError, match="2 seeds"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(options={"reset_mask": np.zeros(3, bool)})
    with pytest.raises(InputError, match="auto, numpy or numba"):
        BoxWorldVectorEnv(1, accelerate="cython")
    with pytest.raises(ValueError, match="legacy"):
        TorchBoxWorld(1, SPECS[2])
    with pytest.raises(ValueError, match="2 levels"):
        env.play(sample_levels(SMALL, 2))
    single = BoxWorldEnv(SMALL)
    with pytest.raises(ResetNeeded):
        single.step(0)
    single.reset(seed=0)
    with pytest.raises(ValueError, match="action 7"):
        single.step(7)
