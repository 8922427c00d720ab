"""The steps of the recurrence as compiled loops for the CPU: one call for all steps of a direction.

Between the products, which are small, nothing is left to call: gates, word cells and their sums are made row by row while they are in
cache. Rows that begin no word take no part in the words' product. Both directions run at once where torch has two threads; neither
touches what the other writes, so that the number of threads changes no bit.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from offprints.threads import on_threads

from lattice_lstm.cell import MERGES
from lattice_lstm.compiled import compiled
from lattice_lstm.lattice import Direction, Lattice
from lattice_lstm.steps import Gradients, States, Weights, in_text_order, weight_gradients
from lattice_lstm.vector_math import exp, sigmoid, tanh

_GATED, _EQUAL, _SUM, _KEEP = (MERGES.index(name) for name in ("gated", "equal", "sum", "keep"))


class CompiledSteps:
    """See `lattice_lstm.steps.Steps`."""

    def forward(
        self, projected: Tensor, words: Tensor, weights: Weights, lattice: Lattice, merge: str
    ) -> States:
        directions, size = weights.h.shape[:2]
        projected, words = projected.contiguous(), words.contiguous()
        found = lattice.directions[0].word.shape[0]
        states = States.empty(projected, directions, lattice.characters, found, size)

        def one(d: int) -> None:
            cast(Any, _forward)(
                *_arrays(projected, words, weights.h[d], weights.word_h[d], weights.link[d]),
                d,
                lattice.step_rows,
                *_of_direction(lattice.directions[d]),
                MERGES.index(merge),
                *_arrays(*_state_of(states, d)),
            )

        on_threads(one, [(d,) for d in range(directions)])
        return states

    def backward(
        self,
        grad: Tensor,
        words: int,
        weights: Weights,
        states: States,
        lattice: Lattice,
        merge: str,
    ) -> Gradients:
        directions, size = weights.h.shape[:2]
        gates = grad.new_empty(directions, lattice.characters, 4 * size)
        links = torch.empty_like(states.links)
        products = grad.new_zeros(words, directions, 3 * size)
        slots = [grad.new_zeros(len(one.slots), 3 * size) for one in lattice.directions[:directions]]

        def one(d: int) -> None:
            turned = (weights.h[d].t(), weights.word_h[d].t(), weights.link[d].t())
            cast(Any, _backward)(
                *_arrays(grad[d], *turned),
                d,
                lattice.step_rows,
                *_of_direction(lattice.directions[d]),
                MERGES.index(merge),
                *_arrays(*_state_of(states, d)),
                *_arrays(gates[d], links[d], products, slots[d]),
            )

        on_threads(one, [(d,) for d in range(directions)])
        h, word_h, link = weight_gradients(states, lattice, gates[:, :, : 3 * size], slots, links)
        return Gradients(in_text_order(gates, lattice), products, h, word_h, link)


def _state_of(states: States, d: int) -> list[Tensor]:
    return [one[d] for one in vars(states).values()]


def _of_direction(direction: Direction) -> list[Any]:
    one = direction
    tensors = _arrays(one.take, one.start, one.end, one.word, one.slot, one.slots)
    return [*tensors, one.step_words, one.step_slots]


def _arrays(*tensors: Tensor) -> list[Any]:
    return [one.detach().contiguous().numpy() for one in tensors]


@compiled
def _add_product(a: Any, rows: Any, first: int, count: int, b: Any, out: Any, out_first: int) -> None:
    """out[out_first + r] += a[rows[first + r]] @ b for r below count; out may have further columns.

    Four rows and two of the summed numbers at a time: what is read of b and out then serves eight products each.
    """
    depth, columns = b.shape
    r = 0
    while r + 4 <= count:
        a0, a1 = a[rows[first + r]], a[rows[first + r + 1]]
        a2, a3 = a[rows[first + r + 2]], a[rows[first + r + 3]]
        o0, o1, o2, o3 = (
            out[out_first + r],
            out[out_first + r + 1],
            out[out_first + r + 2],
            out[out_first + r + 3],
        )
        k = 0
        while k + 2 <= depth:
            b0, b1 = b[k], b[k + 1]
            p0, p1, p2, p3 = a0[k], a1[k], a2[k], a3[k]
            q0, q1, q2, q3 = a0[k + 1], a1[k + 1], a2[k + 1], a3[k + 1]
            for j in range(columns):
                x, y = b0[j], b1[j]
                o0[j] += p0 * x + q0 * y
                o1[j] += p1 * x + q1 * y
                o2[j] += p2 * x + q2 * y
                o3[j] += p3 * x + q3 * y
            k += 2
        if k < depth:
            b0 = b[k]
            p0, p1, p2, p3 = a0[k], a1[k], a2[k], a3[k]
            for j in range(columns):
                o0[j] += p0 * b0[j]
                o1[j] += p1 * b0[j]
                o2[j] += p2 * b0[j]
                o3[j] += p3 * b0[j]
        r += 4
    while r < count:
        a0, o0 = a[rows[first + r]], out[out_first + r]
        k = 0
        while k + 4 <= depth:
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            p0, p1, p2, p3 = a0[k], a0[k + 1], a0[k + 2], a0[k + 3]
            for j in range(columns):
                o0[j] += p0 * b0[j] + p1 * b1[j] + (p2 * b2[j] + p3 * b3[j])
            k += 4
        while k < depth:
            b0, p0 = b[k], a0[k]
            for j in range(columns):
                o0[j] += p0 * b0[j]
            k += 1
        r += 1


@compiled
def _forward(
    projected: Any, words: Any, weight: Any, word_weight: Any, link: Any, d: int,
    step_rows: Any, take: Any, start: Any, end: Any, word: Any, slot: Any, slots: Any, step_words: Any, step_slots: Any,
    merge: int,
    h: Any, c: Any, gates: Any, total: Any, arrivals: Any, word_gates: Any, word_cells: Any, links: Any,
) -> None:  # fmt: skip
    """All steps of one direction; the last line of arguments is filled."""
    size, one = h.shape[1], h.dtype.type(1)
    each = np.arange(max(h.shape[0], len(word)))
    widest = 1
    for t in range(len(step_rows) - 1):
        widest = max(widest, step_slots[t + 1] - step_slots[t])
    starting = np.empty((widest, 3 * size), h.dtype)
    for t in range(len(step_rows) - 1):
        a, b = step_rows[t], step_rows[t + 1]
        back = a - step_rows[t - 1] if t > 0 else 0
        for row in range(a, b):
            gates[row, : 3 * size] = projected[take[row], d, : 3 * size]
        if t > 0:
            _add_product(h, each, a - back, b - a, weight, gates, a)
        for row in range(a, b):
            i, o, g = gates[row, :size], gates[row, size : 2 * size], gates[row, 2 * size : 3 * size]
            cell = c[row]
            for j in range(size):
                i[j], o[j], g[j] = sigmoid(i[j]), sigmoid(o[j]), tanh(g[j])
            if arrivals[row] == 0 and t == 0:
                for j in range(size):
                    cell[j] = i[j] * g[j]
            elif arrivals[row] == 0:
                before = c[row - back]
                for j in range(size):
                    cell[j] = (one - i[j]) * before[j] + i[j] * g[j]
            else:
                _mix(i, g, cell, total[row], c[row - back], merge)
            squashed = gates[row, 3 * size :]
            hidden = h[row]
            for j in range(size):
                squashed[j] = tanh(cell[j])
                hidden[j] = o[j] * squashed[j]
        p, q, u, v = step_slots[t], step_slots[t + 1], step_words[t], step_words[t + 1]
        if u == v:
            continue
        starting[: q - p] = 0
        _add_product(h, slots, p, q - p, word_weight, starting, 0)
        for m in range(u, v):
            s, w = starting[slot[m] - p], words[word[m], d]
            before, cell, own = c[start[m]], word_cells[m], word_gates[m]
            for j in range(size):
                f = sigmoid(s[j] + w[j])
                i = sigmoid(s[size + j] + w[size + j])
                g = tanh(s[2 * size + j] + w[2 * size + j])
                own[j], own[size + j], own[2 * size + j] = f, i, g
                cell[j] = f * before[j] + i * g
            links[m] = projected[take[end[m]], d, 3 * size :]
        _add_product(word_cells, each, u, v - u, link, links, u)
        for m in range(u, v):
            row = end[m]
            gate, cell, sum_, weights = links[m], word_cells[m], c[row], total[row]
            arrivals[row] += 1
            for j in range(size):
                gate[j] = sigmoid(gate[j])
                share = gate[j] if merge == _SUM else one if merge == _EQUAL else exp(gate[j])
                sum_[j] += share * cell[j]
                weights[j] += share


@compiled
def _mix(i: Any, g: Any, cell: Any, total: Any, before: Any, merge: int) -> None:
    """The cell of a character where words arrive, whose weighted sum it holds; `total` is that of their weights."""
    size, one = len(i), i.dtype.type(1)
    if merge == _GATED:
        for j in range(size):
            own = exp(i[j])
            total[j] += own
            cell[j] = (own * g[j] + cell[j]) / total[j]
    elif merge == _EQUAL:
        for j in range(size):
            total[j] += one
            cell[j] = (g[j] + cell[j]) / total[j]
    elif merge == _SUM:
        for j in range(size):
            total[j] = 1
            cell[j] = i[j] * g[j] + cell[j]
    else:
        for j in range(size):
            own, kept = exp(i[j]), exp(one - i[j])
            total[j] += own + kept
            cell[j] = (own * g[j] + kept * before[j] + cell[j]) / total[j]


@compiled
def _backward(
    dh: Any, weight_t: Any, word_weight_t: Any, link_t: Any, d: int,
    step_rows: Any, take: Any, start: Any, end: Any, word: Any, slot: Any, slots: Any, step_words: Any, step_slots: Any,
    merge: int,
    h: Any, c: Any, gates: Any, total: Any, arrivals: Any, word_gates: Any, word_cells: Any, links: Any,
    d_gates: Any, d_links: Any, d_words: Any, d_slots: Any,
) -> None:  # fmt: skip
    """All steps of one direction, from the last to the first; the last line of arguments is filled, and dh used up."""
    size, one = h.shape[1], h.dtype.type(1)
    each = np.arange(max(h.shape[0], len(word)))
    dc = np.zeros_like(c)  # of a row that is done: the gradient of its cell over its total
    d_gates[:, 3 * size :] = 0
    most = 1
    for t in range(len(step_rows) - 1):
        most = max(most, step_words[t + 1] - step_words[t])
    d_cells, onward = np.empty((most, size), c.dtype), np.empty((most, size), c.dtype)
    for t in range(len(step_rows) - 2, -1, -1):
        a, b = step_rows[t], step_rows[t + 1]
        back = a - step_rows[t - 1] if t > 0 else 0
        p, q, u, v = step_slots[t], step_slots[t + 1], step_words[t], step_words[t + 1]
        for m in range(u, v):
            row = end[m]
            gate, cell, arrived, mixed = links[m], word_cells[m], c[row], dc[row]
            d_cell, d_link, onto = d_cells[m - u], d_links[m], d_gates[row, 3 * size :]
            for j in range(size):
                share = gate[j] if merge == _SUM else one if merge == _EQUAL else exp(gate[j])
                d_cell[j] = mixed[j] * share
                slope = cell[j] if merge == _SUM else (cell[j] - arrived[j]) * share
                d_link[j] = mixed[j] * slope * gate[j] * (one - gate[j])
                if merge == _EQUAL:
                    d_link[j] = 0
                onto[j] += d_link[j]
        if u < v:
            _add_product(d_links, each, u, v - u, link_t, d_cells, 0)
        for m in range(u, v):
            own, before, onto, d_cell = word_gates[m], c[start[m]], dc[start[m]], d_cells[m - u]
            of_slot, of_word = d_slots[slot[m]], d_words[word[m], d]
            for j in range(size):
                f, i, g = own[j], own[size + j], own[2 * size + j]
                onto[j] += d_cell[j] * f
                d_f = d_cell[j] * before[j] * f * (one - f)
                d_i = d_cell[j] * g * i * (one - i)
                d_g = d_cell[j] * i * (one - g * g)
                of_slot[j] += d_f
                of_slot[size + j] += d_i
                of_slot[2 * size + j] += d_g
                of_word[j] += d_f
                of_word[size + j] += d_i
                of_word[2 * size + j] += d_g
        if u < v:
            onward[: q - p] = 0
            _add_product(d_slots, each, p, q - p, word_weight_t, onward, 0)
            for s in range(p, q):
                dh[slots[s]] += onward[s - p]
        for row in range(a, b):
            i, o, g = gates[row, :size], gates[row, size : 2 * size], gates[row, 2 * size : 3 * size]
            squashed, hidden, cell = gates[row, 3 * size :], dh[row], dc[row]
            for j in range(size):
                cell[j] += hidden[j] * o[j] * (one - squashed[j] * squashed[j])
            d_i, d_g = d_gates[row, :size], d_gates[row, 2 * size : 3 * size]
            if arrivals[row] > 0:
                _unmix(i, g, c[row], total[row], c[row - back], cell, d_i, d_g, dc[row - back], merge)
            elif t > 0:
                before, onto = c[row - back], dc[row - back]
                for j in range(size):
                    d_i[j] = cell[j] * (g[j] - before[j])
                    d_g[j] = cell[j] * i[j]
                    onto[j] += cell[j] * (one - i[j])
            else:
                for j in range(size):
                    d_i[j] = cell[j] * g[j]
                    d_g[j] = cell[j] * i[j]
            d_o = d_gates[row, size : 2 * size]
            for j in range(size):
                d_i[j] *= i[j] * (one - i[j])
                d_o[j] = hidden[j] * squashed[j] * o[j] * (one - o[j])
                d_g[j] *= one - g[j] * g[j]
        if t > 0:
            _add_product(d_gates, each, a, b - a, weight_t, dh, a - back)


@compiled
def _unmix(
    i: Any, g: Any, c: Any, total: Any, before: Any, cell: Any, d_i: Any, d_g: Any, onto: Any, merge: int,
) -> None:  # fmt: skip
    """Gradients where words arrive; `cell` comes with that of the cell and leaves with that of the sum before the division."""
    size, one = len(i), i.dtype.type(1)
    if merge == _GATED:
        for j in range(size):
            own = exp(i[j])
            cell[j] /= total[j]
            d_i[j] = cell[j] * (g[j] - c[j]) * own
            d_g[j] = cell[j] * own
    elif merge == _EQUAL:
        for j in range(size):
            cell[j] /= total[j]
            d_i[j] = 0
            d_g[j] = cell[j]
    elif merge == _SUM:
        for j in range(size):
            d_i[j] = cell[j] * g[j]
            d_g[j] = cell[j] * i[j]
    else:
        for j in range(size):
            own, kept = exp(i[j]), exp(one - i[j])
            cell[j] /= total[j]
            d_i[j] = cell[j] * ((g[j] - c[j]) * own - (before[j] - c[j]) * kept)
            d_g[j] = cell[j] * own
            onto[j] += cell[j] * kept
