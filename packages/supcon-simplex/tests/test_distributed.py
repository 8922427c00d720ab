"""Several processes find what one does with all their rows, to the gradient of the weights."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from supcon_simplex import CollapseMetrics

WORKER = Path(__file__).with_name("distributed_worker.py")


@pytest.mark.parametrize("world", [2, 3])
def test_processes_with_unequal_batches_find_what_one_finds(tmp_path: Path, world: int) -> None:
    command = [sys.executable, str(WORKER), str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(rank), str(world)], stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=300)[1] for process in running]
    assert all(process.returncode == 0 for process in running), "\n".join(errors)
    found = torch.load(tmp_path / "found.pt", weights_only=True)

    worker = load_worker()
    everything = slice(0, None)
    alone = worker.losses(world, everything, gather=False)
    assert len(found["losses"]) == len(alone) == 2 * len(worker.CASES)
    for (loss, gradient), (expected_loss, expected_gradient) in zip(found["losses"], alone, strict=True):
        torch.testing.assert_close(loss, expected_loss, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-12)
        assert gradient.abs().max() > 1e-3
    collapse = worker.metrics(world, everything, seed=0).compute()
    assert found["sampled"] == collapse.sampled
    assert found["collapse"] == pytest.approx(collapse.metrics(), rel=1e-10)
    x, y = worker.single_rows()
    of_one = CollapseMetrics(3, 6, sample=1000).update(x, y).compute()
    assert found["of_one"] == pytest.approx(of_one.metrics(), rel=1e-10)


def load_worker():
    spec = importlib.util.spec_from_file_location("distributed_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
