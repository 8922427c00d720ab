"""ConvE's training step, ranking and audit beside their peers; writes results.json beside this file.

    nox -s "bench(conve)"                      the table of docs/benchmarks.md
    nox -s "bench(conve)" -- --rounds 5        quicker and noisier
    nox -s "bench(conve)" -- --only audit      a part: train, eval, audit; the other parts of results.json stay

Every time is the median of rounds in which ours and its peers take turns. Training is given for one batch of 128
queries, ranking for 1,000 triples (both sides), both at d = 200; the audit for a whole data set of $OFFPRINTS_DATA.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

import torch
from graphs import FB15K_237, WN18RR, YAGO3_10, graph_of
from peers import DenseStep, Pykeen

from offprints.benchmark import Entry, compared, in_turn, run
from offprints.data import MissingFile
from offprints.gpu import cpu_has_bf16

from conve import ConvE, Trainer, TrainingOptions, audit, evaluate
from conve.batches import Batches
from conve.datasets import load_dataset

BATCH = 128
RANKED = 1_000
DIM, FEATURES = 200, 9_728  # of ConvE's defaults
PYKEEN = f"pykeen {metadata.version('pykeen')}"


def train(options: argparse.Namespace) -> Iterator[Entry]:
    """One optimiser step, in the precisions that this processor knows."""
    for size, threads in itertools.product((FB15K_237, WN18RR, YAGO3_10), options.threads):
        torch.set_num_threads(threads)
        graph = graph_of(size)
        batches = Batches(graph, BATCH, 0)
        batch = next(batches.of(batches.order()))
        dense = DenseStep(graph)
        works: dict[str, Callable[[], object]] = {"dense torch": partial(dense, batch)}
        for precision in precisions():
            trainer = Trainer(
                ConvE(graph.num_entities, 2 * graph.num_relations).train(),
                graph,
                TrainingOptions(batch_size=BATCH, evaluate_every=0),
                bfloat16=precision == "bf16",
            )
            works[precision] = partial(trainer._update, batch)
        timings = in_turn(works, options.rounds)
        bound = {precision: step_bound(size.entities, precision) for precision in precisions()}
        for precision in precisions():
            ours, peer = timings[precision], timings["dense torch"]
            yield compared(
                f"train {precision}",
                size.entities,
                threads,
                ours,
                "dense torch",
                peer,
                facts=size.facts,
                bound_share=bound[precision] / ours.best,
            )
        if size is FB15K_237 and not options.no_peers:
            pykeen = Pykeen(graph, DIM).seconds_of_training(BATCH)
            for precision in precisions():
                ours = timings[precision]
                yield compared(
                    f"train {precision}", size.entities, threads, ours, PYKEEN, pykeen, facts=size.facts
                )


def rank(options: argparse.Namespace) -> Iterator[Entry]:
    """Filtered ranks of both sides."""
    for size, threads in itertools.product((FB15K_237, WN18RR, YAGO3_10), options.threads):
        torch.set_num_threads(threads)
        graph = graph_of(size, RANKED)
        model = ConvE(graph.num_entities, 2 * graph.num_relations).eval()
        ours = in_turn({"ours": partial(evaluate, model, graph)}, min(options.rounds, 5))["ours"]
        if size is FB15K_237 and not options.no_peers:
            pykeen = Pykeen(graph, DIM).seconds_of_ranking(RANKED)
            yield compared("eval", size.entities, threads, ours, PYKEEN, pykeen, facts=size.facts)
        else:
            yield compared("eval", size.entities, threads, ours, facts=size.facts)


def audits(options: argparse.Namespace) -> Iterator[Entry]:
    """The whole leakage report of a data set."""
    torch.set_num_threads(options.threads[0])
    for name in ("umls", "kinship", "nations", "wn18rr", "wn18", "fb15k-237", "fb15k", "yago3-10"):
        try:
            graph = load_dataset(name)
        except MissingFile:
            continue
        timing = in_turn({name: partial(audit, graph)}, min(options.rounds, 3))[name]
        yield compared(
            f"audit {name}", graph.num_entities, options.threads[0], timing, facts=len(graph.train)
        )


def precisions() -> tuple[str, ...]:
    return ("fp32", "bf16") if cpu_has_bf16() else ("fp32",)


def step_bound(entities: int, precision: str) -> float:
    """Seconds of what no step can do without: its six large products, and Adam's passes over all numbers."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    products = []
    for inner, outer in ((DIM, entities), (FEATURES, DIM)):
        left, right = torch.randn(BATCH, inner, dtype=kind), torch.randn(outer, inner, dtype=kind)
        out = torch.randn(BATCH, outer, dtype=kind)
        products += [
            lambda left=left, right=right: left @ right.T,
            lambda out=out, right=right: out @ right,
            lambda out=out, left=left: out.T @ left,
        ]
    numbers = torch.nn.Parameter(torch.randn(entities * DIM + FEATURES * DIM))
    numbers.grad = torch.randn_like(numbers)
    adam = torch.optim.Adam([numbers], fused=True)
    works: dict[str, Callable[[], object]] = {f"product {i}": work for i, work in enumerate(products)}
    timings = in_turn({**works, "adam": adam.step}, 15)
    return sum(timing.best for timing in timings.values())


if __name__ == "__main__":
    parts = {"train": train, "eval": rank, "audit": audits}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
