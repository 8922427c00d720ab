"""Rows of all processes as keys, with the gradient that one process would find.

Each process compares its own rows with those of all. A key's gradient comes from the anchors of every process, so the backward pass
sums it over them. The loss of a process is its share of the whole loss times their number: where gradients are averaged, as
DistributedDataParallel and Fabric do, the average is the gradient of the whole batch, and the mean of the losses is its loss.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from supcon_simplex.collapse import CollapseMetrics


class Gathered(NamedTuple):
    """Rows of all processes.

    Attributes:
        rows: (N, ...), those of process 0, then of 1, and so on.
        first: where this process's own begin.
    """

    rows: Tensor
    first: int


def processes() -> int:
    """How many work together; 1 where torch.distributed is not at work."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(rows: Tensor) -> Gathered:
    """The rows of all processes, each of which may have another number of them, with their gradient.

    Args:
        rows: (n, ...), alike but for n in all processes.

    Returns:
        The gradient of all processes with respect to `rows` is summed in the backward pass, which all of them must run.
    """
    sizes = _sizes(rows)
    found: Tensor = cast(Any, _Gather).apply(rows, sizes)
    return Gathered(found, sum(sizes[: dist.get_rank()]))


def total(count: Tensor) -> Tensor:
    """Sum over the processes, without a gradient."""
    found = count.detach().clone()
    dist.all_reduce(found)
    return found


def gather_metrics(metrics: CollapseMetrics) -> CollapseMetrics:
    """The metrics of all processes merged, the same in each; a new object.

    Give the metrics of each process a `seed` of its own, such as its rank, so that their samples differ.
    """
    if processes() == 1:
        return metrics
    classes, features = metrics.mean.shape
    parts = [metrics.count[None], metrics.mean[None], metrics.spread[None]]
    counts, means, spreads = (gather_rows(part).rows for part in parts)
    scatters = None if metrics.scatter is None else gather_rows(metrics.scatter[None]).rows
    merged = CollapseMetrics(classes, features, covariance=scatters is not None, sample=metrics.sample.size)
    for number in range(processes()):
        scatter = None if scatters is None else scatters[number]
        merged.merge_moments(counts[number], means[number], spreads[number], scatter)
    merged.sample = metrics.sample.gathered(
        features, metrics.mean.device, lambda rows: gather_rows(rows).rows
    )
    return merged


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(found, padded)
        return torch.cat([part[:size] for part, size in zip(found, sizes, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        first = sum(ctx.sizes[: dist.get_rank()])
        return gradient[first : first + ctx.sizes[dist.get_rank()]], None


def _sizes(rows: Tensor) -> list[int]:
    own = torch.tensor([len(rows)], device=rows.device)
    found = [torch.empty_like(own) for _ in range(processes())]
    dist.all_gather(found, own)
    return [int(size) for size in found]
