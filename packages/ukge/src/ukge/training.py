"""Training: Adam over shuffled facts with fresh negatives, the epoch chosen on the validation split.

    trainer = Trainer(model, graph.train, options, atoms=atoms, validate=validate)
    outcome = trainer.fit()          # the model now has the weights of the best epoch

Source: Section 4 of the paper and, where the text is silent, the published program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.training import EpochLoop, LoopOptions

from ukge.atoms import Atoms
from ukge.batches import Batches
from ukge.facts import Facts
from ukge.loss import OBJECTIVES
from ukge.model import UKGE
from ukge.step import Batch, add_gradients

OPTIMIZERS = {"adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}
EPSILONS = ("after", "before")
DRAWS = ("uniform", "degree")


@dataclass
class TrainingOptions(LoopOptions):
    """How to train: passes over the training facts.

    Attributes:
        batch_size: facts a step.
        optimizer: "adam" or "adagrad", which the deterministic baselines were trained with.
        epsilon: where Adam's epsilon is added: "after" the bias correction as in torch, or "before" it as the published program.
        objective: "published", "paper", or "logistic", which has no rule atoms; see `ukge.loss`.
        negatives: corrupted heads, and as many corrupted tails, for each fact; 0 for none (the n- ablation).
        draw: the entities of negatives: "uniform" over all, or by "degree", as the false facts of the published test files are.
        negative_weight: factor of the negatives in the loss.
        shared: draw the negatives once for all facts of a batch instead.
        filtered: leave out negatives that are training facts.
        psl_batch: rule atoms a step; 0 for none (the p- ablation).
        psl_weight: factor of the rule atoms in the loss.
        l2: lambda of the regularisation; see `ukge.step`.
        drop_last: leave out the incomplete last batch of an epoch, as the published program does.
    """

    batch_size: int = 1024
    optimizer: str = "adam"
    epsilon: str = "after"
    objective: str = "published"
    negatives: int = 10
    draw: str = "uniform"
    negative_weight: float = 1.0
    shared: bool = False
    filtered: bool = False
    psl_batch: int = 256
    psl_weight: float = 0.2
    l2: float = 0.0
    drop_last: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("epsilon", self.epsilon in EPSILONS, f"one of {', '.join(EPSILONS)}"),
            ("objective", self.objective in OBJECTIVES, f"one of {', '.join(OBJECTIVES)}"),
            ("negatives", self.negatives >= 0, "0 or more"),
            ("draw", self.draw in DRAWS, f"one of {', '.join(DRAWS)}"),
            ("negative_weight", 0 <= self.negative_weight < math.inf, "0 or more"),
            ("psl_batch", self.psl_batch >= 0, "0 or more"),
            ("psl_weight", 0 <= self.psl_weight < math.inf, "0 or more"),
            ("l2", 0 <= self.l2 < math.inf, "0 or more"),
        )


class Trainer(EpochLoop[Batch]):
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
        self.data = Batches(
            facts,
            atoms or Atoms.empty(),
            model.num_entities,
            model.num_relations,
            size=self.options.batch_size,
            negatives=self.options.negatives,
            draw=self.options.draw,
            shared=self.options.shared,
            filtered=self.options.filtered,
            psl_batch=self.options.psl_batch,
            drop_last=self.options.drop_last,
            seed=seed,
            device=device,
        )
        self.steps = 0
        checkpoints = None
        if directory is not None:
            made_of = checkpoint_fingerprint(model, belongs_to)
            checkpoints = Checkpoints(Path(directory), "ukge", made_of, higher_is_better)
        super().__init__(
            model,
            OPTIMIZERS[self.options.optimizer](model.parameters(), self.options.learning_rate, fused=True),
            self.options,
            order=self.data.order_generator,
            validate=validate,
            select=select,
            higher_is_better=higher_is_better,
            checkpoints=checkpoints,
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return len(self.data)

    def batches(self, done: int) -> Iterator[Batch]:
        return self.data.of(self.data.order(), done)

    def step(self, batch: Batch) -> Tensor:
        options = self.options
        self.steps += 1
        if options.epsilon == "before" and options.optimizer == "adam":
            for group in self.optimizer.param_groups:
                # lr_t m / (sqrt(v) + eps), lr_t with the whole correction, is torch's step with eps / sqrt(1 - beta2^t).
                group["eps"] = 1e-8 / math.sqrt(1 - group["betas"][1] ** self.steps)
        loss = add_gradients(
            self.model, batch, options.objective, options.negative_weight, options.psl_weight, options.l2
        )
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return {"draws": self.data.draws.get_state(), "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.data.draws.set_state(state["draws"])
        self.steps = state["steps"]


def checkpoint_fingerprint(model: UKGE, belongs_to: str) -> str:
    """What a checkpoint belongs to: a graph, and the shape and kind of a model."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return fingerprint(graph=belongs_to, shapes=shapes, kind=model.kind, scorer=model.scorer_name)
