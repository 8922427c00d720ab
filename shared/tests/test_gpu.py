"""Devices, precision, seeds, memory, and two processes that train as one."""

from __future__ import annotations

import mmap
import multiprocessing
import platform
import random
import resource
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Fork

from offprints import gpu
from offprints.errors import InputError
from offprints.results import read_result

TESTS = Path(__file__).parent
CPU = torch.device("cpu")


def test_one_process_is_plain_torch() -> None:
    fabric = gpu.fabric("cpu", "fp32")
    linear = torch.nn.Linear(2, 1)
    model = fabric.setup(linear)
    assert fabric.world_size == 1
    assert model.module is linear
    assert not torch.distributed.is_initialized()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a switch of glibc")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    fork = multiprocessing.get_context("fork")  # the switch is for a whole process
    results = fork.SimpleQueue()
    process = fork.Process(target=lambda: results.put(_page_faults_without_and_with_the_switch()))
    process.start()
    given_back, kept = results.get()
    process.join()
    # Of five tensors one may find its place taken by what earlier tests have left in this process.
    assert kept < given_back / 2


def _page_faults_without_and_with_the_switch() -> tuple[int, int]:
    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            torch.ones(10_000_000)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    given_back = faults()
    assert gpu.keep_freed_memory()
    faults()  # the first one takes what is kept from then on
    return given_back, faults()


def test_auto_takes_the_gpu_if_there_is_one() -> None:
    assert gpu.resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:999", ""])
def test_a_device_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match="device="):
        gpu.resolve_device(name)


def test_auto_precision_is_bf16_only_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, expected in [
        ("fpu avx512f amx_tile amx_bf16", "bf16"),
        ("avx512f avx512_bf16", "bf16"),
        ("avx2 avx512f bf16", "fp32"),
    ]:
        text = f"processor : 0\nmodel name : x\nflags\t\t: {flags}\n"
        monkeypatch.setattr(Path, "read_text", lambda self, text=text: text)
        assert gpu.resolve_precision("auto", CPU) == expected


def test_precisions_are_checked() -> None:
    assert gpu.resolve_precision("bf16", CPU) == "bf16"
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        gpu.resolve_precision("fp16", CPU)
    with pytest.raises(InputError, match="'fp8' is unknown; use auto, fp32"):
        gpu.resolve_precision("fp8", CPU)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp64", torch.float64)]
)
def test_a_model_computes_in_the_precision_that_was_asked_for(precision: str, dtype: torch.dtype) -> None:
    fabric = gpu.fabric("cpu", precision)
    seen = []
    linear = torch.nn.Linear(2, 1)
    linear.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    fabric.setup(linear)(torch.zeros(1, 2))
    assert seen == [dtype]


def test_one_seed_gives_one_sequence_everywhere() -> None:
    def draw(seed: int) -> tuple[float, float, float]:
        gpu.seed_everything(seed)
        return random.random(), float(np.random.random()), torch.rand(()).item()

    assert draw(3) == draw(3)
    assert all(a != b for a, b in zip(draw(3), draw(4), strict=True))
    with pytest.raises(InputError, match="between 0 and"):
        gpu.seed_everything(-1)


def test_threads_are_set_or_left() -> None:
    before = torch.get_num_threads()
    try:
        assert gpu.set_threads(1) == 1
        assert gpu.set_threads(None) == 1
        with pytest.raises(InputError, match="threads=0"):
            gpu.set_threads(0)
    finally:
        torch.set_num_threads(before)


def test_deterministic_refuses_algorithms_that_are_not() -> None:
    gpu.set_deterministic(True)
    try:
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        gpu.set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()


@settings(deadline=None)
@given(rows=st.integers(1, 9), world=st.integers(1, 4))
def test_shares_average_to_the_gradient_of_the_whole_batch(rows: int, world: int) -> None:
    batch = torch.arange(1.0, rows + 1, dtype=torch.float64) ** 2
    gradients = []
    for rank in range(world):
        parameter = torch.zeros((), dtype=torch.float64, requires_grad=True)
        fabric = SimpleNamespace(world_size=world, global_rank=rank)
        share, weight = gpu.local_share(batch, fabric)  # type: ignore[arg-type]
        (((parameter - share) ** 2).mean() * weight).backward()
        assert parameter.grad is not None
        gradients.append(parameter.grad)
    assert torch.stack(gradients).mean().item() == pytest.approx(-2 * batch.mean().item())


def test_peak_memory_sees_an_allocation_and_can_start_afresh() -> None:
    resets = gpu.reset_peak_memory()
    before = gpu.peak_memory_mb()
    block = mmap.mmap(
        -1, 300_000_000
    )  # from the system: what an earlier test freed may have been kept for the next allocation
    np.frombuffer(block, np.uint8)[:] = 1
    assert gpu.peak_memory_mb() - before > (250 if resets else 0)
    block.close()
    if resets:
        assert gpu.reset_peak_memory()
        assert gpu.peak_memory_mb() < before + 100


@pytest.mark.slow
def test_two_processes_give_the_result_of_one_with_the_same_global_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["seed=6", "steps=8", "device=cpu", "precision=fp32", "threads=1"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = ["--master-addr", "127.0.0.1", "--master-port", port]
    launched = ["torchrun", "--nproc-per-node", "2", *where, "-m", "demo_app", *options]
    alone = ["python", "-m", "demo_app", *options, "hydra.run.dir=one"]
    # Without a directory given, both processes have to agree on the default one.
    processes = {
        name: Fork(words, tmp_path / name) for name, words in (("1.log", alone), ("2.log", launched))
    }
    for name, process in processes.items():
        assert process.wait() == 0, (tmp_path / name).read_text()
    (two,) = (tmp_path / "runs" / "train-demo-app").iterdir()
    one_record, two_record = read_result(tmp_path / "one" / "results.json"), read_result(two / "results.json")
    assert two_record.metrics == pytest.approx(one_record.metrics, rel=1e-4)
    assert two_record.command == "torchrun --nproc-per-node 2 -m demo_app " + " ".join(options)
