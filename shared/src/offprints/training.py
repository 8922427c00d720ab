"""The epoch loop that every trainer shares: validation chooses the epoch, a kill costs seconds, a resume gives the same bits.

    class Trainer(EpochLoop[Batch]):
        def __init__(self, model, facts, options, **told):
            optimizer = torch.optim.Adam(model.parameters(), options.learning_rate)
            super().__init__(model, optimizer, options, order=self.generator, **told)

        def batches(self, done): ...  # the batches of an epoch, drawn when they are asked for
        def step(self, batch): ...    # one update; returns the loss

    outcome = Trainer(model, facts, options, validate=validate, select="mrr").fit()

What a package adds is its batches, its step and the state of its draws; the rest is here once.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints, rng_state, set_rng_state
from offprints.errors import InputError
from offprints.gpu import processes
from offprints.run import Run

Batch = TypeVar("Batch")
SCHEDULES = ("constant", "exponential", "cosine")


class DivergedError(InputError):
    """The loss or the weights are no longer finite; names the step and the last good checkpoint."""


@dataclass
class LoopOptions:
    """How long and how fast to train; a package's options add to these.

    Attributes:
        epochs: passes over the training data.
        learning_rate: of the optimiser, at its highest.
        schedule: "constant"; "exponential", multiplied by `decay` every epoch; "cosine", down to 0 at the end.
        decay: factor per epoch of the exponential schedule.
        warmup_epochs: the rate rises linearly from 0 over these.
        evaluate_every: epochs between validations; 0 never validates and keeps the last epoch.
        patience: stop after this many validations without a better one; 0 never stops early.
        save_every: seconds of work that a kill may cost at most, roughly.
    """

    epochs: int = 100
    learning_rate: float = 0.001
    schedule: str = "constant"
    decay: float = 0.95
    warmup_epochs: float = 0.0
    evaluate_every: int = 10
    patience: int = 0
    save_every: float = 60.0

    def __post_init__(self) -> None:
        self.require(
            ("epochs", self.epochs >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            ("decay", 0 < self.decay <= 1, "in (0, 1]"),
            ("warmup_epochs", self.warmup_epochs >= 0, "0 or more"),
            ("evaluate_every", self.evaluate_every >= 0, "0 or more"),
            ("patience", self.patience >= 0, "0 or more"),
        )

    def require(self, *checks: tuple[str, bool, str]) -> None:
        """Refuse the first option that does not fit.

        Args:
            checks: the option's name, whether it fits, and what would.

        Raises:
            InputError: one does not fit.
        """
        for name, fits, right in checks:
            if not fits:
                raise InputError(f"training option {name}={getattr(self, name)!r} is not valid: {right}")

    def rate(self, epoch: float) -> float:
        """Learning rate at a point of time, counted in epochs (fractions between)."""
        highest = self.learning_rate * (min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0)
        if self.schedule == "exponential":
            return highest * self.decay ** math.floor(epoch)
        if self.schedule == "cosine":
            return highest * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / self.epochs)))
        return highest


@dataclass
class Outcome:
    """What training came to.

    Attributes:
        epochs: epochs trained.
        best_epoch: the epoch whose weights the model has.
        best: validation metrics of that epoch; empty without validation.
        history: one row an epoch: epoch, train/loss, learning_rate, seconds (without validation), cpu_seconds (since
            the start of training, of all threads), and valid/... where validated.
    """

    epochs: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


CLOCKS = ("seconds", "cpu_seconds")
"""The columns of a history that two equal runs do not share."""


class EpochLoop(ABC, Generic[Batch]):
    """Trains a model epoch by epoch.

    Args:
        model: on its device.
        optimizer: of its parameters; the loop sets its learning rate before every step.
        options: how long, how fast, and when to look.
        order: the generator that `batches` draws the order of an epoch from, and nothing else; None if there is no order.
        seed: of torch's global generator, which dropouts draw from; None leaves that alone.
        validate: metrics of the model on the validation split; None keeps the last epoch.
        select: the metric of `validate` that chooses the epoch.
        higher_is_better: the direction of that metric.
        checkpoints: where the last and the best state go; `fit` goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs, so that an interrupt comes between two steps; with it,
            KeyboardInterrupt leaves a checkpoint of the last whole step.

    Under torch.distributed every process runs the loop, and the first one keeps the checkpoints.
    """

    options_at = "training"
    """Where the options stand on the command line: what the message of divergence calls them by."""
    advice = ""
    """What else may help against divergence than a lower learning rate; ends the message."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        options: LoopOptions,
        *,
        order: torch.Generator | None = None,
        seed: int | None = None,
        validate: Callable[[], dict[str, float]] | None = None,
        select: str = "mrr",
        higher_is_better: bool = True,
        checkpoints: Checkpoints | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self._model, self._loop, self.optimizer = model, options, optimizer
        self.validate, self.select, self.higher_is_better = validate, select, higher_is_better
        self.checkpoints = checkpoints
        self.on_epoch = on_epoch or (lambda row: None)
        self.uninterrupted = uninterrupted
        self.world = processes()
        self.rank = torch.distributed.get_rank() if self.world > 1 else 0
        self.outcome = Outcome()
        self.done_batches = 0  # of the epoch under way
        self._order, self._seed = order, seed
        self._order_state = None if order is None else order.get_state()
        self._loss_sum, self._num_losses = torch.zeros(()), 0
        self._best: dict[str, Tensor] | None = None
        self._saved_at, self._cpu_seconds = time.monotonic(), 0.0
        self._resumed = False

    # What a trainer says

    @property
    def num_batches(self) -> int:
        """Batches of an epoch."""
        return 1

    @abstractmethod
    def batches(self, done: int) -> Iterable[Batch]:
        """The batches of a new epoch from number `done` on.

        Its order comes from the generator `order` alone, and each batch is drawn when it is asked for: a resumed run then
        sees the same ones.
        """

    @abstractmethod
    def step(self, batch: Batch) -> Tensor | None:
        """One update of the weights.

        Returns:
            () the loss before it; None where it was not looked at.
        """

    def state(self) -> dict[str, Any]:
        """Tensors and plain values beside model, optimiser and order, that the next step depends on."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""

    # What a user calls

    def fit(self) -> Outcome:
        """Train to the end, or on from the last checkpoint; the model then has the weights of the best epoch.

        Raises:
            DivergedError: the loss or a weight is no longer finite.
            CheckpointError: the checkpoint in the directory is damaged, or of other data or shapes.
        """
        self.resume()
        try:
            while self.outcome.epochs < self._loop.epochs and not self._is_stale():
                self._epoch()
        except KeyboardInterrupt:
            if self.uninterrupted is not None:
                self._save_last()
            raise
        self._save_last()
        self._load_best()
        self._model.eval()
        return self.outcome

    def resume(self) -> int:
        """Go back to the last checkpoint, or to the start; `fit` does so by itself.

        Returns:
            The number of epochs already done.
        """
        if self._resumed:
            return self.outcome.epochs
        self._resumed = True
        if self._seed is not None:
            torch.manual_seed(self._seed + self.rank)  # each process drops other units
        last = self.checkpoints.load_last() if self.checkpoints is not None else None
        if last is None:
            return 0
        state = last.state
        self._model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self._seed is not None and self.world == 1:
            set_rng_state(state["rng"])  # of several processes only the first one's was kept
        if self._order is not None:
            self._order.set_state(state["order"])
            self._order_state = state["order"]
        self.restore(state["own"])
        self.done_batches = state["done_batches"]
        self._loss_sum, self._num_losses = state["loss_sum"], state["num_losses"]
        self._cpu_seconds = state["cpu_seconds"]
        self.outcome = Outcome(**state["outcome"])
        return self.outcome.epochs

    @property
    def progress(self) -> float:
        """Epochs done, the one under way included in part."""
        return self.outcome.epochs + self.done_batches / max(1, self.num_batches)

    # The loop

    def _epoch(self) -> None:
        started, cpu = time.perf_counter(), time.process_time()
        if self._order is not None:
            # In the middle of an epoch the order is drawn again from the state at its start.
            self._order_state = self._order.get_state()
        self._model.train()
        guard = self.uninterrupted or nullcontext
        batches = iter(self.batches(self.done_batches))
        for _ in range(self.done_batches, self.num_batches):
            with guard():  # around the draw, too: it moves generators on
                self._update(next(batches))
            if time.monotonic() - self._saved_at > self._loop.save_every:
                self._cpu_seconds += time.process_time() - cpu
                self._save_last()
                cpu = time.process_time()
        next(batches, None)  # resumed after the last batch, a generator has yet to draw the order
        with guard():
            self._cpu_seconds += time.process_time() - cpu
            self._finish_epoch(time.perf_counter() - started)

    def _update(self, batch: Batch) -> None:
        rate = self._loop.rate(self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.step(batch)
        if loss is not None:
            # Added up where it is: reading it would make a GPU wait.
            self._loss_sum = self._loss_sum + loss.detach()
            self._num_losses += 1
        self.done_batches += 1

    def _finish_epoch(self, seconds: float) -> None:
        outcome, options = self.outcome, self._loop
        loss = float(self._loss_sum) / max(1, self._num_losses)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        row = {
            "epoch": outcome.epochs + 1.0,
            "train/loss": loss,
            "learning_rate": options.rate(outcome.epochs),
            "seconds": seconds,
            "cpu_seconds": self._cpu_seconds,
        }
        outcome.epochs += 1
        self.done_batches = 0
        self._loss_sum, self._num_losses = torch.zeros(()), 0
        self._order_state = None if self._order is None else self._order.get_state()
        last = outcome.epochs == options.epochs
        looks = options.evaluate_every and (outcome.epochs % options.evaluate_every == 0 or last)
        if self.validate is not None and looks:
            row |= self._look(self.validate)
        elif last and not outcome.best:
            outcome.best_epoch = outcome.epochs
        outcome.history.append(row)
        self.on_epoch(row)

    def _look(self, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
        self._require_finite()
        self._model.eval()
        with torch.no_grad():
            metrics = validate()
        value = metrics[self.select]
        if value != value:
            raise self._diverged(f"valid/{self.select} is not a number")
        best = self.outcome.best.get(self.select)
        if best is None or (value > best if self.higher_is_better else value < best):
            self.outcome.best, self.outcome.best_epoch = metrics, self.outcome.epochs
            self._keep_best()
        return {f"valid/{name}": number for name, number in metrics.items()}

    def _is_stale(self) -> bool:
        options, outcome = self._loop, self.outcome
        if not options.patience or not outcome.best:
            return False
        return outcome.epochs - outcome.best_epoch >= options.patience * options.evaluate_every

    # What is kept

    def _keep_best(self) -> None:
        self._best = {name: value.detach().clone() for name, value in self._model.state_dict().items()}
        if self.checkpoints is not None and self.rank == 0:
            kept = {"model": self._best, "metrics": self.outcome.best}
            self.checkpoints.save_best(kept, self.outcome.best_epoch, self.outcome.best[self.select])

    def _save_last(self) -> None:
        self._saved_at = time.monotonic()
        if self.checkpoints is None or self.rank != 0:
            return
        self._require_finite()
        state: dict[str, Any] = {
            "model": self._model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": rng_state(),
            "order": self._order_state,
            "own": self.state(),
            "done_batches": self.done_batches,
            "loss_sum": self._loss_sum.cpu(),
            "num_losses": self._num_losses,
            "cpu_seconds": self._cpu_seconds,
            "outcome": vars(self.outcome),
        }
        self.checkpoints.save_last(state, self.outcome.epochs)

    def _load_best(self) -> None:
        if not self.outcome.best:
            return
        if self._best is None and self.checkpoints is not None:
            best = self.checkpoints.load_best()
            self._best = None if best is None else best.state["model"]
        if self._best is not None:
            self._model.load_state_dict(self._best)

    def _require_finite(self) -> None:
        loss = float(self._loss_sum)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        for name, value in self._model.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise self._diverged(f"{name} holds numbers that are not finite")

    def _diverged(self, what: str) -> DivergedError:
        step = self.outcome.epochs * self.num_batches + self.done_batches
        kept = "none was saved"
        if self.checkpoints is not None and self.checkpoints.last.exists():
            kept = str(self.checkpoints.last)
        return DivergedError(
            f"training diverged at step {step} (epoch {math.ceil(self.progress)}): {what}. Last good checkpoint: {kept}. "
            f"Try a lower {self.options_at}.learning_rate than {self._loop.learning_rate}{self.advice}"
        )


@contextmanager
def reported(
    run: Run, options: LoopOptions, shown: str, title: str = "training", log: bool = True
) -> Iterator[Callable[[dict[str, float]], None]]:
    """What to do with each epoch's row in a run: into metrics.csv and TensorBoard, and onto the bar.

        with reported(run, config.training, "valid/mrr") as on_epoch:
            outcome = Trainer(..., on_epoch=on_epoch, uninterrupted=run.uninterrupted).fit()

    Args:
        run: of the command line.
        options: of the loop.
        shown: the metric beside the bar, next to the loss.
        title: what is being trained.
        log: False shows the bar alone, for one of several trainings of a run.
    """
    with run.progress(options.epochs, title) as bar:
        first = True

        def on_epoch(row: dict[str, float]) -> None:
            nonlocal first
            epoch = int(row["epoch"])
            if first:
                first = False
                bar.begin_at(epoch - 1)  # a resumed run goes on there
                if run.resuming and log:
                    run.metrics.rewind(epoch - 1)
            if log:
                # The file has a clock of its own, by the name of `seconds`.
                run.metrics.log(epoch, {n: v for n, v in row.items() if n not in ("epoch", "seconds")})
            bar.advance(1, {name: row[name] for name in (shown, "train/loss") if name in row})

        yield on_epoch
