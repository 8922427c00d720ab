"""ConvE: two embeddings become one picture, a convolution reads it, and its reading is compared with every entity.

    e_s, e_r  ->  stack as an image  ->  conv 3x3  ->  flatten, project to d  ->  q ;   logits = q E^T + b

The encoder sees only (head, relation), so one pass answers the question for all entities at once (1-N scoring).
Heads are asked for through reciprocal relations: (?, r, o) is the query (o, r + R).

Source: Dettmers et al. 2018, Section 4 and Figure 1. The formula of the paper leaves out the biases, batch
normalisations and dropouts; the published program has them, in the order kept here, and they made its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from offprints.errors import InputError

from conve.norm import BatchNorm
from conve.picture import convolve_norm_relu_drop
from conve.scorer import DotProduct

Stacking = Literal["rows", "interleaved", "flat"]


class ConvE(DotProduct):
    """Score of (s, r, o): relu(vec(relu(conv([e_s; e_r]))) W) . e_o + b_o.

    Args:
        num_entities: N.
        num_relations: relation rows, reciprocals included: 2R for a graph with R relations.
        dim: d, size of an embedding.
        shape: (height, width) of one embedding as a picture, height * width = d; None picks the factorisation
            nearest to twice as high as wide (20 x 10 for 200, as in the published program).
        channels: number of filters.
        kernel: side of a square filter.
        input_dropout: on the stacked picture, after its normalisation ("embedding dropout" of the paper).
        feature_dropout: drops whole feature maps.
        hidden_dropout: on the projection, before its normalisation.
        conv_bias: bias of the filters; without effect on the function, for a normalisation follows.
        entity_bias: b; without it every entity competes on its embedding alone.
        stacking: "rows" puts the head's picture above the relation's (the paper); "interleaved" takes their rows in
            turn, so that filters meet both at every height; "flat" lays both out on one line each, the
            one-dimensional control, where a filter is 2 x kernel wide.

    Raises:
        InputError: dim has no such shape, or the filter is larger than the picture; the valid shapes are listed.
    """

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        dim: int = 200,
        shape: tuple[int, int] | None = None,
        channels: int = 32,
        kernel: int = 3,
        input_dropout: float = 0.2,
        feature_dropout: float = 0.2,
        hidden_dropout: float = 0.3,
        conv_bias: bool = False,
        entity_bias: bool = True,
        stacking: Stacking = "rows",
    ) -> None:
        super().__init__()
        self.num_entities, self.num_relations, self.dim = num_entities, num_relations, dim
        self.stacking = stacking
        self.picture, self.filter_size = picture_size(dim, shape, kernel, stacking)
        self.input_dropout, self.feature_dropout, self.hidden_dropout = (
            checked_probability("input_dropout", input_dropout),
            checked_probability("feature_dropout", feature_dropout),
            checked_probability("hidden_dropout", hidden_dropout),
        )
        height, width = self.picture
        self.shape = (height // 2, width)
        features = channels * (height - self.filter_size[0] + 1) * (width - self.filter_size[1] + 1)

        self.entity = nn.Parameter(torch.empty(num_entities, dim))
        self.relation = nn.Parameter(torch.empty(num_relations, dim))
        self.entity_bias = nn.Parameter(torch.zeros(num_entities)) if entity_bias else None
        self.input_norm = BatchNorm(1)
        self.conv = nn.Conv2d(1, channels, self.filter_size, bias=conv_bias)
        self.feature_norm = BatchNorm(channels)
        self.projection = nn.Linear(features, dim)
        self.output_norm = BatchNorm(dim)
        # Only the tables are initialised by the paper's program; the layers keep torch's defaults.
        nn.init.xavier_normal_(self.entity)
        nn.init.xavier_normal_(self.relation)

    def encode_rows(self, head: Tensor, relation: Tensor, *, bfloat16: bool = False) -> Tensor:
        """`encode` of heads that are looked up already: (batch, dim), (batch,) -> (batch, dim), never negative."""
        image = self.stack(head, F.embedding(relation, self.relation))  # (B, 1, H, W)
        image = F.dropout(self.input_norm(image), self.input_dropout, self.training)
        features = convolve_norm_relu_drop(
            image, self.conv, self.feature_norm, self.feature_dropout, self.training, bfloat16
        )  # (B, C * H' * W')
        if bfloat16:
            weight = self.projection.weight.bfloat16()
            hidden = F.linear(features, weight).float() + self.projection.bias  # (B, d)
        else:
            hidden = self.projection(features)
        # Dropout comes before this normalisation: the published program's order.
        hidden = F.dropout(hidden, self.hidden_dropout, self.training)
        return F.relu(self.output_norm(hidden))

    def stack(self, head: Tensor, relation: Tensor) -> Tensor:
        """Two embeddings (batch, d) as one picture (batch, 1, height, width)."""
        height, width = self.picture
        if self.stacking == "interleaved":
            pair = torch.stack([head.view(-1, height // 2, width), relation.view(-1, height // 2, width)], 2)
            return pair.reshape(-1, 1, height, width)
        return torch.cat([head, relation], 1).view(-1, 1, height, width)


def picture_size(
    dim: int, shape: tuple[int, int] | None, kernel: int, stacking: Stacking
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width of the stacked picture, and of a filter.

    Raises:
        InputError: the shape does not hold the embedding or the filter does not fit the picture.
    """
    if stacking not in ("rows", "interleaved", "flat"):
        raise InputError(f"unknown stacking {stacking!r}: one of rows, interleaved, flat")
    if stacking == "flat":
        if kernel > dim:
            raise InputError(f"a filter of width {kernel} is larger than an embedding of size {dim}")
        return (2, dim), (2, kernel)
    fitting = [
        (high, dim // high)
        for high in range(1, dim + 1)
        if dim % high == 0 and kernel <= 2 * high and kernel <= dim // high
    ]
    if shape is None:
        if not fitting:
            raise InputError(
                f"no picture of {dim} = height x width fits a {kernel} x {kernel} filter: change dim"
            )
        shape = min(fitting, key=lambda size: abs(size[0] - 2 * size[1]))
    if tuple(shape) not in fitting:
        choices = ", ".join(f"{high}x{wide}" for high, wide in fitting) or "none"
        raise InputError(
            f"shape {shape[0]}x{shape[1]} does not fit dim {dim} with a {kernel} x {kernel} filter; valid: {choices}"
        )
    return (2 * shape[0], shape[1]), (kernel, kernel)


def checked_probability(name: str, value: float) -> float:
    """A dropout probability in [0, 1)."""
    if not 0 <= value < 1:
        raise InputError(f"{name} is {value}: a dropout probability lies in [0, 1)")
    return float(value)


REFERENCE_NAMES = {
    "emb_e.weight": "entity",
    "emb_rel.weight": "relation",
    "b": "entity_bias",
    "bn0": "input_norm",
    "conv1": "conv",
    "bn1": "feature_norm",
    "fc": "projection",
    "bn2": "output_norm",
}


def from_reference_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state with the parameter names of the authors' program, under ours; for `ConvE.load_state_dict`."""
    renamed = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        ours = REFERENCE_NAMES.get(name) or f"{REFERENCE_NAMES[first]}.{rest}"
        if rest != "num_batches_tracked":
            renamed[ours] = value
    return renamed
