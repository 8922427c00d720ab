"""What training, evaluation and prediction need of a model, and what ConvE, DistMult and ComplEx have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Scorer(Protocol):
    """A model that answers (head, relation, ?) by comparing one vector with every entity.

    Relations are numbered with their reciprocals: r + R asks for the heads of r.
    """

    num_entities: int
    num_relations: int
    entity_bias: nn.Parameter | None

    def encode(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor: ...

    def encode_rows(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor: ...

    def entity_table(self) -> Tensor: ...

    def score_tails(self, head: Tensor, relation: Tensor) -> Tensor: ...

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor: ...

    # Of nn.Module:
    def parameters(self) -> Iterator[nn.Parameter]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, device: Any) -> Any: ...


class DotProduct(nn.Module, ABC):
    """Scores that compare one vector of a query (head, relation, ?) with the vector of every entity.

    A model adds the tables and says in `encode_rows` what the query's vector is.
    """

    entity: nn.Parameter
    entity_bias: nn.Parameter | None

    @abstractmethod
    def encode_rows(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor:
        """The queries of heads that are looked up already: (batch, width), (batch,) int64 -> (batch, width)."""

    def encode(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor:
        """The vector that each query compares with the entities.

        Args:
            head: (batch,) int64.
            relation: (batch,) int64; r + R asks for heads.
            bfloat16: take large products in bfloat16, accumulated in float32.

        Returns:
            (batch, width) float.
        """
        return self.encode_rows(F.embedding(head, self.entity), relation, bfloat16=bfloat16)

    def entity_table(self) -> Tensor:
        """(entities, width), what a query is compared with."""
        return self.entity

    def score_tails(self, head: Tensor, relation: Tensor) -> Tensor:
        """Logits of every entity as the tail: (batch,), (batch,) -> (batch, entities)."""
        query = self.encode(head, relation)
        if self.entity_bias is None:
            return query @ self.entity.T
        return torch.addmm(self.entity_bias, query, self.entity.T)

    def score(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Logit of each triple: (batch,) three times -> (batch,)."""
        logits = (self.encode(head, relation) * F.embedding(tail, self.entity)).sum(1)
        return logits if self.entity_bias is None else logits + self.entity_bias[tail]
