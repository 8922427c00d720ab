"""From the options to an agent, and back from the directory of a run to what it trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError
from offprints.trained import options_of_run, weights_of_run

from relational_rl.config import Config
from relational_rl.nets import Agent
from relational_rl.stages import made_of


@dataclass(frozen=True)
class Trained:
    """An agent of a run.

    Attributes:
        kind: relational, control or plain.
        agent: with the weights of the best epoch of its last stage.
        config: that the run was started with.
    """

    kind: str
    agent: Agent
    config: Config


def build_agent(config: Config, kind: str) -> Agent:
    """A new agent of a kind, its weights drawn by the seed."""
    import torch

    options = replace(config.model, kind=kind, side=config.world.size + 2)
    if kind == "control":
        options = replace(options, blocks=config.control_blocks)
    torch.manual_seed(config.seed)
    return Agent(options)


def load_agent(directory: str | Path, kind: str = "relational") -> Trained:
    """An agent of a finished run.

    Args:
        directory: of the run.
        kind: which of its agents.

    Raises:
        MissingRun: it is not the directory of a run, or nothing was trained yet.
        InputError: the run trained no agent of this kind.
    """
    config = options_of_run(directory, Config)
    if kind not in config.agents:
        raise InputError(f"the run in {directory} trained {', '.join(config.agents)}, and no {kind} agent")
    agent, stage = build_agent(config, kind), config.learn[-1]
    folder = Path(directory) / "checkpoints" / kind / stage
    agent.load_state_dict(weights_of_run(Checkpoints(folder, "relational-rl", made_of(config, agent, stage))))
    agent.eval()
    return Trained(kind, agent, config)
