"""What training, evaluation and prediction need of a model: the one interface of ConvE, DistMult and ComplEx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn


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
