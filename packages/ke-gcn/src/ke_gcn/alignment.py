"""Alignment of two knowledge graphs: a margin between the distance of a known pair and those to random entities.

Relations are aligned by nothing but the space that they share with the entities, unless pairs of relations are given.

Source: Section 5.2 of the paper; k, the margin and how negatives are drawn as in the published program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ke_gcn.graph import Graph
from ke_gcn.ops import distances
from ke_gcn.pattern import Array


@dataclass
class MarginOptions:
    """The loss of alignment.

    Attributes:
        margin: gamma.
        negatives: k, random entities in the place of each side of a pair.
        redraw_every: epochs that negatives serve.
        relation_weight: share w of the relation loss where pairs of relations are given: (1 - w) L_ent + w L_rel.
    """

    margin: float = 3.0
    negatives: int = 5
    redraw_every: int = 10
    relation_weight: float = 0.5

    def __post_init__(self) -> None:
        for name, fits, right in (
            ("margin", self.margin > 0, "positive"),
            ("negatives", self.negatives >= 1, "1 or more"),
            ("redraw_every", self.redraw_every >= 1, "1 or more"),
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
        seed: of the negatives.

    Raises:
        InputError: there are no seeds.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        seeds: Array,
        options: MarginOptions | None = None,
        *,
        relation_seeds: Array | None = None,
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
        self._negatives: list[Tensor] = []

    def __call__(self, epoch: int) -> Tensor:
        if epoch % self.options.redraw_every == 0 or not self._negatives:
            self._negatives = self._draw()
        e, r = self.model(self.graph)
        margin = self.options.margin
        loss = margin_loss(self.graph, e, self.seeds, self._negatives[0], self._negatives[1], margin)
        if self.relation_seeds is None:
            return loss
        weight = self.options.relation_weight
        of_relations = margin_loss(
            self.graph, r, self.relation_seeds, self._negatives[2], self._negatives[3], margin
        )
        return (1 - weight) * loss + weight * of_relations

    def state(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "negatives": [n.cpu() for n in self._negatives]}

    def restore(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self._negatives = [n.to(self.graph.device) for n in state["negatives"]]

    def _draw(self) -> list[Tensor]:
        """Any entity of both graphs may stand in, true partners included, as published."""
        drawn: list[Tensor] = []
        for pairs, count in (
            (self.seeds, self.graph.num_entities),
            (self.relation_seeds, self.graph.num_relations),
        ):
            if pairs is not None:
                shape = (2, len(pairs), self.options.negatives)
                drawn += torch.randint(count, shape, generator=self.generator).to(self.graph.device).unbind()
        return drawn


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
