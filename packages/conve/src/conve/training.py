"""Training with 1-N scoring: Adam over shuffled queries, the epoch chosen by the validation split.

    trainer = Trainer(model, graph, TrainingOptions(epochs=100), directory="runs/mine")
    outcome = trainer.fit()          # the model now has the weights of the best epoch
    evaluate(model, graph).metrics()

Source: Section 5.1 of the paper and, where the text is silent, its published program.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed
from torch import Tensor

from offprints.checkpoint import Checkpoints, fingerprint, rng_state, set_rng_state
from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

from conve.batches import Batch, Batches
from conve.evaluation import evaluate
from conve.lookup import look_up
from conve.loss import Kind, Smoothing, one_to_n_loss, smoothed_targets
from conve.norm import processes
from conve.scorer import Scorer


class DivergedError(InputError):
    """The loss or the weights are no longer finite; names the step and the last good checkpoint."""


@dataclass
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: passes over the distinct training queries.
        batch_size: queries a step.
        learning_rate: of Adam, at its highest.
        schedule: "constant"; "exponential", multiplied by `decay` every epoch; "cosine", down to 0 at the end.
        decay: factor per epoch of the exponential schedule.
        warmup_epochs: the rate rises linearly from 0 over these.
        label_smoothing: epsilon; 0 trains on the labels.
        smoothing: "reference" adds 1/N as the published program did, "standard" epsilon/N.
        loss: "bce" (the paper) or "softmax".
        entity_share: share of the entities that a query is scored against in training; 1 is the paper's 1-N,
            less is its 1-(share N) ablation, with a new random part for every batch.
        evaluate_every: epochs between validations; 0 never validates and keeps the last epoch.
        patience: stop after this many validations without a better one; 0 never stops early.
        save_every: seconds of work that a kill may cost at most, roughly.
        chunk: entities at a time in the loss.
    """

    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 0.003
    schedule: str = "exponential"
    decay: float = 0.995
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.1
    smoothing: str = "reference"
    loss: str = "bce"
    entity_share: float = 1.0
    evaluate_every: int = 3
    patience: int = 0
    save_every: float = 30.0
    chunk: int = 2048

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("epochs", self.epochs >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            (
                "schedule",
                self.schedule in ("constant", "exponential", "cosine"),
                "constant, exponential or cosine",
            ),
            ("decay", 0 < self.decay <= 1, "in (0, 1]"),
            ("warmup_epochs", self.warmup_epochs >= 0, "0 or more"),
            ("loss", self.loss in ("bce", "softmax"), "bce or softmax"),
            ("entity_share", 0 < self.entity_share <= 1, "in (0, 1]"),
            ("smoothing", self.smoothing in ("reference", "standard"), "reference or standard"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("evaluate_every", self.evaluate_every >= 0, "0 or more"),
            ("chunk", self.chunk >= 1, "1 or more"),
        ):
            if not fits:
                raise InputError(f"training option {name}={getattr(self, name)!r} is not valid: {right}")

    def rate(self, epoch: float) -> float:
        """Learning rate at a point of time, counted in epochs (fractions between)."""
        warm = min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0
        if self.schedule == "exponential":
            return self.learning_rate * warm * self.decay ** math.floor(epoch)
        if self.schedule == "cosine":
            return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / self.epochs)))
        return self.learning_rate * warm


@dataclass
class Outcome:
    """What training came to.

    Attributes:
        epochs: epochs trained.
        best_epoch: the epoch whose weights the model has.
        best: validation metrics of that epoch; empty without validation.
        history: one row an epoch: epoch, train/loss, learning rate, seconds, and valid/... where validated.
    """

    epochs: int = 0
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains a model on a graph.

    Args:
        model: ConvE, DistMult, ComplEx or anything with their interface; moved to `device`.
        seed: of the order of the queries and of the dropouts (torch's global generator is seeded by `fit`).
        bfloat16: take the large products in bfloat16: faster where the processor knows it (see offprints.gpu).
        validate: metrics of the model on the validation split; None ranks it as `evaluate` does.
        select: the metric of `validate` that chooses the epoch; higher is better.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs, so that an interrupt comes between two steps; with it,
            KeyboardInterrupt leaves a checkpoint of the last whole step.

    Under torch.distributed every process trains on its share of each batch and all hold the same weights.
    """

    def __init__(
        self,
        model: Scorer,
        graph: KnowledgeGraph,
        options: TrainingOptions | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        bfloat16: bool = False,
        validate: Callable[[], dict[str, float]] | None = None,
        select: str = "mrr",
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.graph, self.options = model, graph, options or TrainingOptions()
        self.device = torch.device(device)
        self.seed, self.bfloat16, self.world = seed, bfloat16, processes()
        self.rank = torch.distributed.get_rank() if self.world > 1 else 0
        self.validate = validate or (lambda: evaluate(model, graph, "valid").metrics())
        self.select = select
        self.on_epoch = on_epoch or (lambda row: None)
        self.uninterrupted = uninterrupted
        self.model.to(self.device)
        self.batches = Batches(graph, self.options.batch_size, seed, self.device, self.rank, self.world)
        self.targets = smoothed_targets(
            self.options.label_smoothing, graph.num_entities, cast(Smoothing, self.options.smoothing)
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), self.options.learning_rate, fused=True)
        self.checkpoints = None
        if directory is not None:
            self.checkpoints = Checkpoints(Path(directory), "conve", made_of(model, graph))
        self.outcome = Outcome()
        self.done_batches = 0  # of the epoch under way
        self._order_state = self.batches.generator.get_state()
        self._best: dict[str, Tensor] | None = None
        self._losses: list[float] = []
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
                self._epoch()
        except KeyboardInterrupt:
            if self.uninterrupted is not None:
                self._save_last()
            raise
        self._save_last()
        self._load_best()
        self.model.eval()
        return self.outcome

    def resume(self) -> int:
        """Go back to the last checkpoint in the directory, or to the start; `fit` does so by itself.

        Returns:
            The number of epochs already done.
        """
        if self._resumed:
            return self.outcome.epochs
        self._resumed = True
        torch.manual_seed(self.seed + self.rank)  # each process drops other units
        last = self.checkpoints.load_last() if self.checkpoints is not None else None
        if last is None:
            return 0
        state = last.state
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.world == 1:
            set_rng_state(state["rng"])  # of several processes only the first one's was kept
        self.batches.generator.set_state(state["order"])
        self._order_state = state["order"]
        self.done_batches = state["done_batches"]
        self._losses = list(state["losses"])
        self.outcome = Outcome(**state["outcome"])
        return self.outcome.epochs

    def _epoch(self) -> None:
        started = time.perf_counter()
        self._order_state = self.batches.generator.get_state()
        order = self.batches.order()
        self.model.train()
        guard = self.uninterrupted or nullcontext
        for batch in self.batches.of(order, self.done_batches):
            with guard():
                self._step(batch)
            if time.monotonic() - self._saved_at > self.options.save_every:
                self._save_last()
        with guard():
            self._finish_epoch(time.perf_counter() - started)

    def _step(self, batch: Batch) -> None:
        options = self.options
        rate = options.rate(self.outcome.epochs + self.done_batches / len(self.batches))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # The value of the loss costs two more passes over the logits: look at one step in twenty, and the first ones.
        look = self.done_batches % 20 == 0
        loss = self.loss(batch, with_value=look)
        loss.backward()
        if self.world > 1:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    torch.distributed.all_reduce(
                        parameter.grad
                    )  # each loss is a share of the batch's mean: add up
            if look:
                torch.distributed.all_reduce(loss.detach())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if look:
            value = float(loss.detach())
            if not math.isfinite(value):
                raise self._diverged(f"the loss is {value}")
            self._losses.append(value)
        self.done_batches += 1

    def loss(self, batch: Batch, with_value: bool = True) -> Tensor:
        """The training loss of a batch: its mean, or this process's share of it."""
        options = self.options
        heads, table = look_up(self.model.entity_table(), batch.head)
        bias: Tensor | None = self.model.entity_bias
        answer, num_entities = batch.answer, len(table)
        if options.entity_share < 1:
            scored, answer = self._scored_entities(batch.answer)
            table, bias, num_entities = table[scored], None if bias is None else bias[scored], len(scored)
        query = self.model.encode_rows(heads, batch.relation, bfloat16=self.bfloat16)
        # A GPU holds all logits of a batch; a CPU wants them to stay in its cache.
        whole = self.device.type == "cuda" and len(query) * num_entities < 1 << 28
        return one_to_n_loss(
            query,
            table,
            bias,
            batch.row,
            answer,
            self.targets,
            kind=cast(Kind, options.loss),
            chunk=num_entities if whole else options.chunk,
            bfloat16=self.bfloat16,
            with_value=with_value,
            batch_size=batch.size,
        )

    def _scored_entities(self, answer: Tensor) -> tuple[Tensor, Tensor]:
        """A random part of the entities with all answers of the batch, and the answers' places in it."""
        count = max(1, round(self.options.entity_share * self.graph.num_entities))
        drawn = torch.randperm(self.graph.num_entities, device=self.device)[:count]
        scored = torch.cat([drawn, answer]).unique()
        return scored, torch.searchsorted(scored, answer)

    def _finish_epoch(self, seconds: float) -> None:
        outcome = self.outcome
        outcome.epochs += 1
        self.done_batches = 0
        row = {
            "epoch": float(outcome.epochs),
            "train/loss": sum(self._losses) / max(len(self._losses), 1),
            "learning_rate": self.options.rate(outcome.epochs - 1),
            "seconds": seconds,
        }
        self._losses = []
        self._order_state = self.batches.generator.get_state()
        every = self.options.evaluate_every
        last = outcome.epochs == self.options.epochs
        if every and len(self.graph.valid) and (outcome.epochs % every == 0 or last):
            self._require_finite()
            metrics = self.validate()
            row |= {f"valid/{name}": value for name, value in metrics.items()}
            if metrics[self.select] > outcome.best.get(self.select, -1.0):
                outcome.best, outcome.best_epoch = metrics, outcome.epochs
                self._keep_best()
        elif last and not outcome.best:
            outcome.best_epoch = outcome.epochs
        outcome.history.append(row)
        self.on_epoch(row)

    def _is_stale(self) -> bool:
        options, outcome = self.options, self.outcome
        if not options.patience or not options.evaluate_every:
            return False
        return outcome.epochs - outcome.best_epoch >= options.patience * options.evaluate_every

    # What is kept

    def _keep_best(self) -> None:
        state = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self._best = state
        if self.checkpoints is not None and self.rank == 0:
            kept = {"model": state, "metrics": self.outcome.best}
            self.checkpoints.save_best(kept, self.outcome.best_epoch, self.outcome.best[self.select])

    def _save_last(self) -> None:
        self._saved_at = time.monotonic()
        if self.checkpoints is None or self.rank != 0:
            return
        self._require_finite()
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": rng_state(),
            "order": self._order_state,
            "done_batches": self.done_batches,
            "losses": list(self._losses),
            "outcome": vars(self.outcome),
            "options": dict(vars(self.options)),
        }
        self.checkpoints.save_last(state, self.outcome.epochs)

    def _load_best(self) -> None:
        if self._best is None and self.checkpoints is not None:
            best = self.checkpoints.load_best()
            self._best = best.state["model"] if best is not None else None
        if self._best is not None:
            self.model.load_state_dict(self._best)

    def _require_finite(self) -> None:
        for name, parameter in self.model.state_dict().items():
            if not bool(torch.isfinite(parameter).all()):
                raise self._diverged(f"{name} holds numbers that are not finite")

    def _diverged(self, what: str) -> DivergedError:
        step = self.outcome.epochs * len(self.batches) + self.done_batches
        kept = "none was saved"
        if self.checkpoints is not None and self.checkpoints.last.exists():
            kept = str(self.checkpoints.last)
        return DivergedError(
            f"training diverged at step {step} (epoch {self.outcome.epochs + 1}): {what}. Last good checkpoint: {kept}. "
            f"Try a lower training.learning_rate than {self.options.learning_rate}, or warm-up"
        )


def made_of(model: Scorer, graph: KnowledgeGraph) -> str:
    """What a checkpoint belongs to: the vocabulary of the graph and the shapes of the model, as a digest."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return fingerprint(graph=graph.fingerprint, shapes=shapes)
