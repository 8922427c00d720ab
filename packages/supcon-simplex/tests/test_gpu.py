"""On a GPU: the numbers of the CPU. All of it is skipped where there is no GPU."""

from __future__ import annotations

import pytest
import torch

from supcon_simplex import (
    CollapseMetrics,
    GapMeter,
    SimplexHead,
    ensemble_supcon_loss,
    regular_simplex,
    supcon_loss,
)

OPTIONS = [
    {},
    {"positive_weight": 0.5},
    {"variant": "in"},
    {"temperature": 0.005},
    {"normalize": False},
    {"reduction": "mean_positive"},
]


def drawn(rows: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 32, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(7, (rows,), generator=generator)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rows", [1, 300, 5000])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.filterwarnings("ignore:all labels are different")
def test_the_loss_and_its_gradient(cuda: torch.device, options: dict, rows: int, dtype: torch.dtype) -> None:
    x, y = drawn(rows, dtype)
    found = []
    for device in ("cpu", cuda):
        free = x.to(device).detach().requires_grad_()
        loss = supcon_loss(free, y.to(device), **options)
        loss.backward()
        found.append((loss.detach().cpu(), free.grad.cpu()))
    close = {"rtol": 1e-9, "atol": 1e-11} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found[1][0], found[0][0], **close)
    torch.testing.assert_close(found[1][1], found[0][1], **close)


def test_views_masks_and_runs(cuda: torch.device) -> None:
    x, y = drawn(60, torch.float64)
    views, labels = x.view(30, 2, 32), y[:30]
    for anchors in ("all", "first"):
        for given in (
            {"labels": labels},
            {"labels": None},
            {"labels": None, "mask": labels[:, None] == labels},
        ):
            on_gpu = {name: value if value is None else value.to(cuda) for name, value in given.items()}
            expected = supcon_loss(views, anchors=anchors, **given)
            found = supcon_loss(views.to(cuda), anchors=anchors, **on_gpu)
            torch.testing.assert_close(found.cpu(), expected, rtol=1e-9, atol=1e-11)
    runs = ensemble_supcon_loss(x.view(4, 15, 32).to(cuda), y.view(4, 15).to(cuda))
    torch.testing.assert_close(runs.cpu(), ensemble_supcon_loss(x.view(4, 15, 32), y.view(4, 15)))


def test_half_precision_under_autocast(cuda: torch.device) -> None:
    x, y = drawn(300, torch.float32)
    with torch.autocast("cuda", torch.float16):
        z = x.to(cuda).half()
        found = supcon_loss(z, y.to(cuda))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.cpu(), supcon_loss(x.half(), y), rtol=1e-4, atol=1e-4)


def test_metrics_and_heads_live_there(cuda: torch.device) -> None:
    x, y = drawn(2000, torch.float64)
    weight = regular_simplex(7, 32)
    on_cpu = CollapseMetrics(7, 32).update(x, y).compute(weight).metrics()
    metrics = CollapseMetrics(7, 32)
    for part in torch.arange(2000).split(300):
        metrics.update(x[part].to(cuda), y[part].to(cuda))
    assert metrics.mean.device.type == "cuda"
    assert metrics.compute(weight.to(cuda)).metrics() == pytest.approx(on_cpu, rel=1e-8, abs=1e-10)
    head = SimplexHead(32, 7).to(cuda)
    assert head(x.float().to(cuda)).device.type == "cuda"
    meter = GapMeter(7, 0.1)
    meter.update(supcon_loss(x.to(cuda), y.to(cuda)), y.to(cuda))
    assert meter.compute().gap > 0
