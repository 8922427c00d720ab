"""A trie of words as one hash table of edges, and all words that stand in a text: compiled loops over code points.

An edge is (node, code point) -> node. A walk from every position of the text follows edges as long as there are some, so that all
words are found, nested and overlapping ones too, whatever their length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lattice_lstm.compiled import compiled

Codes = NDArray[np.uint32]
Ints = NDArray[np.int64]

_EMPTY = -1
_CODE_BITS = 21  # every code point is below 2^21


def build(codes: Codes, offsets: Ints) -> tuple[Ints, Any, Any]:
    """A trie of words.

    Args:
        codes: (C,) code points of all words, one word after the other.
        offsets: (n+1,) where each begins.

    Returns:
        (slots, 2) edges, (nodes,) int32 number of the word that ends there or -1, (n,) int32 the number that each word has in the
        trie: words that are equal share that of the first.
    """
    slots = 16
    while slots < 2 * len(codes):
        slots *= 2
    edges = np.full((slots, 2), _EMPTY, np.int64)
    word_at = np.full(len(codes) + 1, -1, np.int32)
    number = np.empty(len(offsets) - 1, np.int32)
    nodes = _insert(codes, offsets, edges, word_at, number)
    if (small := _fitting(nodes)) < slots:
        edges = _rehashed(edges, np.full((small, 2), _EMPTY, np.int64))
    return edges, word_at[:nodes].copy(), number


def matches(
    codes: Codes, offsets: Ints, edges: Ints, word_at: Any, shortest: int
) -> tuple[Ints, Any, Any, Any]:
    """All words of a trie in all sentences.

    Args:
        codes: (C,) code points of the sentences, one after the other.
        offsets: (S+1,) where each begins.
        edges: of `build`.
        word_at: of `build`.
        shortest: words with fewer code points are left out.

    Returns:
        (S+1,) where each sentence's matches begin; of each match, by start and then by length, int32: start and end within its
        sentence, end not included, and its word.
    """
    counts = np.zeros(len(offsets), np.int64)
    nothing = np.empty(0, np.int32)
    _walk(codes, offsets, edges, word_at, shortest, counts, nothing, nothing, nothing, False)
    np.cumsum(counts, out=counts)
    start, end, word = (np.empty(counts[-1], np.int32) for _ in range(3))
    _walk(codes, offsets, edges, word_at, shortest, counts, start, end, word, True)
    return counts, start, end, word


def find(codes: Codes, offsets: Ints, edges: Ints, word_at: Any) -> Any:
    """The number of each of some words in a trie, (n,) int32; -1 for those that are not in it."""
    found = np.full(len(offsets) - 1, -1, np.int32)
    _find(codes, offsets, edges, word_at, found)
    return found


def _fitting(nodes: int) -> int:
    slots = 16
    while slots < 2 * nodes:
        slots *= 2
    return slots


@compiled
def _slot(edges: Ints, key: Any) -> Any:
    """Where an edge stands, or the empty place where it would."""
    mask = edges.shape[0] - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64(mixed >> np.uint64(32)) & mask
    while edges[place, 0] != _EMPTY and edges[place, 0] != key:
        place = (place + 1) & mask
    return place


@compiled
def _insert(codes: Codes, offsets: Ints, edges: Ints, word_at: Any, number: Any) -> int:
    nodes, words = 1, 0
    for w in range(len(offsets) - 1):
        node = 0
        for at in range(offsets[w], offsets[w + 1]):
            key = (np.int64(node) << _CODE_BITS) | np.int64(codes[at])
            place = _slot(edges, key)
            if edges[place, 0] == _EMPTY:
                edges[place, 0] = key
                edges[place, 1] = nodes
                nodes += 1
            node = edges[place, 1]
        if word_at[node] < 0:
            word_at[node] = words
            words += 1
        number[w] = word_at[node]
    return nodes


@compiled
def _rehashed(edges: Ints, out: Ints) -> Ints:
    for place in range(edges.shape[0]):
        if edges[place, 0] != _EMPTY:
            new = _slot(out, edges[place, 0])
            out[new, 0] = edges[place, 0]
            out[new, 1] = edges[place, 1]
    return out


@compiled
def _walk(
    codes: Codes,
    offsets: Ints,
    edges: Ints,
    word_at: Any,
    shortest: int,
    counts: Ints,
    start: Any,
    end: Any,
    word: Any,
    fill: bool,
) -> None:
    out = 0
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        found = 0
        for begin in range(first, last):
            node = np.int64(0)
            for at in range(begin, last):
                place = _slot(edges, (node << _CODE_BITS) | np.int64(codes[at]))
                if edges[place, 0] == _EMPTY:
                    break
                node = edges[place, 1]
                if word_at[node] >= 0 and at - begin + 1 >= shortest:
                    if fill:
                        start[out] = begin - first
                        end[out] = at + 1 - first
                        word[out] = word_at[node]
                        out += 1
                    found += 1
        if not fill:
            counts[s + 1] = found


@compiled
def _find(codes: Codes, offsets: Ints, edges: Ints, word_at: Any, found: Any) -> None:
    for w in range(len(offsets) - 1):
        node = np.int64(0)
        inside = offsets[w] < offsets[w + 1]
        for at in range(offsets[w], offsets[w + 1]):
            place = _slot(edges, (node << _CODE_BITS) | np.int64(codes[at]))
            if edges[place, 0] == _EMPTY:
                inside = False
                break
            node = edges[place, 1]
        if inside:
            found[w] = word_at[node]
