"""The losses that the paper compares, each with its classifier and its lower bound: cross-entropy in four forms, and SC.

    head = build_head("ce_sphere", features=128, num_classes=10)
    loss = head(encoder(x), y)                       # what training lowers
    gap = head.gap(all_features, all_labels)         # measured loss minus the least that any configuration could have

A gap of 0 is reached by the simplex alone, so that it says in one number how far a run is from the optimum of its own loss.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from offprints.errors import InputError
from offprints.user_errors import closest

from supcon_simplex.bounds import ce_bound
from supcon_simplex.gap import GapMeter
from supcon_simplex.loss import SupConLoss
from supcon_simplex.simplex import SimplexHead

HEADS = ("ce", "ce_sphere", "ce_norm", "ce_fixed", "sc")
"""ce: a linear map without bias on raw features. ce_sphere: on features divided by their norm. ce_norm: so, and with weights of one
norm. ce_fixed: the map frozen at the vertices of a simplex, on raw features. sc: the supervised contrastive loss on unit features."""


class LossGap(NamedTuple):
    """A loss beside the least it could be.

    Attributes:
        loss: measured.
        bound: the theorem's, for these norms.
        gap: loss - bound; 0 or more, but for the error of SC's estimate.
    """

    loss: float
    bound: float

    @property
    def gap(self) -> float:
        return self.loss - self.bound


class Head(nn.Module, ABC):
    """A loss of features and labels. Labels are balanced where a bound is asked for.

    Args:
        features: numbers of a feature vector.
        num_classes: K.
    """

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise InputError(f"{num_classes} classes: there is nothing to tell apart")
        self.features, self.num_classes = features, num_classes

    @abstractmethod
    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """() mean loss of a batch, (B, features) and (B,)."""

    @abstractmethod
    def seen(self, features: Tensor) -> Tensor:
        """(B, features) as the loss and the classifier see them: raw, or divided by their norm."""

    @property
    def weight(self) -> Tensor | None:
        """(K, features) of the classifier; None where the loss has none."""
        return None

    @abstractmethod
    def gap(
        self,
        features: Tensor,
        labels: Tensor,
        batch_size: int,
        generator: torch.Generator,
        nonnegative: bool = False,
    ) -> LossGap:
        """The loss of a whole training set and its bound.

        Args:
            features: (N, features), all of the training set.
            labels: (N,), as many of each class.
            batch_size: of training, which the bound of SC depends on.
            generator: of the batches that SC is estimated with.
            nonnegative: the features end with a ReLU, so that SC can reach no more than an orthogonal frame; CE's bound is the
                theorem's all the same.
        """

    @property
    def reachable(self) -> bool:
        """Whether K points of a regular simplex exist among such features: features >= K - 1."""
        return self.features >= self.num_classes - 1


class CrossEntropyHead(Head):
    """Cross-entropy of a linear classifier without bias.

    Args:
        features: of a row.
        num_classes: K.
        sphere: divide features by their norm.
        weight_norm: divide each class's weights by their norm and multiply them by this; None leaves them free.
        fixed: freeze the weights at a simplex of radius 1.

    Source: the loss L_CE of Section 2; the sphere and the fixed simplex are rows of the result tables.
    """

    def __init__(
        self,
        features: int,
        num_classes: int,
        *,
        sphere: bool = False,
        weight_norm: float | None = None,
        fixed: bool = False,
    ) -> None:
        super().__init__(features, num_classes)
        if weight_norm is not None and not 0 < weight_norm < math.inf:
            raise InputError(f"the norm of the weights is {weight_norm}, but has to be positive")
        self.sphere, self.weight_norm, self.fixed = sphere, weight_norm, fixed
        self.linear = (
            SimplexHead(features, num_classes) if fixed else nn.Linear(features, num_classes, bias=False)
        )

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.logits(features), labels)

    def seen(self, features: Tensor) -> Tensor:
        return functional.normalize(features, dim=1) if self.sphere else features

    @property
    def weight(self) -> Tensor:
        weight: Tensor = self.linear.weight
        return weight if self.weight_norm is None else functional.normalize(weight, dim=1) * self.weight_norm

    def logits(self, features: Tensor) -> Tensor:
        """(B, K)."""
        return functional.linear(self.seen(features), self.weight)

    @torch.no_grad()
    def gap(
        self,
        features: Tensor,
        labels: Tensor,
        batch_size: int,
        generator: torch.Generator,
        nonnegative: bool = False,
    ) -> LossGap:
        features, weight = features.double(), self.weight.double()
        seen = self.seen(features)
        loss = float(functional.cross_entropy(functional.linear(seen, weight), labels))
        radius = float(seen.norm(dim=1).max())
        if self.weight_norm is not None or self.fixed:
            return LossGap(
                loss, ce_bound(self.num_classes, radius, weight_norm=float(weight.norm(dim=1).max()))
            )
        return LossGap(loss, ce_bound(self.num_classes, radius, frobenius=float(weight.norm())))


class SupConHead(Head):
    """The supervised contrastive loss on unit features; a classifier is fitted afterwards.

    Args:
        features: of a row.
        num_classes: K.
        temperature: tau.

    Source: the loss L_SC of Section 2, rho^2 = 1 / tau.
    """

    batches = 200
    """Batches that the expected loss is estimated with."""

    def __init__(self, features: int, num_classes: int, temperature: float = 0.1) -> None:
        super().__init__(features, num_classes)
        self.loss = SupConLoss(temperature=temperature)
        self.temperature = temperature

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = self.loss(features, labels)
        return found

    def seen(self, features: Tensor) -> Tensor:
        return functional.normalize(features, dim=1)

    @torch.no_grad()
    def gap(
        self,
        features: Tensor,
        labels: Tensor,
        batch_size: int,
        generator: torch.Generator,
        nonnegative: bool = False,
    ) -> LossGap:
        # Each batch is set beside the simplex under its very labels, which takes the luck of the draw out of the difference.
        seen = self.seen(features)
        meter = GapMeter(self.num_classes, self.temperature, nonnegative=nonnegative)
        for _ in range(self.batches):
            drawn = torch.randint(len(seen), (batch_size,), generator=generator).to(seen.device)
            meter.update(self.loss(seen[drawn], labels[drawn]), labels[drawn])
        found = meter.compute()
        return LossGap(found.bound + found.matched, found.bound)


def build_head(
    name: str, features: int, num_classes: int, *, temperature: float = 0.1, weight_norm: float = 10.0
) -> Head:
    """A head by its name, one of `HEADS`.

    Args:
        name: which.
        features: numbers of a feature vector; K - 1 or more for "ce_fixed".
        num_classes: K.
        temperature: of "sc".
        weight_norm: of "ce_norm": on unit features it is the largest logit, 1 / temperature of SC for the same range.

    Raises:
        InputError: there is no such head, or a number does not fit.
    """
    if name == "sc":
        return SupConHead(features, num_classes, temperature)
    if name not in HEADS:
        raise InputError(f"head {name!r} is unknown{closest(name, HEADS)}")
    return CrossEntropyHead(
        features,
        num_classes,
        sphere=name in ("ce_sphere", "ce_norm"),
        weight_norm=weight_norm if name == "ce_norm" else None,
        fixed=name == "ce_fixed",
    )
