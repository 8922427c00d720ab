"""The generator and the rules as compiled loops over environments; equal to `generator` and `rules`, number for number.

Needs numba, which the extra `fast` brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from relational_rl.boxworld.codes import AGENT, DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, WALL
from relational_rl.boxworld.counter import ATTEMPT, FIRST, GAMMA, S27, S30, S31, S32, SECOND
from relational_rl.boxworld.generator import (
    AGENT_CELL,
    AGENT_FAILURES,
    BACKWARD,
    FORWARD,
    LENGTH,
    PAIR,
    PAIR_AT,
    PERMUTATION,
    SLOT_CELL,
    SLOT_CONTENT,
    SLOT_FAILURES,
    SLOT_LOCK,
    SLOTS,
)
from relational_rl.boxworld.places import ATTEMPTS, BUDGET

F = TypeVar("F", bound=Callable[..., Any])


def _compiled(function: F) -> F:
    """Compile on the first call, and keep the result beside this file."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


ONE = np.uint64(1)
M1, M2, M4, H01 = (
    np.uint64(n) for n in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)
)
S1, S2, S4, S56 = np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(56)
ALL, TRAIN, TEST = 0, 1, 2
"""Which pairs of colours a solution may have: any, none that is withheld, at least one that is."""


@_compiled
def _mix(x: Any) -> Any:
    x = (x ^ (x >> S30)) * FIRST
    x = (x ^ (x >> S27)) * SECOND
    return x ^ (x >> S31)


@_compiled
def _draw(key: Any, counter: Any) -> Any:
    return _mix(key + np.uint64(counter) * GAMMA) >> S32


@_compiled
def _below(key: Any, counter: Any, bound: Any) -> Any:
    return np.int64((_draw(key, counter) * np.uint64(bound)) >> S32)


@_compiled
def _ones(x: Any) -> Any:
    x = x - ((x >> S1) & M1)
    x = (x & M2) + ((x >> S2) & M2)
    x = (x + (x >> S4)) & M4
    return np.int64((x * H01) >> S56)


@_compiled
def _count(words: Any) -> Any:
    total = 0
    for word in words:
        total += _ones(word)
    return total


@_compiled
def _nth_bit(words: Any, n: Any) -> Any:
    for w in range(len(words)):
        here = _ones(words[w])
        if n < here:
            bits, place, half = words[w], w * 64, 32
            while half:
                width = np.uint64(half)
                low = bits & ((ONE << width) - ONE)
                in_low = _ones(low)
                if n >= in_low:
                    bits, n, place = bits >> width, n - in_low, place + half
                else:
                    bits = low
                half //= 2
            return place
        n -= here
    return 0


@_compiled
def _failures(bits: Any, scale: Any) -> Any:
    if np.isinf(scale):
        return np.inf
    return np.floor(np.log((np.float64(bits) + 1.0) / 4294967296.0) * scale)


@_compiled
def _colours(key: Any, colour: Any, length: Any, split: Any, withheld: Any, pairs: Any) -> Any:
    """Fill `colour` with the colour of each key id."""
    turn = 0
    while True:
        permutation = _mix(key + np.uint64(turn + 1) * PERMUTATION)
        for c in range(len(colour)):
            colour[c] = c
        for last in range(len(colour) - 1, 0, -1):
            other = _below(permutation, last, last + 1)
            colour[last], colour[other] = colour[other], colour[last]
        turn += 1
        again = False
        if split == TRAIN:
            for box in range(length - 1):
                again = again or withheld[colour[box], colour[box + 1]]
        if not again:
            break
    if split == TEST:
        box = _below(key, PAIR_AT, length - 1)
        pair = _below(key, PAIR, len(pairs))
        for side in range(2):
            at = 0
            while colour[at] != pairs[pair, side]:
                at += 1
            colour[at], colour[box + side] = colour[box + side], colour[at]


@_compiled
def _put(key: Any, slot: Any, content: Any, lock: Any, cells: Any, valid: Any, free: Any, tables: Any) -> Any:
    """Place one thing; returns how many draws the authors' program would have rejected before."""
    cell, after_key, after_box, under_key, under_box, fail = tables
    v = _count(valid)
    counter = SLOTS + 4 * slot
    failed = _failures(_draw(key, counter + SLOT_FAILURES), fail[v])
    if v == 0:
        return failed
    place = _nth_bit(valid, _below(key, counter + SLOT_CELL, v))
    cells[cell[place]] = content
    if lock > 0:
        cells[cell[place] + 1] = lock
        for w in range(len(valid)):
            valid[w] &= after_box[place, w]
        for w in range(len(free)):
            free[w] &= under_box[place, w]
    else:
        for w in range(len(valid)):
            valid[w] &= after_key[place, w]
        for w in range(len(free)):
            free[w] &= under_key[place, w]
    return failed


@_compiled
def _level(
    key: Any,
    cells: Any,
    side: Any,
    choices: Any,
    rules: Any,
    tables: Any,
    agent_tables: Any,
    start: Any,
    agent_start: Any,
    scratch: Any,
) -> Any:
    """One level into `cells`.

    Returns:
        agent, solution length, distractor boxes; agent is -1 where no attempt could be placed.
    """
    lengths, forwards, backwards = choices
    branch_length, split, withheld, pairs = rules
    agent_cell, agent_fail = agent_tables
    colour, valid, free = scratch
    last = len(colour) - 1
    most_length, most_forward, _most_backward = lengths.max(), forwards.max(), backwards.max()
    for attempt in range(ATTEMPTS):
        k = _mix(key + np.uint64(attempt + 1) * ATTEMPT)
        length = lengths[_below(k, LENGTH, len(lengths))]
        forward = forwards[_below(k, FORWARD, len(forwards))]
        backward = backwards[_below(k, BACKWARD, len(backwards))]
        _colours(k, colour, length, split, withheld, pairs)
        cells[:] = FLOOR
        for i in range(side):
            cells[i] = cells[(side - 1) * side + i] = cells[i * side] = cells[i * side + side - 1] = WALL
        valid[:] = start
        free[:] = agent_start
        failed = _put(k, 0, KEY + colour[0], 0, cells, valid, free, tables)
        for box in range(1, length + 1):
            content = GEM if box == length else KEY + colour[box]
            failed += _put(k, box, content, LOCK + colour[box - 1], cells, valid, free, tables)
            if failed > BUDGET:
                break
        if failed > BUDGET:
            continue
        for branch in range(forward):
            lock = 0
            for step in range(branch_length):
                slot = 1 + most_length + branch * branch_length + step
                counter = SLOTS + 4 * slot
                if step == 0:
                    lock = 1 + _below(k, counter + SLOT_LOCK, length)
                own = 1 if lock > length else 0
                content = length + 1 + _below(k, counter + SLOT_CONTENT, last - length - own)
                if own and content >= lock:
                    content += 1
                failed += _put(
                    k,
                    slot,
                    KEY + colour[content - 1],
                    DISTRACTOR + colour[lock - 1],
                    cells,
                    valid,
                    free,
                    tables,
                )
                lock = content
            if failed > BUDGET:
                break
        if failed > BUDGET:
            continue
        for branch in range(backward):
            slot = 1 + most_length + most_forward * branch_length + branch
            counter = SLOTS + 4 * slot
            content = 1 + _below(k, counter + SLOT_CONTENT, length)
            lock = length + 1 + _below(k, counter + SLOT_LOCK, last - length)
            failed += _put(
                k, slot, KEY + colour[content - 1], DISTRACTOR + colour[lock - 1], cells, valid, free, tables
            )
        v = _count(free)
        failed += _failures(_draw(k, AGENT_FAILURES), agent_fail[v])
        if failed > BUDGET:
            continue
        agent = agent_cell[_nth_bit(free, _below(k, AGENT_CELL, v))]
        return agent, length, forward * branch_length + backward
    return -1, 0, 0


@_compiled
def levels(
    keys: Any, objects: Any, agents: Any, solution: Any, distractors: Any, side: Any, tables: Any
) -> Any:
    """Fill the arrays with one level for each key; returns the number of levels that could be placed."""
    choices, rules, place_tables, agent_tables, start, agent_start, colours = tables
    scratch = (np.empty(colours, np.int64), np.empty_like(start), np.empty_like(agent_start))
    for i in range(len(keys)):
        agent, length, boxes = _level(
            keys[i], objects[i], side, choices, rules, place_tables, agent_tables, start, agent_start, scratch
        )
        if agent < 0:
            return i
        agents[i], solution[i], distractors[i] = agent, length, boxes
    return len(keys)


@_compiled
def _paint(frame: Any, cell: Any, colour: Any) -> Any:
    frame[3 * cell] = colour[0]
    frame[3 * cell + 1] = colour[1]
    frame[3 * cell + 2] = colour[2]


@_compiled
def step(
    actions: Any,
    cells: Any,
    agents: Any,
    held: Any,
    steps: Any,
    frames: Any,
    palette: Any,
    deltas: Any,
    legacy: Any,
    reward: Any,
    terminated: Any,
) -> Any:
    """One step of every environment, in place.

    Returns:
        -1, or the first environment whose action is not 0 to 3; then nothing was changed.
    """
    for i in range(len(actions)):
        if actions[i] < 0 or actions[i] > 3:
            return i
    for i in range(len(actions)):
        board, frame = cells[i], frames[i]
        agent = agents[i]
        target = agent + deltas[actions[i]]
        code = board[target]
        steps[i] += 1
        reward[i] = 0.0
        terminated[i] = False
        if code == WALL:
            continue
        if code != FLOOR:
            key = held[i]
            if code >= LOCK:
                if code == key + (LOCK - KEY):
                    reward[i] = 1.0
                elif code == key + (DISTRACTOR - KEY):
                    reward[i] = -1.0
                    terminated[i] = True
                else:
                    continue
                held[i] = NO_KEY
                if legacy and not terminated[i]:
                    content = board[target - 1]
                    board[target - 1] = FLOOR
                    _paint(frame, target - 1, palette[FLOOR])
                    if content == GEM:
                        reward[i] = 10.0
                        terminated[i] = True
                        _paint(frame, 0, palette[GEM])
                    else:
                        held[i] = content
            else:
                if board[target + 1] >= LOCK:
                    continue
                if code == GEM:
                    reward[i] = 10.0
                    terminated[i] = True
                else:
                    held[i] = code
                    if legacy:
                        reward[i] = 1.0
            board[target] = FLOOR
            if not (legacy and reward[i] == 10.0):
                _paint(frame, 0, palette[held[i]])
        _paint(frame, agent, palette[FLOOR])
        _paint(frame, target, palette[AGENT])
        agents[i] = target
    return -1


@_compiled
def draw(cells: Any, agents: Any, held: Any, frames: Any, palette: Any, which: Any) -> Any:
    """Draw whole boards anew."""
    for w in range(len(which)):
        i = which[w]
        for cell in range(cells.shape[1]):
            _paint(frames[i], cell, palette[cells[i, cell]])
        _paint(frames[i], 0, palette[held[i]])
        _paint(frames[i], agents[i], palette[AGENT])


@_compiled
def play(
    actions: Any,
    state: Any,
    palette: Any,
    deltas: Any,
    legacy: Any,
    limit: Any,
    limit_ends: Any,
    outcome: Any,
) -> Any:
    """A step of every environment and what it means for the episodes, in place.

    Args:
        actions: (B,) integers.
        state: cells, agents, held, steps, frames.
        palette: (256, 3).
        deltas: of the four actions.
        legacy: which rules.
        limit: the step at which time is up.
        limit_ends: whether that is an end and not a cut.
        outcome: reward, terminated, truncated, solved, distractor, and room for the environments whose episode is over.

    Returns:
        How many episodes are over; or -1 minus the first environment whose action is not 0 to 3.
    """
    cells, agents, held, steps, frames = state
    reward, terminated, truncated, solved, distractor, ended = outcome
    wrong = step(actions, cells, agents, held, steps, frames, palette, deltas, legacy, reward, terminated)
    if wrong >= 0:
        return -1 - wrong
    count = 0
    for i in range(len(actions)):
        solved[i] = reward[i] >= 10.0
        distractor[i] = reward[i] < 0.0
        late = steps[i] >= limit and not terminated[i]
        truncated[i] = late and not limit_ends
        terminated[i] = terminated[i] or (late and limit_ends)
        ended[count] = i
        count += terminated[i] or truncated[i]
    return count


@_compiled
def begin(
    which: Any, number: Any, ready: Any, ahead: Any, kept: Any, state: Any, lengths: Any, palette: Any
) -> Any:
    """Start the next level of some environments, in place.

    Args:
        which: the environments.
        number: (B,) of the level that each gets next; goes on.
        ready: (B,) levels that have been drawn for each.
        ahead: levels kept for each.
        kept: objects, agents and solution lengths of the levels that are kept.
        state: cells, agents, held, steps, frames.
        lengths: (B,) solution length of the level under way.
        palette: (256, 3).

    Returns:
        Whether there was a level for all of them; if not, nothing was changed.
    """
    cells, agents, held, steps, frames = state
    objects, starts, solution = kept
    for w in range(len(which)):
        if number[which[w]] >= ready[which[w]]:
            return False
    for w in range(len(which)):
        i = which[w]
        k = i * ahead + number[i] % ahead
        number[i] += 1
        cells[i, :] = objects[k, :]
        agents[i], lengths[i] = starts[k], solution[k]
        held[i] = NO_KEY
        steps[i] = 0
    draw(cells, agents, held, frames, palette, which)
    return True
