"""Filtered ranking: where a model places the true answer among all that is not already known.

Ranks are counted, never sorted: the rank of the target is one more than the number of candidates that score higher,
known answers left out. Counting keeps the ties visible, so one pass gives every tie rule, and it costs two comparisons
a candidate instead of a sort. Scores are compared as they come: rank logits, not probabilities, for a sigmoid in
float32 is exactly 1 for every logit above 17 and would tie what the model tells apart.

Source: filtered setting of Bordes et al. 2013; tie rules as in Sun et al. 2020 (arXiv 1911.03903).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.errors import InputError
from offprints.triples import Answers, Triples

Ties: TypeAlias = Literal["realistic", "optimistic", "pessimistic", "random"]
Side: TypeAlias = Literal["both", "tail", "head"]
Counts: TypeAlias = NDArray[np.int64]
HITS = (1, 3, 10)


@dataclass(frozen=True)
class Ranking:
    """The outcome of ranking both sides of every triple of a split.

    Attributes:
        triples: what was ranked, n triples.
        num_relations: of the data, without reciprocals.
        better: (2, n) int64, candidates that score higher than the target; row 0 for (h, r, ?), row 1 for (?, r, t).
        tied: (2, n) int64, other candidates that score the same.
        candidates: (2, n) int64, entities ranked, the target included.
    """

    triples: Triples
    num_relations: int
    better: Counts
    tied: Counts
    candidates: Counts

    def ranks(self, ties: Ties = "realistic", side: Side = "both", seed: int = 0) -> NDArray[np.float64]:
        """Ranks, 1 is best: (n,) for one side, (2n,) for both, tails first.

        Args:
            ties: "realistic" is the mean of the best and the worst place that the ties allow, "optimistic" the best,
                "pessimistic" the worst, "random" one of them drawn with `seed`.
        """
        rows = {"both": slice(0, 2), "tail": slice(0, 1), "head": slice(1, 2)}[_checked(side, Side, "side")]
        better, tied = self.better[rows].ravel(), self.tied[rows].ravel()
        match _checked(ties, Ties, "ties"):
            case "optimistic":
                behind: NDArray[np.float64] = np.zeros(len(tied))
            case "pessimistic":
                behind = tied.astype(np.float64)
            case "random":
                behind = np.random.default_rng(seed).integers(0, tied, endpoint=True).astype(np.float64)
            case _:
                behind = tied / 2
        ranks: NDArray[np.float64] = 1.0 + better + behind
        return ranks

    def metrics(self, ties: Ties = "realistic", side: Side = "both") -> dict[str, float]:
        """Mean reciprocal rank, mean rank and Hits@1, 3, 10 as fractions: "mrr", "mr", "hits@1", ..."""
        return rank_metrics(self.ranks(ties, side))

    def by_relation(self, ties: Ties = "realistic") -> dict[int, dict[str, float]]:
        """Metrics over both sides of the triples of each relation, and their "count"; most frequent first."""
        ranks = self.ranks(ties).reshape(2, -1)
        present, counts = np.unique(self.triples.relation, return_counts=True)
        return {
            int(relation): {
                "count": float(count),
                **rank_metrics(ranks[:, self.triples.relation == relation].ravel()),
            }
            for count, relation in sorted(zip(counts, present, strict=True), key=lambda pair: -pair[0])
        }

    def by_group(self, group: NDArray[np.integer], ties: Ties = "realistic") -> dict[int, dict[str, float]]:
        """Metrics of each group of queries; group (2, n) or (n,) int, one number a query or a triple."""
        ranks = self.ranks(ties).reshape(2, -1)
        groups = np.broadcast_to(group, ranks.shape)
        return {
            int(key): {"count": float((groups == key).sum()), **rank_metrics(ranks[groups == key])}
            for key in np.unique(groups)
        }

    def subset(self, rows: NDArray[np.bool_]) -> Ranking:
        """The ranking of some of the triples; rows (n,) bool."""
        counts = (self.better[:, rows], self.tied[:, rows], self.candidates[:, rows])
        return Ranking(self.triples[rows], self.num_relations, *counts)


def rank_metrics(ranks: NDArray[np.float64]) -> dict[str, float]:
    """Mean reciprocal rank, mean rank, Hits@k of some ranks (n,); NaN where there are none."""
    if len(ranks) == 0:
        return dict.fromkeys(["mrr", "mr", *(f"hits@{k}" for k in HITS)], float("nan"))
    return {
        "mrr": float(np.mean(1.0 / ranks)),
        "mr": float(np.mean(ranks)),
        **{f"hits@{k}": float(np.mean(ranks <= k)) for k in HITS},
    }


def rank_triples(
    score_tails: Callable[[Tensor, Tensor], Tensor],
    triples: Triples,
    known: Answers,
    num_relations: int,
    *,
    batch_size: int | None = None,
    device: torch.device | str = "cpu",
    filtered: bool = True,
    advance: Callable[[int], None] | None = None,
) -> Ranking:
    """Rank both sides of every triple against all entities.

    The head side (?, r, t) is asked as (t, r + num_relations, ?). Equal queries are scored once: a test split asks
    the same question for each of its answers.

    Args:
        score_tails: (batch,) int64 heads and relations, reciprocals included -> (batch, entities) scores.
        triples: n triples to rank.
        known: true answers of every query of both directions, from all splits.
        batch_size: queries at a time, without effect on the result; None takes 128 on a CPU, whose cache holds their scores, and
            1,024 on a GPU.
        filtered: False ranks against known answers too (the "raw" setting).
        advance: told the number of queries done, for a progress bar.

    Raises:
        InputError: a score is NaN; a diverged model must not look average.
    """
    if len(triples) == 0:
        raise InputError("nothing to rank: the split is empty")
    if batch_size is None:
        batch_size = 128 if torch.device(device).type == "cpu" else 1024
    asked = triples.with_reciprocals(num_relations)
    key = asked.head.astype(np.int64) * (2 * num_relations) + asked.relation
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    ends = np.append(starts[1:], len(order))
    queries = order[starts]  # one representative of each distinct question
    known_rows = known.rows(asked.head[queries], asked.relation[queries])

    counts = np.empty((3, len(order)), np.int64)
    for begin in range(0, len(queries), batch_size):
        batch = queries[begin : begin + batch_size]
        scores = score_tails(_to(asked.head[batch], device), _to(asked.relation[batch], device))
        targets = order[starts[begin] : ends[begin + len(batch) - 1]]
        sizes = ends[begin : begin + len(batch)] - starts[begin : begin + len(batch)]
        offsets, answers = known.gather(known_rows[begin : begin + batch_size])
        if not filtered:
            offsets, answers = np.zeros_like(offsets), answers[:0]
        counts[:, targets] = count_ranks(
            scores,
            _to(np.repeat(np.arange(len(batch)), sizes), device),
            _to(asked.tail[targets], device),
            _to(offsets, device),
            _to(answers, device),
        )
        if advance is not None:
            advance(len(batch))
    return Ranking(triples, num_relations, *counts.reshape(3, 2, -1))


def count_ranks(scores: Tensor, row: Tensor, target: Tensor, offsets: Tensor, known: Tensor) -> Counts:
    """How many candidates score above, and the same as, each target.

    Args:
        scores: (queries, entities) float; higher is more plausible.
        row: (targets,) int64, the query of each target.
        target: (targets,) int64, the entity to rank.
        offsets: (queries + 1,) int64, where the known answers of each query begin.
        known: (facts,) int64, the known answers, query by query (CSR); all but the target itself are left out of the
            ranking.

    Returns:
        (3, targets) int64: better, tied (without the target itself), candidates (with it).

    Raises:
        InputError: a score is NaN, or a target is not an entity.
    """
    num_entities = scores.shape[1]
    if bool(torch.isnan(scores.sum())) and bool(torch.isnan(scores).any()):
        raise InputError("a score is NaN: the model has diverged, its ranks would mean nothing")
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < num_entities:
        raise InputError(f"a target is not one of the {num_entities} entities scored")
    level = scores[row, target]  # (targets,)
    better, at_least = _compare(scores, row, level)

    # Known answers are counted out again: one gather a fact, instead of a masked copy of the scores.
    lengths = offsets.diff()[row]  # (targets,) answers known for each target's query
    owner = torch.repeat_interleave(torch.arange(len(row), device=row.device), lengths)
    first = torch.cumsum(lengths, 0) - lengths
    place = torch.arange(len(owner), device=row.device) - first[owner] + offsets[row][owner]
    fact = known[place]
    others = fact != target[owner]
    owner, fact_score = owner[others], scores[row[owner[others]], fact[others]]
    known_better = torch.bincount(owner[fact_score > level[owner]], minlength=len(row))
    known_at_least = torch.bincount(owner[fact_score >= level[owner]], minlength=len(row))
    known_others = torch.bincount(owner, minlength=len(row))

    better -= known_better
    tied = at_least - known_at_least - better - 1  # the target equals itself
    counts: Counts = torch.stack([better, tied, num_entities - known_others]).cpu().numpy()
    return counts


def _compare(scores: Tensor, row: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """How many scores of its row are above each level, and how many are at least as high; (targets,) int64 twice."""
    better, at_least = torch.empty_like(row), torch.empty_like(row)
    if scores.device.type == "cpu":
        # Target by target: a row and its booleans stay in the innermost cache, and numpy counts booleans many at a time, where
        # torch adds them up one by one.
        table = (scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores).numpy()
        levels, above, not_below = table.dtype.type, better.numpy(), at_least.numpy()
        for i, (query, value) in enumerate(zip(row.tolist(), level.tolist(), strict=True)):
            above[i] = np.count_nonzero(table[query] > levels(value))
            not_below[i] = np.count_nonzero(table[query] >= levels(value))
        return better, at_least
    step = max(1, (1 << 22) // scores.shape[1])  # 16 MB of compared scores at a time
    for begin in range(0, len(row), step):
        part = slice(begin, begin + step)
        compared = scores[row[part]]  # (step, entities)
        better[part] = (compared > level[part, None]).sum(1)
        at_least[part] = (compared >= level[part, None]).sum(1)
    return better, at_least


def _to(ids: NDArray[np.integer], device: torch.device | str) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64)).to(device)


def _checked(value: str, allowed: object, what: str) -> str:
    if value not in get_args(allowed):
        raise InputError(f"unknown {what} {value!r}: one of {', '.join(get_args(allowed))}")
    return value
