"""Full-batch training with Adam: checkpoints, resume to the same bits, and the epoch chosen on validation data.

Source: the optimiser is that of the published program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints
from offprints.training import EpochLoop, LoopOptions


class Objective(Protocol):
    """What is minimised; it may draw random numbers, whose state belongs to a checkpoint."""

    def __call__(self, epoch: int) -> Tensor:
        """The loss of an epoch, counted from 0; a scalar."""
        ...

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that continue the objective."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...


@dataclass
class TrainingOptions(LoopOptions):
    """How to train: full-batch updates, one an epoch."""

    epochs: int = 200
    learning_rate: float = 0.01


class Trainer(EpochLoop[int]):
    """Minimises an objective over a model's parameters.

    Args:
        model: what is trained; it must be on its device already.
        objective: the loss.
        options: how to train.
        validate: metrics of the model on validation data; None keeps the last epoch.
        select: the metric of `validate` that chooses the epoch; higher is better.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        fingerprint: of the data and the shapes; a checkpoint with another one is refused.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which an epoch runs, so that an interrupt comes between two.
    """

    advice = ", or a smaller model.alpha"

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        options: TrainingOptions | None = None,
        *,
        validate: Callable[[], dict[str, float]] | None = None,
        select: str = "mrr",
        directory: Path | str | None = None,
        fingerprint: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.objective = objective
        options = options or TrainingOptions()
        super().__init__(
            model,
            torch.optim.Adam(model.parameters(), options.learning_rate, fused=True),
            options,
            validate=validate,
            select=select,
            checkpoints=None if directory is None else Checkpoints(Path(directory), "ke-gcn", fingerprint),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    def batches(self, done: int) -> Iterator[int]:
        """The number of the epoch, counted from 0: the whole graph is one batch."""
        yield self.outcome.epochs

    def step(self, batch: int) -> Tensor:
        loss = self.objective(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return self.objective.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.objective.restore(state)
