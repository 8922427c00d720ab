"""DistMult and ComplEx in the same 1-N frame as ConvE: the baselines of the paper, trained with the same recipe.

Both score a triple by a product of three vectors, so the query is head times relation and its comparison with the
entities is the same matrix product.

Source: Yang et al. 2015 (DistMult), Trouillon et al. 2016 (ComplEx); as used in Section 6 of the paper.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from conve.model import checked_probability
from conve.scorer import DotProduct


class _Bilinear(DotProduct):
    """Tables, dropout on the inputs, and scores from `encode`.

    Args:
        num_entities: N.
        num_relations: relation rows, reciprocals included: 2R.
        dim: size of an embedding; ComplEx has as many real as imaginary parts, so twice this many numbers.
        input_dropout: on both embeddings.
        reciprocal: True gives r + R parameters of its own; False ties it to r, and asking for heads uses the score's
            own symmetry, so that there are R relation rows.
        entity_bias: adds b_o to the score; the paper's baselines have none.
    """

    numbers = 1  # numbers per dimension

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        dim: int = 200,
        input_dropout: float = 0.2,
        reciprocal: bool = True,
        entity_bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_entities, self.num_relations, self.dim = num_entities, num_relations, dim
        self.input_dropout = checked_probability("input_dropout", input_dropout)
        self.reciprocal = reciprocal
        rows = num_relations if reciprocal else num_relations // 2
        self.entity = nn.Parameter(torch.empty(num_entities, self.numbers * dim))
        self.relation = nn.Parameter(torch.empty(rows, self.numbers * dim))
        self.entity_bias = nn.Parameter(torch.zeros(num_entities)) if entity_bias else None
        for table in (self.entity, self.relation):
            for part in table.data.split(dim, 1):  # real and imaginary parts are two tables of size dim
                nn.init.xavier_normal_(part)

    def encode_rows(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor:
        """`encode` of heads that are looked up already: (batch, numbers * dim), (batch,) -> the same."""
        del bfloat16  # nothing here is wide enough to gain
        backward = None
        if not self.reciprocal:
            half = self.num_relations // 2
            backward = relation >= half
            relation = relation % half
        e = F.dropout(head, self.input_dropout, self.training)
        r = F.dropout(F.embedding(relation, self.relation), self.input_dropout, self.training)
        return self.combine(e, r, backward)

    @abstractmethod
    def combine(self, head: Tensor, relation: Tensor, backward: Tensor | None) -> Tensor:
        """Query of the embeddings; `backward` (batch,) bool marks questions for heads where relations are tied."""


class DistMult(_Bilinear):
    """score(h, r, t) = sum_i h_i r_i t_i; symmetric in head and tail. See `_Bilinear` for the arguments."""

    def combine(self, head: Tensor, relation: Tensor, backward: Tensor | None) -> Tensor:
        """Head times relation, (batch, dim); the same in both directions."""
        return head * relation


class ComplEx(_Bilinear):
    """score(h, r, t) = Re sum_i h_i r_i conj(t_i). See `_Bilinear`; rows hold real parts, then imaginary parts."""

    numbers = 2

    def combine(self, head: Tensor, relation: Tensor, backward: Tensor | None) -> Tensor:
        """Head times relation in the complex numbers, (batch, 2 dim)."""
        h_re, h_im = head.chunk(2, 1)
        r_re, r_im = relation.chunk(2, 1)
        if backward is not None:  # Re(h r conj t) asked for h is Re(t conj(r) conj(h))
            r_im = torch.where(backward[:, None], -r_im, r_im)
        return torch.cat([h_re * r_re - h_im * r_im, h_re * r_im + h_im * r_re], 1)
