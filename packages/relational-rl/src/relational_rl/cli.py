"""The tasks of the `relational-rl` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.gpu import resolve_precision
from offprints.tables import show
from offprints.training import LoopOptions, reported

from relational_rl import figures
from relational_rl.agreement import played_by_planner
from relational_rl.boxworld.fixed import fixed_levels
from relational_rl.boxworld.levels import Levels, load_levels, save_levels
from relational_rl.boxworld.oracle import optimal_lengths
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.boxworld.stream import sample_levels
from relational_rl.boxworld.vector import BoxWorldVectorEnv
from relational_rl.config import Config
from relational_rl.evaluation import Evaluation, evaluate
from relational_rl.film import film
from relational_rl.nets import Agent
from relational_rl.runs import build_agent, load_agent
from relational_rl.sc2.tasks import evaluate_sc2, show_published, train_sc2
from relational_rl.stages import Guard, check_stages, epochs_of, learn

HELD_OUT, CHOOSING, LONGER = 2**40, 2**41, 2**42
"""Seeds of levels that no training draws: its own are below 2^34."""


@dataclass
class Trials:
    """What agents are tried on, and what came of it.

    Attributes:
        spec: of the held-out levels.
        test: the held-out levels.
        longer: solution length -> spec and levels of solutions that no training has.
        metrics: of all agents.
        details: for results.json.
        rows: of the table at the end.
    """

    spec: BoxWorldSpec
    test: Levels
    longer: dict[int, tuple[BoxWorldSpec, Levels]]
    metrics: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    rows: list[list[object]] = field(default_factory=list)

    def add(self, name: str, tried: dict[str, float]) -> None:
        self.rows.append([name, *(tried[key] for key in ("solved", "solved_low", "solved_high", "return"))])


def train(config: Config, run: Run) -> Results:
    """Train agents by the planner's moves and by V-trace, and try them on held-out and on longer levels (the main job)."""
    spec = config.world.spec()
    if not config.agents:
        raise InputError("agents is empty: at least one of relational, control, plain")
    check_stages(config.learn)
    if config.precision == "bf16" and "vtrace" not in config.learn:
        raise InputError(
            "precision=bf16: agents learn from the planner in fp32; only V-trace (learn) takes bf16"
        )
    test = sample_levels(spec, config.evaluation.levels, HELD_OUT + config.seed)
    longer = {n: _longer(config, n) for n in config.evaluation.longer}
    trials = Trials(spec, test, longer)
    _check_planner(run, trials)
    random = evaluate(None, spec, test, config.seed).metrics()
    trials.metrics |= {f"random/{name}": value for name, value in random.items()}
    trials.add("random moves", random)
    if config.throughput_steps:
        rate = _throughput(spec, config.throughput_steps)
        trials.metrics["speed/steps_per_second"] = rate
        run.log.info("1,024 environments: %.1f million steps a second", rate / 1e6)
    curves = {}
    for kind in config.agents:
        agent = build_agent(config, kind).to(run.fabric.device)
        curves[kind] = _train_one(config, run, trials, kind, agent)
    show(
        pd.DataFrame(trials.rows, columns=["agent", "solved", "from", "to (95 %)", "return"]),
        f"{len(test)} held-out levels",
    )
    run.figure(
        "learning",
        figures.learning_curves(curves, random["solved"]),
        "The share of levels never trained on that each agent solves, by seconds of training",
    )
    run.figure("levels", figures.gallery(test[:12], spec), "Levels that the agents were tested on")
    return Results(trials.metrics, trials.details)


def evaluate_run(config: Config, run: Run) -> Results:
    """Try the agents of a finished run (checkpoint=RUN) on files of levels, on fixed ones, or on levels drawn by `world`."""
    if config.checkpoint is None:
        raise InputError("this task needs checkpoint=<run directory>")
    trained = load_agent(config.checkpoint, config.agents[0] if config.agents else "relational")
    agent = trained.agent.to(run.fabric.device)
    metrics: dict[str, float] = {}
    details: dict[str, Any] = {"agent": trained.kind, "trained_by": list(trained.config.learn)}
    rows = []
    for name, (spec, levels) in _level_sets(config, run).items():
        tried = evaluate(agent, spec, levels, config.seed).metrics()
        metrics |= {f"{name}/{key}": value for key, value in tried.items()}
        details[name] = {"max_steps": spec.max_steps, **_distribution(levels)}
        rows.append([name, *(tried[key] for key in ("solved", "solved_low", "solved_high", "return"))])
    show(
        pd.DataFrame(rows, columns=["levels", "solved", "from", "to (95 %)", "return"]),
        f"{trained.kind} agent",
    )
    return Results(metrics, details)


def levels(config: Config, run: Run) -> Results:
    """Draw levels into a file, plan each, and show what the distribution came to."""
    spec = config.world.spec()
    drawn = sample_levels(spec, config.levels.count, config.seed)
    path = Path(config.levels.file or run.directory / "levels.npz")
    save_levels(path, drawn)
    run.log.info("wrote %s levels to %s", f"{len(drawn):,}", path)
    steps = optimal_lengths(drawn)
    metrics = {
        "levels/oracle_solved": float((steps >= 0).mean()),
        "levels/oracle_steps": float(steps.mean()),
        "levels/distractor_boxes": float(drawn.num_distractor_boxes.mean()),
    }
    run.figure(
        "levels",
        figures.gallery(drawn[:12], spec),
        "Levels that were drawn, with the length of their solutions",
    )
    return Results(metrics, _distribution(drawn))


def _check_planner(run: Run, trials: Trials) -> None:
    """The planner has to solve every held-out level, in every form of the environment alike."""
    played = played_by_planner(trials.spec, trials.test)
    trials.metrics |= {
        "test/oracle_solved": float(played.solved.mean()),
        "test/oracle_steps": float(played.steps.mean()),
        "check/steps_compared": float(played.compared),
    }
    trials.details["levels"] = _distribution(trials.test)
    trials.details["forms_compared"] = list(played.forms)
    run.log.info(
        "the planner solves %.1f %% of %d held-out levels in %.1f steps; %s environments agree on %d steps",
        100 * played.solved.mean(), len(trials.test), played.steps.mean(), ", ".join(played.forms), played.compared,
    )  # fmt: skip


def _train_one(config: Config, run: Run, trials: Trials, kind: str, agent: Agent) -> list[dict[str, float]]:
    """Take one agent through all stages and try it; returns the rows of its epochs."""
    first = kind == config.agents[0]
    prefix = "test" if first else f"test_{kind}"
    held_out = None
    if config.evaluation.choose_levels:
        held_out = sample_levels(trials.spec, config.evaluation.choose_levels, CHOOSING + config.seed)
    history: list[dict[str, float]] = []
    stages = {}
    tried = None
    with reported(run, LoopOptions(epochs=epochs_of(config)), "valid/solved", kind, log=first) as on_epoch:
        for learnt in learn(
            config,
            agent,
            run.directory / "checkpoints" / kind,
            held_out=held_out,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
            autocast=_autocast(config, run),
        ):
            history += learnt.outcome.history
            stages[learnt.stage] = learnt.outcome.best_epoch
            tried = evaluate(agent, trials.spec, trials.test, config.seed)
            trials.add(f"{kind}, {learnt.stage}", tried.metrics())
            trials.metrics[f"{prefix}/solved_after_{learnt.stage}"] = float(tried.solved.mean())
            trials.metrics[f"{prefix}/cpu_seconds_{learnt.stage}"] = history[-1]["cpu_seconds"]
    assert tried is not None
    trials.metrics |= {f"{prefix}/{name}": value for name, value in tried.metrics().items()}
    greedy = evaluate(agent, trials.spec, trials.test, greedy=True)
    trials.metrics[f"{prefix}/solved_greedy"] = float(greedy.solved.mean())
    for n, (spec, levels) in trials.longer.items():
        found = evaluate(agent, spec, levels, config.seed).metrics()
        trials.metrics |= {f"{prefix}/length{n}_{name}": found[name] for name in ("solved", "return")}
    trials.details[kind] = {
        "best_epoch": stages,
        "parameters": sum(p.numel() for p in agent.parameters()),
        "history": history,
    }
    _draw(run, config, trials, kind, agent, tried)
    return history


def _autocast(config: Config, run: Run) -> Guard:
    """bf16 where it is asked for, and on a GPU that computes in it; a CPU keeps single precision unless told otherwise."""
    device = run.fabric.device
    precision = "fp32"
    if device.type == "cuda" or config.precision != "auto":
        precision = resolve_precision(config.precision, device)
    return run.fabric.autocast if precision == "bf16" else nullcontext


def _level_sets(config: Config, run: Run) -> dict[str, tuple[BoxWorldSpec, Levels]]:
    """Name -> how to play them, and levels: of files, fixed ones, or drawn ones."""
    if config.evaluation.at_most < 0:
        raise InputError(f"evaluation.at_most={config.evaluation.at_most} must be 0 or more")
    sets: dict[str, tuple[BoxWorldSpec, Levels]] = {}
    some = slice(config.evaluation.at_most or None)
    for file in config.evaluation.files:
        path = Path(file)
        found = load_levels(path)
        run.dataset(path.stem, {path.name: hashlib.sha256(path.read_bytes()).hexdigest()})
        limit = config.world.max_steps + config.evaluation.extra_steps
        spec = BoxWorldSpec(size=found.side - 2, max_steps=limit, palette=config.world.palette)
        sets[path.stem] = spec, found[some]
    for name in config.evaluation.fixed:
        spec, found, digest = fixed_levels(name)
        run.dataset(name, {f"{name}.npz": digest})
        sets[name] = replace(spec, palette=config.world.palette), found[some]
    if not sets:
        spec = config.world.spec()
        sets["test"] = spec, sample_levels(spec, config.evaluation.levels, HELD_OUT + config.seed)
    return sets


def _distribution(levels: Levels) -> dict[str, object]:
    """What was drawn, not what was asked for: dense levels are rarer than the options say."""
    return {
        "solution_lengths": dict(enumerate(np.bincount(levels.solution_length).tolist())),
        "distractor_boxes": dict(enumerate(np.bincount(levels.num_distractor_boxes).tolist())),
    }


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


def _draw(run: Run, config: Config, trials: Trials, kind: str, agent: Agent, tried: Evaluation) -> None:
    """The film of an episode, and for the relational agent its attention on the same level."""
    solved = np.flatnonzero(tried.solved)
    # The longest solved one has the most to show; without any, the first level as it went.
    which = int(solved[np.argmax(trials.test.solution_length[solved])]) if len(solved) else 0
    level = trials.test[which : which + 1]
    if run.main:
        film(agent, trials.spec, level, run.directory / "figures" / f"episode_{kind}.gif", config.seed)
    if kind == "relational":
        run.figure(
            "attention",
            figures.attention_maps(agent, trials.spec, level),
            "Where the entities of a level look, head by head",
        )


TASKS = {
    "train": train,
    "evaluate": evaluate_run,
    "levels": levels,
    "sc2": train_sc2,
    "sc2_evaluate": evaluate_sc2,
    "sc2_published": show_published,
}
main = command(
    "relational_rl",
    Config,
    TASKS,
    "Relational Deep Reinforcement Learning",
    on_device=("train", "evaluate", "sc2", "sc2_evaluate"),
    precisions={"train": ("fp32", "bf16")},
    with_checkpoint=("evaluate", "sc2_evaluate"),
)
