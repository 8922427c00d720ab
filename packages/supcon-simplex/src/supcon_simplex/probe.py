"""Classifiers on features that no longer change: class means, and a linear map trained afterwards.

Source: the two ways in which the published program turns an SC encoder into a classifier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from offprints.errors import InputError


@dataclass
class ProbeOptions:
    """How the linear map is trained by SGD, without momentum.

    Attributes:
        steps: batches.
        batch_size: rows drawn, with replacement, for each.
        learning_rate: at its highest; it falls as ((T - t)/T)^power.
        power: of that fall.
        weight_decay: L2 factor.
    """

    steps: int = 5000
    batch_size: int = 256
    learning_rate: float = 0.1
    power: float = 5.0
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("steps", self.steps >= 1, "1 or more"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("power", self.power >= 0, "0 or more"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
        ):
            if not fits:
                raise InputError(f"probe option {name}={getattr(self, name)!r} is not valid: {right}")


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(K, h) mean feature of each class, for `accuracy`: argmax of the inner product.

    Args:
        features: (N, h) of training rows.
        labels: (N,).
        num_classes: K.

    Raises:
        InputError: a class has no row.
    """
    member = functional.one_hot(labels, num_classes).to(features.dtype)
    counts = member.sum(0)
    if not counts.all():
        raise InputError(f"no training row of class {int((counts == 0).nonzero()[0])}: it has no mean")
    return member.T @ features / counts.unsqueeze(1)


def linear_probe(
    features: Tensor, labels: Tensor, num_classes: int, options: ProbeOptions | None = None, seed: int = 0
) -> Tensor:
    """(K, h) weights of a linear map without bias that cross-entropy has trained on fixed features.

    Args:
        features: (N, h) of training rows.
        labels: (N,).
        num_classes: K.
        options: how.
        seed: of its weights and batches.
    """
    options = options or ProbeOptions()
    draw = torch.Generator().manual_seed(seed)
    bound = 1 / math.sqrt(features.shape[1])
    weight = torch.empty(num_classes, features.shape[1], dtype=features.dtype).uniform_(
        -bound, bound, generator=draw
    )
    weight = weight.to(features.device)
    with torch.no_grad():
        for step in range(options.steps):
            drawn = torch.randint(len(features), (options.batch_size,), generator=draw).to(features.device)
            rows, classes = features[drawn], labels[drawn]
            slope = (rows @ weight.T).softmax(1)
            slope.sub_(functional.one_hot(classes, num_classes)).div_(len(rows))
            rate = options.learning_rate * (1 - step / options.steps) ** options.power
            weight.mul_(1 - rate * options.weight_decay).sub_(slope.T @ rows, alpha=rate)
    return weight


def accuracy(weight: Tensor, features: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest inner product is that of their class; ties go to the lowest class.

    Args:
        weight: (K, h).
        features: (N, h).
        labels: (N,).
    """
    return float(((features @ weight.T).argmax(1) == labels).double().mean())


def nearest_mean_accuracy(means: Tensor, features: Tensor, labels: Tensor) -> float:
    """Share of rows that are nearest to their own class mean; arguments as `accuracy`."""
    return float((torch.cdist(features, means).argmin(1) == labels).double().mean())
