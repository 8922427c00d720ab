"""Rows shared out to threads: all of them, once, by their work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offprints.threads import by_rows, on_threads, shares


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(1, 7))
def test_every_row_is_in_one_share(sizes: list[int], parts: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = shares(starts, parts)
    assert len(found) == parts
    assert [row for begin, end in found for row in range(begin, end)] == list(range(len(sizes)))
    most = max(int(starts[end] - starts[begin]) for begin, end in found)
    assert most <= starts[-1] / parts + max(sizes)


@pytest.mark.parametrize("few", [0, 1 << 20])
def test_a_kernel_does_all_rows_once(few: int) -> None:
    starts, out = np.arange(0, 3003, 3), np.zeros(1000)
    ranges = []

    def kernel(starts: np.ndarray, out: np.ndarray, begin: int, end: int) -> None:
        ranges.append((begin, end))
        out[begin:end] += np.diff(starts)[begin:end]

    by_rows(kernel, starts, out, few=few)
    assert (out == 3).all()
    assert len(ranges) == (1 if few else 3)


@pytest.mark.parametrize("bad", [0, 3])
def test_what_a_call_raises_is_raised_after_all_have_ended(bad: int) -> None:
    ended = []

    def kernel(number: int) -> None:
        if number == bad:
            raise ValueError("this one")
        time.sleep(0.01)
        ended.append(number)

    with pytest.raises(ValueError, match="this one"):
        on_threads(kernel, [(number,) for number in range(9)])
    assert sorted(ended) == [number for number in range(9) if number != bad]


def test_the_caller_takes_part() -> None:
    threads = []
    on_threads(lambda _: threads.append(threading.get_ident()), [(number,) for number in range(3)])
    assert threading.get_ident() in threads and len(threads) == 3
