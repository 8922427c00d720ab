"""What the tasks on one graph share: its data, a training with its checkpoints and its bar, and what is reported of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from offprints.app import Run
from offprints.errors import InputError
from offprints.training import Outcome, reported

from ufg.config import Config, ModelConfig
from ufg.node_data import NodeData
from ufg.runs import GRAPH_SETS, build_node_net, build_nodes, build_transform, scaling
from ufg.training import NodeTrainer


def load_nodes(config: Config, run: Run) -> NodeData:
    """The graph of a run, with a line in its log.

    Raises:
        InputError: the options name a set of graphs, or no graph.
        DataError: its files are missing or wrong.
    """
    if config.dataset.name in GRAPH_SETS:
        raise InputError(f"dataset.name={config.dataset.name} is a set of graphs: task=graph trains on it")
    data = build_nodes(config.dataset, config.seed)
    run.dataset(data.name, data.checksums)
    splits = (len(data.train), len(data.valid), len(data.test))
    run.log.info(
        "%s: %d nodes, %d edges, %d / %d / %d labels", data.name, data.num_nodes, len(data.edges), *splits
    )
    return data


def fit_nodes(
    config: Config, run: Run, data: NodeData, model: ModelConfig, title: str, log: bool = True
) -> tuple[NodeTrainer, Outcome]:
    """Train one network, or go on with one that was interrupted.

    Args:
        config: of the run; its `model` is not read.
        run: of the command line.
        data: the graph.
        model: the network.
        title: of the bar, and of its checkpoints where `log` is False.
        log: False for one of several trainings of a run: the bar alone.
    """
    net = build_node_net(model, build_transform(config.transform), data, config.seed)
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


def node_metrics(trainer: NodeTrainer, outcome: Outcome) -> dict[str, float]:
    """Accuracy on the test nodes and on those that chose the epoch, and on the test nodes after the last epoch."""
    return {
        "test/accuracy": trainer.accuracy("test"),
        "valid/accuracy": outcome.best["accuracy"],
        "last/accuracy": trainer.last_accuracy("test"),
    }


def compared(model: ModelConfig) -> Mapping[str, ModelConfig]:
    """The two convolutions of the paper with the options of the run, and the networks beside them."""
    return {
        "UFGConv-R": replace(model, kind="ufg", shrinkage=None),
        "UFGConv-S": replace(model, kind="ufg", shrinkage="soft"),
        "GCN": replace(model, kind="gcn"),
        "Chebyshev": replace(model, kind="chebyshev"),
        "SGC": replace(model, kind="sgc"),
        "MLP": replace(model, kind="mlp"),
    }
