"""Training of both kinds of networks: full batch for nodes, batches of graphs for graphs; the epoch chosen on validation data.

    outcome = NodeTrainer(net, data, options).fit()        # the net now has the weights of the best epoch
    outcome = GraphTrainer(net, graphs, split, options).fit()

Source: Section 5 of the paper and its program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.training import EpochLoop, LoopOptions

from ufg.adjacency import LambdaMax
from ufg.batches import chosen
from ufg.graph import GraphOperator
from ufg.graph_data import GraphData, GraphSplit
from ufg.networks import parameter_groups
from ufg.node_data import NodeData


@dataclass
class TrainingOptions(LoopOptions):
    """How to train with Adam.

    Attributes:
        weight_decay: L2 factor of the matrices.
        gain_decay: of the gains of a framelet convolution; as large as `weight_decay` in the published program.
        bias_decay: of the rest; the same there.
        batch_size: graphs a step.
        plateau_factor: multiplies the learning rate when the validation loss stands still; 1 leaves it.
        plateau_patience: epochs that it may stand still before.
    """

    epochs: int = 200
    learning_rate: float = 0.01
    evaluate_every: int = 1
    weight_decay: float = 0.01
    gain_decay: float = 0.0
    bias_decay: float = 0.0
    batch_size: int = 64
    plateau_factor: float = 1.0
    plateau_patience: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("gain_decay", 0 <= self.gain_decay < math.inf, "0 or more"),
            ("bias_decay", 0 <= self.bias_decay < math.inf, "0 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("plateau_factor", 0 < self.plateau_factor <= 1, "in (0, 1]"),
            ("plateau_patience", self.plateau_patience >= 0, "0 or more"),
        )


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """() share of rows whose largest logit is that of their label; ties go to the lowest class."""
    return (logits.argmax(-1) == labels).double().mean()


class NodeTrainer(EpochLoop[None]):
    """Trains a network on the labelled nodes of a graph, all at once.

    Args:
        net: called with (operator, features); moved to `device`.
        data: the graph.
        options: how.
        lambda_max: what the spectrum is scaled by; see `GraphOperator.from_scipy`.
        device: where to train.
        dtype: float32 or float64.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        told: further arguments of `EpochLoop`: seed, on_epoch, uninterrupted.

    Attributes:
        op: of the graph.
        x: its features.
        labels: (N,).
    """

    def __init__(
        self,
        net: nn.Module,
        data: NodeData,
        options: TrainingOptions | None = None,
        *,
        lambda_max: LambdaMax = "bound",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        directory: Path | str | None = None,
        **told: Any,
    ) -> None:
        options = options or TrainingOptions()
        self.net = net.to(device, dtype)
        self.op = data.operator(lambda_max, dtype).to(device)
        self.x = data.inputs(dtype).to(device)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.nodes = {
            name: torch.from_numpy(getattr(data, name)).to(device) for name in ("train", "valid", "test")
        }
        self._targets = self.labels[self.nodes["train"]]
        self._last_logits: Tensor | None = None
        self._last_accuracy: dict[str, float] = {}  # of what a process before looked at
        super().__init__(
            net,
            torch.optim.Adam(
                parameter_groups(net, options.weight_decay, options.gain_decay, options.bias_decay),
                options.learning_rate,
                fused=True,
            ),
            options,
            validate=self._validate,
            select="accuracy",
            checkpoints=_checkpoints(directory, net, data.fingerprint, higher_is_better=True),
            **told,
        )

    def batches(self, done: int) -> Iterator[None]:
        yield from [None][done:]

    def step(self, batch: None) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.net(self.op, self.x)
        loss = functional.cross_entropy(logits.index_select(0, self.nodes["train"]), self._targets)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return {"last_accuracy": {split: self.last_accuracy(split) for split in self.nodes}}

    def restore(self, state: dict[str, Any]) -> None:
        self._last_accuracy = state["last_accuracy"]

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(N, classes) of all nodes, without dropout."""
        self.net.eval()
        found: Tensor = self.net(self.op, self.x)
        return found

    def accuracy(self, split: str) -> float:
        """Accuracy of the network as it is, on "train", "valid" or "test"."""
        nodes = self.nodes[split]
        return float(accuracy(self.logits()[nodes], self.labels[nodes]))

    def last_accuracy(self, split: str) -> float:
        """Accuracy after the last epoch that was looked at, chosen or not: far below the chosen one's where training collapsed.

        NaN before the first.
        """
        if self._last_logits is None:
            return self._last_accuracy.get(split, math.nan)
        nodes = self.nodes[split]
        return float(accuracy(self._last_logits[nodes], self.labels[nodes]))

    def _validate(self) -> dict[str, float]:
        self._last_logits = self.logits()
        nodes = self.nodes["valid"]
        logits, labels = self._last_logits[nodes], self.labels[nodes]
        return _read({"accuracy": accuracy(logits, labels), "loss": functional.cross_entropy(logits, labels)})


class GraphBatch(NamedTuple):
    """Some graphs.

    Attributes:
        op: their operator.
        x: (N, F) features of their nodes.
        targets: (G,) classes or numbers.
    """

    op: GraphOperator
    x: Tensor
    targets: Tensor


class GraphTrainer(EpochLoop[GraphBatch]):
    """Trains a network on labels or numbers of graphs.

    Numbers are standardised by the training graphs for the loss, and told apart from it in their own unit.

    Args:
        net: called with (operator, features); moved to `device`.
        data: all graphs.
        split: which to train on, to choose the epoch by, and to report.
        options: how.
        lambda_max: what each spectrum is scaled by; see `GraphOperator.from_scipy`.
        seed: of the order of the graphs, and of dropout.
        device: where to train.
        directory: where checkpoints go; None keeps none.
        told: further arguments of `EpochLoop`: on_epoch, uninterrupted.
    """

    def __init__(
        self,
        net: nn.Module,
        data: GraphData,
        split: GraphSplit,
        options: TrainingOptions | None = None,
        *,
        lambda_max: LambdaMax = "lanczos",
        seed: int = 0,
        device: torch.device | str = "cpu",
        directory: Path | str | None = None,
        **told: Any,
    ) -> None:
        self.options = options = options or TrainingOptions()
        self.net, self.is_classes = net.to(device), data.is_classes
        self.op = data.operator(lambda_max).to(device)
        self.x = torch.from_numpy(data.features).to(device)
        # A network learns what is left of numbers; an error of that is an error of the whole.
        self.known = _explained(data, split)
        targets = data.targets if data.is_classes else data.targets - self.known
        self.targets = torch.from_numpy(targets).to(device)
        # On the host, which has to know how large a batch is.
        self.split = {name: torch.from_numpy(getattr(split, name)) for name in ("train", "valid", "test")}
        train = torch.from_numpy(targets[split.train]).double()
        self.mean, self.deviation = float(train.mean()), float(train.std())
        self.order = torch.Generator().manual_seed(seed)
        self._factor, self._stale, self._least = 1.0, 0, math.inf
        super().__init__(
            net,
            torch.optim.Adam(
                parameter_groups(net, options.weight_decay, options.gain_decay, options.bias_decay),
                options.learning_rate,
                fused=True,
            ),
            options,
            order=self.order,
            seed=seed,
            validate=self._validate,
            select="loss",
            higher_is_better=False,
            checkpoints=_checkpoints(directory, net, data.fingerprint, higher_is_better=False),
            **told,
        )

    @property
    def num_batches(self) -> int:
        return math.ceil(len(self.split["train"]) / self.options.batch_size)

    def batches(self, done: int) -> Iterator[GraphBatch]:
        """All training graphs are brought into the order of the epoch at once; a batch is a slice of that."""
        shuffled = torch.randperm(len(self.split["train"]), generator=self.order)
        whole = self._batch(self.split["train"][shuffled])
        nodes = graphs = 0
        for number, op in enumerate(whole.op.parts(self.options.batch_size)):
            here = slice(nodes, nodes + op.num_nodes), slice(graphs, graphs + op.num_graphs)
            nodes, graphs = here[0].stop, here[1].stop
            if number >= done:
                yield GraphBatch(op, chosen(whole.x, here[0]), whole.targets[here[1]])

    def step(self, batch: GraphBatch) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] *= self._factor  # the loop has just set it by its schedule
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(self.net(batch.op, batch.x), batch.targets)
        loss.sum().backward()
        self.optimizer.step()
        return loss.mean()

    def state(self) -> dict[str, Any]:
        return {"factor": self._factor, "stale": self._stale, "least": self._least}

    def restore(self, state: dict[str, Any]) -> None:
        self._factor, self._stale, self._least = state["factor"], state["stale"], state["least"]

    @torch.no_grad()
    def outputs(self, split: str) -> Tensor:
        """(G, outputs) of the graphs of a split, without dropout."""
        self.net.eval()
        batch = self._whole(split)
        found: Tensor = self.net(batch.op, batch.x)
        return found

    def measure(self, split: str) -> dict[str, float]:
        """loss, and accuracy of classes or mae of numbers, of the network as it is."""
        outputs, targets = self.outputs(split), self._whole(split).targets
        found = {"loss": self._loss(outputs, targets).double().mean()}
        if self.is_classes:
            found["accuracy"] = accuracy(outputs, targets)
        else:
            found["mae"] = (self._numbers(outputs) - targets).abs().mean()
        return _read(found)

    def predictions(self, split: str) -> NDArray[np.int64] | NDArray[np.float64]:
        """(G,) of the graphs of a split: classes, or numbers in the unit of the data."""
        outputs = self.outputs(split)
        if self.is_classes:
            return np.asarray(outputs.argmax(1).cpu(), np.int64)
        learned = np.asarray(self._numbers(outputs).cpu(), np.float64)
        known: NDArray[np.float64] = self.known[self.split[split].numpy()]
        return learned + known

    def _numbers(self, outputs: Tensor) -> Tensor:
        """(G, 1) outputs -> (G,) of what is to be learned, in the unit of the data."""
        return outputs.squeeze(1).double() * self.deviation + self.mean

    def _whole(self, split: str) -> GraphBatch:
        return self.op.cached(("split", split), lambda: self._batch(self.split[split]))

    def _batch(self, graphs: Tensor) -> GraphBatch:
        there = graphs.to(self.op.device)
        return GraphBatch(self.op.subset(graphs), self.x[self.op.nodes_of(graphs)], self.targets[there])

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(B,), one for each graph."""
        if self.is_classes:
            return functional.cross_entropy(outputs, targets, reduction="none")
        wanted = ((targets - self.mean) / self.deviation).to(outputs.dtype)
        return (outputs.squeeze(1) - wanted).square()

    def _validate(self) -> dict[str, float]:
        found = self.measure("valid")
        if found["loss"] < self._least:
            self._least, self._stale = found["loss"], 0
        else:
            self._stale += 1
            if self._stale > self.options.plateau_patience:
                self._factor, self._stale = self._factor * self.options.plateau_factor, 0
        return found


def _read(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Numbers of scalars on a device, which is waited for once."""
    values = torch.stack([value.double() for value in metrics.values()]).tolist()
    return dict(zip(metrics, values, strict=True))


def _explained(data: GraphData, split: GraphSplit) -> NDArray[np.float64]:
    """(G,) of each target, what least squares on the counts of the training graphs says; 0 without counts."""
    if data.counts is None:
        return np.zeros(len(data.targets))
    known = np.column_stack([data.counts, np.ones(len(data.counts))])
    found = np.linalg.lstsq(known[split.train], np.asarray(data.targets, float)[split.train])[0]
    explained: NDArray[np.float64] = known @ found
    return explained


def _checkpoints(
    directory: Path | str | None, net: nn.Module, belongs_to: str, higher_is_better: bool
) -> Checkpoints | None:
    if directory is None:
        return None
    return Checkpoints(Path(directory), "ufg", checkpoint_fingerprint(net, belongs_to), higher_is_better)


def checkpoint_fingerprint(net: nn.Module, belongs_to: str) -> str:
    """What a checkpoint belongs to: data, and the kind and shapes of a network."""
    shapes = {name: list(value.shape) for name, value in net.state_dict().items()}
    return fingerprint(data=belongs_to, shapes=shapes, net=str(net))
