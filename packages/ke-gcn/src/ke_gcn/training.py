"""Full-batch training with Adam: checkpoints, resume to the same bits, and the epoch chosen on validation data.

Source: Section 5 of the paper; the optimiser as in the published program.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints
from offprints.errors import InputError


class DivergedError(InputError):
    """The loss is no longer finite; names the epoch and the last good checkpoint."""


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
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: full-batch updates.
        learning_rate: of Adam.
        evaluate_every: epochs between validations; 0 never validates and keeps the last epoch, as published.
        patience: stop after this many validations without a better one; 0 never stops early.
        save_every: seconds of work that a kill may cost at most, roughly.
    """

    epochs: int = 200
    learning_rate: float = 0.01
    evaluate_every: int = 10
    patience: int = 0
    save_every: float = 60.0

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("epochs", self.epochs >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("evaluate_every", self.evaluate_every >= 0, "0 or more"),
            ("patience", self.patience >= 0, "0 or more"),
        ):
            if not fits:
                raise InputError(f"training option {name}={getattr(self, name)!r} is not valid: {right}")


@dataclass
class Outcome:
    """What training came to.

    Attributes:
        epochs: epochs trained.
        best_epoch: the epoch whose weights the model has.
        best: validation metrics of that epoch; empty without validation.
        history: one row for each epoch that was looked at: epoch, train/loss, cpu_seconds, valid/...
    """

    epochs: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
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
        self.model, self.objective, self.options = model, objective, options or TrainingOptions()
        self.validate, self.select = validate, select
        self.on_epoch = on_epoch or (lambda row: None)
        self.guard = uninterrupted or nullcontext
        self.optimizer = torch.optim.Adam(model.parameters(), self.options.learning_rate, fused=True)
        self.checkpoints = None
        if directory is not None:
            self.checkpoints = Checkpoints(Path(directory), "ke-gcn", fingerprint)
        self.outcome = Outcome()
        self._best: dict[str, Tensor] | None = None
        self._seconds = 0.0
        self._saved_at = time.monotonic()
        self._resumed = False

    def fit(self) -> Outcome:
        """Train to the end, or on from the last checkpoint; the model then has the weights of the best epoch.

        Raises:
            DivergedError: the loss is no longer finite.
            CheckpointError: the checkpoint in the directory is damaged, or of other data or shapes.
        """
        self.resume()
        try:
            while self.outcome.epochs < self.options.epochs and not self._is_stale():
                with self.guard():
                    self._epoch()
                if time.monotonic() - self._saved_at > self.options.save_every:
                    self._save_last()
        except KeyboardInterrupt:
            self._save_last()
            raise
        self._save_last()
        if not self.outcome.best:
            self.outcome.best_epoch = self.outcome.epochs
        self._load_best()
        return self.outcome

    def resume(self) -> int:
        """Go back to the last checkpoint in the directory, or to the start; `fit` does so by itself.

        Returns:
            The number of epochs already done.
        """
        if self._resumed:
            return self.outcome.epochs
        self._resumed = True
        last = self.checkpoints.load_last() if self.checkpoints is not None else None
        if last is None:
            return 0
        self.model.load_state_dict(last.state["model"])
        self.optimizer.load_state_dict(last.state["optimizer"])
        self.objective.restore(last.state["objective"])
        self.outcome = Outcome(**last.state["outcome"])
        self._seconds = float(last.state["cpu_seconds"])
        return self.outcome.epochs

    def _epoch(self) -> None:
        started = time.process_time()
        epoch = self.outcome.epochs
        loss = self.objective(epoch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._diverged(value)
        self.optimizer.step()
        self._seconds += time.process_time() - started
        self.outcome.epochs += 1
        self._look(value)

    def _look(self, loss: float) -> None:
        outcome, options = self.outcome, self.options
        row = {"epoch": float(outcome.epochs), "train/loss": loss, "cpu_seconds": self._seconds}
        due = options.evaluate_every and (
            outcome.epochs % options.evaluate_every == 0 or outcome.epochs == options.epochs
        )
        if self.validate is not None and due:
            with torch.no_grad():
                metrics = self.validate()
            row |= {f"valid/{name}": value for name, value in metrics.items()}
            if metrics[self.select] > outcome.best.get(self.select, -math.inf):
                outcome.best, outcome.best_epoch = metrics, outcome.epochs
                self._keep_best()
        outcome.history.append(row)
        self.on_epoch(row)

    def _is_stale(self) -> bool:
        options, outcome = self.options, self.outcome
        if not options.patience or not outcome.best:
            return False
        return outcome.epochs - outcome.best_epoch >= options.patience * options.evaluate_every

    def _keep_best(self) -> None:
        self._best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.checkpoints is not None:
            metric = self.outcome.best[self.select]
            self.checkpoints.save_best({"model": self._best}, self.outcome.best_epoch, metric)

    def _save_last(self) -> None:
        self._saved_at = time.monotonic()
        if self.checkpoints is None:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state(),
            "outcome": vars(self.outcome),
            "cpu_seconds": self._seconds,
        }
        self.checkpoints.save_last(state, self.outcome.epochs)

    def _load_best(self) -> None:
        if not self.outcome.best:
            return
        if self._best is None and self.checkpoints is not None:
            best = self.checkpoints.load_best()
            self._best = None if best is None else best.state["model"]
        if self._best is not None:
            self.model.load_state_dict(self._best)

    def _diverged(self, value: float) -> DivergedError:
        kept = "none was saved"
        if self.checkpoints is not None and self.checkpoints.last.exists():
            kept = str(self.checkpoints.last)
        return DivergedError(
            f"training diverged at epoch {self.outcome.epochs + 1}: the loss is {value}. Last good checkpoint: {kept}. "
            f"Try a lower training.learning_rate than {self.options.learning_rate}, or a smaller alpha"
        )
