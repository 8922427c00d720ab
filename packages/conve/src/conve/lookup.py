"""Rows of a table whose gradient joins the one that the rest of a loss gives the whole table.

The entity table is used twice in a step: a few rows of it are the heads of the queries, and all of it is what they are
compared with. Left to itself, autograd fills a second table-sized gradient with zeros and a few rows, and adds up the
two: three passes over the widest parameter for the sake of a batch of rows.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


def look_up(table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the table, and the table for all other uses in the same loss.

    The gradient of the second is written into, so it must not be kept by who computes it: `one_to_n_loss` and indexing
    hand out a fresh one.

    Args:
        table: (entities, dim) float.
        ids: (batch,) int64.

    Returns:
        (batch, dim), and the table itself (entities, dim).
    """
    rows, same = _LookUp.apply(table, ids)  # type: ignore[no-untyped-call]
    return rows, same


class _LookUp(Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ids)
        return table[ids], table.view_as(table)

    @staticmethod
    def backward(ctx: Any, rows: Tensor, table: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        return table.index_add_(0, ids, rows), None
