"""Entity classification: the last layer gives logits, the labelled training entities a cross-entropy.

With several labels an entity the loss is the sigmoid cross-entropy, averaged over labels too, and P@5 chooses the epoch.

    classifier = EntityClassifier("TransE")
    classifier.fit(data, split_entities(data))
    classifier.predict_proba()

Source: the paper's experiments on entity classification; sizes and steps as in its published program.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from offprints import checkpoint
from offprints.checkpoint import fingerprint
from offprints.errors import InputError
from offprints.training import Outcome

from ke_gcn.checks import check_finite
from ke_gcn.graph import Graph
from ke_gcn.labelled import ClassificationData, EntitySplit
from ke_gcn.locality import neighbours_together
from ke_gcn.model import KEGCN
from ke_gcn.pattern import Array
from ke_gcn.registry import score_named, score_saved
from ke_gcn.scores import DistMult, Score
from ke_gcn.training import Trainer, TrainingOptions

_KIND = "ke-gcn classifier"
_TOP = (1, 3, 5)


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
            InputError: a row of the split is not one of the labelled entities.
            DivergedError: the loss is no longer finite.
        """
        for part in (split.train, split.valid):
            _check_part(part, data)
        graph, model = self._prepare(data)
        rows = self._place[torch.from_numpy(data.labelled[split.train]).to(self.device)]
        labels = torch.from_numpy(data.labels[split.train]).to(self.device)
        if data.several:
            labels = labels.float()
        trainer = Trainer(
            model,
            _CrossEntropy(model, graph, rows, labels),
            self.training,
            validate=(lambda: self.evaluate(split.valid)) if len(split.valid) else None,
            select="p@5" if data.several else "accuracy",
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
        """Probability of each class for every entity; (N, classes). With several labels an entity each stands alone."""
        data, *_ = self._needed()
        return self._logits().sigmoid() if data.several else self._logits().softmax(1)

    def predict(self, k: int = 1) -> pd.DataFrame:
        """The k most probable classes of every entity: entity (its number), label, probability, rank.

        Raises:
            InputError: k is not positive.
        """
        data, *_ = self._needed()
        if k < 1:
            raise InputError(f"k={k}: ask for one class or more")
        found = self.predict_proba().topk(min(k, len(data.class_names)), dim=1)
        places = found.indices.cpu().numpy()
        return pd.DataFrame(
            {
                "entity": np.repeat(np.arange(len(places)), places.shape[1]),
                "label": [data.class_names[place] for place in places.ravel()],
                "probability": found.values.cpu().numpy().ravel(),
                "rank": np.tile(np.arange(1, places.shape[1] + 1), len(places)),
            }
        )

    def evaluate(self, part: Array) -> dict[str, float]:
        """Accuracy of these rows of the labelled entities; with several labels an entity P@k and NDCG@k, k = 1, 3, 5.

        Raises:
            InputError: there are no rows, or one is not of the labelled entities.
        """
        data, *_ = self._needed()
        _check_part(part, data)
        if not len(part):
            raise InputError("there are no labelled entities to evaluate on")
        logits = self._logits()[torch.from_numpy(data.labelled[part]).to(self.device)].cpu().numpy()
        labels = data.labels[part]
        if not data.several:
            return {"accuracy": float(np.mean(logits.argmax(1) == labels))}
        pairs = {k: precision_and_ndcg(logits, labels, k) for k in _TOP}
        return {f"{name}@{k}": pair[i] for k, pair in pairs.items() for i, name in enumerate(("p", "ndcg"))}

    def accuracy(self, part: Array) -> float:
        """Share of the labelled entities in these rows whose most probable class is theirs.

        Raises:
            InputError: entities have several classes.
        """
        if self._needed()[0].several:
            raise InputError("entities have several classes: ask evaluate for P@k and NDCG@k")
        return self.evaluate(part)["accuracy"]

    def save(self, path: Path | str) -> None:
        """Write options and weights to one file; the data are not in it, only their fingerprint.

        Raises:
            InputError: nothing is fitted yet.
        """
        _, graph, model = self._needed()
        names = ("dim", "layers", "alpha", "beta", "update_relations", "rel_relu", "seed")
        options = {name: getattr(self, name) for name in names} | {"training": asdict(self.training)}
        options["score"] = self.score.name
        state = {"options": options, "model": model.state_dict()}
        checkpoint.save(Path(path), state, _KIND, graph.fingerprint, step=0)

    @classmethod
    def load(
        cls,
        path: Path | str,
        data: ClassificationData,
        *,
        score: Score | None = None,
        backend: str = "auto",
        device: torch.device | str = "cpu",
    ) -> EntityClassifier:
        """Read back what `save` wrote; the arguments are those of `Aligner.load`.

        Raises:
            CheckpointError: the file is damaged, something else, or of other data.
            InputError: the score is one of your own and was not given.
        """
        triples = neighbours_together(data.triples, data.num_entities).triples(data.triples)
        known = Graph(triples, data.num_entities, data.num_relations).fingerprint
        state = checkpoint.load(Path(path), _KIND, known).state
        options = dict(state["options"])
        named = options.pop("score")
        found = score or score_saved(named, str(path))
        training = TrainingOptions(**options.pop("training"))
        classifier = cls(found, training=training, backend=backend, device=device, **options)
        _, model = classifier._prepare(data)
        model.load_state_dict(state["model"])
        return classifier

    def _prepare(self, data: ClassificationData) -> tuple[Graph, KEGCN]:
        numbering = neighbours_together(data.triples, data.num_entities)
        self._place = torch.from_numpy(numbering.place).to(self.device)
        graph = Graph(
            numbering.triples(data.triples),
            data.num_entities,
            data.num_relations,
            backend=self.backend,
            device=self.device,
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
        return graph, model

    def _logits(self) -> Tensor:
        _, graph, model = self._needed()
        with torch.no_grad():
            logits: Tensor = model(graph)[0][self._place]
        check_finite(logits)
        return logits

    def _needed(self) -> tuple[ClassificationData, Graph, KEGCN]:
        if self._fitted is None:
            raise InputError("fit the classifier first")
        return self._fitted


def _check_part(part: Array, data: ClassificationData) -> None:
    """A negative row would count from the end, and be another entity's."""
    if len(part) and not 0 <= part.min() <= part.max() < len(data.labelled):
        raise InputError(f"{data.name}: a row of the split is not one of the {len(data.labelled)} labelled")


class _CrossEntropy:
    """The objective; it draws no random numbers."""

    def __init__(self, model: KEGCN, graph: Graph, rows: Tensor, labels: Tensor) -> None:
        self.model, self.graph, self.rows, self.labels = model, graph, rows, labels

    def __call__(self, epoch: int) -> Tensor:
        logits = self.model(self.graph)[0][self.rows]
        if self.labels.dim() == 2:
            return F.binary_cross_entropy_with_logits(logits, self.labels)
        return F.cross_entropy(logits, self.labels)

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
