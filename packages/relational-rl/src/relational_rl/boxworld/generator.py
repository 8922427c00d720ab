"""The authors' distribution of levels, for many levels at once; the reference for the compiled generator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from relational_rl.boxworld.codes import DISTRACTOR, GEM, KEY, LOCK, WALL
from relational_rl.boxworld.counter import ATTEMPT, U64, below, draw, level_keys, mix
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.places import ATTEMPTS, BUDGET, Places, places
from relational_rl.boxworld.spec import BoxWorldSpec

Ints = NDArray[np.int64]

# Which draw of a level is at which counter; the compiled generator has the same.
LENGTH, FORWARD, BACKWARD, PAIR_AT, PAIR, AGENT_CELL, AGENT_FAILURES = range(7)
SLOTS = 16
SLOT_LOCK, SLOT_CONTENT, SLOT_CELL, SLOT_FAILURES = range(4)
PERMUTATION = np.uint64(0xA0761D6478BD642F)


def generate(spec: BoxWorldSpec, streams: U64, number: NDArray[Any]) -> Levels:
    """Level `number` of each environment.

    Args:
        spec: what levels to draw.
        streams: (B,) keys of the environments, from `counter.stream_keys`.
        number: (B,) which level of its environment.

    Raises:
        InputError: a level could not be placed in 200 attempts: the room is too dense.
    """
    keys = level_keys(streams, number)
    found = Levels.empty(len(keys), spec.side)
    left = np.arange(len(keys))
    for attempt in range(ATTEMPTS):
        drawn = _Draw(spec, mix(keys[left] + np.array(attempt + 1, np.uint64) * ATTEMPT))
        found.put(left[drawn.placed], drawn.levels(), drawn.placed)
        left = left[~drawn.placed]
        if not len(left):
            return found
    raise InputError(
        f"no level of {spec} could be placed in {ATTEMPTS} attempts: fewer or shorter branches, or a larger size"
    )


class _Draw:
    """One attempt at a level for each key."""

    def __init__(self, spec: BoxWorldSpec, keys: U64) -> None:
        self.spec, self.keys, self.count = spec, keys, len(keys)
        self.tables: Places = places(spec.size)
        self.length = self._choice(LENGTH, spec.solution_lengths)
        self.forward = self._choice(FORWARD, spec.forward)
        self.backward = self._choice(BACKWARD, spec.backward)
        self.colour = permuted_colours(spec, keys, self.length)
        self.cells = np.zeros((self.count, spec.side, spec.side), np.uint8)
        self.cells[:, [0, -1]] = self.cells[:, :, [0, -1]] = WALL
        self.flat = self.cells.reshape(-1)
        self.base = np.arange(self.count) * spec.side**2
        self.valid = np.repeat(self.tables.start[None], self.count, axis=0)
        self.free = np.repeat(self.tables.agent_start[None], self.count, axis=0)
        self.failures = np.zeros(self.count)
        self.slot = 0
        self._path()
        self._forward_branches()
        self._backward_branches()
        self._agent()
        self.placed = self.failures <= BUDGET

    def levels(self) -> Levels:
        boxes = self.forward * self.spec.branch_length + self.backward
        return Levels(
            self.cells,
            self.agent.astype(np.int32),
            self.length.astype(np.uint8),
            boxes.astype(np.uint8),
        )

    def _choice(self, counter: int, among: tuple[int, ...]) -> Ints:
        return np.array(among)[below(self.keys, counter, len(among))]

    def _path(self) -> None:
        everywhere = np.ones(self.count, np.bool_)
        self._place(everywhere, self._key(1), None)
        for box in range(1, max(self.spec.solution_lengths) + 1):
            content = np.where(self.length == box, GEM, self._key(min(box + 1, self.spec.colours)))
            self._place(self.length >= box, content, LOCK + self.colour[:, box - 1])

    def _forward_branches(self) -> None:
        last = self.spec.colours - 1  # the highest id but one: the bound is exclusive in the authors' program
        for branch in range(max(self.spec.forward)):
            for step in range(self.spec.branch_length):
                if step == 0:
                    lock = 1 + self._slot_below(SLOT_LOCK, self.length)
                others = last - self.length - (lock > self.length)
                content = self.length + 1 + self._slot_below(SLOT_CONTENT, others)
                content += (lock > self.length) & (content >= lock)  # never the key of its own lock
                self._place(self.forward > branch, self._key(content), DISTRACTOR + self._colour(lock))
                lock = content

    def _backward_branches(self) -> None:
        last = self.spec.colours - 1
        for branch in range(max(self.spec.backward)):
            content = 1 + self._slot_below(SLOT_CONTENT, self.length)
            lock = self.length + 1 + self._slot_below(SLOT_LOCK, last - self.length)
            self._place(self.backward > branch, self._key(content), DISTRACTOR + self._colour(lock))

    def _agent(self) -> None:
        valid = np.bitwise_count(self.free).sum(axis=1, dtype=np.int64)
        self.failures += _failures(draw(self.keys, AGENT_FAILURES), self.tables.agent_fail[valid])
        place = nth_bit(self.free, below(self.keys, AGENT_CELL, valid))
        self.agent = self.tables.agent_cell[np.minimum(place, len(self.tables.agent_cell) - 1)]

    def _place(self, there: NDArray[np.bool_], content: Ints, lock: Ints | None) -> None:
        """Put a box, or a loose key, into each level that has it; counts the rejected draws."""
        tables = self.tables
        valid = np.bitwise_count(self.valid).sum(axis=1, dtype=np.int64)
        counter = SLOTS + 4 * self.slot
        self.slot += 1
        failed = _failures(draw(self.keys, counter + SLOT_FAILURES), tables.fail[valid])
        self.failures += np.where(there, failed, 0.0)
        # Where no cell is valid the level is lost already, and any cell will do.
        place = nth_bit(self.valid, below(self.keys, counter + SLOT_CELL, np.maximum(valid, 1)))
        place = np.minimum(place, len(tables.cell) - 1)
        mine = np.flatnonzero(there)
        place = place[mine]
        at = self.base[mine] + tables.cell[place]
        self.flat[at] = content[mine]
        if lock is not None:
            self.flat[at + 1] = lock[mine]
        after, under = (
            (tables.after_key, tables.under_key) if lock is None else (tables.after_box, tables.under_box)
        )
        self.valid[mine] &= after[place]
        self.free[mine] &= under[place]

    def _slot_below(self, what: int, bound: Ints) -> Ints:
        return below(self.keys, SLOTS + 4 * self.slot + what, bound)

    def _colour(self, key_id: Ints | int) -> Ints:
        ids = np.broadcast_to(np.asarray(key_id), (self.count,))
        return np.take_along_axis(self.colour, ids[:, None] - 1, axis=1)[:, 0]

    def _key(self, key_id: Ints | int) -> Ints:
        return KEY + self._colour(key_id)


def permuted_colours(spec: BoxWorldSpec, keys: U64, length: Ints) -> Ints:
    """(B, colours) the colour of each key id, counted from 1; as the spec withholds pairs."""
    colour = np.empty((len(keys), spec.colours), np.int64)
    left, turn = np.arange(len(keys)), 0
    while len(left):
        colour[left] = _permutations(
            mix(keys[left] + np.array(turn + 1, np.uint64) * PERMUTATION), spec.colours
        )
        if spec.withheld != "train":
            break
        left, turn = left[_withheld_boxes(spec, colour[left], length[left]).any(axis=1)], turn + 1
    if spec.withheld == "test":
        _force_pair(spec, keys, length, colour)
    return colour


def _permutations(keys: U64, colours: int) -> Ints:
    """(B, colours) Fisher and Yates's shuffle."""
    rows = np.arange(len(keys))
    order = np.repeat(np.arange(colours)[None], len(keys), axis=0)
    for last in range(colours - 1, 0, -1):
        other = below(keys, last, last + 1)
        kept = order[rows, other]
        order[rows, other] = order[:, last]
        order[:, last] = kept
    return order


def _withheld_boxes(spec: BoxWorldSpec, colour: Ints, length: Ints) -> NDArray[np.bool_]:
    """(B, longest - 1) whether the solution's box i pairs withheld colours; the gem's box has none."""
    longest = max(spec.solution_lengths)
    pairs = spec.withheld_table[colour[:, : longest - 1], colour[:, 1:longest]]
    there: NDArray[np.bool_] = pairs & (np.arange(1, longest)[None] < length[:, None])
    return there


def _force_pair(spec: BoxWorldSpec, keys: U64, length: Ints, colour: Ints) -> None:
    """Exchange colours so that one box of the solution, drawn among all, pairs withheld ones."""
    rows = np.arange(len(keys))
    pairs = np.argwhere(spec.withheld_table)
    box = below(keys, PAIR_AT, length - 1)
    pair = pairs[below(keys, PAIR, len(pairs))]
    for place, wanted in ((box, pair[:, 0]), (box + 1, pair[:, 1])):
        at = np.argmax(colour == wanted[:, None], axis=1)
        colour[rows, at] = colour[rows, place]
        colour[rows, place] = wanted


def _failures(bits: U64, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) rejected draws before one is accepted: geometric, by inverting its distribution."""
    with np.errstate(invalid="ignore"):
        count = np.floor(np.log((bits.astype(np.float64) + 1.0) / 2.0**32) * scale)
    return np.where(np.isneginf(scale), np.inf, count)


def nth_bit(words: U64, n: Ints) -> Ints:
    """(B,) place of the set bit number n (from 0) of each row of words (B, W); past the end where there are fewer."""
    rows = np.arange(len(words))
    below_or_in = np.cumsum(np.bitwise_count(words), axis=1, dtype=np.int64)
    word = np.minimum((below_or_in <= n[:, None]).sum(axis=1), words.shape[1] - 1)
    bits = words[rows, word]
    rest = n - np.where(word > 0, below_or_in[rows, word - 1], 0)
    place: Ints = word * 64
    for half in (32, 16, 8, 4, 2, 1):
        width = np.uint64(half)
        low = bits & ((np.uint64(1) << width) - np.uint64(1))
        in_low = np.bitwise_count(low).astype(np.int64)
        high = rest >= in_low
        bits = np.where(high, bits >> width, low)
        rest -= np.where(high, in_low, 0)
        place += np.where(high, half, 0)
    return place
