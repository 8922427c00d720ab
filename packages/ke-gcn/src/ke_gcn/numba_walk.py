"""How a compiled walk is made and shared out.

Rows are shared out to as many threads as torch has. A row is always made by one thread in one order, so that the
number of threads changes no bit of the result.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ke_gcn.pattern import Array

# Sums may be taken in any order, but a number that is none must stay one: a diverged model has to be seen.
_FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
compiled = functools.partial(numba.njit, nogil=True, fastmath=_FASTMATH, error_model="numpy", cache=True)


def by_rows(kernel: Callable[..., None], indptr: Tensor, *given: Any) -> None:
    """Call kernel(indptr, *given, begin, end) for all rows, shared out to torch's threads by their number of entries."""
    starts = indptr.numpy()
    threads = torch.get_num_threads()
    if threads == 1 or starts[-1] < 4096:
        kernel(starts, *given, 0, len(starts) - 1)
        return
    ranges = itertools.pairwise(_bounds(starts, threads))
    _wait([_pool(threads).submit(kernel, starts, *given, begin, end) for begin, end in ranges])


def in_parts(parts: int, kernel: Callable[..., None], indptr: Tensor, *given: Any) -> None:
    """Call kernel(indptr, *given, part, begin, end) for so many parts, whatever the number of threads."""
    starts, threads = indptr.numpy(), torch.get_num_threads()
    calls = [(part, *ends) for part, ends in enumerate(itertools.pairwise(_bounds(starts, parts)))]
    if threads == 1:
        for call in calls:
            kernel(starts, *given, *call)
        return
    _wait([_pool(threads).submit(kernel, starts, *given, *call) for call in calls])


def new(x: Tensor, *shape: int) -> Tensor:
    """An array for a result, of x's shape or the given one and of its type; not yet filled.

    It comes from numpy, which asks the system for huge pages: torch's own memory would cost more time in page faults than
    a walk over a whole layer takes.
    """
    return torch.from_numpy(np.empty(shape or x.shape, x.detach()[:0].numpy().dtype))


def arrays(*tensors: Tensor) -> list[Array]:
    """The tensors as contiguous numpy arrays; without a copy where they are so."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _bounds(starts: Array, parts: int) -> list[int]:
    inner = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1)[1:-1])
    return [0, *inner.tolist(), len(starts) - 1]


def _wait(started: list[Future[None]]) -> None:
    for part in started:
        part.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ke-gcn")
