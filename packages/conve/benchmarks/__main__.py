"""ConvE's training step, ranking and audit beside their peers; writes results.json beside this file.

    nox -s "bench(conve)"                      the table of docs/benchmarks.md
    nox -s "bench(conve)" -- --rounds 5        quicker and noisier
    nox -s "bench(conve)" -- --only audit      a part: train, eval, audit; the other parts of results.json stay

Every time is the median of rounds in which ours and its peers take turns. Training is given for one batch of 128
queries, ranking for 1,000 triples (both sides), both at d = 200; the audit for a whole data set of $OFFPRINTS_DATA.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from graphs import FB15K_237, WN18RR, YAGO3_10, Size, graph_of
from measure import Timing, in_turn
from peers import DenseStep, Pykeen

from offprints.atomic import write_text
from offprints.data import MissingFile
from offprints.gpu import cpu_has_bf16, keep_freed_memory
from offprints.hardware import hardware, versions

from conve import ConvE, Trainer, TrainingOptions, audit, evaluate
from conve.batches import Batches
from conve.datasets import load_dataset

RESULTS = Path(__file__).parent / "results.json"
BATCH = 128
RANKED = 1_000
DIM, FEATURES = 200, 10_368  # of ConvE's defaults
PYKEEN = f"pykeen {metadata.version('pykeen')}"

Entry = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=list(PARTS), nargs="+", default=list(PARTS))
    parser.add_argument("--no-pykeen", action="store_true", help="leave out the slow peer")
    options = parser.parse_args()
    keep_freed_memory()  # as the command line does; here it helps the peers just as well
    entries: list[Entry] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for part in options.only:
        entries = [entry for entry in entries if entry["workload"].split()[0] != part]
        for entry in PARTS[part](options):
            entries.append({**entry, "hardware": dataclasses.asdict(hardware()), "versions": versions()})
            show(entries[-1])
            write_text(
                RESULTS, json.dumps(entries, indent=2) + "\n"
            )  # what was measured is kept if the rest fails


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
            works[precision] = partial(trainer._step, batch)
        timings = in_turn(works, options.rounds)
        bound = {precision: step_bound(size.entities, precision) for precision in precisions()}
        for precision in precisions():
            ours, peer = timings[precision], timings["dense torch"]
            yield {
                **compared(f"train {precision}", size, threads, ours, "dense torch", peer),
                "bound_share": bound[precision] / ours.best,
            }
        if size is FB15K_237 and not options.no_pykeen:
            pykeen = Pykeen(graph, DIM).seconds_of_training(BATCH)
            for precision in precisions():
                yield compared(f"train {precision}", size, threads, timings[precision], PYKEEN, pykeen)


def rank(options: argparse.Namespace) -> Iterator[Entry]:
    """Filtered ranks of both sides."""
    for size, threads in itertools.product((FB15K_237, WN18RR, YAGO3_10), options.threads):
        torch.set_num_threads(threads)
        graph = graph_of(size, RANKED)
        model = ConvE(graph.num_entities, 2 * graph.num_relations).eval()
        ours = in_turn({"ours": partial(evaluate, model, graph)}, min(options.rounds, 5))["ours"]
        if size is FB15K_237 and not options.no_pykeen:
            pykeen = Pykeen(graph, DIM).seconds_of_ranking(RANKED)
            yield compared("eval", size, threads, ours, PYKEEN, pykeen)
        else:
            yield compared("eval", size, threads, ours, "", None)


def audits(options: argparse.Namespace) -> Iterator[Entry]:
    """The whole leakage report of a data set."""
    torch.set_num_threads(options.threads[0])
    for name in ("umls", "kinship", "nations", "wn18rr", "wn18", "fb15k-237", "fb15k", "yago3-10"):
        try:
            graph = load_dataset(name)
        except MissingFile:
            continue
        size = Size(graph.num_entities, graph.num_relations, len(graph.train))
        timing = in_turn({name: partial(audit, graph)}, min(options.rounds, 3))[name]
        yield compared(f"audit {name}", size, options.threads[0], timing, "", None)


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Entry]]] = {
    "train": train,
    "eval": rank,
    "audit": audits,
}


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


def compared(workload: str, size: Size, threads: int, ours: Timing, peer: str, its: Timing | None) -> Entry:
    """A line of the table."""
    return {
        "workload": workload,
        "size": size.entities,
        "facts": size.facts,
        "threads": threads,
        "ours_seconds": ours.median,
        "ours_best_seconds": ours.best,
        "ours_peak_mb": ours.peak_mb,
        "peer": peer,
        "peer_seconds": its.median if its else None,
        "peer_best_seconds": its.best if its else None,
        "peer_peak_mb": its.peak_mb if its else None,
        "ratio": its.median / ours.median if its else None,
    }


def show(entry: Entry) -> None:
    """One line on standard output, as soon as it is known."""
    beside = f", {entry['ratio']:.1f} times as fast as {entry['peer']}" if entry["ratio"] else ""
    print(
        f"{entry['workload']}, {entry['size']:,} entities, {entry['threads']} thread(s): "
        f"{entry['ours_seconds']:.4g} s{beside}",
        flush=True,
    )


if __name__ == "__main__":
    main()
