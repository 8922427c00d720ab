"""UKGE's training step and ranking beside plain torch; writes results.json beside this file.

    nox -s "bench(ukge)"                       the table of docs/benchmarks.md
    nox -s "bench(ukge)" -- --rounds 5         quicker and noisier
    nox -s "bench(ukge)" -- --only eval        a part: train, eval

Every time is the median of rounds in which ours and its peer take turns; with training, five steps in a row each, as a step follows a step.
Training is given for one step at dim 128 with ten corrupted heads and ten corrupted tails for each of 1,024 or 4,096 facts, and apart from
it with 128 negatives that a batch shares; ranking for 2,000 questions over all entities. `bound_share` is the share reached of what a copy of the same number of bytes would take: rows of
candidates and questions for each negative, and the tables with gradient and both moments of Adam.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peers import PlainStep, plain_ndcg, some_queries

from offprints.benchmark import Entry, compared, in_turn, run
from offprints.data import DataError

from ukge import UKGE, Atoms, ModelPredictor, Queries, Trainer, TrainingOptions, load_graph, places
from ukge.ndcg import ndcg_metrics
from ukge.synthetic import random_facts

DIM = 128
SIZES = (
    (5_000, 7),
    (15_000, 36),
    (60_000, 400),
)  # entities and relations: PPI5k's, CN15k's, and four times as many


def _copy_seconds(size: int) -> float:
    """How long the memory takes to move so many bytes, read or written."""
    source = torch.ones(1 << 25)
    target = torch.empty_like(source)
    timing = in_turn({"copy": lambda: target.copy_(source)}, 5)["copy"]
    return timing.best * size / (2 * source.nbytes)


def _moved(entities: int, facts: int) -> int:
    """Bytes of a step with ten corrupted heads and tails a fact."""
    adam = 8 * entities  # the gradient is written and read; parameters and both moments are read and written
    return 4 * DIM * (adam + facts * 20 * 2)


def train(options: argparse.Namespace) -> Iterator[Entry]:
    """One step of the published loss."""
    for (entities, relations), threads, size in itertools.product(SIZES, options.threads, (1024, 4096)):
        torch.set_num_threads(threads)
        facts, atoms = (
            random_facts(5 * size, entities, relations),
            Atoms.of_facts(random_facts(100, entities, relations, 1)),
        )
        own = TrainingOptions(batch_size=size, negatives=10, psl_batch=1, l2=5e-4)
        trainers = {
            "own": Trainer(UKGE(entities, relations, DIM, "rect"), facts, own, atoms=atoms),
            "shared": Trainer(
                UKGE(entities, relations, DIM, "rect"),
                facts,
                dataclasses.replace(own, negatives=128, shared=True),
                atoms=atoms,
            ),
        }
        # A step draws its negatives anew, ours and the peer's from the same hand.
        plain, rows = PlainStep(entities, relations, DIM), torch.arange(size)
        works: dict[str, Callable[[], object]] = {
            "plain": lambda plain=plain, draw=trainers["own"].data, rows=rows: plain(draw.batch(rows))
        }
        for name, trainer in trainers.items():
            works[name] = lambda trainer=trainer, rows=rows: trainer.step(trainer.data.batch(rows))
        timings = in_turn(works, options.rounds, repeat=5)
        for name, title in (("own", "10+10 negatives a fact"), ("shared", "128 shared negatives")):
            yield compared(
                f"train {size} facts, {title}",
                entities,
                threads,
                timings[name],
                "plain torch",
                timings["plain"],
                facts_per_second=size / timings[name].median,
                best_facts_per_second=size / timings[name].best,
                bound_share=_copy_seconds(_moved(entities, size)) / timings[name].best
                if name == "own"
                else None,
            )


def evaluation(options: argparse.Namespace) -> Iterator[Entry]:
    """nDCG of the published questions, or of 2,000 random ones where the data set is not there."""
    for (name, entities, relations), threads in itertools.product(
        (("ppi5k", 5_000, 7), ("cn15k", 15_000, 36), ("nl27k", 27_000, 400)), options.threads
    ):
        torch.set_num_threads(threads)
        try:
            graph = load_graph(name)
            entities, relations = graph.num_entities, graph.num_relations
            queries = (
                Queries.of(graph.queries) if graph.queries is not None else some_queries(graph.train, 2_000)
            )
        except DataError:
            queries = some_queries(random_facts(70_000, entities, relations), 2_000)
        model = UKGE(entities, relations, DIM)
        predictor = ModelPredictor(model)

        def ours(
            predictor: ModelPredictor = predictor, queries: Queries = queries, size: int = entities
        ) -> object:
            return ndcg_metrics(places(predictor.score_tails, queries), queries, size)

        plain = partial(plain_ndcg, model.entity.detach(), model.relation.detach(), queries)
        agree = abs(plain() - ours()["ndcg_linear_published_ties"])  # type: ignore[index]
        if not np.isfinite(agree) or agree > 1e-3:
            raise AssertionError(f"{name}: ours and plain torch differ by {agree}")
        timings = in_turn({"ours": ours, "plain": plain}, min(options.rounds, 5))
        both = timings["ours"], "plain torch", timings["plain"]
        yield compared(f"eval ndcg {name}", entities, threads, *both)


if __name__ == "__main__":
    run({"train": train, "eval": evaluation}, __doc__, Path(__file__).with_name("results.json"))
