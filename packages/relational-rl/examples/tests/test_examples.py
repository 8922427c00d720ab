"""The examples run; in an environment of their own: nox -s "examples(relational-rl)"."""

from __future__ import annotations

import math

import numpy as np
import pytest

from relational_rl import BoxWorldSpec, BoxWorldVectorEnv

SPEC = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1), max_steps=9)


def test_stable_baselines3_sees_what_gymnasium_says() -> None:
    from stable_baselines3_ppo import BoxWorldVecEnv

    theirs, ours = BoxWorldVecEnv(5, SPEC, seed=3), BoxWorldVectorEnv(5, SPEC, "SameStep")
    assert np.array_equal(theirs.reset(), ours.reset(seed=3)[0])
    rng, ends = np.random.default_rng(0), 0
    for _ in range(30):
        actions = rng.integers(0, 4, 5)
        obs, reward, done, infos = theirs.step(actions)
        expected = ours.step(actions)
        assert np.array_equal(obs, expected[0]) and np.array_equal(reward, expected[1])
        assert np.array_equal(done, expected[2] | expected[3])
        for i in np.flatnonzero(done):
            ends += 1
            assert np.array_equal(infos[i]["terminal_observation"], expected[4]["final_obs"][i])
            assert infos[i]["TimeLimit.truncated"] == expected[3][i]
    assert ends >= 15
    assert theirs.get_attr("num_envs", [0, 3]) == [5, 5]
    states = theirs.env_method("get_state", indices=[1, 2])
    assert len(states) == 2 and np.array_equal(states[0]["cells"], ours.get_state()["cells"])
    theirs.set_attr("render_mode", "rgb_array")
    assert theirs.get_attr("render_mode") == ["rgb_array"] * 5
    with pytest.raises(ValueError, match="all environments"):
        theirs.set_attr("render_mode", None, [0])


def test_stable_baselines3_trains() -> None:
    from stable_baselines3_ppo import main

    assert 0 <= main(["--steps", "1024", "--environments", "8"]) <= 1


def test_rllibs_runner_plays_with_the_relational_agent() -> None:
    """A runner by itself, which needs no cluster."""
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
    from rllib_impala import RelationalModule, configured

    runner = SingleAgentEnvRunner(config=configured())
    assert isinstance(runner.module, RelationalModule)
    episodes = runner.sample(num_timesteps=64)
    assert sum(len(episode) for episode in episodes) >= 64
    observed = np.stack([episode.get_observations(0) for episode in episodes])
    assert observed.shape[1:] == (10, 10, 3) and observed.dtype == np.uint8
    assert all(math.isfinite(episode.get_return()) for episode in episodes)


@pytest.mark.slow
def test_rllib_trains() -> None:
    from rllib_impala import main

    result = main(["--iterations", "2"])
    assert math.isfinite(result["learners"]["default_policy"]["total_loss"])
