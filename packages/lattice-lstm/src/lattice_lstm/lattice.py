"""The words of a batch of sentences, in the order in which the recurrence meets them.

Sentences are sorted by length, longest first, and the characters of one step of all sentences lie together: rows step_rows[t] to
step_rows[t+1] are the t-th characters of those that have one. Nothing is padded. Backwards the same rows hold the characters of each
sentence from its own last one on, so that both directions take the same steps.

A word is listed under the step of its first character, in the direction of reading, and knows the row of its last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lattice_lstm.compiled import compiled
from lattice_lstm.lexicon import Matches

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Direction:
    """One way of reading; all int64, n characters, w words, s rows where words begin.

    Attributes:
        take: (n,) the character, counted over all sentences, that is in each row.
        place: (n,) the row of each character.
        start: (w,) row of each word's first character; words are sorted by it.
        end: (w,) row of its last one.
        word: (w,) which vector is its own.
        match: (w,) its number in the order of the matches.
        slot: (w,) place of its first row in `slots`.
        slots: (s,) rows where words begin, ascending.
        step_words: (T+1,) on the host: where the words of each step begin.
        step_slots: (T+1,) on the host: where the rows of each step begin in `slots`.
    """

    take: Tensor
    place: Tensor
    start: Tensor
    end: Tensor
    word: Tensor
    match: Tensor
    slot: Tensor
    slots: Tensor
    step_words: Ints
    step_slots: Ints

    def to(self, device: torch.device | str) -> Direction:
        """The same on another device."""
        names = ("take", "place", "start", "end", "word", "match", "slot", "slots")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in names}
        return replace(self, **moved)


@dataclass(frozen=True)
class Lattice:
    """A batch of sentences with their words.

    Attributes:
        offsets: (S+1,) where each sentence begins among all characters.
        step_rows: (T+1,) where the rows of each step begin.
        directions: forwards and backwards.
    """

    offsets: Ints
    step_rows: Ints
    directions: tuple[Direction, Direction]

    @classmethod
    def of(cls, lengths: Sequence[int] | Ints, matches: Matches, word: Ints | None = None) -> Lattice:
        """Order sentences and words for the recurrence.

        Args:
            lengths: characters of each sentence, 1 or more.
            matches: the words of each sentence, of two characters or more.
            word: (m,) which vector belongs to each match; None takes `matches.word`.
        """
        sizes = np.asarray(lengths, np.int64)
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        order = np.argsort(-sizes, kind="stable")
        longest = int(sizes[order[0]]) if len(sizes) else 0
        step_rows = np.zeros(longest + 1, np.int64)
        counts = np.searchsorted(-sizes[order], -np.arange(1, longest + 1), side="right")
        np.cumsum(counts, out=step_rows[1:])
        vector = np.asarray(matches.word if word is None else word, np.int64)
        parts = (offsets, order, step_rows, matches.offsets, matches.start, matches.end)
        made = [_direction(*parts, backwards) for backwards in (False, True)]
        both = [_as_direction(arrays, vector) for arrays in made]
        return cls(offsets, step_rows, (both[0], both[1]))

    @property
    def characters(self) -> int:
        """Characters of all sentences."""
        return int(self.offsets[-1])

    @property
    def steps(self) -> int:
        """Length of the longest sentence."""
        return len(self.step_rows) - 1

    def to(self, device: torch.device | str) -> Lattice:
        """The same on another device."""
        forwards, backwards = (one.to(device) for one in self.directions)
        return Lattice(self.offsets, self.step_rows, (forwards, backwards))


def _as_direction(arrays: tuple[Any, ...], vector: Ints) -> Direction:
    take, place, start, end, match, slot, slots, step_words, step_slots = arrays
    of = torch.from_numpy
    rows, words = (of(take), of(place)), (of(start), of(end), of(vector[match]), of(match), of(slot))
    return Direction(*rows, *words, of(slots), step_words, step_slots)


@compiled
def _direction(
    offsets: Any, order: Any, step_rows: Any, match_offsets: Any, begin: Any, stop: Any, backwards: bool
) -> Any:
    rows, words, steps = offsets[-1], len(begin), len(step_rows) - 1
    take, place = np.empty(rows, np.int64), np.empty(rows, np.int64)
    first, last = np.empty(words, np.int64), np.empty(words, np.int64)
    count = np.zeros(rows + 1, np.int64)
    for k in range(len(order)):
        s = order[k]
        length = offsets[s + 1] - offsets[s]
        for t in range(length):
            row = step_rows[t] + k
            take[row] = offsets[s] + (length - 1 - t if backwards else t)
            place[take[row]] = row
        for m in range(match_offsets[s], match_offsets[s + 1]):
            early = length - stop[m] if backwards else begin[m]
            late = length - 1 - begin[m] if backwards else stop[m] - 1
            first[m], last[m] = step_rows[early] + k, step_rows[late] + k
            count[first[m] + 1] += 1
    distinct = np.cumsum((count > 0).astype(np.int64))  # of rows up to and with the one before
    slots = np.empty(distinct[-1], np.int64)
    for row in range(rows):
        if count[row + 1] > 0:
            slots[distinct[row + 1] - 1] = row
    where = np.cumsum(count)
    step_words, step_slots = np.empty(steps + 1, np.int64), np.empty(steps + 1, np.int64)
    for t in range(steps + 1):
        step_words[t], step_slots[t] = where[step_rows[t]], distinct[step_rows[t]]
    start, end = np.empty(words, np.int64), np.empty(words, np.int64)
    match, slot = np.empty(words, np.int64), np.empty(words, np.int64)
    for m in range(words):
        at = where[first[m]]
        where[first[m]] += 1
        start[at], end[at], match[at] = first[m], last[m], m
        slot[at] = distinct[first[m] + 1] - 1
    return take, place, start, end, match, slot, slots, step_words, step_slots
