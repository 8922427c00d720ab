"""Plausibility g(l) of a fact, written so that one product scores a question against every entity.

Each scorer splits g(h, r, t) into a question and a candidate: the question (h, r, ?) becomes a vector whose dot product with the
candidate vector of any entity t is g(h, r, t), and so does the question (?, r, t) for any h. Training against sampled entities,
ranking all entities and searching the best of them are then the same product.
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
        """The question (h, r, ?), (n, width)."""

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        """The question (?, r, t), (n, width)."""

    def candidates(self, entity: Tensor) -> Tensor:
        """Entities as possible answers, (n, width); a scorer whose candidates are its entities returns the argument."""


class DistMult:
    """g = r · (h ∘ t), the scorer of the paper (Eq. 2); it cannot tell (h, r, t) from (t, r, h)."""

    asymmetric = False

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        return head * relation

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return tail * relation

    def candidates(self, entity: Tensor) -> Tensor:
        return entity


class ComplEx:
    """g = Re⟨h, r, conj(t)⟩ of complex vectors, real parts in the first half of a row (Trouillon et al. 2016)."""

    asymmetric = True

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        (a, b), (c, d) = head.chunk(2, 1), relation.chunk(2, 1)
        return torch.cat([a * c - b * d, a * d + b * c], 1)  # h r

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        (a, b), (c, d) = tail.chunk(2, 1), relation.chunk(2, 1)
        return torch.cat([a * c + b * d, b * c - a * d], 1)  # t conj(r)

    def candidates(self, entity: Tensor) -> Tensor:
        return entity


class TransE:
    """g = -|h + r - t|², the squared L2 form of Bordes et al. 2013; |q - e|² is a dot product in two more dimensions."""

    asymmetric = True

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        return self._widened(head + relation)

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return self._widened(tail - relation)

    def candidates(self, entity: Tensor) -> Tensor:
        square = entity.square().sum(1, keepdim=True)
        return torch.cat([entity, square, torch.ones_like(square)], 1)

    def _widened(self, point: Tensor) -> Tensor:
        square = point.square().sum(1, keepdim=True)
        return torch.cat([2 * point, -torch.ones_like(square), -square], 1)


class Proximity:
    """g = h · t whatever the relation is: first-order proximity of URGE (Hu et al. 2017)."""

    asymmetric = False

    def tail_query(self, head: Tensor, relation: Tensor) -> Tensor:
        # The relation takes part with weight 0, so that its gradient is 0 and not missing.
        return head + 0 * relation

    def head_query(self, tail: Tensor, relation: Tensor) -> Tensor:
        return tail + 0 * relation

    def candidates(self, entity: Tensor) -> Tensor:
        return entity


SCORERS: dict[str, type[Scorer]] = {
    "distmult": DistMult,
    "complex": ComplEx,
    "transe": TransE,
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
