"""Known tails are counted among all scores as sorting would place them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ukge.counting import MANY, count


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_counts_are_those_of_every_pair(sizes: list[int], entities: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 9, (len(sizes), entities)).astype(np.float32)  # many of them are equal
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    tails = random.integers(0, entities, offsets[-1]).astype(np.int32)
    row = np.repeat(np.arange(len(sizes)), sizes)
    own = scores[row, tails][:, None]
    higher, same = count(scores, offsets, tails)
    np.testing.assert_array_equal(higher, (scores[row] > own).sum(1))
    np.testing.assert_array_equal(same, (scores[row] == own).sum(1))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_question_with_many_known_tails_is_counted_like_the_others(kind: type) -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 50, (3, 2000)).astype(kind)
    sizes = [3, MANY + 1, MANY]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    tails = random.integers(0, 2000, offsets[-1]).astype(np.int32)
    row = np.repeat(np.arange(3), sizes)
    before = scores.copy()
    higher, same = count(scores, offsets, tails)
    own = before[row, tails][:, None]
    np.testing.assert_array_equal(higher, (before[row] > own).sum(1))
    np.testing.assert_array_equal(same, (before[row] == own).sum(1))


@pytest.mark.parametrize("many", [False, True])
def test_a_row_with_a_nan_anywhere_has_no_counts(many: bool) -> None:
    size = MANY + 1 if many else 5
    scores = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    scores[1, 999] = np.nan
    tails = np.tile(np.arange(size, dtype=np.int32), 2)
    higher, _ = count(scores, np.array([0, size, 2 * size]), tails)
    assert (higher[:size] >= 0).all() and (higher[size:] == -1).all()


def test_no_known_tails_are_no_counts() -> None:
    higher, same = count(np.zeros((2, 3), np.float32), np.zeros(3, np.int64), np.zeros(0, np.int32))
    assert higher.shape == same.shape == (0,)
