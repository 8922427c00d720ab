"""Box-World's steps and levels, and an update of the agent, beside plain ones; writes results.json beside this file.

    nox -s "bench(relational-rl)"                     the table of docs/benchmarks.md
    nox -s "bench(relational-rl)" -- --rounds 3       quicker and noisier
    nox -s "bench(relational-rl)" -- --only vector    a part: vector, single, levels, learner; the others stay as they are

The published distribution of levels, random actions, frames and resets included, one thread. The peer is one environment that keeps its
board as an array and draws the whole frame from it at every step, as the authors' program does; their program itself cannot be
installed from the package index.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from plain import PlainBoxWorld
from plain_agent import PlainAgent

from offprints.benchmark import Entry, compared, in_turn, run

from relational_rl import (
    Agent,
    AgentOptions,
    BoxWorldEnv,
    BoxWorldSpec,
    BoxWorldVectorEnv,
    Reinforcement,
    VTraceOptions,
    sample_levels,
)

STEPS = 20_000
PEER, PLAIN = "plain environment", "plain agent"


def vector(options: argparse.Namespace) -> Iterator[Entry]:
    """Steps of vector environments; a run is about 2^20 of them."""
    for count in (64, 1024, 4096):
        steps = 2**20 // count
        actions = np.random.default_rng(0).integers(0, 4, (64, count))
        for accelerate in ("numpy", "numba"):
            for copy in (True, False):
                env = BoxWorldVectorEnv(count, autoreset_mode="SameStep", accelerate=accelerate, copy=copy)
                env.reset(seed=0)
                works = {"ours": lambda env=env, steps=steps, actions=actions: _steps(env, steps, actions)}
                ours = in_turn(works, options.rounds)["ours"]
                name = f"vector env B={count}, {accelerate}" + ("" if copy else ", copy=False")
                rate = steps * count / ours.median
                yield compared(name, count, 1, ours, steps_per_second=rate)


def single(options: argparse.Namespace) -> Iterator[Entry]:
    """Steps of one environment, beside the plain one."""
    actions = np.random.default_rng(0).integers(0, 4, STEPS).tolist()
    ours, plain = BoxWorldEnv(), PlainBoxWorld(BoxWorldSpec())
    works = {"ours": _episodes(ours, actions), PEER: _episodes(plain, actions)}
    timings = in_turn(works, options.rounds)
    rate = STEPS / timings["ours"].median
    yield compared("single env", STEPS, 1, timings["ours"], PEER, timings[PEER], steps_per_second=rate)


def levels(options: argparse.Namespace) -> Iterator[Entry]:
    """Levels of the published distribution and of the densest one."""
    for name, spec in (("branch1", BoxWorldSpec()), ("length10", BoxWorldSpec(solution_lengths=(10,)))):
        for accelerate in ("numpy", "numba"):
            for count in (1024, 4096, 16384):
                draw = {"ours": lambda s=spec, n=count, a=accelerate: sample_levels(s, n, 0, a)}
                ours = in_turn(draw, options.rounds)["ours"]
                yield compared(
                    f"levels {name}, {accelerate}", count, 1, ours, levels_per_second=count / ours.median
                )


def learner(options: argparse.Namespace) -> Iterator[Entry]:
    """One V-trace update, forward and backward, from T = 20 steps of 8 environments; growth with the board, blocks and threads."""
    told = VTraceOptions(environments=8, minibatches=1)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for size, blocks in ((6, 1), (8, 1), (12, 1), (12, 2)):
            spec = BoxWorldSpec(size=size, solution_lengths=(1,), forward=(0,))
            net = AgentOptions(padding="valid", blocks=blocks)
            agents = {"ours": Agent(net)} | ({PLAIN: PlainAgent(net)} if blocks == 1 else {})
            agents |= (
                {"control": Agent(AgentOptions(padding="valid", kind="control", blocks=3))}
                if blocks == 1
                else {}
            )
            works = {name: _update(agent, spec, told) for name, agent in agents.items()}
            timings = in_turn(works, options.rounds)
            name = f"learner {size + 2}x{size + 2}, {blocks} block" + ("s" if blocks > 1 else "")
            frames = told.environments * told.unroll
            rate = frames / timings["ours"].median
            peer = (PLAIN, timings[PLAIN]) if blocks == 1 else ()
            yield compared(name, (size + 2) ** 2, threads, timings["ours"], *peer, frames_per_second=rate)
            if "control" in timings:
                name, its = f"learner {size + 2}x{size + 2}, control", timings["control"]
                yield compared(name, (size + 2) ** 2, threads, its, frames_per_second=frames / its.median)


def _update(agent: Agent | PlainAgent, spec: BoxWorldSpec, told: VTraceOptions) -> Callable[[], object]:
    trainer = Reinforcement(agent, spec, told)  # type: ignore[arg-type]
    unroll = trainer.act(0)
    return lambda: trainer.step(unroll)


def _steps(env: BoxWorldVectorEnv, steps: int, actions: np.ndarray) -> None:
    for step in range(steps):
        env.step(actions[step % len(actions)])


def _episodes(env: BoxWorldEnv | PlainBoxWorld, actions: list[int]) -> Callable[[], None]:
    env.reset(seed=0)

    def work() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return work


if __name__ == "__main__":
    parts = {"vector": vector, "single": single, "levels": levels, "learner": learner}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
