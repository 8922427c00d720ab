"""KE-GCN's training epoch and ranking beside their peers; writes results.json beside this file.

    nox -s "bench(ke-gcn)"                         the table of docs/benchmarks.md
    nox -s "bench(ke-gcn)" -- --rounds 3           quicker and noisier
    nox -s "bench(ke-gcn)" -- --only rank          a part: epoch, rank, scale, gpu; the other parts of results.json stay
    nox -s "bench(ke-gcn)" -- --no-peers           ours alone

Graphs are random ones of a data set's counts, so that no files are needed. An epoch is forward, loss, backward and Adam
with four convolutions. Times are medians of rounds in which ours and its peers take turns; `process_peak_mb` is the memory of the
whole process while ours works.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from offprints.benchmark import Entry, compared, in_turn, run
from offprints.hardware import peak_memory_mb, reset_peak_memory

from ke_gcn import KEGCN, Graph, rank_pairs, score_named
from ke_gcn.alignment import AlignmentLoss


class Size(NamedTuple):
    """The counts of a data set."""

    entities: int
    relations: int
    triples: int


SIZES = {
    "quarter": Size(9_740, 533, 41_389),
    "zh_en": Size(38_960, 2_133, 165_556),
    "fr_en": Size(39_654, 2_036, 221_720),
}
AM = Size(1_666_764, 133, 5_988_321)


def epoch(options: argparse.Namespace) -> Iterator[Entry]:
    """A whole training epoch at the published sizes: dim 200, four convolutions, 4,500 seeds, five negatives a side."""
    from peers import EdgeArrays

    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in SIZES:
            graph = random_graph(SIZES[name])
            for mode in ("TransE", "RotatE", "QuatE"):
                works = {"ours": epoch_of(graph, mode, KEGCN)}
                for peer in () if options.no_peers else ("gather-scatter torch", "dgl 1.1.3"):
                    works[peer] = epoch_of(graph, mode, EdgeArrays.with_reducer(peer))
                timings = in_turn(works, min(options.rounds, 5))
                bound = epoch_bound(graph, 200)
                share = bound / timings["ours"].best
                for peer in list(works)[1:] or [""]:
                    both = timings["ours"], peer, timings.get(peer)
                    yield compared(f"epoch {mode}", len(graph), threads, *both, bound_share=share)


def rank(options: argparse.Namespace) -> Iterator[Entry]:
    """Ranks in both directions by L1 distance, dim 200."""
    for threads in options.threads:
        torch.set_num_threads(threads)
        for count in (2_625, 5_250, 10_500):
            left, right = torch.randn(2, count, 200).unbind()
            works: dict[str, Callable[[], object]] = {
                "ours": lambda left=left, right=right: rank_pairs(left, right),
            }
            peer = "" if options.no_peers else "scipy cdist, argsort"
            if peer:
                from peers import sorted_ranks

                works[peer] = lambda left=left, right=right: sorted_ranks(left, right)
            timings = in_turn(works, 1)
            its = timings.get(peer)
            yield compared("rank L1", count, threads, timings["ours"], peer, its)


def scale(options: argparse.Namespace) -> Iterator[Entry]:
    """A graph of AM's size: 1.67 million entities, 6 million triples, dim 32, four convolutions."""
    for threads in options.threads:
        torch.set_num_threads(threads)
        graph = random_graph(AM)
        for mode in ("TransE", "QuatE"):
            work = epoch_of(graph, mode, KEGCN, dim=32)
            timing = in_turn({"ours": work}, 1)["ours"]
            whole = process_peak(work)
            yield compared(f"scale {mode}", len(graph), threads, timing, process_peak_mb=whole)


def gpu(options: argparse.Namespace) -> Iterator[Entry]:
    """The epochs of `epoch` on a GPU, where there is one; its memory beside the seconds."""
    if not torch.cuda.is_available():
        return
    from peers import EdgeArrays

    device = torch.device("cuda", 0)
    for name in SIZES:
        graph = random_graph(SIZES[name]).to(device)
        for mode in ("TransE", "RotatE", "QuatE"):
            works = {"ours": epoch_of(graph, mode, KEGCN)}
            peer = "" if options.no_peers else "gather-scatter torch"
            if peer:
                works[peer] = epoch_of(graph, mode, EdgeArrays.with_reducer(peer))
            timings = in_turn(works, options.rounds, repeat=5, device=device)
            yield compared(f"gpu epoch {mode}", len(graph), 1, timings["ours"], peer, timings.get(peer))


def process_peak(work: Callable[[], object]) -> float | None:
    """Most memory that the process has while it works, graph, weights and libraries included, in 10^6 bytes."""
    if not reset_peak_memory():
        return None
    work()
    return peak_memory_mb()


def random_graph(size: Size, seed: int = 0) -> Graph:
    """A few frequent and many rare entities and relations, as real graphs have them."""
    rng = np.random.default_rng(seed)
    counts = (size.entities, size.relations, size.entities)
    columns = [np.minimum((n * rng.random(size.triples) ** 2).astype(np.int64), n - 1) for n in counts]
    name = rng.permutation(size.entities)  # frequent entities do not stand together
    return Graph(np.stack([name[columns[0]], columns[1], name[columns[2]]], 1), *size[:2])


def epoch_of(graph: Graph, mode: str, kind: Callable[..., Any], dim: int = 200) -> Callable[[], None]:
    """One update of a fresh model."""
    model = kind(graph.num_entities, graph.num_relations, score_named(mode), dim).to(graph.device)
    rng = np.random.default_rng(0)
    seeds = rng.permutation(graph.num_entities)[:9_000].reshape(-1, 2)
    loss = AlignmentLoss(model, graph, seeds)
    optimizer = torch.optim.Adam(model.parameters(), 0.01, fused=True)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(1).backward()
        optimizer.step()

    return work


def epoch_bound(graph: Graph, dim: int) -> float:
    """Seconds of what no epoch can do without: each message's row read once, forward and backward, in each layer."""
    table = torch.randn(graph.num_entities, dim)
    index = graph.edges("both").source.long()
    started = time.perf_counter()
    for part in index.split(4096):
        table[part].sum(0)
    return 8 * (time.perf_counter() - started)


if __name__ == "__main__":
    run(
        {"epoch": epoch, "rank": rank, "scale": scale, "gpu": gpu},
        __doc__,
        Path(__file__).with_name("results.json"),
    )
