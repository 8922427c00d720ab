"""The tasks of the `relational-rl` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.tables import show
from offprints.training import Outcome, reported

from relational_rl import figures
from relational_rl.boxworld.levels import Levels, load_levels, save_levels
from relational_rl.boxworld.oracle import optimal_lengths
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import sample_levels
from relational_rl.boxworld.vector import BoxWorldVectorEnv
from relational_rl.config import Config
from relational_rl.evaluation import Evaluation, evaluate
from relational_rl.film import film
from relational_rl.imitation import Imitation
from relational_rl.nets import Agent
from relational_rl.runs import build_agent, load_agent
from relational_rl.sc2.tasks import evaluate_sc2, show_published, train_sc2

HELD_OUT, CHOOSING, LONGER = 2**40, 2**41, 2**42
"""Seeds of levels that no training draws: its own are below 2^32."""


def train(config: Config, run: Run) -> Results:
    """Train agents on the planner's moves, and try them on held-out and on longer levels (the main job)."""
    spec = config.world.spec()
    if not config.agents:
        raise InputError("agents is empty: at least one of relational, control, plain")
    test = sample_levels(spec, config.evaluation.levels, HELD_OUT + config.seed)
    choosing = sample_levels(spec, config.evaluation.choose_levels, CHOOSING + config.seed)
    longer = {n: _longer(config, n) for n in config.evaluation.longer}
    metrics, details = _planned(test)
    metrics |= {f"random/{name}": v for name, v in evaluate(None, spec, test, config.seed).metrics().items()}
    if config.throughput_steps:
        metrics["speed/steps_per_second"] = _throughput(spec, config.throughput_steps)
        run.log.info(
            "1,024 environments: %.1f million steps a second", metrics["speed/steps_per_second"] / 1e6
        )
    histories: dict[str, Outcome] = {}
    rows = [["random", metrics["random/solved"], metrics["random/solved_low"], metrics["random/solved_high"]]]
    for kind in config.agents:
        agent = build_agent(config, kind).to(run.fabric.device)
        with reported(run, config.training, "valid/solved", kind, log=kind == config.agents[0]) as on_epoch:
            histories[kind] = Imitation(
                agent,
                spec,
                config.training,
                held_out=choosing,
                seed=config.seed,
                directory=run.directory / "checkpoints" / kind,
                on_epoch=on_epoch,
                uninterrupted=run.uninterrupted,
            ).fit()
        tried = evaluate(agent, spec, test, config.seed)
        prefix = "test" if kind == config.agents[0] else f"test_{kind}"
        metrics |= {f"{prefix}/{name}": value for name, value in tried.metrics().items()}
        metrics[f"{prefix}/solved_greedy"] = float(evaluate(agent, spec, test, greedy=True).solved.mean())
        rows.append(
            [kind, *(metrics[f"{prefix}/{name}"] for name in ("solved", "solved_low", "solved_high"))]
        )
        for n, (other, levels) in longer.items():
            of_longer = evaluate(agent, other, levels, config.seed).metrics()
            metrics |= {f"{prefix}/length{n}_{name}": of_longer[name] for name in ("solved", "return")}
        details[kind] = {
            "best_epoch": histories[kind].best_epoch,
            "parameters": sum(p.numel() for p in agent.parameters()),
            "history": histories[kind].history,
        }
        _draw(run, config, spec, kind, agent, test, tried)
    show(pd.DataFrame(rows, columns=["agent", "solved", "from", "to (95 %)"]), f"{len(test)} held-out levels")
    curves = {kind: outcome.history for kind, outcome in histories.items()}
    run.figure("learning", figures.learning_curves(curves, metrics["random/solved"]))
    run.figure("levels", figures.gallery(test[:12], spec))
    return Results(metrics, details)


def evaluate_run(config: Config, run: Run) -> Results:
    """Try the agents of a finished run (checkpoint=RUN) on files of levels, or on levels drawn by `world`."""
    if config.checkpoint is None:
        raise InputError("this task needs checkpoint=<run directory>")
    trained = load_agent(config.checkpoint, config.agents[0] if config.agents else "relational")
    agent = trained.agent.to(run.fabric.device)
    sets: dict[str, tuple[BoxWorldSpec, Levels]] = {}
    for name in config.evaluation.files:
        levels = load_levels(name)
        digest = hashlib.sha256(Path(name).read_bytes()).hexdigest()
        run.dataset(Path(name).stem, {Path(name).name: digest})
        limit = config.world.max_steps + config.evaluation.extra_steps
        sets[Path(name).stem] = replace(BoxWorldSpec(), size=levels.side - 2, max_steps=limit), levels
    if not sets:
        spec = config.world.spec()
        sets["test"] = spec, sample_levels(spec, config.evaluation.levels, HELD_OUT + config.seed)
    metrics: dict[str, float] = {}
    for name, (spec, levels) in sets.items():
        metrics |= {
            f"{name}/{key}": value
            for key, value in evaluate(agent, spec, levels, config.seed).metrics().items()
        }
    rows = [
        [name, *(metrics[f"{name}/{key}"] for key in ("solved", "solved_low", "solved_high", "return"))]
        for name in sets
    ]
    show(
        pd.DataFrame(rows, columns=["levels", "solved", "from", "to (95 %)", "return"]),
        f"{trained.kind} agent",
    )
    return Results(metrics)


def levels(config: Config, run: Run) -> Results:
    """Draw levels into a file, plan each, and show what the distribution came to."""
    spec = config.world.spec()
    drawn = sample_levels(spec, config.levels.count, config.seed)
    path = Path(config.levels.file or run.directory / "levels.npz")
    save_levels(path, drawn)
    run.log.info("wrote %s levels to %s", f"{len(drawn):,}", path)
    metrics, details = _planned(drawn)
    boxes = np.bincount(drawn.num_distractor_boxes).tolist()
    details["distractor_boxes"] = dict(enumerate(boxes))
    run.figure("levels", figures.gallery(drawn[:12], spec))
    return Results({name.replace("test/", "levels/"): v for name, v in metrics.items()}, details)


def _planned(levels: Levels) -> tuple[dict[str, float], dict[str, object]]:
    """What the planner makes of levels: a share of 1 says that each has a solution."""
    steps = optimal_lengths(levels)
    metrics = {"test/oracle_solved": float((steps >= 0).mean()), "test/oracle_steps": float(steps.mean())}
    lengths = np.bincount(levels.solution_length).tolist()
    return metrics, {"solution_lengths": dict(enumerate(lengths))}


def _longer(config: Config, length: int) -> tuple[BoxWorldSpec, Levels]:
    """Levels of one solution length, with 30 steps more for each box beyond those trained on."""
    beyond = max(0, length - max(config.world.solution_lengths))
    spec = config.world.spec(solution_lengths=(length,), max_steps=config.world.max_steps + 30 * beyond)
    return spec, sample_levels(spec, config.evaluation.levels, LONGER + config.seed)


def _throughput(spec: BoxWorldSpec, steps: int) -> float:
    """Steps a second of 1,024 environments under random actions, frames and resets included."""
    env = BoxWorldVectorEnv(1024, spec, "SameStep", copy=False)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, 4, (64, 1024))
    env.step(actions[0])
    started = time.perf_counter()
    for step in range(steps):
        env.step(actions[step % 64])
    return 1024 * steps / (time.perf_counter() - started)


def _draw(
    run: Run, config: Config, spec: BoxWorldSpec, kind: str, agent: Agent, levels: Levels, tried: Evaluation
) -> None:
    """The film of an episode, and for the relational agent its attention on the same level."""
    solved = np.flatnonzero(tried.solved)
    # The longest solved one has the most to show; without any, the first level as it went.
    which = int(solved[np.argmax(levels.solution_length[solved])]) if len(solved) else 0
    if run.main:
        film(
            agent,
            spec,
            levels[which : which + 1],
            run.directory / "figures" / f"episode_{kind}.gif",
            config.seed,
        )
    if kind == "relational":
        run.figure("attention", figures.attention_maps(agent, spec, levels[which : which + 1]))


TASKS = {
    "train": train,
    "evaluate": evaluate_run,
    "levels": levels,
    "sc2": train_sc2,
    "sc2_evaluate": evaluate_sc2,
    "sc2_published": show_published,
}
main = command("relational_rl", Config, TASKS, "Relational Deep Reinforcement Learning")
