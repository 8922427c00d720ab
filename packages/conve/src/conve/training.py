"""Training with 1-N scoring: Adam over shuffled queries, the epoch chosen by the validation split.

    trainer = Trainer(model, graph, TrainingOptions(epochs=100), directory="runs/mine")
    outcome = trainer.fit()          # the model now has the weights of the best epoch
    evaluate(model, graph).metrics()

Source: Section 5.1 of the paper and, where the text is silent, its published program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.distributed
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.gpu import processes
from offprints.training import EpochLoop, LoopOptions
from offprints.triples import KnowledgeGraph

from conve.batches import Batch, Batches
from conve.evaluation import evaluate
from conve.lookup import look_up
from conve.loss import Kind, Smoothing, one_to_n_loss, smoothed_targets
from conve.scorer import Scorer


@dataclass
class TrainingOptions(LoopOptions):
    """How to train: passes over the distinct training queries.

    Attributes:
        batch_size: queries a step.
        label_smoothing: epsilon; 0 trains on the labels.
        smoothing: "reference" adds 1/N as the published program did, "standard" epsilon/N.
        loss: "bce" (the paper) or "softmax".
        entity_share: share of the entities that a query is scored against in training; 1 is the paper's 1-N,
            less is its 1-(share N) ablation, with a new random part for every batch.
        chunk: entities at a time in the loss.
    """

    learning_rate: float = 0.003
    schedule: str = "exponential"
    decay: float = 0.995
    evaluate_every: int = 3
    save_every: float = 30.0
    batch_size: int = 128
    label_smoothing: float = 0.1
    smoothing: str = "reference"
    loss: str = "bce"
    entity_share: float = 1.0
    chunk: int = 2048

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("loss", self.loss in ("bce", "softmax"), "bce or softmax"),
            ("entity_share", 0 < self.entity_share <= 1, "in (0, 1]"),
            ("smoothing", self.smoothing in ("reference", "standard"), "reference or standard"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("chunk", self.chunk >= 1, "1 or more"),
        )


class Trainer(EpochLoop[Batch]):
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

    advice = ", or training.warmup_epochs"

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
        self.device, self.bfloat16 = torch.device(device), bfloat16
        self.model.to(self.device)
        world = processes()
        rank = torch.distributed.get_rank() if world > 1 else 0
        self.data = Batches(graph, self.options.batch_size, seed, self.device, rank, world)
        self.targets = smoothed_targets(
            self.options.label_smoothing, graph.num_entities, cast(Smoothing, self.options.smoothing)
        )
        super().__init__(
            cast(nn.Module, model),
            torch.optim.Adam(model.parameters(), self.options.learning_rate, fused=True),
            self.options,
            order=self.data.generator,
            seed=seed,
            validate=(validate or (lambda: evaluate(model, graph, "valid").metrics()))
            if len(graph.valid)
            else None,
            select=select,
            checkpoints=None
            if directory is None
            else Checkpoints(Path(directory), "conve", made_of(model, graph)),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return len(self.data)

    def batches(self, done: int) -> Iterator[Batch]:
        return self.data.of(self.data.order(), done)

    def step(self, batch: Batch) -> Tensor | None:
        # The value of the loss costs two more passes over the logits: look at one step in twenty, and the first ones.
        look = self.done_batches % 20 == 0
        loss = self.loss(batch, with_value=look)
        loss.backward()
        if self.world > 1:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    # Each loss is a share of the batch's mean: add up.
                    torch.distributed.all_reduce(parameter.grad)
            if look:
                torch.distributed.all_reduce(loss.detach())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss if look else None

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


def made_of(model: Scorer, graph: KnowledgeGraph) -> str:
    """What a checkpoint belongs to: the vocabulary of the graph and the shapes of the model, as a digest."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return fingerprint(graph=graph.fingerprint, shapes=shapes)
