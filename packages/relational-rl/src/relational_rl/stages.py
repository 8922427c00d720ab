"""What an agent goes through: the planner's lessons, reinforcement, or the one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offprints.errors import InputError
from offprints.training import Outcome

from relational_rl.boxworld.levels import Levels
from relational_rl.config import Config
from relational_rl.imitation import Imitation, taught_on
from relational_rl.nets import Agent
from relational_rl.reinforcement import Reinforcement, played_on

STAGES = ("imitation", "vtrace")
_PLAYED = 2**33
"""Added to the seed of the levels that V-trace plays: imitation's own are below 2^32."""

OnEpoch = Callable[[dict[str, float]], None]
Guard = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Learnt:
    """What a stage came to.

    Attributes:
        stage: imitation or vtrace.
        outcome: of its loop.
    """

    stage: str
    outcome: Outcome


def check_stages(stages: list[str]) -> None:
    """Refuse stages that are none, or none at all.

    Raises:
        InputError: names them.
    """
    if not stages or len(set(stages)) < len(stages) or not set(stages) <= set(STAGES):
        raise InputError(f"learn={stages}: one or more of {', '.join(STAGES)}, each once")


def epochs_of(config: Config) -> int:
    """Epochs of all stages together."""
    return sum(_options(config, stage).epochs for stage in config.learn)


def learn(
    config: Config,
    agent: Agent,
    directory: Path,
    *,
    held_out: Levels | None = None,
    on_epoch: OnEpoch | None = None,
    uninterrupted: Guard | None = None,
    autocast: Guard | None = None,
) -> Iterator[Learnt]:
    """Take an agent through the stages of `config.learn`, each from the best epoch of the one before.

    Args:
        config: the stages and their options.
        agent: trained in place.
        directory: where checkpoints go, a folder for each stage; what is there is gone on from.
        held_out: levels to choose the epochs by.
        on_epoch: called with the row of each epoch; epochs and CPU seconds go on from stage to stage.
        uninterrupted: context in which an update runs.
        autocast: context in which V-trace plays and judges.

    Yields:
        Each stage, when it has come to its end.
    """
    epochs, seconds = 0, 0.0
    for stage in config.learn:

        def going_on(row: dict[str, float], epochs: int = epochs, seconds: float = seconds) -> None:
            row |= {"epoch": row["epoch"] + epochs, "cpu_seconds": row["cpu_seconds"] + seconds}
            if on_epoch is not None:
                on_epoch(row)

        told: dict[str, Any] = {
            "held_out": held_out,
            "seed": seed_of(config, stage),
            "directory": directory / stage,
            "on_epoch": going_on,
            "uninterrupted": uninterrupted,
        }
        trainer = (
            Imitation(agent, config.world.spec(), config.training, **told)
            if stage == "imitation"
            else Reinforcement(agent, config.world.spec(), config.reinforcement, autocast=autocast, **told)
        )
        outcome = trainer.fit()
        epochs, seconds = epochs + outcome.epochs, float(outcome.history[-1]["cpu_seconds"])
        yield Learnt(stage, outcome)


def made_of(config: Config, agent: Agent, stage: str) -> str:
    """What a checkpoint of a stage of this run must be of."""
    spec, seed = config.world.spec(), seed_of(config, stage)
    if stage == "imitation":
        return taught_on(spec, agent, config.training, seed)
    return played_on(spec, agent, config.reinforcement, seed)


def seed_of(config: Config, stage: str) -> int:
    """The seed of a stage's levels and moves: no level is met in two stages."""
    return config.seed + (_PLAYED if stage == "vtrace" else 0)


def _options(config: Config, stage: str) -> Any:
    return config.training if stage == "imitation" else config.reinforcement
