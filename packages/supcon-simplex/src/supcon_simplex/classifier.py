"""A classifier of your own arrays, with the gap of its loss and the geometry of its features.

model = SupConClassifier(steps=1000).fit(x, y)
model.predict(x_new)       # the labels as they were given
model.transform(x_new)     # (n, features) on the unit sphere
model.gap_, model.report_  # distance of the loss from its optimum, and metrics of collapse
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError

from supcon_simplex.collapse import CollapseMetrics
from supcon_simplex.geometry import CollapseReport
from supcon_simplex.heads import build_head
from supcon_simplex.labelled import LabelledData, Standard, require_finite
from supcon_simplex.networks import Encoder, build_encoder
from supcon_simplex.probe import ProbeOptions, linear_probe
from supcon_simplex.training import Trainer, TrainingOptions, embed


class SupConClassifier:
    """An encoder under one of the paper's losses, and a linear classifier on its features.

    Args:
        head: "sc", "ce", "ce_sphere", "ce_norm" or "ce_fixed".
        network: "mlp" for vectors; "cnn", "cnn13" or "resnet18" for images (N, C, H, W).
        features: numbers of a feature vector.
        widths: of the hidden layers.
        temperature: of "sc".
        steps: batches; of more than ten a multiple of ten, rounded up.
        batch_size: rows of each, drawn with replacement.
        learning_rate: of SGD at its start.
        probe: how the classifier of "sc" is trained.
        seed: of everything.
        device: where to train.
        on_look: called about ten times with the row of measurements.

    Attributes:
        classes_: labels in the order of the columns of `decision_function`.
        encoder_: trained.
        weight_: (K, features) of the classifier.
        gap_: loss minus its bound; NaN where classes are not balanced.
        report_: geometry of the training rows.
        history_: the rows of measurements.
    """

    def __init__(
        self,
        head: str = "sc",
        network: str = "mlp",
        *,
        features: int = 64,
        widths: Sequence[int] = (256, 256),
        temperature: float = 0.1,
        steps: int = 2000,
        batch_size: int = 256,
        learning_rate: float = 0.05,
        probe: ProbeOptions | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        on_look: Callable[[dict[str, float]], None] | None = None,
    ) -> None:
        self.head, self.network, self.features, self.widths = head, network, features, tuple(widths)
        self.temperature, self.steps, self.batch_size = temperature, steps, batch_size
        self.learning_rate, self.probe, self.seed, self.device = learning_rate, probe, seed, device
        self.on_look = on_look

    def fit(self, x: NDArray[Any], y: Sequence[Any] | NDArray[Any]) -> SupConClassifier:
        """Train on rows and their labels.

        Args:
            x: (N, D) vectors or (N, C, H, W) images; numbers, finite.
            y: (N,) labels of any type that can be sorted.

        Returns:
            Itself.

        Raises:
            InputError: shapes do not fit, a number is not finite, there is one class only, or an option has no such value.
            DivergedError: training left the finite numbers.
        """
        if self.steps < 1:
            raise InputError(f"steps={self.steps} has to be 1 or more")
        rows, given = np.asarray(x, dtype=np.float32), np.asarray(y)
        _require_row(given, len(rows))
        self.classes_, labels = np.unique(given, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError("all labels are the same: two classes are the least")
        data = LabelledData(rows, labels.astype(np.int64), tuple(str(name) for name in self.classes_))
        self._standard, self._shape = Standard.of(data), rows.shape[1:]
        inputs, classes = data.tensors(self._standard)
        torch.manual_seed(self.seed)
        encoder = build_encoder(self.network, rows.shape[1:], features=self.features, widths=self.widths)
        head = build_head(self.head, encoder.loss_features, data.num_classes, temperature=self.temperature)
        looks = min(10, self.steps)
        options = TrainingOptions(
            epochs=looks,
            batches=-(-self.steps // looks),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule="cosine",
            power=0.0,
        )
        trainer = Trainer(
            encoder, head, inputs, classes, options, seed=self.seed, device=self.device, on_epoch=self.on_look
        )
        self.history_ = trainer.fit().history
        self.gap_ = self.history_[-1].get("train/gap", float("nan"))
        self.encoder_: Encoder = encoder.eval()
        self._head = head.eval()
        features = self._features(inputs)
        weight = self._head.weight
        if weight is None:
            weight = linear_probe(features, trainer.labels, data.num_classes, self.probe, self.seed)
        self.weight_ = weight.detach()
        collapse = CollapseMetrics(data.num_classes, features.shape[1]).update(features, trainer.labels)
        self.report_: CollapseReport = collapse.compute(self.weight_)
        return self

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, features) of rows, as the classifier sees them: on the unit sphere for "sc" and "ce_sphere".

        Args:
            x: (n, ...) like the rows of `fit`.

        Raises:
            InputError: not fitted yet, rows of another shape, or a number that is not finite.
        """
        return np.asarray(self._of(x).cpu().numpy(), dtype=np.float32)

    def decision_function(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, K) logits; arguments and errors as `transform`."""
        return np.asarray((self._of(x) @ self.weight_.T).cpu().numpy(), dtype=np.float32)

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        """(n,) labels as they were given to `fit`; arguments and errors as `transform`."""
        chosen = self.decision_function(x).argmax(1)
        found: NDArray[Any] = self.classes_[chosen]
        return found

    def score(self, x: NDArray[Any], y: Sequence[Any] | NDArray[Any]) -> float:
        """Accuracy on rows whose labels are known.

        Args:
            x: (n, ...) like the rows of `fit`.
            y: (n,) labels.

        Raises:
            InputError: as `transform`, or there is another number of labels, or none.
        """
        found, known = self.predict(x), np.asarray(y)
        _require_row(known, len(found))
        if not len(known):
            raise InputError("there are no rows to score")
        return float((found == known).mean())

    def _of(self, x: NDArray[Any]) -> Tensor:
        if not hasattr(self, "encoder_"):
            raise InputError("this classifier is not fitted yet: call fit first")
        rows = np.asarray(x, dtype=np.float32)
        if rows.shape[1:] != self._shape:
            raise InputError(f"rows have shape {rows.shape[1:]}, but those of fit had {self._shape}")
        require_finite(rows)
        return self._features(self._standard.apply(rows).to(next(self.encoder_.parameters()).device))

    def _features(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return self._head.seen(embed(self.encoder_, inputs.to(next(self.encoder_.parameters()).device)))


def _require_row(labels: NDArray[Any], rows: int) -> None:
    """Refuse labels that are not one for each row: numpy would compare a column of them with every row."""
    if labels.shape != (rows,):
        told = f"{len(labels)} labels" if labels.ndim == 1 else f"labels of shape {labels.shape}"
        raise InputError(f"{rows} rows, but {told}: one for each is needed")
