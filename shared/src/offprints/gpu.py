"""Device, precision, threads, seeds and Lightning Fabric: one process, or DDP under torchrun.

A training loop that is the same for one process and for several:

    fabric = gpu.fabric("auto", "auto")
    model, optimizer = fabric.setup(model, optimizer)
    for batch in global_batches:                    # the same ones on every process
        share, weight = local_share(batch, fabric)
        loss = mean_loss(model(share)) * weight
        fabric.backward(loss)
"""

from __future__ import annotations

import ctypes
import logging
import os
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed

from offprints import hardware
from offprints.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed", "fp64": "64-true"}
"""Our short names, and what Fabric calls them."""


def processes() -> int:
    """Number of processes that share a batch."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        world: int = torch.distributed.get_world_size()
        return world
    return 1


def fabric(device: str = "auto", precision: str = "auto") -> Fabric:
    """A launched Lightning Fabric: plain torch on one process, DDP when torchrun started several.

    Args:
        device: "auto" (CUDA if there is one), "cpu", "cuda" or "cuda:1".
        precision: "auto" (see `resolve_precision`), "fp32", "bf16", "fp16" or "fp64".

    Returns:
        Fabric with its process group ready: gloo on CPU, nccl on CUDA.

    Raises:
        InputError: there is no such device or precision.
    """
    target = resolve_device(device)
    plugin = PRECISIONS[resolve_precision(precision, target)]
    from lightning_fabric import Fabric  # imports torch.compile: seconds that only who trains should wait

    # It would tell of a precision that only what is set up by it, or runs in its autocast, follows.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if hardware.world_size() == 1:
        devices: int | list[int] = [target.index or 0] if target.type == "cuda" else 1
        made = Fabric(accelerator=target.type, devices=devices, precision=plugin)  # type: ignore[arg-type]
    else:
        from lightning_fabric.strategies.ddp import DDPStrategy

        backend = "nccl" if target.type == "cuda" else "gloo"
        made = Fabric(
            accelerator=target.type,
            devices=int(os.environ["LOCAL_WORLD_SIZE"]),
            num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
            strategy=DDPStrategy(process_group_backend=backend),
            precision=plugin,  # type: ignore[arg-type]
        )
    made.launch()
    return made


def resolve_device(name: str) -> torch.device:
    """The torch device that `name` means here.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:<index>". Under torchrun each process gets the GPU of its local rank.

    Raises:
        InputError: the name is none of these, or there is no such GPU.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if count else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cpu" and not index:
        return torch.device("cpu")
    if kind != "cuda" or not (index.isdigit() or name == "cuda"):
        raise InputError(f"device={name!r} is unknown; use auto, cpu, cuda or cuda:<index>")
    if count == 0:
        raise InputError(f"device={name!r}, but torch finds no CUDA GPU here; use device=cpu")
    if hardware.world_size() > 1:
        if index:
            raise InputError(
                f"device={name!r} under torchrun: use device=cuda, each process takes its own GPU"
            )
        index = os.environ["LOCAL_RANK"]
    if int(index or 0) >= count:
        raise InputError(f"device=cuda:{index}, but there are {count} GPUs (0 to {count - 1})")
    return torch.device("cuda", int(index or 0))


def resolve_precision(name: str, device: torch.device) -> str:
    """The precision that `name` means on `device`: a key of `PRECISIONS`.

    "auto" is bf16 on CUDA GPUs that compute in it and on CPUs with native bf16 arithmetic (AMX or AVX512-BF16), else fp32: an
    emulated bf16 is slower than fp32.

    Raises:
        InputError: the name is unknown, or fp16 is asked of a CPU.
    """
    if name == "auto":
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else cpu_has_bf16()
        )
        return "bf16" if native else "fp32"
    if name not in PRECISIONS:
        raise InputError(f"precision={name!r} is unknown; use auto, {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise InputError("precision=fp16 needs a GPU; on the CPU use bf16 or fp32")
    return name


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 natively (AMX or AVX512-BF16)."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                return not {"amx_bf16", "avx512_bf16"}.isdisjoint(line.split())
    return False


def set_threads(count: int | None) -> int:
    """Let torch compute with `count` CPU threads; None leaves torch's choice.

    Returns:
        The number in force.

    Raises:
        InputError: less than one.
    """
    if count is not None:
        if count < 1:
            raise InputError(f"threads={count} must be 1 or more")
        torch.set_num_threads(count)
    return torch.get_num_threads()


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next allocation, instead of giving it back to the system each time.

    A training step frees and asks again for gradients of the same tens of megabytes. glibc would hand them back and have every
    page of them made and zeroed anew: a fifth of ConvE's step. What is kept is no more than the peak was.

    Returns:
        Whether the C library has such a switch: glibc does; others are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    m_trim_threshold, m_mmap_max = -1, -4  # of malloc.h
    return bool(mallopt(m_mmap_max, 0) and mallopt(m_trim_threshold, 2**31 - 1))


def seed_everything(seed: int) -> None:
    """Seed the global generators of python, numpy and torch (CPU and CUDA).

    Code of ours takes a generator or a seed; this is for libraries that do not.

    Raises:
        InputError: outside 0 .. 2**32 - 1, which numpy asks for.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed} must be between 0 and {2**32 - 1}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def set_deterministic(on: bool = True) -> None:
    """Ask torch for algorithms that give the same numbers on each run; slower on CUDA, and an error where there is none."""
    if on:
        # cuBLAS reads it when its first handle is made, so this has to come before the first product on the GPU.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.benchmark = False


def local_share(batch: torch.Tensor, fabric: Fabric) -> tuple[torch.Tensor, float]:
    """This process's part of a batch that all processes know, and the weight of its mean loss.

    DDP averages gradients over processes as if their shares were of one size. Times this weight, the average is the gradient of
    the mean over the whole batch, whatever its size. (Fabric shards data loaders, but not batches that are index tensors.)

    Args:
        batch: (rows, ...), the same on every process.
        fabric: from `fabric()`.

    Returns:
        Rows rank, rank + world, ... and a weight. With fewer rows than processes, a process without a row gets the first one
        with weight 0, because each has to take part in the backward pass.
    """
    world = fabric.world_size
    share = batch[fabric.global_rank :: world]
    if len(share) == 0:
        return batch[:1], 0.0
    return share, len(share) * world / len(batch)


def reset_peak_memory(device: torch.device | None = None) -> bool:
    """Start the peak of `peak_memory_mb` afresh.

    Returns:
        Whether the system allows it; always for CUDA.
    """
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    return hardware.reset_peak_memory()


def peak_memory_mb(device: torch.device | None = None) -> float:
    """Peak memory since the start or the last reset, in 10^6 bytes: of the process, or what torch took of a CUDA device."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return hardware.peak_memory_mb()
