"""Training of an encoder under one of the heads: batches drawn with replacement, SGD, the last weights kept.

    outcome = Trainer(encoder, head, x, y, TrainingOptions(epochs=12, batches=250), seed=1).fit()
    outcome.history[-1]["train/gap"]  # how far the loss still is from its optimum

An epoch is a number of batches, not a pass over the data: each batch is drawn from all rows anew, as in the published program and as
the bound of SC supposes. There is no validation split; nothing is chosen, and the test rows are not looked at.

Source: the training protocol of the published program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.gpu import processes
from offprints.training import EpochLoop, LoopOptions

from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.heads import Head, LossGap
from supcon_simplex.networks import Encoder

AUGMENTATIONS = ("none", "standard")
PADDING = 4
_BLOCK = 1000  # rows of an evaluation at once


@dataclass
class TrainingOptions(LoopOptions):
    """How to train with SGD.

    Attributes:
        epochs: stretches of `batches` batches; gap and collapse are measured after each.
        batches: of an epoch.
        batch_size: rows drawn, with replacement, for each.
        evaluate_every: epochs between two measurements; 0 measures after the last alone.
        power: the rate is also multiplied by ((T - t)/T)^power, T the batches of all epochs; the paper's 5. 0 for none.
        momentum: of SGD, not Nesterov.
        weight_decay: on every parameter.
        augment: none, or standard: a random crop of the image padded by 4, and a random horizontal flip.
    """

    epochs: int = 12
    batches: int = 250
    batch_size: int = 256
    learning_rate: float = 0.1
    evaluate_every: int = 1
    power: float = 5.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augment: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(
            ("batches", self.batches >= 1, "1 or more"),
            ("batch_size", self.batch_size >= 2, "2 or more"),
            ("power", 0 <= self.power < math.inf, "0 or more"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("augment", self.augment in AUGMENTATIONS, f"one of {', '.join(AUGMENTATIONS)}"),
        )

    def rate(self, epoch: float) -> float:
        """Learning rate at a point of time, counted in epochs."""
        return float(super().rate(epoch) * max(0.0, 1 - epoch / self.epochs) ** self.power)


class Trainer(EpochLoop[Tensor]):
    """Trains an encoder under a head.

    Args:
        encoder: moved to `device`.
        head: of the encoder's `loss_features`.
        inputs: (N, ...) of the training rows, standardised.
        labels: (N,) int64.
        options: how.
        seed: of the batches, of augmentation, and of the batches that the gap is estimated with.
        device: where to train.
        autocast: lower precision of the encoder's products, such as torch.bfloat16; None for none.
        directory: where checkpoints go; a `fit` in a directory that has some goes on from the last. None keeps none.
        belongs_to: a digest of the data, so that no checkpoint is taken for another one's.
        on_epoch: called with the row of each epoch, measurements included.
        told: further arguments of `EpochLoop`: uninterrupted.

    A measured row has train/gap, train/bound and train/full_loss (of all training rows, in evaluation mode; only where classes are
    balanced), train/error of the head's own classifier or of the class means, and the main metrics of collapse.
    """

    advice = ", or a higher model.temperature"

    def __init__(
        self,
        encoder: Encoder,
        head: Head,
        inputs: Tensor,
        labels: Tensor,
        options: TrainingOptions | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        autocast: torch.dtype | None = None,
        directory: Path | str | None = None,
        belongs_to: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        **told: Any,
    ) -> None:
        if processes() > 1:
            raise InputError(
                "one process trains here: every row of a batch is compared with every other one of it"
            )
        self.options = options or TrainingOptions()
        self.encoder, self.head = encoder.to(device), head.to(device)
        self.inputs, self.labels = inputs.to(device), labels.to(device)
        self.autocast = autocast
        counts = torch.bincount(labels, minlength=head.num_classes)
        self.balanced = bool((counts == counts[0]).all())
        self._draws = torch.Generator().manual_seed(seed)
        self._augment = torch.Generator().manual_seed(seed + 1)
        self._gap_seed = seed + 2
        self._told = on_epoch or (lambda row: None)
        both = nn.ModuleDict({"encoder": encoder, "head": head})
        checkpoints = None
        if directory is not None:
            checkpoints = Checkpoints(
                Path(directory), "supcon-simplex", checkpoint_fingerprint(both, belongs_to)
            )
        super().__init__(
            both,
            torch.optim.SGD(
                both.parameters(),
                self.options.learning_rate,
                momentum=self.options.momentum,
                weight_decay=self.options.weight_decay,
            ),
            self.options,
            order=self._draws,
            checkpoints=checkpoints,
            on_epoch=self._measured,
            **told,
        )

    @property
    def num_batches(self) -> int:
        return self.options.batches

    def batches(self, done: int) -> Iterator[Tensor]:
        shape = (self.options.batches, self.options.batch_size)
        drawn = torch.randint(len(self.inputs), shape, generator=self._draws).to(self.inputs.device)
        yield from drawn[done:]

    def step(self, batch: Tensor) -> Tensor:
        inputs = self.inputs[batch]
        if self.options.augment == "standard":
            inputs = crop_and_flip(inputs, self._augment)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            inputs.device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None
        ):
            features = self.encoder.project(self.encoder(inputs))
        loss: Tensor = self.head(features.to(self.inputs.dtype), self.labels[batch])
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return {"augment": self._augment.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        self._augment.set_state(state["augment"])

    def measure(self) -> dict[str, float]:
        """Gap, training error and collapse of all training rows, in evaluation mode."""
        features = embed(self.encoder, self.inputs)
        with torch.no_grad():
            seen_by_loss = self.encoder.project(features)
        found = {
            "train/error": float((classify(self.head, features, self.labels) != self.labels).double().mean())
        }
        if self.balanced:
            generator = torch.Generator().manual_seed(self._gap_seed)
            nonnegative = self.encoder.final_relu and self.encoder.head is None
            gap = self.gap(seen_by_loss, generator, nonnegative)
            found |= {"train/gap": gap.gap, "train/bound": gap.bound, "train/full_loss": gap.loss}
        collapse = CollapseMetrics(self.head.num_classes, features.shape[1])
        seen = self.head.seen(features) if self.encoder.head is None else features
        measured = collapse.update(seen, self.labels).compute(missing="nan").metrics()
        kept = ("nc1_quotient", "nc2_etf", "simplex_distance", "cosine_across_means", "cosine_to_mean")
        return found | {f"train/{name}": measured[name] for name in kept if name in measured}

    def gap(self, features: Tensor, generator: torch.Generator, nonnegative: bool) -> LossGap:
        """The head's gap on all training rows."""
        return self.head.gap(features, self.labels, self.options.batch_size, generator, nonnegative)

    def _measured(self, row: dict[str, float]) -> None:
        epoch, every = int(row["epoch"]), self.options.evaluate_every
        if epoch == self.options.epochs or (every and epoch % every == 0):
            self._model.eval()
            row |= self.measure()
        self._told(row)


@torch.no_grad()
def embed(encoder: Encoder, inputs: Tensor) -> Tensor:
    """(N, features) of all rows, in the encoder's present mode, block by block.

    Args:
        encoder: in evaluation mode, if batch normalisation is not to look at the block.
        inputs: (N, ...).
    """
    return torch.cat([encoder(block) for block in inputs.split(_BLOCK)])


@torch.no_grad()
def classify(head: Head, features: Tensor, labels: Tensor) -> Tensor:
    """(N,) int64, the class of each row by the head's own classifier, or by the class means of these very rows for SC.

    Ties go to the lowest class.

    Args:
        head: trained.
        features: (N, features) of training rows.
        labels: (N,) theirs.
    """
    seen = head.seen(features)
    weight = head.weight
    if weight is None or weight.shape[1] != seen.shape[1]:
        member = functional.one_hot(labels, head.num_classes).to(seen.dtype)
        weight = member.T @ seen / member.sum(0).clamp_min(1).unsqueeze(1)
    return (seen @ weight.T).argmax(1)


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random crop of each image, padded by 4 pixels of 0, and a flip of every other one.

    Args:
        images: (B, C, H, W).
        generator: on the CPU.

    Source: the "standard" augmentation of the published program.
    """
    batch, channels, height, width = images.shape
    padded = functional.pad(images, (PADDING,) * 4)
    top, left = torch.randint(0, 2 * PADDING + 1, (2, batch, 1), generator=generator).to(images.device)
    flip = (torch.rand(batch, 1, generator=generator) < 0.5).to(images.device)
    rows = top + torch.arange(height, device=images.device)
    ordinary = torch.arange(width, device=images.device).expand(batch, width)
    columns = left + torch.where(flip, width - 1 - ordinary, ordinary)
    number = torch.arange(batch, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[number, channel, rows[:, None, :, None], columns[:, None, None, :]]


def checkpoint_fingerprint(model: nn.Module, belongs_to: str) -> str:
    """What a checkpoint belongs to: data, and the shapes of a model."""
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return fingerprint(data=belongs_to, shapes=shapes)
