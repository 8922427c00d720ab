"""Ranks of known pairs by distance, in both directions, without a matrix of all pairs.

The rank of a partner is 1 + the candidates that are strictly closer + half of the others that are as close. Rows are
compared a block at a time; a block gives the ranks of its rows and adds to the counts of all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError

from ke_gcn.checks import check_finite
from ke_gcn.numba_kernels import all_distances, count_block

Metric: TypeAlias = Literal["l1", "l2", "cosine"]
Ties: TypeAlias = Literal["realistic", "optimistic", "pessimistic"]
Side: TypeAlias = Literal["both", "left", "right"]
HITS = (1, 5, 10, 50, 100)
_BLOCK = 512


@dataclass(frozen=True)
class PairRanking:
    """Where each of n pairs stands among all n candidates of the other side.

    Attributes:
        closer: (2, n) int64, candidates strictly closer than the partner; row 0 from left to right.
        tied: (2, n) int64, others as close as the partner.
        mutual: (n,) bool, pairs of which each is the other's nearest, the first one among ties.
    """

    closer: NDArray[np.int64]
    tied: NDArray[np.int64]
    mutual: NDArray[np.bool_]

    def ranks(self, ties: Ties = "realistic", side: Side = "both") -> NDArray[np.float64]:
        """Ranks, 1 is best; (n,) for one side, (2n,) for both, left to right first.

        Args:
            ties: "realistic" is the middle of the places that ties allow, "optimistic" the best, "pessimistic" the last.
            side: "left" ranks the right candidates of each left entity, "right" the other way.
        """
        weight = {"realistic": 0.5, "optimistic": 0.0, "pessimistic": 1.0}[_known(ties, Ties, "ties")]
        rows = {"both": slice(0, 2), "left": slice(0, 1), "right": slice(1, 2)}[_known(side, Side, "side")]
        ranks: NDArray[np.float64] = (1 + self.closer[rows] + weight * self.tied[rows]).ravel()
        return ranks

    def metrics(self, ties: Ties = "realistic") -> dict[str, float]:
        """Hits@k, MRR and mean rank: the mean of both directions, and each one under "left_" and "right_"."""
        found: dict[str, float] = {}
        for prefix, side in (("", "both"), ("left_", "left"), ("right_", "right")):
            ranks = self.ranks(ties, side)  # type: ignore[arg-type]
            found |= {f"{prefix}hits@{k}": float(np.mean(ranks <= k)) for k in HITS}
            found |= {f"{prefix}mrr": float(np.mean(1 / ranks)), f"{prefix}mr": float(np.mean(ranks))}
        return found


def rank_pairs(left: Tensor, right: Tensor, metric: Metric = "l1", *, csls: int = 0) -> PairRanking:
    """Rank row i of the right among all right rows by its distance from row i of the left, and the other way round.

    Args:
        left: (n, d) float.
        right: (n, d) float, the partners in the same order.
        metric: "l1" as published, "l2" or "cosine" (one less the cosine).
        csls: neighbours that a row's distances are compared with, to lower hubs (Conneau et al. 2018); 0 leaves
            distances as they are.

    Raises:
        InputError: shapes differ, there is no pair, the metric is unknown, or a number is not finite.
    """
    if left.shape != right.shape or left.dim() != 2:
        raise InputError(
            f"pairs to rank must be two matrices of one shape, got {left.shape} and {right.shape}"
        )
    if not len(left):
        raise InputError("there are no pairs to rank")
    check_finite(left, right)
    distance = distances_by(metric)
    count = len(left)
    offsets = _hub_offsets(left, right, distance, csls) if csls else None

    def block(rows: slice) -> Tensor:
        found = distance(left[rows], right)
        return found if offsets is None else 2 * found - offsets[0][rows, None] - offsets[1]

    # The partner's distance comes from the same arithmetic as the others', so that equal rows tie to the bit. A product of
    # matrices of another shape may round otherwise: of cosines the whole block is made, and the partner's read from it.
    partner = torch.empty(count, dtype=left.dtype, device=left.device)
    for rows in _blocks(count):
        own = (
            distance(left[rows], right)[:, rows] if metric == "cosine" else distance(left[rows], right[rows])
        )
        own = own.diagonal()
        partner[rows] = own if offsets is None else 2 * own - offsets[0][rows] - offsets[1][rows]

    closer = torch.zeros(2, count, dtype=torch.int64, device=left.device)
    at_most = torch.zeros_like(closer)
    nearest = torch.empty(count, dtype=torch.int64, device=left.device)
    column_best = torch.full((count,), torch.inf, dtype=left.dtype, device=left.device)
    column_nearest = torch.zeros_like(nearest)
    counts = (closer, at_most, nearest, column_best, column_nearest)
    for rows in _blocks(count):
        found = block(rows)  # (block, n)
        if found.device.type == "cpu":
            count_block(found, rows.start, partner, *counts)
        else:
            _count_block(found, rows, partner, *counts)
    own_place = torch.arange(count, device=left.device)
    mutual = (nearest == own_place) & (column_nearest == own_place)
    return PairRanking(closer.cpu().numpy(), (at_most - closer - 1).cpu().numpy(), mutual.cpu().numpy())


def _count_block(
    found: Tensor,
    rows: slice,
    partner: Tensor,
    closer: Tensor,
    at_most: Tensor,
    nearest: Tensor,
    column_best: Tensor,
    column_nearest: Tensor,
) -> None:
    """`numba_kernels.count_block` on another device."""
    for axis, own in ((1, partner[rows, None]), (0, partner)):
        target = (0, rows) if axis == 1 else (1, slice(None))
        closer[target] += (found < own).sum(axis)
        at_most[target] += (found <= own).sum(axis)
    nearest[rows] = found.argmin(1)
    best, where = found.min(0)
    better = best < column_best
    column_best[better] = best[better]
    column_nearest[better] = where[better] + rows.start


def nearest(
    left: Tensor, right: Tensor, k: int, metric: Metric = "l1", *, csls: int = 0
) -> tuple[Tensor, Tensor]:
    """The k nearest right rows of each left row.

    Args:
        left: (n, d) float.
        right: (m, d) float.
        k: rows to find; all where there are fewer.
        metric: as in `rank_pairs`.
        csls: as in `rank_pairs`.

    Returns:
        Distances and rows of `right`, each (n, k), nearest first.
    """
    distance = distances_by(metric)
    k = min(k, len(right))
    offsets = _hub_offsets(left, right, distance, csls) if csls else None
    parts = []
    for rows in _blocks(len(left)):
        found = distance(left[rows], right)
        if offsets is not None:
            found = 2 * found - offsets[0][rows, None] - offsets[1]
        parts.append(found.topk(k, largest=False))
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def mutual_nearest(left: Tensor, right: Tensor, metric: Metric = "l1") -> Tensor:
    """Pairs of which each is the other's nearest; (n, d), (m, d) -> (pairs, 2) int64, rows of left and of right."""
    distance = distances_by(metric)
    if not len(left) or not len(right):
        return torch.zeros(0, 2, dtype=torch.int64, device=left.device)
    best = torch.full((len(right),), torch.inf, dtype=left.dtype, device=left.device)
    back = torch.zeros(len(right), dtype=torch.int64, device=left.device)
    forth = []
    for rows in _blocks(len(left)):
        found = distance(left[rows], right)
        forth.append(found.argmin(1))
        least, where = found.min(0)
        better = least < best
        best[better], back[better] = least[better], where[better] + rows.start
    there = torch.cat(forth)
    here = torch.arange(len(left), device=left.device)
    return torch.stack([here, there], 1)[back[there] == here]


def distances_by(metric: Metric) -> Callable[[Tensor, Tensor], Tensor]:
    """The function that gives all distances of two sets of rows; (n, d), (m, d) -> (n, m)."""
    _known(metric, Metric, "metric")
    if metric == "cosine":
        return _cosine
    if metric == "l2":
        return lambda x, y: torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    return _l1


def _l1(x: Tensor, y: Tensor) -> Tensor:
    if x.device.type == "cpu":
        return all_distances(x, y)
    return torch.cdist(x, y, p=1)


def _cosine(x: Tensor, y: Tensor) -> Tensor:
    return 1 - torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T


def _hub_offsets(
    left: Tensor, right: Tensor, distance: Callable[[Tensor, Tensor], Tensor], k: int
) -> tuple[Tensor, Tensor]:
    """Mean distance of each row to its k nearest on the other side: a hub's is small."""
    if k < 1:
        raise InputError(f"csls={k} must be 0 or more")
    k = min(k, len(left), len(right))
    offsets = []
    for here, there in ((left, right), (right, left)):
        means = [
            distance(here[rows], there).topk(k, largest=False).values.mean(1) for rows in _blocks(len(here))
        ]
        offsets.append(torch.cat(means))
    return offsets[0], offsets[1]


def _blocks(count: int) -> Iterator[slice]:
    return (slice(begin, min(begin + _BLOCK, count)) for begin in range(0, count, _BLOCK))


def _known(value: str, allowed: object, what: str) -> str:
    if value not in get_args(allowed):
        raise InputError(f"{what} {value!r} is unknown: one of {', '.join(get_args(allowed))}")
    return value
