"""Entity classification: the last layer gives logits, the labelled training entities a cross-entropy.

    classifier = EntityClassifier("TransE")
    classifier.fit(data, split_entities(data))
    classifier.predict_proba()

Source: Section 5.4 of the paper; sizes and steps as in the published program.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from offprints.checkpoint import fingerprint
from offprints.errors import InputError
from offprints.training import Outcome

from ke_gcn.graph import Graph
from ke_gcn.model import KEGCN
from ke_gcn.pattern import Array
from ke_gcn.registry import score_named
from ke_gcn.scores import DistMult, Score
from ke_gcn.training import Trainer, TrainingOptions
from ke_gcn.wordnet import ClassificationData


@dataclass(frozen=True)
class EntitySplit:
    """Disjoint rows of the labelled entities, each (n,) int64.

    Attributes:
        train: to learn from.
        valid: to choose the epoch on.
        test: to be classified.
    """

    train: Array
    valid: Array
    test: Array

    def __post_init__(self) -> None:
        together = np.concatenate([self.train, self.valid, self.test])
        if len(np.unique(together)) < len(together):
            raise InputError("an entity is in two parts of the split: test labels would leak")


def split_entities(
    data: ClassificationData, train_share: float = 0.1, valid_share: float = 0.1, seed: int = 0
) -> EntitySplit:
    """All labelled entities in random order: train, validation, and the rest for test (10, 10 and 80 % as published).

    Raises:
        InputError: the shares leave nothing to train or test on.
    """
    count = len(data.labelled)
    train, valid = round(train_share * count), round(valid_share * count)
    if train < 1 or valid < 0 or train + valid >= count:
        raise InputError(
            f"train_share={train_share} and valid_share={valid_share} leave a part of the split empty"
        )
    order = np.random.default_rng(seed).permutation(count)
    return EntitySplit(order[:train], order[train : train + valid], order[train + valid :])


class EntityClassifier:
    """Classifies the entities of a knowledge graph.

    Args:
        score: the layer's score, or its name.
        dim: of the embeddings.
        layers: hidden convolutions beside the first and the last.
        alpha: step of the entities.
        beta: step of the relations; None takes alpha.
        update_relations: move the relations too.
        rel_relu: the ReLU on relations, as published.
        training: options of the trainer.
        seed: of the initial values.
        backend: of the kernels, see `Graph`.
        device: where to compute.
    """

    def __init__(
        self,
        score: Score | str = "TransE",
        dim: int = 32,
        layers: int = 2,
        *,
        alpha: float = 0.5,
        beta: float | None = None,
        update_relations: bool = True,
        rel_relu: bool = True,
        training: TrainingOptions | None = None,
        seed: int = 0,
        backend: str = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        self.score = score_named(score) if isinstance(score, str) else score
        self.dim, self.layers, self.alpha, self.beta = dim, layers, alpha, beta
        self.update_relations, self.rel_relu = update_relations, rel_relu
        self.training = training or TrainingOptions(epochs=1000)
        self.seed, self.backend, self.device = seed, backend, torch.device(device)
        self._fitted: tuple[ClassificationData, Graph, KEGCN] | None = None

    def fit(
        self,
        data: ClassificationData,
        split: EntitySplit,
        *,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> Outcome:
        """Train on the training entities; the validation entities choose the epoch.

        Args:
            data: the graph and its labels.
            split: rows of the labelled entities; those of the test part are not looked at.
            directory: of checkpoints; training goes on from the last one there.
            on_epoch: called with the row of each epoch.
            uninterrupted: context in which an epoch runs.

        Raises:
            DivergedError: the loss is no longer finite.
        """
        graph = Graph(
            data.triples, data.num_entities, data.num_relations, backend=self.backend, device=self.device
        )
        model = KEGCN(
            data.num_entities,
            data.num_relations,
            self.score,
            self.dim,
            self.layers,
            out_dim=len(data.class_names),
            alpha=self.alpha,
            beta=self.beta,
            rel_relu=self.rel_relu,
            update_relations=self.update_relations,
            train_relations=not isinstance(self.score, DistMult),  # as published
            seed=self.seed,
        ).to(self.device)
        self._fitted = (data, graph, model)
        rows, labels = (torch.from_numpy(column[split.train]) for column in (data.labelled, data.labels))
        trainer = Trainer(
            model,
            _CrossEntropy(model, graph, rows.to(self.device), labels.to(self.device)),
            self.training,
            validate=(lambda: {"accuracy": self.accuracy(split.valid)}) if len(split.valid) else None,
            select="accuracy",
            directory=directory,
            fingerprint=fingerprint(
                graph=graph.fingerprint,
                score=self.score.name,
                shapes={name: list(value.shape) for name, value in model.state_dict().items()},
                layers=self.layers,
                train=split.train.tolist(),
            ),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )
        return trainer.fit()

    def predict_proba(self) -> Tensor:
        """Probability of each class for every entity; (N, classes)."""
        return self._logits().softmax(1)

    def accuracy(self, part: Array) -> float:
        """Share of the labelled entities in these rows whose most probable class is theirs."""
        data, *_ = self._needed()
        predicted = self._logits()[torch.from_numpy(data.labelled[part]).to(self.device)].argmax(1)
        return float(np.mean(predicted.cpu().numpy() == data.labels[part]))

    def _logits(self) -> Tensor:
        _, graph, model = self._needed()
        with torch.no_grad():
            logits: Tensor = model(graph)[0]
        return logits

    def _needed(self) -> tuple[ClassificationData, Graph, KEGCN]:
        if self._fitted is None:
            raise InputError("fit the classifier first")
        return self._fitted


class _CrossEntropy:
    """The objective; it draws no random numbers."""

    def __init__(self, model: KEGCN, graph: Graph, rows: Tensor, labels: Tensor) -> None:
        self.model, self.graph, self.rows, self.labels = model, graph, rows, labels

    def __call__(self, epoch: int) -> Tensor:
        return F.cross_entropy(self.model(self.graph)[0][self.rows], self.labels)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to go on from."""


def precision_and_ndcg(scores: Array, labels: Array, k: int, empty: str = "zero") -> tuple[float, float]:
    """P@k and NDCG@k of several labels an entity.

    P@k is the share of the k best-scored labels that are true; NDCG@k discounts place i by 1 / log(i + 1) and is 1 for
    the best order that the entity's labels allow.

    Args:
        scores: (n, labels) float.
        labels: (n, labels), 1 where true.
        k: labels looked at.
        empty: an entity without any true label counts 0 ("zero", as published) or not at all ("skip").

    Raises:
        InputError: shapes differ, k is not positive, or `empty` is neither.
    """
    if scores.shape != labels.shape or k < 1 or empty not in ("zero", "skip"):
        raise InputError(
            f"scores {scores.shape}, labels {labels.shape}, k={k}, empty={empty!r}: zero or skip"
        )
    best = np.argsort(-scores, 1, kind="stable")[:, :k]
    hit = np.take_along_axis(labels, best, 1) > 0
    discount = 1 / np.log(np.arange(2, k + 2))
    true = (labels > 0).sum(1)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(true, k)]
    gain = (hit * discount[: hit.shape[1]]).sum(1)
    ndcg = np.divide(gain, ideal, out=np.zeros(len(gain)), where=ideal > 0)
    kept = np.ones(len(true), bool) if empty == "zero" else true > 0
    return float(hit.sum(1)[kept].mean() / k), float(ndcg[kept].mean())
