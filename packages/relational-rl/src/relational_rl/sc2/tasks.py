"""The tasks on StarCraft II of the `relational-rl` command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import torch

from offprints.app import Results, Run
from offprints.checkpoint import Checkpoints
from offprints.errors import InputError
from offprints.tables import show
from offprints.trained import options_of_run, weights_of_run
from offprints.training import reported

from relational_rl.sc2.environments import Environments
from relational_rl.sc2.figures import learning_curve
from relational_rl.sc2.games import make_environment
from relational_rl.sc2.nets import SC2Agent
from relational_rl.sc2.playing import Episodes, play
from relational_rl.sc2.published import published_scores, published_table
from relational_rl.sc2.training import KIND, SC2Training, made_of

if TYPE_CHECKING:
    from relational_rl.config import Config
    from relational_rl.sc2.config import SC2Config

TRYING = 2**34
"""Seeds of the episodes that are reported; training and the choice of the epoch draw others."""


def train_sc2(config: Config, run: Run) -> Results:
    """Train an agent on a StarCraft II mini-game (sc2.env=game), or on what stands in for one, and try it."""
    told = config.sc2
    _say_what_it_is(told, run)
    with _environments(told, told.training.environments, config.seed) as environments:
        torch.manual_seed(config.seed)
        agent = SC2Agent(environments.interface, told.model).to(run.fabric.device)
        validates = told.training.evaluate_every > 0
        with (
            _environments(_unguided(told), told.test_environments, TRYING + config.seed) as trying,
            reported(run, told.training, "train/return", told.map) as on_epoch,
        ):
            outcome = SC2Training(
                agent,
                environments,
                told.training,
                validation=trying if validates else None,
                valid_episodes=told.valid_episodes,
                world=_world(told),
                seed=config.seed,
                directory=run.directory / "checkpoints",
                on_epoch=on_epoch,
                uninterrupted=run.uninterrupted,
            ).fit()
            found = _tried(told, agent, trying, config.seed)
    parameters = sum(weights.numel() for weights in agent.parameters())
    steps = outcome.epochs * told.training.steps
    metrics = {**_metrics(found), "train/steps": float(steps), "model/parameters": float(parameters)}
    show(_comparison(told, found), f"{told.map}, {_NAMES[told.env]}")
    run.figure(
        "learning",
        learning_curve(outcome.history, found["random"].metrics()["return"], told.map),
        "Mean score over the epochs, beside that of random actions",
    )
    return Results(
        metrics, {"history": outcome.history, "best_epoch": outcome.best_epoch, **_calls(agent, found)}
    )


def evaluate_sc2(config: Config, run: Run) -> Results:
    """Let the agent of a finished run of the task sc2 (checkpoint=RUN) play again; sc2.episodes as often."""
    if config.checkpoint is None:
        raise InputError("this task needs checkpoint=<run directory>")
    told = options_of_run(config.checkpoint, type(config)).sc2
    told = replace(told, episodes=config.sc2.episodes, test_environments=config.sc2.test_environments)
    _say_what_it_is(told, run)
    with _environments(_unguided(told), told.test_environments, TRYING + config.seed) as trying:
        agent = SC2Agent(trying.interface, told.model)
        kept = Checkpoints(f"{config.checkpoint}/checkpoints", KIND, made_of(agent, _world(told)))
        agent.load_state_dict(weights_of_run(kept))
        found = _tried(told, agent.to(run.fabric.device), trying, config.seed)
    show(_comparison(told, found), f"{told.map}, {_NAMES[told.env]}")
    return Results(_metrics(found), _calls(agent, found))


def show_published(config: Config, run: Run) -> Results:
    """Show what the paper and those before it report for the mini-games, and which figures were verified."""
    table = published_table()
    show(pd.DataFrame(table), "mean scores as reported; ? was not found in an open source")
    scores = published_scores()
    counts = {"cells": len(scores), "verified": sum(score.verified for score in scores)}
    return Results({f"published/{name}": float(count) for name, count in counts.items()}, {"scores": table})


_NAMES = {
    "game": "StarCraft II",
    "test": "pysc2's test environment: no rewards, nothing to learn",
    "beacon": "a stand-in for the game",
}


def _say_what_it_is(told: SC2Config, run: Run) -> None:
    if told.env in ("test", "beacon"):
        run.log.info("sc2.env=%s is not StarCraft II, but %s", told.env, _NAMES[told.env])


@contextmanager
def _environments(told: SC2Config, count: int, seed: int) -> Iterator[Environments]:
    if count < 1:
        raise InputError(f"{count} environments: one or more are needed")
    with ExitStack() as opened:
        made = [
            opened.enter_context(
                closing(
                    make_environment(
                        told.map,
                        told.env,
                        screen=told.screen,
                        minimap=told.minimap,
                        step_mul=told.step_mul,
                        seed=(seed << 8) + place,
                        rules=told.beacon.rules(told.screen) if told.env == "beacon" else None,
                    )
                )
            )
            for place in range(count)
        ]
        together = Environments(made, threads=told.env == "game" and count > 1)
        opened.pop_all()  # from here on they are closed together, with the threads that wait for them
        opened.enter_context(closing(together))
        yield together


def _unguided(told: SC2Config) -> SC2Config:
    """For the figures that are reported: the stand-in pays arrivals alone."""
    return replace(told, beacon=replace(told.beacon, guide=0.0))


def _world(told: SC2Config) -> str:
    return repr((told.env, told.map, told.step_mul, told.beacon if told.env == "beacon" else None))


def _tried(told: SC2Config, agent: SC2Agent, trying: Environments, seed: int) -> dict[str, Episodes]:
    """Whole episodes by the agent and by the random policy."""
    players = {"test": agent, "random": None}
    return {name: play(player, trying, told.episodes, TRYING + seed) for name, player in players.items()}


def _metrics(found: Mapping[str, Episodes]) -> dict[str, float]:
    return {
        f"{who}/{name}": value
        for who, episodes in found.items()
        for name, value in episodes.metrics().items()
    }


def _calls(agent: SC2Agent, found: Mapping[str, Episodes]) -> dict[str, dict[str, int]]:
    """How often the agent called what, most often first."""
    counts = zip(agent.interface.functions, found["test"].calls.tolist(), strict=True)
    called = sorted(((function.name, count) for function, count in counts if count), key=lambda it: -it[1])
    return {"calls": dict(called)}


def _comparison(told: SC2Config, found: Mapping[str, Episodes]) -> pd.DataFrame:
    """Our mean scores, and for the game itself what is reported for its map."""
    names = {"test": f"{told.model.kind} agent, trained here", "random": "random policy, here"}
    rows: list[Sequence[object]] = [
        [names[who], f"{episodes.metrics()['return']:.2f} ± {episodes.metrics()['return_deviation']:.2f}"]
        for who, episodes in found.items()
    ]
    if told.env == "game":
        rows += [
            [f"{cell.agent}, reported", cell.cell] for cell in published_scores() if cell.map == told.map
        ]
    return pd.DataFrame(rows, columns=["player", "mean score"])
