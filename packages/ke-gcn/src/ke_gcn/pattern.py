"""The edges of a graph in the orders that the kernels walk them: by receiver, by relation, by row and by column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Edges:
    """Directed messages, grouped by the entity that receives them.

    Attributes:
        indptr: (entities + 1,) int64; entity v receives messages indptr[v] to indptr[v + 1].
        receiver: (messages,) int32.
        source: (messages,) int32, the entity that a message comes from.
        relation: (messages,) int32.
        sign: (messages,) int8: 1 from head to tail, -1 from tail to head, where the relation is conjugated.
        triple: (messages,) int64, row of the triple.
    """

    indptr: Tensor
    receiver: Tensor
    source: Tensor
    relation: Tensor
    sign: Tensor
    triple: Tensor


@dataclass(frozen=True)
class Groups:
    """The same messages, those of one relation to one entity in one direction together.

    Attributes:
        indptr: (entities + 1,) int64; entity v receives groups indptr[v] to indptr[v + 1].
        first: (groups + 1,) int64; group g has the messages first[g] to first[g + 1].
        relation: (groups,) int32.
        sign: (groups,) int8, as in Edges.
        source: (messages,) int32.
    """

    indptr: Tensor
    first: Tensor
    relation: Tensor
    sign: Tensor
    source: Tensor


@dataclass(frozen=True)
class ByRelation:
    """Triples grouped by relation.

    Attributes:
        indptr: (relations + 1,) int64.
        head: (triples,) int32.
        relation: (triples,) int32.
        tail: (triples,) int32.
    """

    indptr: Tensor
    head: Tensor
    relation: Tensor
    tail: Tensor


@dataclass(frozen=True)
class Pattern:
    """Where a sparse matrix has entries, row by row and column by column.

    Attributes:
        shape: rows and columns.
        indptr: (rows + 1,) int64.
        row: (entries,) int32.
        column: (entries,) int32.
        transposed_indptr: (columns + 1,) int64.
        transposed_order: (entries,) int64, the entries sorted by column.
        transposed_row: (entries,) int32, the row of each, in that order.
    """

    shape: tuple[int, int]
    indptr: Tensor
    row: Tensor
    column: Tensor
    transposed_indptr: Tensor
    transposed_order: Tensor
    transposed_row: Tensor

    @classmethod
    def of(cls, row: Array, column: Array, shape: tuple[int, int], device: torch.device) -> Pattern:
        """From entries that are sorted by row; an entry may stand more than once."""
        order = np.argsort(column, kind="stable")
        return cls(
            shape,
            *(
                torch.from_numpy(array).to(device)
                for array in (
                    starts(row, shape[0]),
                    row.astype(np.int32),
                    column.astype(np.int32),
                    starts(column[order], shape[1]),
                    order,
                    row[order].astype(np.int32),
                )
            ),
        )


@dataclass(frozen=True)
class Matrix:
    """A sparse matrix of constants.

    Attributes:
        pattern: where its entries are.
        values: (entries,) float.
    """

    pattern: Pattern
    values: Tensor
    _typed: dict[tuple[torch.dtype, bool], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def weights(self, dtype: torch.dtype, transposed: bool = False) -> Tensor:
        """The values in another type, and by column if transposed; made once."""
        key = dtype, transposed
        if key not in self._typed:
            values = self.values[self.pattern.transposed_order] if transposed else self.values
            self._typed[key] = values.to(dtype)
        return self._typed[key]

    @classmethod
    def of(cls, matrix: Any, dtype: torch.dtype, device: torch.device) -> Matrix:
        """From a scipy sparse matrix."""
        compressed = matrix.tocsr()
        compressed.sum_duplicates()
        row = np.repeat(np.arange(compressed.shape[0]), np.diff(compressed.indptr))
        values = torch.from_numpy(compressed.data).to(device, dtype)
        return cls(Pattern.of(row, compressed.indices, compressed.shape, device), values)


def starts(sorted_ids: Array, count: int) -> Array:
    """Where each id's entries begin in a sorted column, and where the last ends; (count + 1,) int64."""
    return np.searchsorted(sorted_ids, np.arange(count + 1)).astype(np.int64)
