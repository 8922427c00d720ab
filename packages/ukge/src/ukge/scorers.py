"""Plausibility g(l) of a fact, written so that one question is scored against every entity at once.

Each scorer splits g(h, r, t) into a question and a candidate: the question (h, r, ?) becomes a vector that is compared with the row of
any entity t, by a dot product or by a distance, and so does the question (?, r, t) with any h. Training against sampled entities,
ranking all entities and searching the best of them are then the same comparison.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from offprints.errors import InputError
from offprints.user_errors import closest


class Scorer(Protocol):
    """How rows of the two tables make a plausibility; rows are (n, dim) float."""

    asymmetric: bool
    """Whether g(h, r, t) may differ from g(t, r, h)."""

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        """The question (h, r, ?), (n, dim)."""

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        """The question (?, r, t), (n, dim)."""

    def of_pairs(self, query: Tensor, candidate: Tensor) -> Tensor:
        """g of questions with one candidate each, (..., dim) both; they broadcast."""

    def of_all(self, query: Tensor, candidate: Tensor) -> Tensor:
        """g of each of (q, dim) questions with each of (n, dim) candidates, (q, n)."""


class _Product:
    """A question and a candidate are compared by their dot product."""

    def of_pairs(self, query: Tensor, candidate: Tensor) -> Tensor:
        return (query * candidate).sum(-1)

    def of_all(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query @ candidate.T


class DistMult(_Product):
    """g = r · (h ∘ t), the scorer of the paper (Eq. 2); it cannot tell (h, r, t) from (t, r, h)."""

    asymmetric = False

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        return head * relation

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return tail * relation


class ComplEx(_Product):
    """g = Re⟨h, r, conj(t)⟩ of complex vectors, real parts in the first half of a row (Trouillon et al. 2016)."""

    asymmetric = True

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        (a, b), (c, d) = head.chunk(2, 1), relation.chunk(2, 1)
        return torch.cat([a * c - b * d, a * d + b * c], 1)  # h r

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        (a, b), (c, d) = tail.chunk(2, 1), relation.chunk(2, 1)
        return torch.cat([a * c + b * d, b * c - a * d], 1)  # t conj(r)


class Proximity(_Product):
    """g = h · t whatever the relation is: first-order proximity of URGE (Hu et al. 2017)."""

    asymmetric = False

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        # The relation takes part with weight 0, so that its gradient is 0 and not missing.
        return head + 0 * relation

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return tail + 0 * relation


class _Translation:
    """A question is the point where its answer should lie."""

    asymmetric = True

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        return head + relation

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return tail - relation


class TransE(_Translation):
    """g = -|h + r - t|², the squared L2 form of Bordes et al. 2013."""

    def of_pairs(self, query: Tensor, candidate: Tensor) -> Tensor:
        return -(query - candidate).square().sum(-1)

    def of_all(self, query: Tensor, candidate: Tensor) -> Tensor:
        norms = query.square().sum(1, keepdim=True) + candidate.square().sum(1)
        return 2 * query @ candidate.T - norms


class TransEL1(_Translation):
    """g = -‖h + r - t‖₁, the L1 form of Bordes et al. 2013."""

    def of_pairs(self, query: Tensor, candidate: Tensor) -> Tensor:
        return -(query - candidate).abs().sum(-1)

    def of_all(self, query: Tensor, candidate: Tensor) -> Tensor:
        return -torch.cdist(query, candidate, p=1.0)


SCORERS: dict[str, type[Scorer]] = {
    "distmult": DistMult,
    "complex": ComplEx,
    "transe": TransE,
    "transe_l1": TransEL1,
    "urge": Proximity,
}


def scorer(name: str, dim: int) -> Scorer:
    """The scorer of that name.

    Raises:
        InputError: there is none, or `dim` does not suit it.
    """
    if name not in SCORERS:
        raise InputError(f"there is no scorer {name!r}{closest(name, SCORERS)}")
    if name == "complex" and dim % 2:
        raise InputError(f"dim={dim} must be even for complex: half of it are imaginary parts")
    return SCORERS[name]()
