"""Alignment of two knowledge graphs: a margin between the distance of a known pair and those to random entities.

Relations are aligned by nothing but the space that they share with the entities, unless pairs of relations are given.

Source: the paper's experiments on entity alignment; k, the margin and how negatives are drawn as in its published program. Hard
negatives and self-training are options of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ke_gcn.graph import Graph
from ke_gcn.ops import distances
from ke_gcn.pattern import Array
from ke_gcn.ranking import mutual_nearest, nearest


@dataclass
class MarginOptions:
    """The loss of alignment.

    Attributes:
        margin: gamma.
        negatives: k, random entities in the place of each side of a pair.
        redraw_every: epochs that negatives serve.
        hard_among: 0 draws negatives uniformly from the entities of both graphs, as published; any other number takes the
            nearest of so many drawn from the graph of the entity that they stand in for.
        propose_every: 0 learns from the seeds alone, as published; any other number makes, every so many epochs, seeds of
            the pairs of other entities that are each other's nearest (self-training).
        relation_weight: share w of the relation loss where pairs of relations are given: (1 - w) L_ent + w L_rel.
    """

    margin: float = 3.0
    negatives: int = 5
    redraw_every: int = 10
    hard_among: int = 0
    propose_every: int = 0
    relation_weight: float = 0.5

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("margin", self.margin > 0, "positive"),
            ("negatives", self.negatives >= 1, "1 or more"),
            ("redraw_every", self.redraw_every >= 1, "1 or more"),
            (
                "hard_among",
                not self.hard_among or self.hard_among > self.negatives,
                f"0, or more than negatives={self.negatives}",
            ),
            ("propose_every", self.propose_every >= 0, "0 or more"),
            ("relation_weight", 0 <= self.relation_weight <= 1, "in [0, 1]"),
        ):
            if not fits:
                raise InputError(f"loss option {name}={getattr(self, name)!r} is not valid: {right}")


class AlignmentLoss:
    """The loss of an epoch; an `Objective` for the trainer.

    Args:
        model: gives entities and relations of the graph.
        graph: of both knowledge graphs.
        seeds: (S, 2) int64, known pairs of entities.
        options: of the loss.
        relation_seeds: (Q, 2) int64, known pairs of relations; None for none.
        left: (N,) bool, entities of the first graph; only hard negatives and self-training need it.
        seed: of the negatives.

    Attributes:
        proposed: (Q, 2) int64, pairs that self-training found; they serve as seeds until the next look.

    Raises:
        InputError: there are no seeds, or `left` is needed and not given or has too few of a side.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        seeds: Array,
        options: MarginOptions | None = None,
        *,
        relation_seeds: Array | None = None,
        left: Array | None = None,
        seed: int = 0,
    ) -> None:
        if not len(seeds):
            raise InputError("there are no seed pairs to learn from")
        self.model, self.graph, self.options = model, graph, options or MarginOptions()
        self.seeds = torch.from_numpy(seeds).to(graph.device)
        self.relation_seeds: Tensor | None = None
        if relation_seeds is not None and len(relation_seeds):
            self.relation_seeds = torch.from_numpy(relation_seeds).to(graph.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.proposed = self.seeds[:0]
        self._negatives: list[Tensor] = []
        self._sides: list[Tensor] = []
        if self.options.hard_among or self.options.propose_every:
            enough = self.options.negatives + 1
            if left is None or min(left.sum(), (~left).sum()) <= enough:
                raise InputError(
                    "loss.hard_among and loss.propose_every need two graphs of more than "
                    f"{enough} entities each"
                )
            self._sides = [torch.from_numpy(np.flatnonzero(of)).to(graph.device) for of in (left, ~left)]

    def __call__(self, epoch: int) -> Tensor:
        if self.options.propose_every and epoch and epoch % self.options.propose_every == 0:
            self.proposed = self._propose()
            self._negatives = []
        if epoch % self.options.redraw_every == 0 or not self._negatives:
            self._negatives = self._draw()
        e, r = self.model(self.graph)
        margin = self.options.margin
        loss = margin_loss(self.graph, e, self.pairs, self._negatives[0], self._negatives[1], margin)
        if isinstance(self.model, ReadsTriples):
            loss = loss + self.model.triple_loss(self.graph, self.generator)
        if self.relation_seeds is None:
            return loss
        weight = self.options.relation_weight
        of_relations = margin_loss(
            self.graph, r, self.relation_seeds, self._negatives[2], self._negatives[3], margin
        )
        return (1 - weight) * loss + weight * of_relations

    @property
    def pairs(self) -> Tensor:
        """(S + Q, 2) int64: the seeds, and what self-training proposes."""
        return torch.cat([self.seeds, self.proposed])

    def state(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "negatives": [n.cpu() for n in self._negatives],
            "proposed": self.proposed.cpu(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self._negatives = [n.to(self.graph.device) for n in state["negatives"]]
        self.proposed = state["proposed"].to(self.graph.device)

    def _draw(self) -> list[Tensor]:
        drawn = (
            self._hard() if self.options.hard_among else self._uniform(self.pairs, self.graph.num_entities)
        )
        if self.relation_seeds is not None:
            drawn += self._uniform(self.relation_seeds, self.graph.num_relations)
        return drawn

    def _uniform(self, pairs: Tensor, count: int) -> list[Tensor]:
        """Any entity of both graphs may stand in, true partners included, as published."""
        shape = (2, len(pairs), self.options.negatives)
        drawn = torch.randint(count, shape, generator=self.generator).to(self.graph.device)
        return list(drawn.unbind())

    def _hard(self) -> list[Tensor]:
        """For a' those of a random part of the first graph that are nearest to b, and for b' the other way round."""
        with torch.no_grad():
            e, _ = self.model(self.graph)
        drawn = []
        for side, others in enumerate(self._sides):
            chosen = torch.randperm(len(others), generator=self.generator)[: self.options.hard_among]
            pool = others[chosen.to(others.device)]
            partners, replaced = self.pairs[:, 1 - side], self.pairs[:, side]
            _, place = nearest(e[partners], e[pool], self.options.negatives + 1)
            found = pool[place]
            # The entity that is stood in for is left out: sorted behind the others, which keep their order.
            order = (found == replaced[:, None]).int().argsort(dim=1, stable=True)
            drawn.append(found.gather(1, order)[:, :-1])
        return drawn

    def _propose(self) -> Tensor:
        """Pairs of entities without a seed that are each other's nearest; whether they are right is not known here."""
        with torch.no_grad():
            e, _ = self.model(self.graph)
        free = [side[~torch.isin(side, self.seeds[:, column])] for column, side in enumerate(self._sides)]
        found = mutual_nearest(e[free[0]], e[free[1]])
        return torch.stack([free[0][found[:, 0]], free[1][found[:, 1]]], 1)


@runtime_checkable
class ReadsTriples(Protocol):
    """A model without convolutions, which sees the triples through a loss of their own."""

    def triple_loss(self, graph: Graph, generator: torch.Generator) -> Tensor:
        """The loss of some triples that are drawn; a scalar."""
        ...


def margin_loss(
    graph: Graph, e: Tensor, pairs: Tensor, negative_left: Tensor, negative_right: Tensor, margin: float
) -> Tensor:
    """The mean over S pairs (a, b) and k negatives of relu(D(a, b) + margin - D(a, b')), and the same for a'.

    Args:
        graph: that e was computed on.
        e: (N, d) embeddings; D is their L1 distance.
        pairs: (S, 2) int64.
        negative_left: (S, k) int64, entities in the place of a.
        negative_right: (S, k) int64, entities in the place of b.
        margin: gamma.

    Returns:
        A scalar.
    """
    left, right = pairs.unbind(1)
    shape = negative_left.shape
    count = len(pairs)
    # All distances in one walk: S true pairs, then S k with b', then S k with a'.
    first = torch.cat([left, left.repeat_interleave(shape[1]), negative_left.flatten()])
    second = torch.cat([right, negative_right.flatten(), right.repeat_interleave(shape[1])])
    found = distances(graph, e, first, second)
    true, false = found[:count], found[count:].view(2, *shape)
    return torch.relu(true[:, None] + margin - false).mean()
