"""Strings that are hard for attention, and strings made harder than others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
FAMILIES = 8


def hard_strings(rng: np.random.Generator, count: int, n: int, letters: int) -> Ids:
    """Strings of eight kinds in equal shares: runs with exceptions, periods, blocks, near-balanced ones, random ones.

    Args:
        rng: the randomness.
        count: how many.
        n: their length.
        letters: of the alphabet.

    Returns:
        (count, n).
    """
    ids = rng.integers(letters, size=(count, n))  # the last kind stays like this
    share = [np.arange(kind, count, FAMILIES) for kind in range(FAMILIES)]
    base = rng.integers(letters, size=(count, 1))
    place = np.arange(n)

    def change(rows: NDArray[np.intp], spots: NDArray[np.int64]) -> None:
        ids[rows, spots] = rng.integers(letters, size=len(rows))

    for rows in share[:3]:
        ids[rows] = base[rows]
    rows = share[0]  # a run with a few exceptions, mostly near the ends
    for _ in range(4):
        near = rng.integers(min(n, 4), size=len(rows))
        ends = np.where(rng.random(len(rows)) < 0.5, near, n - 1 - near)
        change(rows, np.where(rng.random(len(rows)) < 0.6, ends, rng.integers(n, size=len(rows))))
    change(share[1], np.full(len(share[1]), max(n - 2, 0)))  # the nearest place alone differs
    change(share[1], np.full(len(share[1]), n - 1))
    change(share[2], np.zeros(len(share[2]), np.int64))  # the farthest place alone differs
    rows = share[3]  # a period, with one change
    table = rng.integers(letters, size=(len(rows), 4))
    ids[rows] = np.take_along_axis(table, place % rng.integers(1, 5, size=(len(rows), 1)), 1)
    change(rows, rng.integers(n, size=len(rows)))
    rows = share[4]  # two blocks
    other = rng.integers(letters, size=(len(rows), 1))
    ids[rows] = np.where(place < rng.integers(n + 1, size=(len(rows), 1)), base[rows], other)
    rows = share[5]  # nearly as many of each letter
    ids[rows] = rng.permuted(np.tile(np.resize(np.arange(letters), n), (len(rows), 1)), axis=1)
    for _ in range(2):
        change(rows, rng.integers(n, size=len(rows)))
    rows = share[6]  # blocks of random lengths
    switches = rng.random((len(rows), n)) < rng.random((len(rows), 1)) ** 2
    ids[rows] = (base[rows] + np.cumsum(switches, 1)) % letters
    return ids


def tails(rng: np.random.Generator, count: int, n: int, letters: int, longest: int = 12) -> Ids:
    """Runs of one letter that end at random: what happens among the last few positions, where neighbouring scores are hardest to tell apart.

    Args:
        rng: the randomness.
        count: how many.
        n: their length.
        letters: of the alphabet.
        longest: of the random ends.

    Returns:
        (count, n).
    """
    ids = np.repeat(np.arange(count)[:, None] % letters, n, 1)
    end = min(n, longest)
    ids[:, n - end :] = rng.integers(letters, size=(count, end))
    return ids


def edited(rng: np.random.Generator, parents: Ids, count: int, letters: int) -> Ids:
    """Copies of strings, each changed a little: a letter, a letter like its neighbour, two that change places, a shift.

    Args:
        rng: the randomness.
        parents: (some, n), one or more.
        count: how many.
        letters: of the alphabet.

    Returns:
        (count, n).
    """
    n = parents.shape[1]
    ids = parents[rng.integers(len(parents), size=count)].copy()
    spots = rng.integers(n, size=count)
    kind = rng.integers(4, size=count)
    letter, neighbour, exchange, shift = (np.flatnonzero(kind == k) for k in range(4))
    ids[letter, spots[letter]] = rng.integers(letters, size=len(letter))
    ids[neighbour, spots[neighbour]] = ids[neighbour, (spots[neighbour] + 1) % n]
    after = (spots[exchange] + 1) % n
    ids[exchange, spots[exchange]], ids[exchange, after] = (
        ids[exchange, after],
        ids[exchange, spots[exchange]],
    )
    ids[shift] = np.roll(ids[shift], 1, 1)
    return ids
