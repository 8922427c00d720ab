"""The ids under which Gymnasium makes Box-Worlds."""

from __future__ import annotations

from typing import Any

import gymnasium

IDS: dict[str, dict[str, Any]] = {
    "BoxWorld-v0": {},
    "BoxWorldLong-v0": {"branch_length": 3},
    "BoxWorldBackward-v0": {"forward": (0,), "backward": (0, 1, 2, 3, 4)},
    "BoxWorldWithheldTrain-v0": {"withheld": "train"},
    "BoxWorldWithheldTest-v0": {"withheld": "test", "solution_lengths": (2, 3, 4)},
    "BoxWorldLegacy-v0": {"rules": "legacy"},
    "BoxWorldSmall-v0": {"size": 8, "solution_lengths": (1, 2), "forward": (0, 1), "max_steps": 80},
}
"""Id -> options of `BoxWorldSpec`; any option can be overridden: gymnasium.make("BoxWorld-v0", size=10)."""


def register() -> None:
    """Make the ids known to Gymnasium, each for one environment and for a vector of them; done once is done.

    Importing the package does so, as Gymnasium's users expect: `gymnasium.make_vec("relational_rl:BoxWorld-v0", num_envs=1024)`.
    """
    for name, options in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="relational_rl.boxworld.single:BoxWorldEnv",
                vector_entry_point="relational_rl.boxworld.vector:BoxWorldVectorEnv",
                kwargs=options,
            )
