"""The supervised contrastive loss and the metrics of collapse beside their peers; writes results.json beside this file.

    nox -s "bench(supcon-simplex)"                          the table of docs/benchmarks.md
    nox -s "bench(supcon-simplex)" -- --rounds 5            quicker and noisier
    nox -s "bench(supcon-simplex)" -- --only loss           a part: loss, collapse, gpu; the other parts of results.json stay
    nox -s "bench(supcon-simplex)" -- --no-peers            ours alone

`loss` is normalisation, loss and gradient of a batch of 128 features in single precision, ten or a hundred classes, temperature 0.1;
gradients are compared before they are timed. Times are medians of rounds in which ours and its peers take turns. `bound_share`
is the share reached of what the matrix products alone would take at the speed of a large one: half of the similarities, and
their gradient. The peers are left out where their matrices would take more than some gigabytes. `collapse` is 60,000 rows of 512
features in blocks of 1000.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from peers import dense_supcon, two_passes
from torch import Tensor

from offprints.benchmark import Entry, compared, in_turn, run

from supcon_simplex import CollapseMetrics, supcon_loss

SIZES = (256, 1024, 4096, 8192, 16_384)
FEATURES = 128
TEMPERATURE = 0.1
LARGEST_DENSE = 8192  # beyond, a peer's dozen matrices of 1 GB each do not fit an ordinary machine


def loss(options: argparse.Namespace) -> Iterator[Entry]:
    """Loss and gradient of a batch."""
    for threads in options.threads:
        torch.set_num_threads(threads)
        for classes in (10, 100):
            for rows in SIZES if classes == 10 else SIZES[:3]:
                yield from _of_batch("loss", rows, classes, threads, options, torch.device("cpu"))


def gpu(options: argparse.Namespace) -> Iterator[Entry]:
    """`loss` on a GPU, where there is one."""
    if not torch.cuda.is_available():
        return
    for rows in (*SIZES, 32_768):
        yield from _of_batch("gpu loss", rows, 10, 1, options, torch.device("cuda", 0))


def collapse(options: argparse.Namespace) -> Iterator[Entry]:
    """NC1 to NC3 and the variance between classes, streamed."""
    generator = torch.Generator().manual_seed(0)
    for rows in (6_000, 20_000, 60_000):
        y = torch.randint(10, (rows,), generator=generator)
        z = torch.randn(10, 512, generator=generator)[y] + torch.randn(rows, 512, generator=generator)
        blocks = list(zip(z.split(1000), y.split(1000), strict=True))

        def ours(blocks: list[tuple[Tensor, Tensor]] = blocks) -> dict[str, float]:
            metrics = CollapseMetrics(10, 512)
            for block in blocks:
                metrics.update(*block)
            return metrics.compute().metrics()

        works: dict[str, Callable[[], object]] = {"ours": ours}
        peer = "" if options.no_peers else "two passes, torch"
        if peer:
            works[peer] = lambda blocks=blocks: two_passes(blocks, 10)
            _check_close(
                {name: ours()[name] for name in ("nc1_pinv", "nc2_etf", "cdnv")}, two_passes(blocks, 10)
            )
        for threads in options.threads:
            torch.set_num_threads(threads)
            timings = in_turn(works, min(options.rounds, 5))
            yield compared("collapse 512 features", rows, threads, timings["ours"], peer, timings.get(peer))


def _of_batch(
    workload: str, rows: int, classes: int, threads: int, options: argparse.Namespace, device: torch.device
) -> Iterator[Entry]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, FEATURES, generator=generator).to(device).requires_grad_()
    y = (torch.randperm(rows, generator=generator) % classes).to(
        device
    )  # each row has a partner: all then take the same mean
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ours": lambda x, y: supcon_loss(x, y, TEMPERATURE)
    }
    if not options.no_peers and rows <= LARGEST_DENSE:
        from pytorch_metric_learning.losses import SupConLoss

        losses["dense torch"] = lambda x, y: dense_supcon(x, y, TEMPERATURE)
        losses[f"pytorch-metric-learning {version('pytorch-metric-learning')}"] = SupConLoss(TEMPERATURE)
    works = {name: _step(function, x, y) for name, function in losses.items()}
    found = {name: work() for name, work in works.items()} if rows <= 1024 else {}
    for name, gradient in found.items():
        if not torch.allclose(gradient, found["ours"], rtol=1e-3, atol=1e-4 * float(gradient.abs().max())):
            raise AssertionError(f"{name} gives another gradient")
    rounds = max(3, min(options.rounds, 50_000_000 // rows**2))
    gpu_device = device if device.type == "cuda" else None
    timings = in_turn(works, rounds, repeat=5 if rows <= 1024 else 1, device=gpu_device)
    share = None if gpu_device else _products_seconds(rows) / timings["ours"].best
    for peer in list(losses)[1:] or [""]:
        its = timings.get(peer)
        name = f"{workload} K={classes}"
        memory = (
            its.peak_mb / timings["ours"].peak_mb if its and its.peak_mb and timings["ours"].peak_mb else None
        )
        yield compared(
            name, rows, threads, timings["ours"], peer, its, bound_share=share, memory_ratio=memory
        )


def _step(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    def step() -> Tensor:
        (gradient,) = torch.autograd.grad(function(x, y), x)
        return gradient

    return step


def _products_seconds(rows: int) -> float:
    """Of half the similarities and all of their gradient, at the best speed that a product of 1024 rows reaches."""
    z = torch.randn(1024, FEATURES)
    out = torch.empty(1024, 1024)
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        torch.mm(z, z.T, out=out)
        best = min(best, time.perf_counter() - started)
    return best * (rows / 1024) ** 2 * 1.5


def _check_close(ours: dict[str, float], theirs: dict[str, float]) -> None:
    for name, value in theirs.items():
        if abs(ours[name] - value) > 1e-4 * abs(value):
            raise AssertionError(f"{name}: {ours[name]} and {value}")


if __name__ == "__main__":
    run({"loss": loss, "collapse": collapse, "gpu": gpu}, __doc__, Path(__file__).with_name("results.json"))
