"""Box-World under RLlib, for many machines: the environment by its id, the relational agent as an RLModule, IMPALA as the algorithm.

    python -m pip install 'offprints-relational-rl[examples]'
    python examples/rllib_impala.py --iterations 100 --runners 8
    python examples/rllib_impala.py --iterations 1            # to see that it runs

Each runner plays environments of its own, in which seeds are RLlib's matter. On one machine `relational-rl experiment=boxworld_short` needs no
queue between actors and learner.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import ray
import torch
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env

from relational_rl import Agent, AgentOptions, BoxWorldEnv


class RelationalModule(TorchRLModule, ValueFunctionAPI):
    """The relational agent as RLlib wants a network."""

    def setup(self) -> None:
        super().setup()
        self.agent = Agent(AgentOptions(**self.model_config))

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        logits, _ = self.agent(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: logits}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        _, values = self.agent(batch[Columns.OBS])
        return values


def make_env(options: dict[str, Any]) -> BoxWorldEnv:
    """What each runner makes."""
    return BoxWorldEnv(**options)


def configured(runners: int = 0) -> IMPALAConfig:
    """IMPALA on the 8 x 8 room.

    Args:
        runners: processes that play; 0 plays in the learner's own.
    """
    register_env("BoxWorld", make_env)
    return (
        IMPALAConfig()
        .environment(
            "BoxWorld",
            env_config={"size": 8, "solution_lengths": (1, 2), "forward": (0, 1), "max_steps": 80},
        )
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=8,
            rollout_fragment_length=20,
        )
        .training(train_batch_size_per_learner=640, lr=0.0005, entropy_coeff=0.005, grad_clip=40.0)
        .learners(num_learners=0)
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=RelationalModule,
                model_config={"heads": 2, "head_dim": 32, "padding": "valid", "hidden": 128, "layers": 2},
            )
        )
    )


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, and return the last iteration's figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--runners", type=int, default=0, help="processes that play; 0: the learner's own")
    told = parser.parse_args(arguments)
    ray.init(include_dashboard=False, ignore_reinit_error=True)
    algorithm = configured(told.runners).build_algo()
    result: dict[str, Any] = {}
    try:
        for _ in range(told.iterations):
            result = algorithm.train()
    finally:
        algorithm.stop()
        ray.shutdown()
    return result


if __name__ == "__main__":
    main()
