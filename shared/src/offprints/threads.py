"""Compiled loops on torch's number of threads: rows are shared out by how much work they are.

    by_rows(kernel, starts, columns, values, x, out)      # kernel(starts, columns, values, x, out, begin, end)
    on_threads(kernel, [(x, out, 0, 50), (x, out, 50, 100)])

The kernels must leave the interpreter's lock, as numba's do with nogil=True. A row is made by one thread in one order, so that the
number of threads changes no bit of a result.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
FEW = 4096
"""Entries that are done sooner than a thread is woken."""


def by_rows(kernel: Callable[..., object], starts: Ints, *given: Any, few: int = FEW) -> None:
    """Call kernel(starts, *given, begin, end) so that all rows are done once.

    Args:
        kernel: does the rows from `begin` up to `end`.
        starts: (rows + 1,) where each row's entries begin, and where the last ends.
        given: what else the kernel takes.
        few: entries that one thread does alone.
    """
    threads = 1 if starts[-1] < few else torch.get_num_threads()
    on_threads(kernel, [(starts, *given, *rows) for rows in shares(starts, threads)])


def shares(starts: Ints, parts: int) -> list[tuple[int, int]]:
    """So many ranges of rows, first and last plus one, with about as many entries each; some may be empty.

    Args:
        starts: (rows + 1,) as in `by_rows`.
        parts: 1 or more.
    """
    if parts == 1:
        return [(0, len(starts) - 1)]
    inner = np.searchsorted(starts, np.linspace(0, starts[-1], parts + 1)[1:-1]).tolist()
    return list(itertools.pairwise([0, *inner, len(starts) - 1]))


def on_threads(kernel: Callable[..., object], calls: Sequence[tuple[Any, ...]]) -> None:
    """Call a kernel with each of these arguments, on as many threads as torch has; in their order where that is one.

    What a call raises is raised here, once all have ended.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        for call in calls:
            kernel(*call)
        return
    first, *others = calls
    started = [_pool(threads).submit(kernel, *call) for call in others]
    try:
        kernel(*first)  # by the thread that is awake already
    finally:  # the others have to leave the arrays alone before anybody goes on
        errors = [part.exception() for part in started]
    for error in errors:
        if error is not None:
            raise error


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "offprints")
