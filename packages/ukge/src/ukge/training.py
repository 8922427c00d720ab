"""Training: Adam over shuffled facts with fresh negatives, the epoch chosen on the validation split.

    trainer = Trainer(model, graph.train, options, atoms=atoms, validate=validate)
    outcome = trainer.fit()          # the model now has the weights of the best epoch

Source: Section 4 of the paper and, where the text is silent, the published program.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError

from ukge.atoms import Atoms
from ukge.batches import Batches
from ukge.facts import Facts
from ukge.loss import OBJECTIVES
from ukge.model import UKGE
from ukge.step import Batch, add_gradients

OPTIMIZERS = ("adam", "adagrad")
SCHEDULES = ("constant", "exponential", "cosine")
EPSILONS = ("after", "before")


class DivergedError(InputError):
    """The parameters are no longer finite; names the epoch and the last good checkpoint."""


@dataclass
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: passes over the training facts.
        batch_size: facts a step.
        learning_rate: of the optimiser, at its highest.
        schedule: "constant"; "exponential", multiplied by `decay` every epoch; "cosine", down to 0 at the end.
        decay: factor per epoch of the exponential schedule.
        optimizer: "adam" or "adagrad", which the deterministic baselines were trained with.
        epsilon: where Adam's epsilon is added: "after" the bias correction as in torch, or "before" it as the published program.
        objective: "published", "paper" or "logistic"; see `ukge.loss`.
        negatives: corrupted heads, and as many corrupted tails, for each fact; 0 for none (the n- ablation).
        negative_weight: factor of the negatives in the loss.
        shared: draw the negatives once for all facts of a batch instead.
        filtered: leave out negatives that are training facts.
        psl_batch: rule atoms a step; 0 for none (the p- ablation).
        psl_weight: factor of the rule atoms in the loss.
        l2: lambda of the regularisation; see `ukge.step`.
        drop_last: leave out the incomplete last batch of an epoch, as the published program does.
        evaluate_every: epochs between validations; 0 never validates and keeps the last epoch.
        patience: stop after this many validations without a better one; 0 never stops early.
        save_every: seconds of work that a kill may cost at most, roughly.
    """

    epochs: int = 100
    batch_size: int = 1024
    learning_rate: float = 0.001
    schedule: str = "constant"
    decay: float = 0.95
    optimizer: str = "adam"
    epsilon: str = "after"
    objective: str = "published"
    negatives: int = 10
    negative_weight: float = 1.0
    shared: bool = False
    filtered: bool = False
    psl_batch: int = 256
    psl_weight: float = 0.2
    l2: float = 0.0
    drop_last: bool = False
    evaluate_every: int = 10
    patience: int = 0
    save_every: float = 60.0

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("epochs", self.epochs >= 1, "1 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("schedule", self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
            ("decay", 0 < self.decay <= 1, "in (0, 1]"),
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("epsilon", self.epsilon in EPSILONS, f"one of {', '.join(EPSILONS)}"),
            ("objective", self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}"),
            ("negatives", self.negatives >= 0, "0 or more"),
            ("negative_weight", 0 <= self.negative_weight < math.inf, "0 or more"),
            ("psl_batch", self.psl_batch >= 0, "0 or more"),
            ("psl_weight", 0 <= self.psl_weight < math.inf, "0 or more"),
            ("l2", 0 <= self.l2 < math.inf, "0 or more"),
            ("evaluate_every", self.evaluate_every >= 0, "0 or more"),
            ("patience", self.patience >= 0, "0 or more"),
        ):
            if not fits:
                raise InputError(f"training option {name}={getattr(self, name)!r} is not valid: {right}")

    def rate(self, epoch: float) -> float:
        """Learning rate at a point of time, counted in epochs (fractions between)."""
        if self.schedule == "exponential":
            return self.learning_rate * self.decay ** math.floor(epoch)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / self.epochs)))
        return self.learning_rate


@dataclass
class Outcome:
    """What training came to.

    Attributes:
        epochs: epochs trained.
        best_epoch: the epoch whose weights the model has.
        best: validation metrics of that epoch; empty without validation.
        history: one row an epoch: epoch, train/loss, seconds, and valid/... where validated.
    """

    epochs: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains a model on facts.

    Args:
        model: moved to `device`.
        facts: to learn from.
        options: how.
        atoms: heads of ground rules, with their bounds.
        seed: of the order of the facts and of all draws.
        device: where to train.
        validate: metrics of the model on the validation split; None keeps the last epoch.
        select: the metric of `validate` that chooses the epoch.
        higher_is_better: the direction of that metric.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        belongs_to: a digest of the graph, so that no checkpoint is taken for another one's.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs, so that an interrupt comes between two steps; with it,
            KeyboardInterrupt leaves a checkpoint of the last whole step.
    """

    def __init__(
        self,
        model: UKGE,
        facts: Facts,
        options: TrainingOptions | None = None,
        *,
        atoms: Atoms | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        validate: Callable[[], dict[str, float]] | None = None,
        select: str = "mse_pos_neg",
        higher_is_better: bool = False,
        directory: Path | str | None = None,
        belongs_to: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.options = model.to(device), options or TrainingOptions()
        self.validate, self.select, self.higher_is_better = validate, select, higher_is_better
        self.on_epoch = on_epoch or (lambda row: None)
        self.uninterrupted = uninterrupted
        self.batches = Batches(
            facts,
            atoms or Atoms.empty(),
            model.num_entities,
            model.num_relations,
            size=self.options.batch_size,
            negatives=self.options.negatives,
            shared=self.options.shared,
            filtered=self.options.filtered,
            psl_batch=self.options.psl_batch,
            drop_last=self.options.drop_last,
            seed=seed,
            device=device,
        )
        kinds = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}
        self.optimizer = kinds[self.options.optimizer](
            model.parameters(), self.options.learning_rate, fused=True
        )
        self.checkpoints = None
        if directory is not None:
            made_of = checkpoint_fingerprint(model, belongs_to)
            self.checkpoints = Checkpoints(Path(directory), "ukge", made_of, higher_is_better)
        self.outcome = Outcome()
        self.done_batches = 0  # of the epoch under way
        self.steps = 0
        self._order_state = self.batches.order_generator.get_state()
        self._loss_sum = torch.zeros((), device=device)
        self._best: dict[str, Tensor] | None = None
        self._saved_at = time.monotonic()
        self._resumed = False

    def fit(self) -> Outcome:
        """Train to the end, or on from the last checkpoint; the model then has the weights of the best epoch.

        Raises:
            DivergedError: a parameter is no longer finite.
            CheckpointError: the checkpoint in the directory is damaged, or of other data or shapes.
        """
        self.resume()
        try:
            while self.outcome.epochs < self.options.epochs and not self._is_stale():
                self._epoch()
        except KeyboardInterrupt:
            if self.uninterrupted is not None:
                self._save_last()
            raise
        self._save_last()
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
        if last is not None:
            state = last.state
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.batches.order_generator.set_state(state["order"])
            self.batches.draws.set_state(state["draws"])
            self._order_state = state["order"]
            self.done_batches, self.steps = state["done_batches"], state["steps"]
            self._loss_sum = state["loss_sum"].to(self._loss_sum.device)
            self.outcome = Outcome(**state["outcome"])
        return self.outcome.epochs

    def step(self, batch: Batch) -> Tensor:
        """One step of the optimiser.

        Returns:
            () the loss before it.
        """
        options = self.options
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate(self.outcome.epochs + self.done_batches / max(1, len(self.batches)))
            if options.epsilon == "before" and options.optimizer == "adam":
                # lr_t m / (sqrt(v) + eps), lr_t with the whole correction, is torch's step with eps / sqrt(1 - beta2^t).
                group["eps"] = 1e-8 / math.sqrt(1 - group["betas"][1] ** self.steps)
        loss = add_gradients(
            self.model, batch, options.objective, options.negative_weight, options.psl_weight, options.l2
        )
        self.optimizer.step()
        return loss

    def _epoch(self) -> None:
        started = time.perf_counter()
        self._order_state = self.batches.order_generator.get_state()
        order = self.batches.order()
        guard = self.uninterrupted or nullcontext
        for number in range(self.done_batches, len(self.batches)):
            with guard():
                rows = order[number * self.batches.size : (number + 1) * self.batches.size]
                self._loss_sum += self.step(self.batches.batch(rows))
                self.done_batches += 1
            if time.monotonic() - self._saved_at > self.options.save_every:
                self._save_last()
        with guard():
            self._finish_epoch(time.perf_counter() - started)

    def _finish_epoch(self, seconds: float) -> None:
        outcome, options = self.outcome, self.options
        outcome.epochs += 1
        row = {
            "epoch": float(outcome.epochs),
            "train/loss": float(self._loss_sum) / max(1, len(self.batches)),
            "seconds": seconds,
        }
        self.done_batches = 0
        self._loss_sum.zero_()
        self._order_state = self.batches.order_generator.get_state()
        self._require_finite(row["train/loss"])
        last = outcome.epochs == options.epochs
        if (
            self.validate is not None
            and options.evaluate_every
            and (outcome.epochs % options.evaluate_every == 0 or last)
        ):
            metrics = self.validate()
            row |= {f"valid/{name}": value for name, value in metrics.items()}
            if self._is_better(metrics[self.select]):
                outcome.best, outcome.best_epoch = metrics, outcome.epochs
                self._keep_best()
        elif last and not outcome.best:
            outcome.best_epoch = outcome.epochs
        outcome.history.append(row)
        self.on_epoch(row)

    def _is_better(self, value: float) -> bool:
        best = self.outcome.best.get(self.select)
        if value != value:
            raise self._diverged(f"valid/{self.select} is not a number")
        return best is None or (value > best if self.higher_is_better else value < best)

    def _is_stale(self) -> bool:
        options, outcome = self.options, self.outcome
        if not options.patience or not options.evaluate_every:
            return False
        return outcome.epochs - outcome.best_epoch >= options.patience * options.evaluate_every

    def _keep_best(self) -> None:
        self._best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        if self.checkpoints is not None:
            self.checkpoints.save_best(
                {"model": self._best}, self.outcome.best_epoch, self.outcome.best[self.select]
            )

    def _save_last(self) -> None:
        self._saved_at = time.monotonic()
        if self.checkpoints is None:
            return
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            # In the middle of an epoch the order is drawn again from the state at its start.
            "order": self._order_state,
            "draws": self.batches.draws.get_state(),
            "done_batches": self.done_batches,
            "steps": self.steps,
            "loss_sum": self._loss_sum.cpu(),
            "outcome": vars(self.outcome),
        }
        self.checkpoints.save_last(state, self.outcome.epochs)

    def _load_best(self) -> None:
        if self._best is None and self.checkpoints is not None and self.outcome.best:
            best = self.checkpoints.load_best()
            self._best = best.state["model"] if best is not None else None
        if self._best is not None:
            self.model.load_state_dict(self._best)

    def _require_finite(self, loss: float) -> None:
        if not math.isfinite(loss) or not self.model.is_finite():
            raise self._diverged(f"the loss is {loss}")

    def _diverged(self, what: str) -> DivergedError:
        kept = "none was saved"
        if self.checkpoints is not None and self.checkpoints.last.exists():
            kept = str(self.checkpoints.last)
        return DivergedError(
            f"training diverged in epoch {self.outcome.epochs}: {what}. Last good checkpoint: {kept}. "
            f"Try a lower training.learning_rate than {self.options.learning_rate}"
        )


def checkpoint_fingerprint(model: UKGE, belongs_to: str) -> str:
    """What a checkpoint belongs to: a graph, and the shape and kind of a model."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return fingerprint(graph=belongs_to, shapes=shapes, kind=model.kind, scorer=model.scorer_name)
