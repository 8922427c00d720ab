"""Batches of graphs: several as one, some of many, and consecutive parts of a whole that share its memory.

A graph's rows and entries stand together, so that a choice of graphs is a gather, and graphs that follow each other are a slice. How
many rows and entries that makes is known to the host (`Extent`): nothing here waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError

if TYPE_CHECKING:
    from ufg.laplacian import LaplacianOperator

Operator = TypeVar("Operator", bound="LaplacianOperator")
Index = Tensor | slice


@dataclass(frozen=True)
class Extent:
    """Where each graph of an operator begins, on the host.

    Attributes:
        nodes: (G + 1,) int64, its first node; at last N.
        entries: (G + 1,) int64, its first stored entry; at last their number.
    """

    nodes: NDArray[np.int64]
    entries: NDArray[np.int64]

    @classmethod
    def of(cls, sizes: Tensor, row_starts: Tensor) -> Extent:
        """From the arrays of an operator; waits for the device."""
        nodes = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        return cls(nodes.cpu().numpy(), row_starts[nodes].cpu().numpy().astype(np.int64))

    def subset(self, graphs: NDArray[np.int64]) -> Extent:
        """Of some graphs, in the order given."""
        nodes, entries = (
            np.concatenate([[0], np.diff(starts)[graphs].cumsum()]) for starts in (self.nodes, self.entries)
        )
        return Extent(nodes, entries)

    def part(self, begin: int, end: int) -> Extent:
        """Of the graphs from begin to end - 1."""
        starts = slice(begin, end + 1)
        return Extent(self.nodes[starts] - self.nodes[begin], self.entries[starts] - self.entries[begin])


def joined(operators: Sequence[Operator]) -> Operator:
    """Several operators as one; see `GraphOperator.batch`."""
    if not operators:
        raise InputError("a batch of no graphs: give one or more")
    kind = type(operators[0])
    nodes = np.cumsum([0] + [op.num_nodes for op in operators])
    entries = np.cumsum([0] + [op.num_entries for op in operators])
    starts = [op.row_starts[min(i, 1) :] + int(entries[i]) for i, op in enumerate(operators)]
    return kind(
        torch.cat(starts),
        torch.cat([op.columns + int(first) for op, first in zip(operators, nodes, strict=False)]),
        torch.cat([op.values for op in operators]),
        torch.cat([op.degree for op in operators]),
        torch.cat([op.sizes for op in operators]),
        torch.cat([op.lambda_max for op in operators]),
    )


def subset(op: Operator, graphs: NDArray[np.int64]) -> Operator:
    """Some graphs of a batch in the order given; see `LaplacianOperator.subset`."""
    extent, device = op.extent.subset(graphs), op.device
    moved = extent.nodes[:-1] - op.extent.nodes[graphs]  # of the nodes of each graph
    nodes = _ranges(op.extent.nodes, extent.nodes, graphs, device)
    entries = _ranges(op.extent.entries, extent.entries, graphs, device)
    shift = _repeated(moved.astype(np.int32), extent.entries, device)
    row_shift = (extent.entries[:-1] - op.extent.entries[graphs]).astype(np.int32)
    row_ends = op.row_starts[1:][nodes] + _repeated(row_shift, extent.nodes, device)
    which = torch.from_numpy(graphs).to(device)
    return type(op)(
        torch.cat([row_ends.new_zeros(1), row_ends]),
        op.columns[entries] + shift,
        op.values[entries],
        op.degree[nodes],
        op.sizes[which],
        op.lambda_max[which],
        extent=extent,
        origin=(op, nodes, entries),
    )


def nodes_of(op: LaplacianOperator, graphs: NDArray[np.int64]) -> Tensor:
    """The nodes of some graphs, in the order of `subset`."""
    return _ranges(op.extent.nodes, op.extent.subset(graphs).nodes, graphs, op.device)


def parts(op: Operator, size: int) -> Iterator[Operator]:
    """So many consecutive graphs at a time; see `LaplacianOperator.parts`."""
    for begin in range(0, op.num_graphs, size):
        end = min(begin + size, op.num_graphs)
        graphs = slice(begin, end)
        nodes = slice(*op.extent.nodes[[begin, end]].tolist())
        entries = slice(*op.extent.entries[[begin, end]].tolist())
        yield type(op)(
            op.row_starts[nodes.start : nodes.stop + 1] - entries.start,
            op.columns[entries] - nodes.start,
            chosen(op.values, entries),
            op.degree[nodes],
            op.sizes[graphs],
            op.lambda_max[graphs],
            extent=op.extent.part(begin, end),
            origin=(op, nodes, entries),
        )


def chosen(values: Tensor, index: Index) -> Tensor:
    """The values at an index. A slice shares memory on a CPU; sparse libraries of a GPU may want rounder addresses than it has."""
    found = values[index]
    return found.clone() if isinstance(index, slice) and values.device.type != "cpu" else found


def _ranges(
    old: NDArray[np.int64], new: NDArray[np.int64], graphs: NDArray[np.int64], device: torch.device
) -> Tensor:
    """old[g], old[g] + 1, ... for each graph g chosen, side by side; `new` is where each begins in the result."""
    shift = _repeated(old[graphs] - new[:-1], new, device)
    return torch.arange(int(new[-1]), device=device) + shift


def _repeated(values: NDArray[Any], starts: NDArray[np.int64], device: torch.device) -> Tensor:
    """Each value as often as there is room from its start to the next one."""
    counts = torch.from_numpy(np.diff(starts)).to(device)
    given = torch.from_numpy(values).to(device)
    return torch.repeat_interleave(given, counts, output_size=int(starts[-1]))
