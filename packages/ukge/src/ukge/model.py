"""The model: two tables, a scorer, and the map from plausibility to confidence (Section 4.1 of the paper)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from ukge.scorers import scorer

KINDS = ("rect", "logi")
INITS = ("unit", "reference")


class UKGE(nn.Module):
    """Confidence f(l) = φ(w g(l) + b) of a fact l = (h, r, t).

    `logit` is w g + b. For "logi" φ is the logistic function (Eq. 3). For "rect" φ bounds the logit to [0, 1] (Eq. 4), when a
    confidence is asked for; training and ranking use the logit itself, because a bound has no gradient outside of it and makes
    ties of all that lies beyond.

    Args:
        num_entities: N.
        num_relations: M.
        dim: k, numbers in a row of either table.
        kind: "rect" or "logi".
        scorer_name: "distmult" (the paper), "complex", "transe" (squared L2), "transe_l1" or "urge".
        init: "unit" starts at w = 1, b = 0; "reference" at w = b = 0 as the published program, where the tables get no gradient
            until b has moved.
        generator: of the tables; None takes torch's global one.

    Raises:
        InputError: an option has no such value.
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        dim: int = 128,
        kind: str = "rect",
        scorer_name: str = "distmult",
        init: str = "unit",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise InputError(f"kind={kind!r} is unknown: one of {', '.join(KINDS)}")
        if init not in INITS:
            raise InputError(f"init={init!r} is unknown: one of {', '.join(INITS)}")
        if dim < 1:
            raise InputError(f"dim={dim} must be 1 or more")
        self.kind = kind
        self.dim = dim
        self.scorer_name = scorer_name
        self.scorer = scorer(scorer_name, dim)
        self.entity = nn.Parameter(torch.empty(num_entities, dim))
        self.relation = nn.Parameter(torch.empty(num_relations, dim))
        self.weight = nn.Parameter(torch.tensor(1.0 if init == "unit" else 0.0))
        self.bias = nn.Parameter(torch.tensor(0.0))
        for table in (self.entity, self.relation):
            # The published program: normal with deviation 0.3, drawn again beyond two deviations.
            nn.init.trunc_normal_(table, 0.0, 0.3, -0.6, 0.6, generator=generator)

    @property
    def num_entities(self) -> int:
        return len(self.entity)

    @property
    def num_relations(self) -> int:
        return len(self.relation)

    def plausibility(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """g(l), (n,), of (n,) int64 ids."""
        query = self.scorer.tail_query(self.entity[head], self.relation[relation])
        return self.scorer.of_pairs(query, self.entity[tail])

    def logit(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """w g(l) + b, (n,), of (n,) int64 ids."""
        return self.weight * self.plausibility(head, relation, tail) + self.bias

    def forward(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Confidence in [0, 1], (n,), of (n,) int64 ids."""
        return self.confidence(self.logit(head, relation, tail))

    def confidence(self, logit: Tensor) -> Tensor:
        """φ, of any shape: what a user is told."""
        return logit.sigmoid() if self.kind == "logi" else logit.clamp(0, 1)

    def fitted(self, logit: Tensor) -> Tensor:
        """What the loss compares with s: the confidence for "logi", the logit itself for "rect"."""
        return logit.sigmoid() if self.kind == "logi" else logit

    def tail_logits(self, head: Tensor, relation: Tensor) -> Tensor:
        """Logits of every entity as tail, (n, N)."""
        return self._all(self.scorer.tail_query(self.entity[head], self.relation[relation]))

    def head_logits(self, relation: Tensor, tail: Tensor) -> Tensor:
        """Logits of every entity as head, (n, N)."""
        return self._all(self.scorer.head_query(self.entity[tail], self.relation[relation]))

    def _all(self, query: Tensor) -> Tensor:
        return self.weight * self.scorer.of_all(query, self.entity) + self.bias

    def is_finite(self) -> bool:
        """Whether no parameter is NaN or infinite."""
        return all(math.isfinite(float(parameter.detach().abs().sum())) for parameter in self.parameters())
