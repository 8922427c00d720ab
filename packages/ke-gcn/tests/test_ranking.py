"""Ranks of pairs: against sorted distances, with ties, in blocks, and recorded metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from offprints.errors import InputError

from ke_gcn import rank_pairs, ranking
from ke_gcn.ranking import mutual_nearest, nearest

NAMES = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("metric", list(NAMES))
@given(seed=st.integers(0, 2**16), count=st.integers(1, 40))
def test_ranks_are_places_in_the_sorted_distances(metric: str, seed: int, count: int) -> None:
    left, right = normal(count, 5, seed=seed), normal(count, 5, seed=seed + 1)
    found = rank_pairs(left, right, metric)
    distance = cdist(left.double(), right.double(), NAMES[metric])
    for side, table in (("left", distance), ("right", distance.T)):
        places = np.argsort(np.argsort(table, 1), 1)
        np.testing.assert_array_equal(found.ranks(side=side), 1 + places.diagonal())
    best = distance.argmin(1), distance.argmin(0)
    mutual = (best[0] == np.arange(count)) & (best[1] == np.arange(count))
    np.testing.assert_array_equal(found.mutual, mutual)


def test_a_collapsed_model_is_average_not_perfect() -> None:
    for count in (5, 1003):  # no multiple of the kernel's four columns
        same = torch.ones(count, 7) * 0.1
        found = rank_pairs(same, same)
        assert set(found.ranks()) == {(count + 1) / 2}
        assert set(found.ranks("optimistic")) == {1}
        assert set(found.ranks("pessimistic")) == {count}


@pytest.mark.parametrize("metric", list(NAMES))
@pytest.mark.parametrize("count", [7, 515, 1003])
def test_a_partner_is_as_far_as_it_is_among_all_candidates(metric: str, count: int) -> None:
    left = normal(count, 200)
    found = rank_pairs(left, left + 0.5 * normal(count, 200, seed=1), metric)
    assert found.tied.min() == found.closer.min() == 0  # rounding must not put a partner beside itself
    assert found.ranks().min() == 1


def test_no_rows_have_no_nearest_pairs() -> None:
    for sizes in ((0, 3), (3, 0)):
        assert mutual_nearest(*(normal(size, 4) for size in sizes)).shape == (0, 2)


def test_blocks_and_sides_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = normal(70, 6), normal(70, 6, seed=1)
    whole, swapped = rank_pairs(left, right, csls=5), rank_pairs(right, left, csls=5)
    monkeypatch.setattr(ranking, "_BLOCK", 11)
    parts = rank_pairs(left, right, csls=5)
    np.testing.assert_array_equal(parts.ranks(), whole.ranks())
    np.testing.assert_array_equal(swapped.ranks(side="left"), whole.ranks(side="right"))
    np.testing.assert_array_equal(parts.mutual, whole.mutual)
    hits = [whole.metrics()[f"hits@{k}"] for k in ranking.HITS]
    assert hits == sorted(hits)


def test_csls_takes_hubs_down() -> None:
    # Right row 1 lies in the middle and is the nearest of all left rows.
    left = torch.tensor([[0.0, 3.0], [3.0, 0.0], [-3.0, 0.0]])
    right = torch.tensor([[0.0, 7.0], [0.2, 0.2], [-7.0, 0.0]])
    assert (rank_pairs(left, right).ranks(side="left") == [2, 1, 2]).all()
    assert (rank_pairs(left, right, csls=2).ranks(side="left") == [1, 1, 1]).all()


def test_the_nearest_rows_are_those_of_all_distances() -> None:
    left, right = normal(30, 6), normal(17, 6, seed=1)
    distance, place = nearest(left, right, 4)
    expected = np.sort(cdist(left, right, "cityblock"), 1)[:, :4]
    np.testing.assert_allclose(distance, expected, rtol=1e-5)
    assert len(nearest(left, right, 99)[1][0]) == 17
    assert (place[:, 0].numpy() == cdist(left, right, "cityblock").argmin(1)).all()


@pytest.mark.parity
def test_hits_and_mrr_are_those_of_the_published_program(parity) -> None:
    cases = parity("metrics.npz")
    rows, pairs = torch.from_numpy(cases["emb"]), cases["pairs"]
    found = rank_pairs(rows[pairs[:, 0]], rows[pairs[:, 1]]).metrics()
    for prefix, name in (("left_", "left"), ("right_", "right"), ("", "avg")):
        suffix = "hits_1_5_10_50_100_left" if name == "left" else f"hits_{name}"
        hits = [100 * found[f"{prefix}hits@{k}"] for k in ranking.HITS]
        np.testing.assert_allclose(hits, cases[suffix], atol=1e-3)
    np.testing.assert_allclose(
        [found["left_mrr"], found["right_mrr"], found["mrr"]], cases["mrr_l_r_avg"], atol=1e-3
    )


def test_a_diverged_model_is_refused() -> None:
    left = normal(3, 2)
    with pytest.raises(InputError, match="diverged"):
        rank_pairs(left, left * torch.nan)
    with pytest.raises(InputError, match="metric"):
        rank_pairs(left, left, "l7")
    with pytest.raises(InputError, match="one shape"):
        rank_pairs(left, left[:2])
