"""The estimator of alignment: fit on two graphs and seeds, then rank candidates for every entity and relation.

aligner = Aligner("TransE", dim=100, training=TrainingOptions(epochs=150))
aligner.fit(data, split)
aligner.evaluate(split.test).metrics()
aligner.predict(k=3)            # left, right, score, rank, mutual
aligner.predict_relations()
aligner.save("aligner.ckpt")    # Aligner.load("aligner.ckpt", data)
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
from torch import Tensor, nn

from offprints import checkpoint
from offprints.checkpoint import Checkpoints, fingerprint
from offprints.errors import InputError
from offprints.trained import weights_of_run
from offprints.training import Outcome

from ke_gcn.alignment import AlignmentLoss, MarginOptions
from ke_gcn.baselines import baseline_named
from ke_gcn.checks import check_finite, check_pair_ids, check_pairs
from ke_gcn.dangling import DanglingReport, dangling_report
from ke_gcn.graph import Graph
from ke_gcn.locality import neighbours_together
from ke_gcn.model import KEGCN
from ke_gcn.pairs import AlignmentData, Split
from ke_gcn.pattern import Array
from ke_gcn.ranking import Metric, PairRanking, nearest, rank_pairs
from ke_gcn.registry import score_named, score_saved
from ke_gcn.scores import Score
from ke_gcn.training import Trainer, TrainingOptions

_KIND = "ke-gcn aligner"


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
            InputError: no seeds, pairs that are not of these graphs, or sizes that do not fit the score.
            DivergedError: the loss is no longer finite.
        """
        check_pairs("seeds", split.train, data.left)
        check_pairs("validation pairs", split.valid, data.left)
        if relation_seeds is not None:
            check_pair_ids("relation seeds", relation_seeds, data.num_relations, "relations")
        graph, model = self._prepare(data)
        objective = AlignmentLoss(
            model,
            graph,
            self._numbering.place[split.train],
            self.loss,
            relation_seeds=relation_seeds,
            left=data.left[self._numbering.order],
            seed=self.seed,
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

    def restore(
        self, data: AlignmentData, split: Split, directory: Path | str, relation_seeds: Array | None = None
    ) -> None:
        """Take the weights of the best checkpoint of a `fit` with the same arguments, or of the last without validation.

        Raises:
            MissingRun: there is no checkpoint in the directory.
            CheckpointError: it is damaged, or of other data, seeds or shapes.
        """
        graph, model = self._prepare(data)
        kept = Checkpoints(Path(directory), "ke-gcn", self._fingerprint(graph, model, split, relation_seeds))
        model.load_state_dict(weights_of_run(kept))

    def save(self, path: Path | str) -> None:
        """Write options and weights to one file; the data are not in it, only their fingerprint.

        Raises:
            InputError: nothing is fitted yet.
        """
        _, graph, model = self._needed()
        state = {"options": self._options(), "model": model.state_dict()}
        checkpoint.save(Path(path), state, _KIND, graph.fingerprint, step=0)

    @classmethod
    def load(
        cls,
        path: Path | str,
        data: AlignmentData,
        *,
        score: Score | None = None,
        backend: str = "auto",
        device: torch.device | str = "cpu",
    ) -> Aligner:
        """Read back what `save` wrote.

        Args:
            path: of the file.
            data: that it was fitted on.
            score: the score, where it is one of your own and not one of ours with its usual options.
            backend: of the kernels, see `Graph`.
            device: where to compute.

        Raises:
            CheckpointError: the file is damaged, something else, or of other data.
            InputError: the score is one of your own and was not given.
        """
        numbering = neighbours_together(data.triples, data.num_entities)
        triples = numbering.triples(data.triples)
        known = Graph(triples, data.num_entities, data.num_relations).fingerprint
        state = checkpoint.load(Path(path), _KIND, known).state
        options = dict(state["options"])
        named = options.pop("score")
        found = score or score_saved(named, str(path))
        loss, training = MarginOptions(**options.pop("loss")), TrainingOptions(**options.pop("training"))
        aligner = cls(
            found,
            loss=loss,
            training=training,
            backend=backend,
            device=device,
            **options,
        )
        _, model = aligner._prepare(data)
        model.load_state_dict(state["model"])
        return aligner

    def embed(self) -> tuple[Tensor, Tensor]:
        """Entities (N, d) and relations (R, d) as the last layer gives them.

        Raises:
            InputError: nothing is fitted yet, or a number is not finite.
        """
        if self._embedded is None:
            _, graph, model = self._needed()
            with torch.no_grad():
                entities, relations = model(graph)
            check_finite(entities, relations)
            self._embedded = entities[torch.from_numpy(self._numbering.place).to(self.device)], relations
        return self._embedded

    def evaluate(self, pairs: Array, metric: Metric = "l1", csls: int = 0) -> PairRanking:
        """Rank pairs of entities among each other, in both directions; pairs (n, 2) int64.

        Raises:
            InputError: there are none, or they are not pairs of a left and a right entity.
        """
        check_pairs("pairs to rank", pairs, self._needed()[0].left)
        entities, _ = self.embed()
        return rank_pairs(entities[pairs[:, 0]], entities[pairs[:, 1]], metric, csls=csls)

    def evaluate_relations(self, metric: Metric = "l1") -> PairRanking:
        """Rank the known pairs of relations among each other.

        Raises:
            InputError: the graphs share relation ids, so that the answers were given, or no pairs are known.
        """
        data, *_ = self._needed()
        data.check_relations_open(answers=True)
        _, relations = self.embed()
        return rank_pairs(relations[data.relation_pairs[:, 0]], relations[data.relation_pairs[:, 1]], metric)

    def predict(
        self,
        k: int = 10,
        *,
        mutual: bool = False,
        metric: Metric = "l1",
        csls: int = 0,
        threshold: float | None = None,
    ) -> pd.DataFrame:
        """The k nearest right entities of every left one.

        Args:
            k: candidates for each.
            mutual: only pairs of which each is the other's nearest.
            metric: of the distance; the score is its negative.
            csls: neighbours of the hub correction, see `rank_pairs`; 0 takes distances as they are.
            threshold: leave out candidates that are further away; an entity without any then has no counterpart. See
                `evaluate_dangling` for a good one.

        Returns:
            left, right (names), score, rank, mutual; by left entity, best first.
        """
        data, *_ = self._needed()
        left, right = np.flatnonzero(data.left), np.flatnonzero(~data.left)
        table = _candidates(self.embed()[0], left, right, data.entity_name, k, mutual, metric, csls)
        return table if threshold is None else table[table["score"] >= -threshold].reset_index(drop=True)

    def evaluate_dangling(self, split: Split, metric: Metric = "l1", seed: int = 0) -> DanglingReport:
        """Tell entities without a counterpart by the distance of their nearest candidate; see `dangling`.

        Args:
            split: its validation pairs, or its seeds where there are none, choose the threshold.
            metric: of the distance.
            seed: of the halves of the entities without a counterpart: one chooses the threshold, the other tests it.

        Raises:
            InputError: every entity has a counterpart.
        """
        data, *_ = self._needed()
        rows = self.embed()[0]
        left, right = np.flatnonzero(data.left), np.flatnonzero(~data.left)
        distance, _ = nearest(rows[torch.from_numpy(left)], rows[torch.from_numpy(right)], 1, metric)
        of_entity = np.full(data.num_entities, np.nan)
        of_entity[left] = distance[:, 0].cpu().numpy()
        alone = np.random.default_rng(seed).permutation(np.setdiff1d(left, data.pairs[:, 0]))
        half = len(alone) // 2
        if not half:
            raise InputError(f"{data.name}: every entity of the left graph has a counterpart")
        chosen_on = split.valid if len(split.valid) else split.train
        parts = (chosen_on[:, 0], alone[:half], split.test[:, 0], alone[half:])
        return dangling_report(*(of_entity[part] for part in parts))

    def predict_relations(self, k: int = 10, *, mutual: bool = False, metric: Metric = "l1") -> pd.DataFrame:
        """The same for relations.

        Raises:
            InputError: the graphs share relation ids.
        """
        data, *_ = self._needed()
        data.check_relations_open()
        of_left = data.left[data.triples[:, 0]]
        left, right = (np.unique(data.triples[rows, 1]) for rows in (of_left, ~of_left))
        return _candidates(self.embed()[1], left, right, data.relation_name, k, mutual, metric)

    def _options(self) -> dict[str, Any]:
        """The arguments of the constructor as plain values; where to compute is not among them."""
        names = ("dim", "layers", "alpha", "beta", "update_relations", "rel_relu", "baseline", "seed")
        return {name: getattr(self, name) for name in names} | {
            "score": self.score.name,
            "loss": asdict(self.loss),
            "training": asdict(self.training),
        }

    def _prepare(self, data: AlignmentData) -> tuple[Graph, nn.Module]:
        self._numbering = neighbours_together(data.triples, data.num_entities)
        graph = Graph(
            self._numbering.triples(data.triples),
            data.num_entities,
            data.num_relations,
            backend=self.backend,
            device=self.device,
        )
        model = self._model(data).to(self.device)
        self._fitted, self._embedded = (data, graph, model), None
        return graph, model

    def _model(self, data: AlignmentData) -> nn.Module:
        sizes = (data.num_entities, data.num_relations)
        if self.baseline is not None:
            return baseline_named(self.baseline, *sizes, self.dim, self.layers, seed=self.seed)
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
    csls: int = 0,
) -> pd.DataFrame:
    if k < 1:
        raise InputError(f"k={k}: ask for one candidate or more")
    there = torch.from_numpy(right).to(rows.device)
    here = torch.from_numpy(left).to(rows.device)
    distance, place = nearest(rows[here], rows[there], k, metric, csls=csls)
    _, back = nearest(rows[there], rows[here], 1, metric, csls=csls)
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
