"""All batches of a small problem by what labels they have: how many there are of each kind, and what each costs at the simplex.

Two batches of one composition, such as 4 + 3 + 2 rows of three classes, cost the same when every class is a point of the simplex, so
that the millions of batches of the paper's appendix need no enumeration.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from offprints.errors import InputError

from supcon_simplex.bounds import sc_batch_value


@dataclass(frozen=True)
class Composition:
    """Batches whose classes have these rows, in any order of the classes.

    Attributes:
        counts: rows of each class, the largest first; K numbers that sum to b.
        batches: how many multisets of the points are of this kind, over all orders of the classes.
        share: of all batches.
        value: mean loss of such a batch at the simplex.
    """

    counts: tuple[int, ...]
    batches: int
    share: float
    value: float

    @property
    def name(self) -> str:
        """Such as "4 3 2"."""
        return " ".join(map(str, self.counts))


def compositions(
    classes: int, batch_size: int, per_class: int, temperature: float = 1.0
) -> list[Composition]:
    """Every composition of a batch, the most uneven first.

    Args:
        classes: K, 2 or more.
        batch_size: b, 2 or more.
        per_class: n, points of each class; a batch may draw one several times.
        temperature: of the loss.

    Raises:
        InputError: a number is too small.

    Source: the appendix's figure of per-batch losses: K = 3, n = 3, b = 9, 24,310 batches of 12 compositions.
    """
    if classes < 2 or batch_size < 2 or per_class < 1:
        raise InputError(
            f"classes={classes} and batch_size={batch_size} are 2 or more, per_class={per_class} 1 or more"
        )
    total = math.comb(classes * per_class + batch_size - 1, batch_size)
    found = []
    for counts in _partitions(batch_size, classes, batch_size):
        orders = math.factorial(classes)
        for times in Counter(counts).values():
            orders //= math.factorial(times)
        batches = orders * math.prod(math.comb(per_class + n - 1, n) for n in counts)
        found.append(
            Composition(
                counts, batches, batches / total, sc_batch_value(counts, temperature, classes=classes)
            )
        )
    return found


def _partitions(rows: int, classes: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Ways to write `rows` as `classes` numbers that do not rise and begin with `largest` at most."""
    if classes == 1:
        if rows <= largest:
            yield (rows,)
        return
    for first in range(min(rows, largest), -(-rows // classes) - 1, -1):
        for rest in _partitions(rows - first, classes - 1, first):
            yield (first, *rest)
