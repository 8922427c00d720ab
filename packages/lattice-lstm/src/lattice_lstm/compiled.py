"""How loops are compiled here: for one thread at a time, without the interpreter's lock, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A function as compiled loops.

    Products and sums may be contracted to one rounding; nothing else is allowed that plain arithmetic is not, so that a number that is
    none stays one and a diverged model is seen.
    """
    make = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    return cast("F", make(function))
