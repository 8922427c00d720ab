"""Box-World under Stable-Baselines3: PPO on the vector environment, with the relational agent's trunk as its features.

    python -m pip install 'offprints-relational-rl[examples]'
    python examples/stable_baselines3_ppo.py                  # the 8 x 8 room, 64 environments, two million steps
    python examples/stable_baselines3_ppo.py --steps 4096     # to see that it runs

Stable-Baselines3 has a vector interface of its own. `BoxWorldVecEnv` is all that lies between: the environments are stepped together, and what
an episode ended on stands where Stable-Baselines3 looks for it, so that a cut-off episode is not taken for a lost one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from relational_rl import Agent, AgentOptions, BoxWorldSpec, BoxWorldVectorEnv


class BoxWorldVecEnv(VecEnv):
    """A `BoxWorldVectorEnv` as Stable-Baselines3 wants one."""

    def __init__(self, num_envs: int, spec: BoxWorldSpec, seed: int = 0) -> None:
        self.env = BoxWorldVectorEnv(num_envs, spec, "SameStep")
        self.first_seed: int | None = seed
        super().__init__(num_envs, self.env.single_observation_space, self.env.single_action_space)

    def reset(self) -> np.ndarray:
        obs, _ = self.env.reset(seed=self.first_seed)
        self.first_seed = None
        return obs

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        obs, reward, terminated, truncated, info = self.env.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(terminated | truncated).tolist():
            infos[i] = {
                "terminal_observation": info["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i]),
                "is_success": bool(info["final_info"]["solved"][i]),
            }
        return obs, reward, terminated | truncated, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"{attr_name} is shared: it can be set for all environments together only")
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        # They are one object: the method is called once, and each environment asked for has its answer.
        answer = getattr(self.env, method_name)(*args, **kwargs)
        return [answer] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))


class RelationalFeatures(BaseFeaturesExtractor):
    """Stem, attention and pool of the relational agent; PPO adds its own heads."""

    def __init__(self, observation_space: Any, options: AgentOptions) -> None:
        agent = Agent(options)
        super().__init__(observation_space, features_dim=agent.stem.width)
        self.agent = agent

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        # Stable-Baselines3 has put the channels first.
        return self.agent.entities(observations.permute(0, 2, 3, 1)).amax(1)


def main(arguments: Sequence[str] | None = None) -> float:
    """Train, and return the share of the last episodes that were solved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--environments", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args(arguments)
    spec = BoxWorldSpec(size=8, solution_lengths=(1, 2), forward=(0, 1), max_steps=80)
    env = VecMonitor(BoxWorldVecEnv(told.environments, spec, told.seed), info_keywords=("is_success",))
    model = PPO(
        "CnnPolicy",
        env,
        n_steps=32,
        batch_size=256,
        n_epochs=2,
        ent_coef=0.001,
        seed=told.seed,
        verbose=1,
        policy_kwargs={
            "features_extractor_class": RelationalFeatures,
            "features_extractor_kwargs": {"options": AgentOptions(heads=2, head_dim=32, padding="valid")},
            "normalize_images": False,  # the stem scales pixels itself
            "net_arch": [128, 128],
        },
    )
    model.learn(told.steps)
    solved = [episode["is_success"] for episode in model.ep_info_buffer or []]
    return float(np.mean(solved)) if solved else 0.0


if __name__ == "__main__":
    main()
