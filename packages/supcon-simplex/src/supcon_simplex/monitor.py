"""Gap and collapse in a training loop of your own: one line a step, one line a look.

monitor = Monitor(num_classes=10, temperature=0.1)
for step, (x, y) in enumerate(loader):
    z = encoder(x)
    loss = SupConLoss(temperature=0.1)(z, y)
    ...
    monitor.update(z, y, loss)
    if step % 100 == 99:
        logger.log(monitor.log())  # {"loss": ..., "bound": ..., "gap": ..., "nc1_quotient": ..., "simplex_distance": ..., ...}
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from torch.nn import functional

from offprints.errors import InputError

from supcon_simplex.bounds import ce_bound
from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.gap import GapMeter

_log = logging.getLogger(__name__)


class Monitor:
    """Sums losses, bounds and moments of the batches since the last look, on the features' device.

    The features are those of the training step itself: while weights move, a report is of the last hundred steps and not of one
    moment. With SC the bound is that of the very labels of each batch at the simplex, whose mean over batches drawn with replacement
    from balanced classes is the theorem's; a single batch of unequal counts can lie a little below it.

    Args:
        num_classes: K; labels run from 0.
        temperature: of the supervised contrastive loss; None for cross-entropy, whose classifier `log` then takes.
        normalize: divide features by their norm before the moments are taken, as the supervised contrastive loss does.
        covariance: also sum the h x h scatter, which nc1_pinv needs.
    """

    def __init__(
        self,
        num_classes: int,
        temperature: float | None = 0.1,
        *,
        normalize: bool | None = None,
        covariance: bool = False,
    ) -> None:
        if num_classes < 2:
            raise InputError(f"num_classes={num_classes}: collapse is about two classes or more")
        if temperature is not None and not temperature > 0:
            raise InputError(f"temperature={temperature} must be above 0, or None for cross-entropy")
        self.num_classes, self.temperature = num_classes, temperature
        self.normalize = temperature is not None if normalize is None else normalize
        self.covariance = covariance
        self._warned: set[str] = set()
        self._start()

    def _start(self) -> None:
        self._collapse: CollapseMetrics | None = None
        self._loss: Tensor | None = None
        self._meter = None if self.temperature is None else GapMeter(self.num_classes, self.temperature)
        self._radius: Tensor | None = None
        self._least: Tensor | None = None
        self._batches = 0

    @torch.no_grad()
    def update(self, z: Tensor, y: Tensor, loss: Tensor | float) -> None:
        """Add a batch.

        Args:
            z: (B, h) features, before normalisation.
            y: (B,) labels.
            loss: () mean loss of the batch over all its rows.

        Raises:
            InputError: shapes or labels do not fit, or a feature is not finite.
        """
        z = z.detach()
        seen = functional.normalize(z, dim=1) if self.normalize else z
        if self._collapse is None:
            self._collapse = CollapseMetrics(
                self.num_classes, z.shape[-1], covariance=self.covariance, sample=0
            )
            self._look_at(z)
        self._collapse.update(seen, y)
        radius, least = seen.norm(dim=1).max(), z.min()
        self._radius = radius if self._radius is None else torch.maximum(self._radius, radius)
        self._least = least if self._least is None else torch.minimum(self._least, least)
        now = torch.as_tensor(loss, device=z.device).detach().double()
        if self._meter is not None:
            self._meter.update(now, y.long())
        self._loss = now if self._loss is None else self._loss + now
        self._batches += 1

    def log(self, weight: Tensor | None = None, bias: Tensor | None = None) -> dict[str, float]:
        """What has been seen since the last call, which begins afresh.

        Args:
            weight: (K, h) of the classifier, for cross-entropy's bound and the metrics that concern it.
            bias: (K,) of it.

        Returns:
            loss, and for balanced use bound and gap; then the metrics of collapse that there are: none where a class has no row.

        Raises:
            InputError: nothing has been seen, or weight or bias are of another shape.
        """
        if self._collapse is None or self._loss is None:
            raise InputError("no batch has been seen since the last look: call update first")
        found = {"loss": float(self._loss) / self._batches}
        found |= self._collapse.compute(weight, bias, missing="nan").metrics()
        bound = self._bound(weight)
        if bound is not None:
            found |= {"bound": bound, "gap": found["loss"] - bound}
        if self._least is not None and float(self._least) >= 0:
            self._warn(
                "no feature is negative: behind a ReLU no two class means have a negative cosine, and the simplex is out of reach"
            )
        self._start()
        return found

    def _bound(self, weight: Tensor | None) -> float | None:
        if self._meter is not None:
            found = self._meter.compute()
            return found.loss - found.matched
        if weight is None or self._radius is None:
            return None
        return ce_bound(
            self.num_classes, float(self._radius), frobenius=float(weight.detach().double().norm())
        )

    def _look_at(self, z: Tensor) -> None:
        if z.shape[-1] < self.num_classes - 1:
            self._warn(
                f"{z.shape[-1]} features cannot hold a simplex of {self.num_classes} classes: the bound is out of reach"
            )

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _log.warning(text)
