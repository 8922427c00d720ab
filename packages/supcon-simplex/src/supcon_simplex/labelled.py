"""Rows with class labels: the value that passes between readers, noise, training and measurement.

digits = load("digits")
few = digits.train.subset(per_class=100)
x, y = few.tensors(Standard.of(few))
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError


@dataclass(frozen=True)
class LabelledData:
    """Inputs and their classes.

    Attributes:
        inputs: (N, D) vectors or (N, C, H, W) images; uint8 or float32.
        labels: (N,) int64, from 0.
        class_names: one for each class, in label order.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise InputError(f"{len(self.inputs)} rows, but {len(self.labels)} labels")
        if self.inputs.ndim not in (2, 4):
            raise InputError(f"rows of shape {self.inputs.shape}: vectors are (N, D), images (N, C, H, W)")
        if len(self.labels) == 0:
            raise InputError("there are no rows")
        if self.labels.min() < 0 or self.labels.max() >= self.num_classes:
            raise InputError(
                f"labels lie in [{self.labels.min()}, {self.labels.max()}], but there are {self.num_classes} classes"
            )
        require_finite(self.inputs)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K,) rows of each class."""
        return np.bincount(self.labels, minlength=self.num_classes)

    @property
    def is_balanced(self) -> bool:
        """Whether every class has as many rows, which the theory asks for."""
        return bool((self.counts == self.counts[0]).all())

    @property
    def fingerprint(self) -> str:
        """sha256 of the rows and labels as they are here, subsets and noise included."""
        digest = hashlib.sha256(str((self.inputs.dtype, self.inputs.shape)).encode())
        digest.update(np.ascontiguousarray(self.inputs).tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def subset(self, per_class: int, seed: int | None = None) -> LabelledData:
        """As many rows of each class, in file order.

        Args:
            per_class: m.
            seed: draws them at random; None takes the first m of each class.

        Raises:
            InputError: a class has fewer rows.
        """
        if per_class < 1:
            raise InputError(f"per_class={per_class} must be 1 or more")
        if short := [name for name, n in zip(self.class_names, self.counts, strict=True) if n < per_class]:
            raise InputError(
                f"per_class={per_class}, but {', '.join(short)} has fewer rows; the smallest class has {self.counts.min()}"
            )
        draw = None if seed is None else np.random.default_rng(seed)
        chosen = []
        for label in range(self.num_classes):
            rows = np.flatnonzero(self.labels == label)
            chosen.append(rows[:per_class] if draw is None else draw.permutation(rows)[:per_class])
        return self[np.sort(np.concatenate(chosen))]

    def without(self, rows: NDArray[np.int64]) -> LabelledData:
        """All rows but these."""
        return self[np.setdiff1d(np.arange(len(self)), rows)]

    def with_labels(self, labels: NDArray[np.int64]) -> LabelledData:
        """The same rows under other labels."""
        return replace(self, labels=labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Any) -> LabelledData:
        return replace(self, inputs=self.inputs[rows], labels=self.labels[rows])

    def tensors(self, standard: Standard, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Standardised inputs, shaped as here, and (N,) int64 labels.

        Args:
            standard: mean and deviation of the training rows.
            dtype: of the inputs.
        """
        return standard.apply(self.inputs, dtype), torch.from_numpy(self.labels)


def require_finite(rows: NDArray[Any]) -> None:
    """Refuse rows, (N, ...), of which one holds a number that is not finite.

    Raises:
        InputError: names the first of them.
    """
    if np.issubdtype(rows.dtype, np.floating) and not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(1))
        raise InputError(f"row {bad[0]} holds a number that is not finite, and {len(bad) - 1} more do")


@dataclass(frozen=True)
class Standard:
    """What inputs are centred and scaled by: one number a feature of vectors, a channel of images.

    Attributes:
        mean: (D,) or (C, 1, 1) float32.
        deviation: population standard deviation; 1 where all rows are alike.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def of(cls, data: LabelledData) -> Standard:
        """Of these rows, which have to be training rows."""
        axes = 0 if data.inputs.ndim == 2 else (0, 2, 3)
        mean = data.inputs.mean(axes, dtype=np.float64)
        deviation = data.inputs.std(axes, dtype=np.float64)
        deviation = np.where(deviation > 0, deviation, 1.0)
        shape = mean.shape if data.inputs.ndim == 2 else (*mean.shape, 1, 1)
        return cls(mean.reshape(shape).astype(np.float32), deviation.reshape(shape).astype(np.float32))

    def apply(self, inputs: NDArray[Any], dtype: torch.dtype = torch.float32) -> Tensor:
        """(inputs - mean) / deviation."""
        found = torch.from_numpy(np.ascontiguousarray(inputs)).to(
            dtype, copy=True
        )  # the rows stay as they are
        return found.sub_(torch.from_numpy(self.mean)).div_(torch.from_numpy(self.deviation))


@dataclass(frozen=True)
class DataSplits:
    """Training and test rows of a data set.

    Attributes:
        name: of the data set.
        train: to learn from.
        test: measured once, at the end.
        checksums: file -> sha256 of its content.
        remark: what a reader of its numbers has to know; "" for nothing.
    """

    name: str
    train: LabelledData
    test: LabelledData
    checksums: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""
