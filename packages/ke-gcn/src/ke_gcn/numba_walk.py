"""How a compiled walk is made, and what it is given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from offprints.threads import on_threads, shares

from ke_gcn.pattern import Array

# Sums may be taken in any order, but a number that is none must stay one: a diverged model has to be seen.
_FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
compiled = functools.partial(numba.njit, nogil=True, fastmath=_FASTMATH, error_model="numpy", cache=True)


def in_parts(parts: int, kernel: Callable[..., None], indptr: Tensor, *given: Any) -> None:
    """Call kernel(indptr, *given, part, begin, end) for so many parts, whatever the number of threads."""
    starts = indptr.numpy()
    on_threads(kernel, [(starts, *given, part, *rows) for part, rows in enumerate(shares(starts, parts))])


def new(x: Tensor, *shape: int) -> Tensor:
    """An array for a result, of x's shape or the given one and of its type; not yet filled.

    It comes from numpy, which asks the system for huge pages: torch's own memory would cost more time in page faults than
    a walk over a whole layer takes.
    """
    return torch.from_numpy(np.empty(shape or x.shape, x.detach()[:0].numpy().dtype))


def arrays(*tensors: Tensor) -> list[Array]:
    """The tensors as contiguous numpy arrays; without a copy where they are so."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]
