"""UFG's transform, convolution and pooling beside SciPy, DGL and PyGSP; writes results.json beside this file.

    nox -s "bench(ufg)"                             the table of docs/benchmarks.md
    nox -s "bench(ufg)" -- --rounds 5 --threads 1   quicker and noisier
    nox -s "bench(ufg)" -- --only transform         a part: transform, bank, epoch, seeds, pool

Every time is the median of rounds in which ours and its peers take turns. `transform` is analysis and synthesis of 64 columns by the
same recursion, whose products are torch's CSR, SciPy's CSR or DGL's message passing; results are compared before they are timed.
`bank` is analysis alone beside PyGSP's filter bank. `epoch` is a training step on Cora and a look at all nodes, `pool` an epoch of
PROTEINS with everything that has to be made of its edges before. `bound_share` is the share reached of what a copy of the bytes would
take that the sparse products read and write at least: every entry of the matrix and each row of the signal once for each product, and
the blocks once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from graphs import cora, power_law, proteins
from peers import analyze, dgl_products, pygsp_bank, scipy_products, synthesize, torch_products

from offprints.benchmark import Entry, compared, in_turn, run

from ufg import FrameletTransform, GraphOperator, UFGGraphNet, UFGNet, UFGPool
from ufg.dgl_baselines import DGLNetwork
from ufg.graph_data import random_split
from ufg.training import GraphTrainer, NodeTrainer, TrainingOptions

SIZES = ((2_708, 5_278), (34_493, 247_962), (169_343, 1_155_622))  # Cora's, coauthor-physics', ogbn-arxiv's
COLUMNS = 64
HAS_DGL = find_spec("dgl") is not None


def transform(options: argparse.Namespace) -> Iterator[Entry]:
    """Analysis and synthesis of 64 columns."""
    for nodes, edges in SIZES:
        op = GraphOperator.from_edges(power_law(nodes, edges), nodes)
        x = torch.randn(nodes, COLUMNS)
        for terms in (2, 8):
            framelets = FrameletTransform(terms=terms)
            with torch.no_grad():
                works: dict[str, Callable[[], object]] = {
                    "ours": lambda op=op, x=x, t=framelets: t.synthesize(op, t.analyze(op, x))
                }
                others = {
                    f"scipy {version('scipy')}": (scipy_products(op, framelets), x.numpy()),
                    f"torch {torch.__version__} CSR": (torch_products(op, framelets), x),
                }
                if HAS_DGL:
                    others[f"dgl {version('dgl')}"] = (dgl_products(op, framelets), x)
                for name, (products, signal) in others.items():
                    works[name] = lambda p=products, s=signal, t=framelets: synthesize(
                        p, t.table, analyze(p, t.table, s)
                    )
                for name, work in works.items():
                    difference = np.abs(np.asarray(work()) - works["ours"]().numpy()).max()
                    if difference > 1e-3:
                        raise AssertionError(f"{name} gives another signal, by {difference}")
                for threads in options.threads:
                    torch.set_num_threads(threads)
                    timings = in_turn(works, options.rounds)
                    share = _copy_seconds(_moved(op, framelets)) / timings["ours"].best
                    for name in others:
                        yield compared(
                            f"transform 64 columns, n={terms}",
                            nodes,
                            threads,
                            timings["ours"],
                            name,
                            timings[name],
                            bound_share=share,
                            node_columns_per_second=nodes * COLUMNS / timings["ours"].median,
                        )


def bank(options: argparse.Namespace) -> Iterator[Entry]:
    """Analysis beside PyGSP's filter bank."""
    if find_spec("pygsp") is None:
        return
    for nodes, edges in SIZES[:2]:
        op = GraphOperator.from_edges(power_law(nodes, edges), nodes)
        framelets, x = FrameletTransform(terms=8), torch.randn(nodes, COLUMNS)
        name, filtered = pygsp_bank(op, framelets)
        works: dict[str, Callable[[], object]] = {
            "ours": lambda op=op, x=x, t=framelets: t.analyze(op, x),
            name: lambda x=x, filtered=filtered: filtered(x.numpy()),
        }
        theirs = np.moveaxis(np.asarray(works[name]()), -1, 0)
        joined = op.degree.numpy() > 0  # PyGSP has 0 for 1 on the diagonal of a node without edges
        if np.abs(theirs - works["ours"]().numpy())[:, joined].max() > 1e-3:
            raise AssertionError("PyGSP gives other coefficients")
        torch.set_num_threads(1)
        timings = in_turn(works, max(1, options.rounds // 4))
        yield compared("bank 64 columns, n=8, analysis", nodes, 1, timings["ours"], name, timings[name])


def epoch(options: argparse.Namespace) -> Iterator[Entry]:
    """A training step on Cora and a look at all nodes, for UFGConv-R and -S as published."""
    data = cora()
    width, classes = data.features.shape[1], data.num_classes
    for threads in options.threads:
        torch.set_num_threads(threads)
        nets: dict[str, torch.nn.Module] = {
            f"UFGConv-{name}": UFGNet(
                width,
                16,
                classes,
                dropout=0.7,
                transform=FrameletTransform(terms=2),
                gain="node",
                num_nodes=data.num_nodes,
                gain_init=(1, 1),
                shrinkage=rule,
            )
            for name, rule in (("R", None), ("S", "soft"))
        }
        if HAS_DGL:
            nets[f"dgl {version('dgl')} ChebConv K=3"] = DGLNetwork("dgl-chebyshev", width, 16, classes)
        trainers = {name: NodeTrainer(net, data, TrainingOptions()) for name, net in nets.items()}
        timings = in_turn(
            {name: _epoch_of(trainer) for name, trainer in trainers.items()}, options.rounds, repeat=10
        )
        peer = next((name for name in timings if name.startswith("dgl")), "")
        for name in ("UFGConv-R", "UFGConv-S"):
            yield compared(
                f"epoch Cora, {name}", data.num_nodes, threads, timings[name], peer, timings.get(peer)
            )


def seeds(options: argparse.Namespace) -> Iterator[Entry]:
    """Ten networks side by side in every product, beside ten after each other."""
    data = cora()
    common = {
        "dropout": 0.7,
        "transform": FrameletTransform(terms=2),
        "gain": "node",
        "num_nodes": data.num_nodes,
    }
    sizes = (data.features.shape[1], 16, data.num_classes)
    one, ten = UFGNet(*sizes, **common), UFGNet(*sizes, copies=10, **common)
    trainer = NodeTrainer(one, data)
    train = trainer.nodes["train"]
    labels = trainer.labels[train]

    def step(net: torch.nn.Module, times: int) -> None:
        for _ in range(times):
            logits = net(trainer.op, trainer.x)[train]
            logits.reshape(len(train), -1, sizes[2]).logsumexp(2).sum().sub(
                logits[..., labels[0]].sum()
            ).backward()
            net.zero_grad()

    for threads in options.threads:
        torch.set_num_threads(threads)
        timings = in_turn({"ten": lambda: step(ten, 1), "each": lambda: step(one, 10)}, options.rounds)
        yield compared(
            "seeds forward and backward of ten",
            data.num_nodes,
            threads,
            timings["ten"],
            "one by one",
            timings["each"],
        )


def pool(options: argparse.Namespace) -> Iterator[Entry]:
    """An epoch of PROTEINS with UFGPool, from the edges on."""
    data = proteins()
    split = random_split(len(data.sizes), 0)
    for threads in options.threads:
        torch.set_num_threads(threads)
        for mode in ("sum", "spectrum"):

            def whole(mode: str = mode) -> None:
                net = UFGGraphNet.of(data.features.shape[1], 64, 2, UFGPool(FrameletTransform(terms=2), mode))
                trainer = GraphTrainer(net, data, split, TrainingOptions(batch_size=53))
                for batch in trainer.batches(0):
                    trainer.step(batch)

            timing = in_turn({"ours": whole}, max(1, options.rounds // 4))["ours"]
            yield compared(f"pool PROTEINS epoch from the edges on, {mode}", len(data.sizes), threads, timing)


def _epoch_of(trainer: NodeTrainer) -> Callable[[], object]:
    def work() -> None:
        trainer.net.train()
        trainer.step(None)
        trainer.net.eval()
        trainer.validate()

    return work


def _moved(op: GraphOperator, framelets: FrameletTransform) -> int:
    """Bytes that analysis and synthesis move at least."""
    row = 4 * COLUMNS * op.num_nodes
    products = 2 * (framelets.terms - 1) * framelets.levels
    return products * (8 * op.num_entries + 2 * row) + 2 * framelets.num_blocks * row


def _copy_seconds(size: int) -> float:
    """How long the memory takes to move so many bytes, read or written."""
    source = torch.ones(1 << 25)
    target = torch.empty_like(source)
    timing = in_turn({"copy": lambda: target.copy_(source)}, 5)["copy"]
    return timing.best * size / (2 * source.nbytes)


if __name__ == "__main__":
    parts = {"transform": transform, "bank": bank, "epoch": epoch, "seeds": seeds, "pool": pool}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
