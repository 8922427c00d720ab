"""Many small networks trained at once: the runs of one loss are the leading dimension of every tensor.

A time-to-fit grid asks for dozens of runs of thousands of tiny steps, each of which would cost more in dispatch than in arithmetic.
Here one `baddbmm` a layer serves all of them, and a run that has fitted its labels leaves the ensemble. Each run has its own weights,
labels and generator: what it draws and computes does not depend on which others are trained beside it.

Source: the random-label experiment of the paper, with a multilayer perceptron in the place of ResNet-18.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.simplex import regular_simplex

LOSSES = ("ce", "ce_fixed", "sc")


@dataclass
class EnsembleOptions:
    """How the runs of a time-to-fit grid are trained.

    Attributes:
        widths: of the hidden layers and of the features.
        batch_size: rows a step, drawn with replacement.
        learning_rate: of SGD, at its highest.
        power: the rate is multiplied by ((T - t)/T)^power, T the most steps; 0 keeps it constant, the paper has 5.
        momentum: of SGD, not Nesterov.
        weight_decay: on every parameter.
        temperature: of the supervised contrastive loss.
        most_steps: T; a run that has not fitted by then is censored.
        look_every: steps between two looks at the training error.
    """

    widths: list[int] = field(default_factory=lambda: [128, 128, 32])
    batch_size: int = 128
    learning_rate: float = 0.05
    power: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    temperature: float = 0.1
    most_steps: int = 8000
    look_every: int = 25

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("widths", len(self.widths) > 0 and all(width >= 1 for width in self.widths), "1 or more each"),
            ("batch_size", self.batch_size >= 2, "2 or more"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("power", 0 <= self.power < math.inf, "0 or more"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("temperature", 0 < self.temperature < math.inf, "positive"),
            ("most_steps", self.most_steps >= 1, "1 or more"),
            ("look_every", self.look_every >= 1, "1 or more"),
        ):
            if not fits:
                raise InputError(f"ensemble option {name}={getattr(self, name)!r} is not valid: {right}")


def supcon_gradient(features: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Supervised contrastive loss of each run's batch, mean over all rows, and its gradient with respect to the raw features.

    Args:
        features: (R, B, d) before normalisation.
        labels: (R, B) int64 from 0.
        temperature: tau.

    Returns:
        (R,) losses, and (R, B, d) gradients of each run's own loss.

    Source: L_i = logsumexp over k != i of s_ik, minus the mean of s_ij over the other rows j of the class; s = z z'/tau.
    """
    rows = features.shape[1]
    norms = features.norm(dim=2, keepdim=True).clamp_min(1e-12)
    unit = features / norms  # (R, B, d)
    logits = torch.baddbmm(unit.new_zeros(1), unit, unit.transpose(1, 2), beta=0, alpha=1 / temperature)
    logits.diagonal(dim1=1, dim2=2).fill_(-math.inf)
    totals = logits.logsumexp(2)  # (R, B)
    member = torch.nn.functional.one_hot(labels).to(unit.dtype)  # (R, B, K)
    partners = torch.gather(member.sum(1), 1, labels) - 1  # (R, B)
    share = torch.where(
        partners > 0, 1 / partners.clamp_min(1), torch.zeros_like(partners)
    )  # 1/(n_y - 1), or 0
    sums = member @ (member.transpose(1, 2) @ unit) - unit  # (R, B, d) of the other rows of the class
    pulled = (unit * sums).sum(2) * share / temperature
    paired = partners > 0
    losses = torch.where(paired, totals - pulled, torch.zeros_like(totals)).sum(1) / rows
    logits.sub_(totals.unsqueeze(2)).exp_().mul_(
        paired.unsqueeze(2)
    )  # P; an anchor without partner pushes nobody
    pushed = torch.bmm(logits, unit) + torch.bmm(logits.transpose(1, 2), unit)
    slope = (pushed - 2 * share.unsqueeze(2) * sums) / (rows * temperature)
    return losses, (slope - unit * (unit * slope).sum(2, keepdim=True)) / norms


class Ensemble:
    """Multilayer perceptrons with ReLU between the layers and none at the end, one for each run, under one loss.

    Args:
        inputs: (N, D) float32, the same rows for all runs.
        labels: (R, N) int64, each run's own, noise included.
        num_classes: K.
        loss: "ce" (a bias-free linear map on raw features), "ce_fixed" (that map frozen at a simplex of radius 1) or "sc".
        seeds: one for each run, of its weights and batches.
        options: how to train.

    Attributes:
        running: number of the runs still trained, as rows of `labels`; (A,) int64.
        fitted: (R,) int64, the first step that was looked at with training error exactly 0; -1 for none so far.
        step: steps done.
    """

    def __init__(
        self,
        inputs: Tensor,
        labels: Tensor,
        num_classes: int,
        loss: str,
        seeds: list[int],
        options: EnsembleOptions,
    ) -> None:
        if loss not in LOSSES:
            raise InputError(f"loss {loss!r} is unknown: one of {', '.join(LOSSES)}")
        if len(seeds) != len(labels) or labels.shape[1] != len(inputs):
            raise InputError(
                f"{len(seeds)} seeds and labels of shape {tuple(labels.shape)} for {len(inputs)} rows"
            )
        self.inputs, self.labels, self.num_classes = inputs, labels, num_classes
        self.loss, self.options = loss, options
        self.running = torch.arange(len(labels))
        self.fitted = torch.full((len(labels),), -1)
        self.step = 0
        self._draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        widths = [inputs.shape[1], *options.widths]
        shapes = list(pairwise(widths))
        made = [_initial(shapes, num_classes, loss, seed) for seed in seeds]
        self.parameters = [torch.stack(parts) for parts in zip(*made, strict=True)]
        self._velocity = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._simplex = (
            regular_simplex(num_classes, widths[-1]).to(inputs.dtype) if loss == "ce_fixed" else None
        )

    def advance(self) -> None:
        """Train until the next look, and let the runs go whose training error is 0 there."""
        options = self.options
        until = min(options.most_steps, self.step + options.look_every)
        # Drawn once for all these steps, from each run's own generator.
        shape = (until - self.step, options.batch_size)
        drawn = torch.stack(
            [
                torch.randint(len(self.inputs), shape, generator=self._draws[run])
                for run in self.running.tolist()
            ],
            1,
        )  # (steps, A, B)
        labels = self.labels[self.running]
        for batch in drawn:
            rate = options.learning_rate * (1 - self.step / options.most_steps) ** options.power
            self._update(self.inputs[batch], labels.gather(1, batch), rate)
            self.step += 1
        self._look()

    @property
    def done(self) -> bool:
        """Whether every run has fitted or the most steps are reached."""
        return len(self.running) == 0 or self.step >= self.options.most_steps

    def features(self, inputs: Tensor) -> Tensor:
        """(A, N, d) raw features of the same rows under each running network.

        Args:
            inputs: (N, D).
        """
        return self._forward(inputs.expand(len(self.running), *inputs.shape))[-1]

    def errors(self) -> Tensor:
        """(A,) share of training rows that each running network's classifier gets wrong.

        For "sc" that is the largest inner product of the unit features with the class means of the training set, for the others
        the linear map.
        """
        labels = self.labels[self.running]
        found = self.features(self.inputs)
        if self.loss == "sc":
            found = found / found.norm(dim=2, keepdim=True).clamp_min(1e-12)
            member = torch.nn.functional.one_hot(labels, self.num_classes).to(found.dtype)
            means = member.transpose(1, 2) @ found / member.sum(1).clamp_min(1).unsqueeze(2)
            scores = torch.bmm(found, means.transpose(1, 2))
        else:
            scores = torch.matmul(found, self._classifier().transpose(-1, -2))
        return (scores.argmax(2) != labels).double().mean(1)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint."""
        return {
            "parameters": self.parameters,
            "velocity": self._velocity,
            "draws": [draw.get_state() for draw in self._draws],
            "running": self.running,
            "fitted": self.fitted,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.parameters, self._velocity = state["parameters"], state["velocity"]
        for draw, saved in zip(self._draws, state["draws"], strict=True):
            draw.set_state(saved)
        self.running, self.fitted, self.step = state["running"], state["fitted"], state["step"]

    def _classifier(self) -> Tensor:
        return self._simplex if self._simplex is not None else self.parameters[-1]

    def _forward(self, inputs: Tensor) -> list[Tensor]:
        """The inputs of each layer (A, B, width), and the features."""
        layers = len(self.options.widths)
        found = [inputs]
        for layer in range(layers):
            weight, bias = self.parameters[2 * layer], self.parameters[2 * layer + 1]
            out = torch.baddbmm(bias, found[-1], weight)
            found.append(out.relu_() if layer < layers - 1 else out)
        return found

    def _update(self, inputs: Tensor, labels: Tensor, rate: float) -> None:
        """One step of SGD of every run; the gradients are written out, a third of autograd's time at this size."""
        found = self._forward(inputs)
        features = found[-1]
        gradients: list[Tensor] = []
        if self.loss == "sc":
            _, slope = supcon_gradient(features, labels, self.options.temperature)
        else:
            classifier = self._classifier()
            slope = torch.matmul(features, classifier.transpose(-1, -2)).softmax(2)
            slope.scatter_add_(
                2, labels.unsqueeze(2), slope.new_full((1, 1, 1), -1.0).expand(*labels.shape, 1)
            )
            slope /= labels.shape[1]
            if self._simplex is None:
                gradients.append(torch.bmm(slope.transpose(1, 2), features))
            slope = torch.matmul(slope, classifier)
        for layer in range(len(self.options.widths) - 1, -1, -1):
            gradients.append(slope.sum(1, keepdim=True))
            gradients.append(torch.bmm(found[layer].transpose(1, 2), slope))
            if layer:
                slope = torch.bmm(slope, self.parameters[2 * layer].transpose(1, 2)).mul_(found[layer] > 0)
        gradients.reverse()
        torch._foreach_add_(gradients, self.parameters, alpha=self.options.weight_decay)
        torch._foreach_mul_(self._velocity, self.options.momentum)
        torch._foreach_add_(self._velocity, gradients)
        torch._foreach_add_(self.parameters, self._velocity, alpha=-rate)

    def _look(self) -> None:
        errors = self.errors()
        finite = torch.stack([parameter.flatten(1).isfinite().all(1) for parameter in self.parameters]).all(0)
        fits = (errors == 0) & finite
        self.fitted[self.running[fits]] = self.step
        stay = (~fits & finite).nonzero().squeeze(1)  # a diverged run never fits: it is censored
        if len(stay) < len(self.running):
            self.running = self.running[stay]
            self.parameters = [parameter[stay] for parameter in self.parameters]
            self._velocity = [velocity[stay] for velocity in self._velocity]


def _initial(shapes: list[tuple[int, int]], num_classes: int, loss: str, seed: int) -> list[Tensor]:
    """Weights (in, out) and biases (1, out) of one run, uniform in +-1/sqrt(in) as torch's linear layers."""
    draw = torch.Generator().manual_seed(seed + 2**31)  # apart from the stream of the batches
    made = []
    for inside, outside in shapes:
        bound = 1 / math.sqrt(inside)
        made.append(torch.empty(inside, outside).uniform_(-bound, bound, generator=draw))
        made.append(torch.empty(1, outside).uniform_(-bound, bound, generator=draw))
    if loss == "ce":
        bound = 1 / math.sqrt(shapes[-1][1])
        made.append(torch.empty(num_classes, shapes[-1][1]).uniform_(-bound, bound, generator=draw))
    return made
