"""Layer norm that changes nothing: Booleans as pairs (2x - 1, 1 - 2x), whose mean is 0 and whose variance is 1.

Layer norm forgets size, and a position embedding is all size. So what a block reads is split: truth values go through the norm, as pairs,
and numbers (rungs, counts, what heads wrote before it was rounded) pass by it. On exact truth values the norm is the identity to the
bit, in every format: sums of 1 and -1 are whole numbers. It has no epsilon and no gain, which would be undone by the next weights.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

NORMS = ("none", "pre")


class PairNorm(nn.Module):
    """Layer norm of the Boolean ones among some columns.

    Args:
        columns: the columns that a block reads.
        booleans: which of all columns hold truth values; one or more of `columns` do.

    Attributes:
        paired: (k,) places of the Boolean ones.
        plain: (rest,) places of the others.
    """

    paired: Tensor
    plain: Tensor

    def __init__(self, columns: Sequence[int], booleans: Collection[int]) -> None:
        super().__init__()
        paired = [at for at, column in enumerate(columns) if column in booleans]
        plain = [at for at, column in enumerate(columns) if column not in booleans]
        self.register_buffer("paired", torch.tensor(paired, dtype=torch.int64), persistent=False)
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., columns) -> (..., 2 k + rest): the normalised pairs, then what passes by."""
        half = 2 * x.index_select(-1, self.paired) - 1
        pairs = torch.cat([half, -half], -1)
        size = pairs.shape[-1]
        # Divided, and not multiplied by 1 / size, which would round; torch's fused norm takes running means, which round too.
        centred = pairs - pairs.sum(-1, keepdim=True) / size
        variance = centred.square().sum(-1, keepdim=True) / size
        return torch.cat([centred / variance.sqrt(), x.index_select(-1, self.plain)], -1)

    def through(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weights on columns as weights on what `forward` gives: x is (z - z') / 4 + 1/2 for its pair (z, z').

        Args:
            weight: (rows, columns).
            bias: (rows,), or None for 0.
        """
        on_pairs = weight[:, self.paired] / 4
        shift = 2 * on_pairs.sum(1)
        wide = torch.cat([on_pairs, -on_pairs, weight[:, self.plain]], 1)
        return wide, shift if bias is None else bias + shift


def booleans(columns: Sequence[str]) -> frozenset[int]:
    """The columns that hold truth values, by their names.

    Args:
        columns: of a program.
    """
    alone = ("here", "bos", "first", "last")
    begins = ("letter ", "rounded ", "gate ", "mod ", "pred ")
    return frozenset(at for at, name in enumerate(columns) if name in alone or name.startswith(begins))
