"""How the rows of a batch can be shared out to the classes, up to the classes' names, and how often that happens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from offprints.errors import InputError

from supcon_simplex.bounds import Sampling


def compositions(rows: int, classes: int) -> list[tuple[int, ...]]:
    """All ways to share out the rows of a batch, each with its largest count first; (9, 0, 0) is the first of nine rows.

    Args:
        rows: b, 1 or more.
        classes: K, 1 or more; some may get none.

    Raises:
        InputError: a number is out of range.
    """
    if rows < 1 or classes < 1:
        raise InputError(f"needs a row and a class, got {rows} and {classes}")
    return _shared_out(rows, classes, rows)


def composition_share(
    counts: Sequence[int], sampling: Sampling = "iid", per_class: int | None = None
) -> float:
    """The share of batches with these counts, whichever class has which.

    Args:
        counts: rows of each of the K classes, zeros included.
        sampling: how batches are drawn, see `Sampling`.
        per_class: n, rows of each class; "multiset" and "subset" need it, "iid" takes none.

    Raises:
        InputError: counts are negative or all zero, or `per_class` does not fit the sampling.
    """
    classes, rows = len(counts), sum(counts)
    if classes < 1 or min(counts) < 0 or rows < 1:
        raise InputError(f"counts must be 0 or more with a row at all, got {list(counts)}")
    if (per_class is None) != (sampling == "iid"):
        raise InputError("per_class belongs to sampling=multiset and sampling=subset, and they need it")
    if per_class is not None and sampling == "subset" and rows > per_class * classes:
        raise InputError(f"a batch of {rows} different rows cannot be drawn from {per_class * classes}")
    names = math.factorial(classes)
    for times in Counter(counts).values():
        names //= math.factorial(times)
    if per_class is None:
        orders = math.factorial(rows)
        for count in counts:
            orders //= math.factorial(count)
        return float(names * orders / classes**rows)
    ways, total = names, per_class * classes
    for count in counts:
        ways *= (
            math.comb(per_class + count - 1, count) if sampling == "multiset" else math.comb(per_class, count)
        )
    return ways / (math.comb(total + rows - 1, rows) if sampling == "multiset" else math.comb(total, rows))


def _shared_out(rows: int, parts: int, largest: int) -> list[tuple[int, ...]]:
    if parts == 1:
        return [(rows,)] if rows <= largest else []
    return [
        (first, *rest)
        for first in range(min(rows, largest), -1, -1)
        if first * parts >= rows
        for rest in _shared_out(rows - first, parts - 1, first)
    ]
