"""The paper's neuron, trained by the derivative that was found: w ← w - η ∂C/∂w with generated code, and no autograd.

C(w, b) = (1/N) Σ (y_i - max(0, w·x_i + b))² on scikit-learn's diabetes data: 442 patients, ten measurements, and how far the disease had
progressed a year later.

Source: Section "The gradient of the neural network loss function" of the paper.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

from offprints.checkpoint import Checkpoints, fingerprint
from offprints.training import EpochLoop, LoopOptions

from matrix_calculus import codegen
from matrix_calculus.derive import Derivation
from matrix_calculus.rules import LOSS

Floats = NDArray[np.float64]
_VALID, _TEST = 0.2, 0.2


@dataclass(frozen=True)
class Patients:
    """A split of the data.

    Attributes:
        inputs: (N, 10) float64, standardised by the training patients.
        progress: (N,) float64, in units of the training patients' standard deviation.
    """

    inputs: Tensor
    progress: Tensor


@dataclass(frozen=True)
class Diabetes:
    """The three splits.

    Attributes:
        train: to learn from.
        valid: chooses the epoch.
        test: measured once.
        unit: the standard deviation that progress is divided by.
        checksums: of the whole data set.
    """

    train: Patients
    valid: Patients
    test: Patients
    unit: float
    checksums: Mapping[str, str]


def diabetes(seed: int) -> Diabetes:
    """The diabetes data that scikit-learn ships, split at random in three: 60, 20 and 20 %.

    Args:
        seed: of the split.
    """
    found = load_diabetes(scaled=False)
    inputs, progress = np.asarray(found.data, dtype=np.float64), np.asarray(found.target, dtype=np.float64)
    order = np.random.default_rng(seed).permutation(len(progress))
    ends = [int(len(order) * _TEST), int(len(order) * (_TEST + _VALID))]
    test, valid, train = np.split(order, ends)
    mean, spread, unit = inputs[train].mean(0), inputs[train].std(0), float(progress[train].std())

    def patients(rows: NDArray[np.int64]) -> Patients:
        return Patients(
            torch.from_numpy((inputs[rows] - mean) / spread), torch.from_numpy(progress[rows] / unit)
        )

    digest = hashlib.sha256(inputs.tobytes() + progress.tobytes()).hexdigest()
    return Diabetes(
        patients(train), patients(valid), patients(test), unit, {"sklearn.datasets.load_diabetes": digest}
    )


class Neuron(nn.Module):
    """max(0, X w + b).

    Args:
        inputs: length of w, which starts at 0.
        bias: where b starts; at 0 every input would lie on the kink, where the slope is 0.
    """

    def __init__(self, inputs: int, bias: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(inputs, dtype=torch.float64))
        self.b = nn.Parameter(torch.tensor(bias, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, inputs) to (N,)."""
        return torch.relu(inputs @ self.w + self.b)


@dataclass
class TrainingOptions(LoopOptions):
    """How to train: gradient descent as in the paper.

    Attributes:
        batch_size: patients a step; 0 takes all, as C(w, b) does.
    """

    epochs: int = 200
    learning_rate: float = 0.05
    evaluate_every: int = 5
    batch_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(("batch_size", self.batch_size >= 0, "0 or more"))


def loss_gradients() -> dict[str, Derivation]:
    """The derivations of ∂C/∂w and ∂C/∂b."""
    return {name: rule.derive() for name, rule in LOSS.items()}


class Trainer(EpochLoop[Tensor]):
    """Gradient descent by generated code.

    Args:
        model: the neuron.
        patients: to learn from.
        options: how.
        gradients: what `loss_gradients` gives.
        seed: of the order of the patients.
        validate: metrics on the validation split.
        directory: where checkpoints go; None keeps none.
        belongs_to: a digest of the data.
        on_epoch: called with the row of each epoch.
        uninterrupted: context in which one step runs.
    """

    def __init__(
        self,
        model: Neuron,
        patients: Patients,
        options: TrainingOptions,
        gradients: Mapping[str, Derivation],
        *,
        seed: int = 0,
        validate: Callable[[], dict[str, float]] | None = None,
        directory: Path | None = None,
        belongs_to: str = "",
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.model, self.patients, self.options = model, patients, options
        by_w = gradients["w"]
        outputs = {"loss": by_w.value, **{name: found.plain for name, found in gradients.items()}}
        self.program = codegen.function(outputs, by_w.inputs, "torch")
        self.names = [one.name for one in by_w.inputs]
        self.order = torch.Generator().manual_seed(seed)
        made_of = fingerprint(data=belongs_to, inputs=len(model.w))
        super().__init__(
            model,
            torch.optim.SGD(model.parameters(), options.learning_rate),
            options,
            order=self.order,
            validate=validate,
            select="rmse",
            higher_is_better=False,
            checkpoints=None if directory is None else Checkpoints(directory, "neuron", made_of, False),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )

    @property
    def num_batches(self) -> int:
        return math.ceil(
            len(self.patients.progress) / (self.options.batch_size or len(self.patients.progress))
        )

    def batches(self, done: int) -> Iterator[Tensor]:
        number = len(self.patients.progress)
        rows = torch.randperm(number, generator=self.order)
        yield from rows.split(self.options.batch_size or number)[done:]

    def step(self, batch: Tensor) -> Tensor:
        values = {
            "X": self.patients.inputs[batch], "y": self.patients.progress[batch], "w": self.model.w.detach(),
            "b": self.model.b.detach(),
        }  # fmt: skip
        loss, self.model.w.grad, self.model.b.grad = self.program(*(values[name] for name in self.names))
        self.optimizer.step()
        assert isinstance(loss, Tensor)
        return loss


def measure(model: Neuron, patients: Patients, unit: float) -> dict[str, float]:
    """Error of a neuron: root mean square in the units of the data, and the share of the variance that it explains.

    Args:
        model: trained.
        patients: to predict.
        unit: of their progress.
    """
    with torch.no_grad():
        return errors(model(patients.inputs), patients.progress, unit)


def errors(predicted: Tensor, progress: Tensor, unit: float) -> dict[str, float]:
    """The same of any prediction.

    Args:
        predicted: (N,).
        progress: (N,).
        unit: of both.
    """
    square = ((predicted - progress) ** 2).mean()
    return {
        "rmse": float(square.sqrt()) * unit,
        "r2": 1 - float(square / ((progress - progress.mean()) ** 2).mean()),
    }


def baselines(data: Diabetes) -> dict[str, dict[str, float]]:
    """What needs no training: the training patients' mean, and least squares, both measured on test.

    Args:
        data: the splits.
    """
    train, test = data.train, data.test
    mean = train.progress.mean().expand(len(test.progress))
    ones = [
        torch.cat([one.inputs, torch.ones(len(one.progress), 1, dtype=torch.float64)], 1)
        for one in (train, test)
    ]
    # The columns are independent; the default driver, which looks for those that are not, does not repeat to the bit.
    weights = torch.linalg.lstsq(ones[0], train.progress[:, None], driver="gels").solution[:, 0]
    return {
        "mean": errors(mean, test.progress, data.unit),
        "least_squares": errors(ones[1] @ weights, test.progress, data.unit),
    }
