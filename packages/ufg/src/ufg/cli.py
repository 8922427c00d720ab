"""The tasks of the `ufg` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from offprints.app import Results, Run, command
from offprints.figures import bars, training_curve
from offprints.tables import show
from offprints.training import reported

from ufg.applied import evaluate, predict
from ufg.config import Config
from ufg.node_runs import compared, fit_nodes, load_nodes, node_metrics
from ufg.qm7 import MOLECULES, atom_count_error, atom_count_test_error, element_count_error
from ufg.runs import build_graph_net, build_graphs, build_transform, scaling
from ufg.signals import denoising, frame, frame_defects, signal, spectrum
from ufg.studies import noise, sensitivity
from ufg.training import GraphTrainer
from ufg.transform import FrameletTransform


def compare(config: Config, run: Run) -> Results:
    """Framelets beside GCN and MLP on one graph, denoising without training, and how tight the frame of the paper is."""
    data = load_nodes(config, run)
    rows: dict[str, dict[str, float]] = {}
    for name, model in compared(config.model).items():
        trainer, outcome = fit_nodes(config, run, data, model, name, log=name == "UFGConv-R")
        rows[name] = node_metrics(trainer, outcome)
        if name == "UFGConv-R":
            run.figure(
                "training",
                training_curve(outcome.history, outcome.best_epoch, "valid/accuracy"),
                "Training loss and validation accuracy of the framelet network, epoch by epoch",
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
        "accuracy",
        bars(
            {n: row["test/accuracy"] for n, row in rows.items()},
            "test accuracy",
            lambda name: name.startswith("UFG"),
        ),
        "Test accuracy of framelet networks, and of other layers",
    )
    metrics = dict(rows["UFGConv-R"])
    metrics |= {f"{name}/accuracy": row["test/accuracy"] for name, row in rows.items()}
    return Results(metrics | denoising(config, run, data) | frame_defects(FrameletTransform(), run))


def node(config: Config, run: Run) -> Results:
    """Train one network on the nodes of a graph; choose the epoch on the validation nodes, report the test nodes."""
    data = load_nodes(config, run)
    trainer, outcome = fit_nodes(config, run, data, config.model, "training")
    metrics = node_metrics(trainer, outcome)
    show(pd.DataFrame([metrics]), f"{data.name}, epoch {outcome.best_epoch}")
    run.figure(
        "training",
        training_curve(outcome.history, outcome.best_epoch, "valid/accuracy"),
        "Training loss and validation accuracy, epoch by epoch",
    )
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
        energy = np.asarray(data.targets, float)
        metrics |= {
            "atom_count/mae": atom_count_error(data.sizes, energy),
            "atom_count/test_mae": atom_count_test_error(data.sizes, energy, split.train, split.test),
            "element_count/mae": element_count_error(MOLECULES.molecules()),
        }
    show(pd.DataFrame([metrics]), f"{data.name}, epoch {outcome.best_epoch}")
    run.figure(
        "training",
        training_curve(outcome.history, outcome.best_epoch, shown),
        "Training loss and the validation metric, epoch by epoch",
    )
    return Results(metrics, {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs})


main = command(
    "ufg",
    Config,
    {
        "compare": compare,
        "node": node,
        "graph": graph,
        "evaluate": evaluate,
        "predict": predict,
        "signal": signal,
        "spectrum": spectrum,
        "frame": frame,
        "noise": noise,
        "sensitivity": sensitivity,
    },
    "How Framelets Enhance Graph Neural Networks: tight frames on graphs, convolution, pooling, denoising",
    on_device=("compare", "node", "graph", "evaluate", "predict", "noise", "sensitivity"),
    precisions=dict.fromkeys(("compare", "node", "noise", "sensitivity"), ("fp32", "fp64")),
    with_checkpoint=("evaluate", "predict", "spectrum"),
)
