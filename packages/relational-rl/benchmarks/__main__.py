"""Box-World's steps and levels beside a plain environment that follows the same rules; writes results.json beside this file.

    nox -s "bench(relational-rl)"                     the table of docs/benchmarks.md
    nox -s "bench(relational-rl)" -- --rounds 3       quicker and noisier
    nox -s "bench(relational-rl)" -- --only vector    a part: vector, single, levels; the other parts of results.json stay

The published distribution of levels, random actions, frames and resets included, one thread. The peer is one environment that keeps its
board as an array and draws the whole frame from it at every step, as the authors' program does; their program itself cannot be
installed from the package index.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from plain import PlainBoxWorld

from offprints.benchmark import Entry, compared, in_turn, run

from relational_rl import BoxWorldEnv, BoxWorldSpec, BoxWorldVectorEnv, sample_levels

STEPS = 20_000
PEER = "plain environment"


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
    parts = {"vector": vector, "single": single, "levels": levels}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
