"""How many scores of a row are above and beside those of its known tails, as compiled loops for the CPU.

To sort a row costs as much as to compare it with some hundred values one by one, four of which go through the row together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.threads import by_rows

from ukge.kernels import compiled, inlined

MANY = 400
"""Known tails of a question for which its scores are sorted."""


def count(
    scores: NDArray[Any], offsets: NDArray[np.int64], tails: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Entities with a higher score than each known tail, and with the same one.

    Args:
        scores: (q, N), of all entities; rows with more than `MANY` known tails are sorted afterwards.
        offsets: (q + 1,), where the known tails of each row begin and end.
        tails: (n,), those of all rows; entities may stand twice.

    Returns:
        (n,) higher, -1 where a score of the row is NaN; (n,) the same, itself among them.
    """
    found = np.empty((2, len(tails)), np.int64)
    by_rows(_count, offsets, tails, scores, found[0], found[1], few=64)
    for row in np.flatnonzero(np.diff(offsets) > MANY):
        span = slice(offsets[row], offsets[row + 1])
        values = scores[row, tails[span]]
        scores[row].sort()  # NaN goes last
        above = np.searchsorted(scores[row], values, "right")
        found[0, span] = -1 if np.isnan(scores[row, -1]) else scores.shape[1] - above
        found[1, span] = above - np.searchsorted(scores[row], values, "left")
    return found[0], found[1]


@compiled()
def _count(offsets: Any, tails: Any, scores: Any, higher: Any, same: Any, begin: int, end: int) -> None:
    for i in range(begin, end):
        first, last = offsets[i], offsets[i + 1]
        if last - first > MANY:
            continue
        row = scores[i]
        undefined = 0
        for k in range(len(row)):
            undefined += row[k] != row[k]
        for at in range(first, last, 4):
            # Beyond the end the last one is counted once more.
            one, two, three = min(at + 1, last - 1), min(at + 2, last - 1), min(at + 3, last - 1)
            counts = _four(row, row[tails[at]], row[tails[one]], row[tails[two]], row[tails[three]])
            higher[at], higher[one], higher[two], higher[three] = counts[:4]
            same[at], same[one], same[two], same[three] = counts[4:]
        if undefined:
            higher[first:last] = -1


@inlined()
def _four(row: Any, a: float, b: float, c: float, d: float) -> tuple[Any, ...]:
    """How many of a row are above each of four values, and how many are equal to it."""
    above_a, above_b, above_c, above_d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    at_a, at_b, at_c, at_d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for k in range(len(row)):
        x = row[k]
        above_a, at_a = np.int32(above_a + (x > a)), np.int32(at_a + (x == a))
        above_b, at_b = np.int32(above_b + (x > b)), np.int32(at_b + (x == b))
        above_c, at_c = np.int32(above_c + (x > c)), np.int32(at_c + (x == c))
        above_d, at_d = np.int32(above_d + (x > d)), np.int32(at_d + (x == d))
    return above_a, above_b, above_c, above_d, at_a, at_b, at_c, at_d
