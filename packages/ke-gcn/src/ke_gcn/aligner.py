"""The estimator of alignment: fit on two graphs and seeds, then rank candidates for every entity and relation.

aligner = Aligner("TransE", dim=100, training=TrainingOptions(epochs=150))
aligner.fit(data, split)
aligner.evaluate(split.test).metrics()
aligner.predict(k=3)            # left, right, score, rank, mutual
aligner.predict_relations()
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from offprints.checkpoint import fingerprint
from offprints.errors import InputError
from offprints.training import Outcome

from ke_gcn.alignment import AlignmentLoss, MarginOptions
from ke_gcn.baselines import Baseline
from ke_gcn.graph import Graph
from ke_gcn.model import KEGCN
from ke_gcn.pairs import AlignmentData, Split
from ke_gcn.pattern import Array
from ke_gcn.ranking import Metric, PairRanking, nearest, rank_pairs
from ke_gcn.registry import score_named
from ke_gcn.scores import Score
from ke_gcn.training import Trainer, TrainingOptions


class Aligner:
    """Aligns two knowledge graphs.

    Args:
        score: the layer's score, or its name.
        dim: of the embeddings; TransH and TransD have rows of twice that for relations and for both.
        layers: hidden convolutions beside the first and the last.
        alpha: step of the entities.
        beta: step of the relations; None takes alpha.
        update_relations: move the relations too.
        rel_relu: the ReLU on relations, as published.
        baseline: another network in the place of KE-GCN, see `baselines`; of the options above it takes dim and, as the
            number of its convolutions, layers.
        loss: options of the loss.
        training: options of the trainer.
        seed: of initial values and negatives.
        backend: of the kernels, see `Graph`.
        device: where to compute.
    """

    def __init__(
        self,
        score: Score | str = "TransE",
        dim: int = 200,
        layers: int = 2,
        *,
        alpha: float = 0.3,
        beta: float | None = None,
        update_relations: bool = True,
        rel_relu: bool = True,
        baseline: str | None = None,
        loss: MarginOptions | None = None,
        training: TrainingOptions | None = None,
        seed: int = 0,
        backend: str = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        self.score = score_named(score) if isinstance(score, str) else score
        self.dim, self.layers, self.alpha, self.beta = dim, layers, alpha, beta
        self.update_relations, self.rel_relu, self.baseline = update_relations, rel_relu, baseline
        self.loss, self.training = loss or MarginOptions(), training or TrainingOptions()
        self.seed, self.backend, self.device = seed, backend, torch.device(device)
        self._fitted: tuple[AlignmentData, Graph, nn.Module] | None = None
        self._embedded: tuple[Tensor, Tensor] | None = None

    def fit(
        self,
        data: AlignmentData,
        split: Split,
        *,
        relation_seeds: Array | None = None,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> Outcome:
        """Train on the seeds; validation pairs, where there are some, choose the epoch.

        Args:
            data: both graphs.
            split: seeds, validation and test; test pairs are not looked at.
            relation_seeds: (Q, 2) int64, known pairs of relations; None aligns relations without any.
            directory: of checkpoints; training goes on from the last one there.
            on_epoch: called with the row of each epoch.
            uninterrupted: context in which an epoch runs.

        Raises:
            InputError: no seeds, or sizes that do not fit the score.
            DivergedError: the loss is no longer finite.
        """
        graph, model = self._prepare(data)
        objective = AlignmentLoss(
            model, graph, split.train, self.loss, relation_seeds=relation_seeds, seed=self.seed
        )
        trainer = Trainer(
            model,
            objective,
            self.training,
            validate=(lambda: self.evaluate(split.valid).metrics()) if len(split.valid) else None,
            directory=directory,
            fingerprint=self._fingerprint(graph, model, split, relation_seeds),
            on_epoch=self._forgetting(on_epoch),
            uninterrupted=uninterrupted,
        )
        outcome = trainer.fit()
        self._embedded = None
        return outcome

    def embed(self) -> tuple[Tensor, Tensor]:
        """Entities (N, d) and relations (R, d) as the last layer gives them."""
        if self._embedded is None:
            _, graph, model = self._needed()
            with torch.no_grad():
                self._embedded = model(graph)
        return self._embedded

    def evaluate(self, pairs: Array, metric: Metric = "l1", csls: int = 0) -> PairRanking:
        """Rank pairs of entities among each other, in both directions; pairs (n, 2) int64."""
        entities, _ = self.embed()
        return rank_pairs(entities[pairs[:, 0]], entities[pairs[:, 1]], metric, csls=csls)

    def evaluate_relations(self, metric: Metric = "l1") -> PairRanking:
        """Rank the known pairs of relations among each other.

        Raises:
            InputError: the graphs share relation ids, so that the answers were given, or no pairs are known.
        """
        data, *_ = self._needed()
        if data.relations_shared:
            raise InputError(
                f"{data.name}: relation ids are shared, so that their alignment was given, not found"
            )
        if not len(data.relation_pairs):
            raise InputError(f"{data.name}: no pairs of relations are known")
        _, relations = self.embed()
        return rank_pairs(relations[data.relation_pairs[:, 0]], relations[data.relation_pairs[:, 1]], metric)

    def predict(self, k: int = 10, *, mutual: bool = False, metric: Metric = "l1") -> pd.DataFrame:
        """The k nearest right entities of every left one.

        Args:
            k: candidates for each.
            mutual: only pairs of which each is the other's nearest.
            metric: of the distance; the score is its negative.

        Returns:
            left, right (names), score, rank, mutual; by left entity, best first.
        """
        data, *_ = self._needed()
        left, right = np.flatnonzero(data.left), np.flatnonzero(~data.left)
        return _candidates(self.embed()[0], left, right, data.entity_name, k, mutual, metric)

    def predict_relations(self, k: int = 10, *, mutual: bool = False, metric: Metric = "l1") -> pd.DataFrame:
        """The same for relations.

        Raises:
            InputError: the graphs share relation ids.
        """
        data, *_ = self._needed()
        if data.relations_shared:
            raise InputError(
                f"{data.name}: relation ids are shared, so that their alignment was given, not found"
            )
        of_left = data.left[data.triples[:, 0]]
        left, right = (np.unique(data.triples[rows, 1]) for rows in (of_left, ~of_left))
        return _candidates(self.embed()[1], left, right, data.relation_name, k, mutual, metric)

    def _prepare(self, data: AlignmentData) -> tuple[Graph, nn.Module]:
        graph = Graph(
            data.triples, data.num_entities, data.num_relations, backend=self.backend, device=self.device
        )
        model = self._model(data).to(self.device)
        self._fitted, self._embedded = (data, graph, model), None
        return graph, model

    def _model(self, data: AlignmentData) -> nn.Module:
        sizes = (data.num_entities, data.num_relations)
        if self.baseline is not None:
            return Baseline(self.baseline, *sizes, self.dim, self.layers, seed=self.seed)
        return KEGCN(
            *sizes,
            self.score,
            self.dim,
            self.layers,
            alpha=self.alpha,
            beta=self.beta,
            rel_relu=self.rel_relu,
            update_relations=self.update_relations,
            seed=self.seed,
        )

    def _forgetting(
        self, on_epoch: Callable[[dict[str, float]], None] | None
    ) -> Callable[[dict[str, float]], None]:
        """Embeddings of an epoch are not those of the next."""

        def told(row: dict[str, float]) -> None:
            self._embedded = None
            if on_epoch is not None:
                on_epoch(row)

        return told

    def _needed(self) -> tuple[AlignmentData, Graph, nn.Module]:
        if self._fitted is None:
            raise InputError("fit the aligner first")
        return self._fitted

    def _fingerprint(self, graph: Graph, model: nn.Module, split: Split, relation_seeds: Array | None) -> str:
        return fingerprint(
            graph=graph.fingerprint,
            score=self.baseline or self.score.name,
            shapes={name: list(value.shape) for name, value in model.state_dict().items()},
            layers=self.layers,
            seeds=split.train.tolist(),
            relation_seeds=None if relation_seeds is None else relation_seeds.tolist(),
        )


def _candidates(
    rows: Tensor,
    left: Array,
    right: Array,
    name: Callable[[int], str],
    k: int,
    mutual: bool,
    metric: Metric,
) -> pd.DataFrame:
    if k < 1:
        raise InputError(f"k={k}: ask for one candidate or more")
    there = torch.from_numpy(right).to(rows.device)
    here = torch.from_numpy(left).to(rows.device)
    distance, place = nearest(rows[here], rows[there], k, metric)
    _, back = nearest(rows[there], rows[here], 1, metric)
    place = place.cpu()
    k = place.shape[1]
    both = back.cpu()[place[:, 0], 0] == torch.arange(len(left))  # nearest of its nearest
    table = pd.DataFrame(
        {
            "left": np.repeat([name(int(i)) for i in left], k),
            "right": [name(int(i)) for i in right[place.numpy()].ravel()],
            "score": -distance.cpu().numpy().ravel(),
            "rank": np.tile(np.arange(1, k + 1), len(left)),
            "mutual": (both[:, None] & (torch.arange(k) == 0)).numpy().ravel(),
        }
    )
    return table[table["mutual"]].reset_index(drop=True) if mutual else table
