"""The gap to the optimum: how far a run's loss is above what no representation can go below."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.bounds import sc_batch_value, sc_bound


@dataclass(frozen=True)
class Gap:
    """How far a loss is from its optimum.

    Attributes:
        loss: mean over the batches.
        bound: the least value it can have, on average over batches drawn like these.
        gap: loss - bound; on average over many batches it cannot be negative.
        matched: mean of the loss minus what the same labels would give at the simplex. It estimates the same as `gap`, and does not vary with
            which labels were drawn.
        error: standard error of `matched` over the batches.
        batches: how many there were.
    """

    loss: float
    bound: float
    gap: float
    matched: float
    error: float
    batches: int


class GapMeter:
    """Follows the gap of the supervised contrastive loss during training.

        meter = GapMeter(classes=10, temperature=0.1)
        loss = SupConLoss(0.1)(z, y)
        meter.update(loss, y)
        meter.compute().matched

    Losses stay on their device until `compute`, so that a training loop does not wait for it. Labels are counted at once.
    """

    def __init__(self, classes: int, temperature: float, *, nonnegative: bool = False) -> None:
        """For batches whose rows are drawn with replacement from balanced classes.

        Args:
            classes: K, 2 or more.
            temperature: tau of the loss.
            nonnegative: features cannot be negative, see `sc_bound`.
        """
        sc_bound(classes, temperature, 2)  # checks the numbers
        self._options = (classes, temperature, nonnegative)
        self._losses: list[Tensor] = []
        self._counts: list[Tensor] = []

    def update(self, loss: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            loss: its mean over all rows (reduction "mean"), a number.
            labels: (B,) int64 from 0 to K - 1.

        Raises:
            InputError: the loss is not a number of its own, or labels are out of range.
        """
        classes = self._options[0]
        if loss.numel() != 1:
            raise InputError(f"loss must be the mean over a batch, got shape {tuple(loss.shape)}")
        if labels.dim() != 1 or len(labels) < 2 or labels.is_floating_point():
            raise InputError(
                f"labels must be (B,) integers with B at least 2, got {tuple(labels.shape)} {labels.dtype}"
            )
        host = labels.detach().cpu()
        if int(host.min()) < 0 or int(host.max()) >= classes:
            raise InputError(
                f"labels must be from 0 to {classes - 1}, got {int(host.min())} to {int(host.max())}"
            )
        count = torch.bincount(host, minlength=classes)
        self._losses.append(loss.detach().reshape(()))
        self._counts.append(count)

    def compute(self) -> Gap:
        """The gap of all batches so far.

        Raises:
            InputError: there were none.
        """
        if not self._losses:
            raise InputError("no batch has been seen: a gap is a mean over batches")
        classes, temperature, nonnegative = self._options
        losses = torch.stack([loss.double() for loss in self._losses]).cpu().numpy()
        sizes = [int(count.sum()) for count in self._counts]
        of_size = {size: sc_bound(classes, temperature, size, nonnegative=nonnegative) for size in set(sizes)}
        at_simplex = [
            sc_batch_value(count, temperature, classes=classes, nonnegative=nonnegative)
            for count in self._counts
        ]
        bound = float(np.mean([of_size[size] for size in sizes]))
        apart = losses - np.array(at_simplex)
        error = float(apart.std(ddof=1) / math.sqrt(len(apart))) if len(apart) > 1 else math.nan
        mean = float(losses.mean())
        return Gap(mean, bound, mean - bound, float(apart.mean()), error, len(losses))

    def reset(self) -> None:
        """Forget all batches."""
        self._losses.clear()
        self._counts.clear()
