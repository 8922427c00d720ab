"""One of several processes, each with rows of its own; the first writes what all found together.

python distributed_worker.py FOLDER RANK WORLD
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from supcon_simplex import CollapseMetrics, gather_metrics, supcon_loss

SIZES = [5, 1, 8]
CASES = list(
    itertools.product(["mean", "mean_positive", "mean_nonzero", "sum"], ["all", "first"], ["out", "in"])
)


def model() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(6, 4).double()


def batch(world: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views of the samples of all processes, and their labels."""
    rows = sum(SIZES[:world])
    x = torch.randn(rows, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(rows) % 3 * 10


def own_rows(rank: int) -> slice:
    return slice(sum(SIZES[:rank]), sum(SIZES[: rank + 1]))


def losses(world: int, rows: slice, gather: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Loss and gradient of the weights in each case."""
    x, y = batch(world)
    found = []
    for reduction, anchors, variant in CASES:
        for labels in (y[rows], None):
            encoder = model()
            options = {"reduction": reduction, "anchors": anchors, "variant": variant, "gather": gather}
            loss = supcon_loss(encoder(x[rows]), labels, 0.2, **options)
            loss.backward()
            found.append((loss.detach(), encoder.weight.grad))
    return found


def metrics(world: int, rows: slice, seed: int) -> CollapseMetrics:
    x, y = batch(world)
    return CollapseMetrics(3, 6, sample=1000, seed=seed).update(x[rows, 0], y[rows] // 10)


def single_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows in single precision, that one process alone has."""
    return torch.randn(30, 6, generator=torch.Generator().manual_seed(2)), torch.arange(30) % 3


def main(folder: Path, rank: int, world: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    found = losses(world, own_rows(rank), gather=True)
    for loss, gradient in found:  # as DistributedDataParallel does
        for value in (loss, gradient):
            dist.all_reduce(value)
            value /= world
    collapse = gather_metrics(metrics(world, own_rows(rank), seed=rank)).compute()
    one_only = CollapseMetrics(3, 6, sample=1000, seed=rank)
    if rank == world - 1:
        x, y = single_rows()
        one_only.update(x, y)
    of_one = gather_metrics(one_only).compute()
    if rank == world - 1:
        torch.save(
            {
                "losses": found,
                "collapse": collapse.metrics(),
                "sampled": collapse.sampled,
                "of_one": of_one.metrics(),
            },
            folder / "found.pt",
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
