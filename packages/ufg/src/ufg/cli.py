"""The tasks of the `ufg` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from offprints.app import Results, Run, command
from offprints.errors import InputError
from offprints.tables import show
from offprints.training import Outcome, reported

from ufg import figures
from ufg.config import Config, ModelConfig
from ufg.denoise import compress, denoise, snr_gain, tikhonov
from ufg.node_data import NodeData
from ufg.qm7 import MOLECULES, atom_count_error, element_count_error
from ufg.runs import (
    GRAPH_SETS,
    build_graph_net,
    build_graphs,
    build_node_net,
    build_nodes,
    build_transform,
    open_run,
    scaling,
)
from ufg.training import GraphTrainer, NodeTrainer


def compare(config: Config, run: Run) -> Results:
    """Framelets beside GCN and MLP on one graph, denoising without training, and how tight the frame is."""
    data = _nodes(config, run)
    models = {
        "UFGConv-R": replace(config.model, kind="ufg", shrinkage=None),
        "UFGConv-S": replace(config.model, kind="ufg", shrinkage="soft"),
        "GCN": replace(config.model, kind="gcn"),
        "Chebyshev": replace(config.model, kind="chebyshev"),
        "SGC": replace(config.model, kind="sgc"),
        "MLP": replace(config.model, kind="mlp"),
    }
    rows: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        trainer, outcome = _fit_nodes(config, run, data, model, name, log=name == "UFGConv-R")
        rows[name] = _node_metrics(trainer, outcome)
        if name == "UFGConv-R":
            run.figure(
                "training", figures.training_curve(outcome.history, outcome.best_epoch, "valid/accuracy")
            )
    table = pd.DataFrame(
        [
            (name, row["valid/accuracy"], row["test/accuracy"], row["last/accuracy"])
            for name, row in rows.items()
        ],
        columns=["", "valid", "test", "last epoch"],
    )
    show(table, f"{data.name}: accuracy")
    run.figure(
        "accuracy", figures.bars({n: row["test/accuracy"] for n, row in rows.items()}, "test accuracy")
    )
    metrics = dict(rows["UFGConv-R"])
    metrics |= {f"{name}/accuracy": row["test/accuracy"] for name, row in rows.items()}
    return Results(metrics | _denoising(config, run, data) | _frame(config, run))


def node(config: Config, run: Run) -> Results:
    """Train one network on the nodes of a graph; choose the epoch on the validation nodes, report the test nodes."""
    data = _nodes(config, run)
    trainer, outcome = _fit_nodes(config, run, data, config.model, "training")
    metrics = _node_metrics(trainer, outcome)
    show(pd.DataFrame([metrics]), f"{data.name}, epoch {outcome.best_epoch}")
    run.figure("training", figures.training_curve(outcome.history, outcome.best_epoch, "valid/accuracy"))
    return Results(metrics, {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs})


def graph(config: Config, run: Run) -> Results:
    """Train one network on a set of graphs, 80/10/10; choose the epoch by the validation loss, report the test graphs."""
    data, split = build_graphs(config.dataset, config.seed)
    run.dataset(data.name, data.checksums)
    run.log.info(
        "%s: %d graphs, %d nodes, %d edges", data.name, len(data.sizes), len(data.features), len(data.edges)
    )
    net = build_graph_net(config.model, build_transform(config.transform), data, config.seed)
    shown = "valid/accuracy" if data.is_classes else "valid/mae"
    with reported(run, config.training, shown) as on_epoch:
        trainer = GraphTrainer(
            net,
            data,
            split,
            config.training,
            lambda_max=scaling(config.dataset),
            seed=config.seed,
            device=run.fabric.device,
            directory=run.directory / "checkpoints",
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
        outcome = trainer.fit()
    metrics = {f"test/{name}": value for name, value in trainer.measure("test").items()}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    if data.name == "qm7":
        metrics |= {
            "atom_count/mae": atom_count_error(data.sizes, np.asarray(data.targets, float)),
            "element_count/mae": element_count_error(MOLECULES.molecules()),
        }
    show(pd.DataFrame([metrics]), f"{data.name}, epoch {outcome.best_epoch}")
    run.figure("training", figures.training_curve(outcome.history, outcome.best_epoch, shown))
    return Results(metrics, {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs})


def evaluate(config: Config, run: Run) -> Results:
    """Measure a trained network (checkpoint=RUN) on its test split."""
    if config.checkpoint is None:
        raise InputError("this task needs checkpoint=<run directory>")
    opened = open_run(config.checkpoint)
    run.dataset(opened.data.name, opened.data.checksums)
    of = opened.config
    if isinstance(opened.data, NodeData):
        nodes = NodeTrainer(opened.net, opened.data, of.training, lambda_max=scaling(of.dataset))
        return Results({"test/accuracy": nodes.accuracy("test")})
    _, split = build_graphs(of.dataset, of.seed)
    graphs = GraphTrainer(opened.net, opened.data, split, of.training, lambda_max=scaling(of.dataset))
    return Results({f"test/{name}": value for name, value in graphs.measure("test").items()})


def signal(config: Config, run: Run) -> Results:
    """Denoise and compress the features of a graph without training, and say where their energy lies."""
    data = _nodes(config, run)
    return Results(_spread(config, data) | _denoising(config, run, data) | _compression(config, run, data))


def frame(config: Config, run: Run) -> Results:
    """How far the transform is from a tight frame, for n = 2, ..., 8 Chebyshev terms."""
    return Results(_frame(config, run))


main = command(
    "ufg",
    Config,
    {
        "compare": compare,
        "node": node,
        "graph": graph,
        "evaluate": evaluate,
        "signal": signal,
        "frame": frame,
    },
    "How Framelets Enhance Graph Neural Networks: tight frames on graphs, convolution, pooling, denoising",
)


def _nodes(config: Config, run: Run) -> NodeData:
    if config.dataset.name in GRAPH_SETS:
        raise InputError(f"dataset.name={config.dataset.name} is a set of graphs: task=graph trains on it")
    data = build_nodes(config.dataset, config.seed)
    run.dataset(data.name, data.checksums)
    splits = (len(data.train), len(data.valid), len(data.test))
    run.log.info(
        "%s: %d nodes, %d edges, %d / %d / %d labels", data.name, data.num_nodes, len(data.edges), *splits
    )
    return data


def _fit_nodes(
    config: Config, run: Run, data: NodeData, model: ModelConfig, title: str, log: bool = True
) -> tuple[NodeTrainer, Outcome]:
    net: nn.Module = build_node_net(model, build_transform(config.transform), data, config.seed)
    directory = run.directory / "checkpoints"
    with reported(run, config.training, "valid/accuracy", title, log) as on_epoch:
        trainer = NodeTrainer(
            net,
            data,
            config.training,
            lambda_max=scaling(config.dataset),
            device=run.fabric.device,
            dtype=torch.float64 if config.precision == "fp64" else torch.float32,
            directory=directory if log else directory / title.replace(" ", "_"),
            seed=config.seed,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
        return trainer, trainer.fit()


def _node_metrics(trainer: NodeTrainer, outcome: Outcome) -> dict[str, float]:
    return {
        "test/accuracy": trainer.accuracy("test"),
        "valid/accuracy": outcome.best["accuracy"],
        "last/accuracy": trainer.last_accuracy("test"),
    }


def _spread(config: Config, data: NodeData) -> dict[str, float]:
    """Energies of the blocks of features and of labels: what is smooth on the graph and what is not."""
    op, transform = data.operator(scaling(config.dataset)), build_transform(config.transform)
    classes = np.arange(data.num_classes)
    signals = {
        "features": torch.from_numpy(data.features.toarray()).float(),
        "labels": torch.from_numpy(data.labels[:, None] == classes).float(),  # of a node without label, none
    }
    shares = {name: transform.energies(op, x).tolist() for name, x in signals.items()}
    show(pd.DataFrame({"block": transform.block_names, **shares}), f"{data.name}: energy of each block")
    return {
        f"energy/{name}: {block}": share
        for name, values in shares.items()
        for block, share in zip(transform.block_names, values, strict=True)
    }


def _denoising(config: Config, run: Run, data: NodeData) -> dict[str, float]:
    op = data.operator(scaling(config.dataset))
    transform = build_transform(config.transform)
    clean = torch.from_numpy(data.features.toarray()).float()
    draw = torch.Generator().manual_seed(config.seed)
    gains: dict[str, list[float]] = {"framelets": [], "Tikhonov, best strength": []}
    for sigma in config.signal.noise:
        noisy = clean + sigma * torch.randn(clean.shape, generator=draw)
        found = denoise(op, noisy, config.signal.method, None, config.signal.rule, transform)
        # The smoother is given what it could not know: the strength that comes closest to the clean signal.
        smooth = max(
            (tikhonov(op, noisy, 2.0**power) for power in range(-4, 5)),
            key=lambda y: snr_gain(clean, noisy, y),
        )
        gains["framelets"].append(snr_gain(clean, noisy, found.signal))
        gains["Tikhonov, best strength"].append(snr_gain(clean, noisy, smooth))
        last = {"clean": clean, "noisy": noisy, "framelets": found.signal, "Tikhonov": smooth}
    if data.name == "digits":
        some = {name: values[:10].numpy() for name, values in last.items()}
        run.figure("denoising", figures.pictures(some, 8))
    run.figure(
        "denoising_gain",
        figures.curves(config.signal.noise, gains, "standard deviation of the noise", "gain in dB"),
    )
    return {
        f"{name}/snr_gain_{sigma:g}": gain
        for name, key in (("denoise", "framelets"), ("tikhonov", "Tikhonov, best strength"))
        for sigma, gain in zip(config.signal.noise, gains[key], strict=True)
    }


def _compression(config: Config, run: Run, data: NodeData) -> dict[str, float]:
    op = data.operator(scaling(config.dataset))
    x = torch.from_numpy(data.features.toarray()).float()
    errors = [compress(op, x, keep, build_transform(config.transform)).error for keep in config.signal.keep]
    drawn = figures.curves(
        config.signal.keep, {"framelets": errors}, "share of high-pass coefficients kept", "relative error"
    )
    run.figure("compression", drawn)
    return {f"compress/error_{keep:g}": error for keep, error in zip(config.signal.keep, errors, strict=True)}


def _frame(config: Config, run: Run) -> dict[str, float]:
    transform = build_transform(config.transform)
    eigenvalues = np.linspace(0, 2, 513)
    variants = {terms: replace(transform, terms=terms) for terms in range(2, 9)}
    totals = {terms: one.frame_response(eigenvalues) for terms, one in variants.items()}
    title = f"{transform.bank.name}, {transform.levels} levels"
    run.figure("frame_defect", figures.frame_defect(eigenvalues, totals, title))
    exact = transform.response(eigenvalues, exact_filters=True)
    found = transform.response(eigenvalues)
    run.figure("responses", figures.responses(eigenvalues, found, transform.block_names, exact))
    bounds = {terms: one.frame_bounds() for terms, one in variants.items()}
    table = pd.DataFrame([(n, *both) for n, both in bounds.items()], columns=["terms", "lower", "upper"])
    show(table, "frame bounds")
    low, high = transform.frame_bounds()
    defects = {f"frame/defect_n{n}": max(upper - 1, 1 - lower) for n, (lower, upper) in bounds.items()}
    return {"frame/lower": low, "frame/upper": high, **defects}
