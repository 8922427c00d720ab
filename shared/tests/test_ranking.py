"""Filtered ranking against a plain Python oracle, recorded reference numbers, and what no rank may depend on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from offprints.errors import InputError
from offprints.ranking import Ranking, count_ranks, rank_triples
from offprints.triples import Answers, Triples

ENTITIES, RELATIONS = 6, 2


def rank(
    scores: torch.Tensor, triples: Triples, known: Triples, batch_size: int = 512, filtered: bool = True
) -> Ranking:
    """scores (entities * 2 relations, entities): row head * 2R + relation."""
    answers = Answers.of(known.with_reciprocals(RELATIONS), 2 * RELATIONS)
    return rank_triples(
        lambda head, relation: scores[head * 2 * RELATIONS + relation],
        triples,
        answers,
        RELATIONS,
        batch_size=batch_size,
        filtered=filtered,
    )


def oracle(
    scores: torch.Tensor, facts: list[tuple[int, int, int]], test: list[tuple[int, int, int]]
) -> list[list[float]]:
    """Best, middle and worst rank of each query, tails first, one candidate at a time."""
    ranks = []
    for side in range(2):
        for h, r, t in test:
            asked, row, target = (h, h * 4 + r, t) if side == 0 else (t, t * 4 + r + 2, h)
            true = {b if side == 0 else a for a, q, b in facts if q == r and (a if side == 0 else b) == asked}
            others = [scores[row, e].item() for e in range(ENTITIES) if e != target and e not in true]
            above = sum(score > scores[row, target].item() for score in others)
            level = sum(score == scores[row, target].item() for score in others)
            ranks.append([1 + above, 1 + above + level / 2, 1 + above + level])
    return ranks


fact = st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1))


@settings(deadline=None)
@given(
    st.lists(fact, min_size=1, max_size=12, unique=True),
    st.integers(1, 12),
    st.integers(0, 2**31),
    st.integers(1, 7),
)
def test_ranks_are_those_of_the_definition(
    facts: list[tuple[int, int, int]], tested: int, seed: int, batch_size: int
) -> None:
    levels = torch.randint(
        0, 4, (ENTITIES * 2 * RELATIONS, ENTITIES), generator=torch.Generator().manual_seed(seed)
    )
    test = facts[:tested]
    all_facts, test_facts = (Triples.of(*np.array(part).T) for part in (facts, test))
    ranking = rank(levels.float(), test_facts, all_facts, batch_size)
    found = np.stack([ranking.ranks(ties) for ties in ("optimistic", "realistic", "pessimistic")], 1)
    assert found.tolist() == oracle(levels.float(), facts, test)
    # A rank is about order alone, and competitors can only hurt.
    assert np.array_equal(rank(levels * 3.0 - 7, test_facts, all_facts).ranks(), ranking.ranks())
    assert (
        rank(levels.float(), test_facts, all_facts, filtered=False).ranks("optimistic") >= found[:, 0]
    ).all()
    drawn = ranking.ranks("random", seed=seed)
    assert (found[:, 0] <= drawn).all()
    assert (drawn <= found[:, 2]).all()


def test_a_constant_score_ranks_in_the_middle_and_not_first() -> None:
    test = Triples.of([0, 1], [0, 1], [2, 3])
    ranking = rank(torch.zeros(ENTITIES * 2 * RELATIONS, ENTITIES), test, test)
    assert ranking.ranks().tolist() == [(ENTITIES + 1) / 2] * 4
    assert ranking.metrics("optimistic")["mrr"] == 1.0


def test_a_diverged_model_is_not_ranked() -> None:
    test = Triples.of([0], [0], [1])
    scores = torch.zeros(ENTITIES * 2 * RELATIONS, ENTITIES)
    scores[0, 3] = torch.nan
    with pytest.raises(InputError, match="NaN"):
        rank(scores, test, test)
    with pytest.raises(InputError, match="empty"):
        rank(scores, test[:0], test)


def test_break_downs_add_up() -> None:
    test = Triples.of([0, 1, 2], [0, 0, 1], [3, 4, 5])
    scores = torch.rand(ENTITIES * 2 * RELATIONS, ENTITIES, generator=torch.Generator().manual_seed(1))
    ranking = rank(scores, test, test)
    by_relation = ranking.by_relation()
    assert list(by_relation) == [0, 1]
    total = sum(part["count"] * part["mrr"] for part in by_relation.values()) / 3
    assert total == pytest.approx(ranking.metrics()["mrr"])
    sides = [ranking.metrics(side=side)["mr"] for side in ("tail", "head")]
    assert np.mean(sides) == pytest.approx(ranking.metrics()["mr"])
    assert (
        ranking.subset(np.array([False, True, True])).ranks().tolist()
        == ranking.ranks()[[1, 2, 4, 5]].tolist()
    )
    with pytest.raises(InputError, match="unknown ties"):
        ranking.ranks("lucky")  # type: ignore[arg-type]


@pytest.mark.parity
@pytest.mark.parametrize("side", ["tail", "head"])
def test_recorded_ranks_of_the_published_evaluation(side: str) -> None:
    path = Path(os.environ.get("OFFPRINTS_PARITY", "$OFFPRINTS_PARITY")) / "conve" / "ranking_small.npz"
    if not path.is_file():
        pytest.skip(f"no recorded reference numbers at {path}")
    with np.load(path, allow_pickle=False) as arrays:
        recorded = dict(arrays)
    known = [np.unique(row) for row in recorded[f"filter_{side}"]]
    offsets = torch.tensor(np.cumsum([0, *map(len, known)]))
    answers = torch.from_numpy(np.concatenate(known))
    target, row = torch.from_numpy(recorded[side]), torch.arange(24)
    better, tied, _ = count_ranks(torch.from_numpy(recorded[f"scores_{side}"]), row, target, offsets, answers)
    assert not tied.any()
    assert np.array_equal(1 + better, recorded[f"rank_{side}"])
    better, tied, _ = count_ranks(
        torch.from_numpy(recorded[f"tied_scores_{side}"]), row, target, offsets, answers
    )
    expected = recorded[f"tied_ranks_{side}_opt_real_pess"]
    assert np.array_equal(np.stack([1 + better, 1 + better + tied / 2, 1 + better + tied], 1), expected)
    assert isinstance(json.loads(str(recorded["ref_metrics"])), dict)
