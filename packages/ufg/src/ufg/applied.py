"""The tasks on a network that a run has trained: its figure on the test split, and its answer for every node or graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from offprints.app import Results, Run
from offprints.tables import show, write_table
from offprints.user_errors import required

from ufg.config import Config
from ufg.graph_data import GraphData
from ufg.node_data import NodeData
from ufg.runs import build_graphs, open_run, scaling
from ufg.training import GraphTrainer, NodeTrainer

_SPLITS = ("train", "valid", "test")
_SHOWN = 10


def evaluate(config: Config, run: Run) -> Results:
    """Measure a trained network (checkpoint=RUN) on its test split."""
    applied = _applied(config, run)
    if isinstance(applied, _Nodes):
        return Results({"test/accuracy": applied.trainer.accuracy("test")})
    return Results({f"test/{name}": value for name, value in applied.trainer.measure("test").items()})


def predict(config: Config, run: Run) -> Results:
    """What a trained network (checkpoint=RUN) says of every node or graph, also of those without a label: predictions.tsv."""
    table = _applied(config, run).table()
    path = run.directory / "predictions.tsv"
    write_table(path, table)
    unknown = table[table["known"].astype(str) == ""]
    show((unknown if len(unknown) else table).head(_SHOWN), f"the first of {path}")
    return Results({"predicted": float(len(table)), "predicted/without_label": float(len(unknown))})


@dataclass(frozen=True)
class _Nodes:
    data: NodeData
    trainer: NodeTrainer

    def table(self) -> pd.DataFrame:
        data = self.data
        probability, chosen = torch.softmax(self.trainer.logits().double(), 1).max(1)
        classes = np.array(data.class_names or [str(kind) for kind in range(data.num_classes)])
        split = np.full(data.num_nodes, "", dtype=object)
        for part in _SPLITS:
            split[getattr(data, part)] = part
        return pd.DataFrame(
            {
                "node": data.node_names or np.arange(data.num_nodes),
                "predicted": classes[chosen.cpu().numpy()],
                "probability": probability.cpu().numpy().round(4),
                "known": np.where(data.labels >= 0, classes[data.labels], ""),
                "split": split,
            }
        )


@dataclass(frozen=True)
class _Graphs:
    data: GraphData
    trainer: GraphTrainer

    def table(self) -> pd.DataFrame:
        parts = []
        for part in _SPLITS:
            graphs = self.trainer.split[part].numpy()
            found, known = self.trainer.predictions(part), self.data.targets[graphs]
            parts.append(pd.DataFrame({"graph": graphs, "predicted": found, "known": known, "split": part}))
        return pd.concat(parts).sort_values("graph", ignore_index=True)


def _applied(config: Config, run: Run) -> _Nodes | _Graphs:
    """A run's data and its network as it was chosen, in a trainer that measures and trains no more."""
    opened = open_run(required(config.checkpoint, "checkpoint=<run directory>"))
    run.dataset(opened.data.name, opened.data.checksums)
    of, data, device = opened.config, opened.data, run.fabric.device
    lambda_max = scaling(of.dataset)
    if isinstance(data, NodeData):
        return _Nodes(data, NodeTrainer(opened.net, data, of.training, lambda_max=lambda_max, device=device))
    _, split = build_graphs(of.dataset, of.seed)
    trainer = GraphTrainer(opened.net, data, split, of.training, lambda_max=lambda_max, device=device)
    return _Graphs(data, trainer)
