"""The steps of the recurrence in torch's operations, on any device.

Words push: the step that has a word's first character finishes its cell at once and adds it, weighted, to the row of its last character.
That row is then made of what has arrived, whatever the number of words. The products that do not depend on the state, of characters and
of words with their weights, were made before the loop for all at once; the gradients of the weights are made after it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lattice_lstm.lattice import Lattice
from lattice_lstm.steps import Gradients, States, Weights, in_text_order, weight_gradients


class PlainSteps:
    """The steps in torch's operations, all directions at once; see `Steps`."""

    def forward(
        self, projected: Tensor, words: Tensor, weights: Weights, lattice: Lattice, merge: str
    ) -> States:
        directions, size = weights.h.shape[:2]
        rows = _rows_of(projected, lattice)
        products = _of_words(words, lattice, directions)
        states = States.empty(projected, directions, lattice.characters, products.shape[1], size)
        both = torch.cat([weights.h, weights.word_h], 2)  # (D, H, 6H)
        onward = projected.new_zeros(directions, int(lattice.step_rows[1]), 6 * size)
        for t in range(lattice.steps):
            a, b = int(lattice.step_rows[t]), int(lattice.step_rows[t + 1])
            shift = a - int(lattice.step_rows[t - 1]) if t else 0
            before = states.c[:, a - shift : b - shift] if t else None
            i, o, g = (rows[:, a:b, : 3 * size] + onward[:, : b - a, : 3 * size]).chunk(3, 2)
            i, o, g = i.sigmoid(), o.sigmoid(), g.tanh()
            arrive = (states.arrivals[:, a:b] > 0)[..., None]
            cell, total = _mixed(i, g, before, states.c[:, a:b], states.total[:, a:b], merge)
            alone = i * g if before is None else (1 - i) * before + i * g
            states.c[:, a:b] = torch.where(arrive, cell, alone)
            states.total[:, a:b] = torch.where(arrive, total, torch.ones_like(total))
            squashed = states.c[:, a:b].tanh()
            states.h[:, a:b] = o * squashed
            states.gates[:, a:b] = torch.cat([i, o, g, squashed], 2)
            onward = torch.bmm(states.h[:, a:b], both)
            for d, direction in enumerate(lattice.directions[:directions]):
                u, v = int(direction.step_words[t]), int(direction.step_words[t + 1])
                if u == v:
                    continue
                start, end = direction.start[u:v], direction.end[u:v]
                starting = onward[d].index_select(0, start - a)[:, 3 * size :]
                f, i, g = (starting + products[d, u:v]).chunk(3, 1)
                f, i, g = f.sigmoid(), i.sigmoid(), g.tanh()
                cells = f * states.c[d].index_select(0, start) + i * g
                links = (rows[d].index_select(0, end)[:, 3 * size :] + cells @ weights.link[d]).sigmoid()
                share = _push(links, merge)
                states.c[d].index_add_(0, end, share * cells)
                states.total[d].index_add_(0, end, share)
                states.arrivals[d].index_add_(0, end, torch.ones_like(end))
                states.word_gates[d, u:v] = torch.cat([f, i, g], 1)
                states.word_cells[d, u:v], states.links[d, u:v] = cells, links
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
        dh, dc = grad, torch.zeros_like(grad)
        gates = grad.new_zeros(directions, lattice.characters, 4 * size)
        links = torch.zeros_like(states.links)
        products = grad.new_zeros(words, directions, 3 * size)
        slots = [grad.new_zeros(len(one.slots), 3 * size) for one in lattice.directions[:directions]]
        for t in reversed(range(lattice.steps)):
            a, b = int(lattice.step_rows[t]), int(lattice.step_rows[t + 1])
            for d, direction in enumerate(lattice.directions[:directions]):
                u, v = int(direction.step_words[t]), int(direction.step_words[t + 1])
                if u == v:
                    continue
                start, end = direction.start[u:v], direction.end[u:v]
                # Of a row that is done, dc is the gradient of its cell over its total.
                cells, gate, mixed = (
                    states.word_cells[d, u:v],
                    states.links[d, u:v],
                    dc[d].index_select(0, end),
                )
                d_cells, d_gate = _unpush(cells, gate, mixed, states.c[d].index_select(0, end), merge)
                links[d, u:v] = d_gate * gate * (1 - gate)
                gates[d, :, 3 * size :].index_add_(0, end, links[d, u:v])
                d_cells = d_cells + links[d, u:v] @ weights.link[d].t()
                f, i, g = states.word_gates[d, u:v].chunk(3, 1)
                dc[d].index_add_(0, start, d_cells * f)
                d_f = d_cells * states.c[d].index_select(0, start) * f * (1 - f)
                d_word = torch.cat([d_f, d_cells * g * i * (1 - i), d_cells * i * (1 - g * g)], 1)
                products[:, d].index_add_(0, direction.word[u:v], d_word)
                slots[d].index_add_(0, direction.slot[u:v], d_word)
                p, q = int(direction.step_slots[t]), int(direction.step_slots[t + 1])
                dh[d].index_add_(0, direction.slots[p:q], slots[d][p:q] @ weights.word_h[d].t())
            i, o, g, squashed = states.gates[:, a:b].chunk(4, 2)
            d_cell = dc[:, a:b] + dh[:, a:b] * o * (1 - squashed * squashed)
            arrive = (states.arrivals[:, a:b] > 0)[..., None]
            shift = a - int(lattice.step_rows[t - 1]) if t else 0
            before = states.c[:, a - shift : b - shift] if t else torch.zeros_like(i)
            d_mixed, d_i, d_g, d_before = _unmixed(
                d_cell, i, g, before, states.c[:, a:b], states.total[:, a:b], merge
            )
            d_i = torch.where(arrive, d_i, d_cell * (g - before))
            d_g = torch.where(arrive, d_g, d_cell * i)
            dc[:, a:b] = d_mixed
            d_o = dh[:, a:b] * squashed
            gates[:, a:b, : 3 * size] = torch.cat(
                [d_i * i * (1 - i), d_o * o * (1 - o), d_g * (1 - g * g)], 2
            )
            if t:
                dc[:, a - shift : b - shift] += torch.where(arrive, d_before, d_cell * (1 - i))
                dh[:, a - shift : b - shift] += gates[:, a:b, : 3 * size] @ weights.h.transpose(1, 2)
        h, word_h, link = weight_gradients(states, lattice, gates[:, :, : 3 * size], slots, links)
        return Gradients(in_text_order(gates, lattice), products, h, word_h, link)


def _rows_of(projected: Tensor, lattice: Lattice) -> Tensor:
    """(n, D, 4H) of the characters as (D, n, 4H) of the rows."""
    taken = zip(lattice.directions, projected.unbind(1), strict=False)
    return torch.stack([one.index_select(0, direction.take) for direction, one in taken])


def _of_words(words: Tensor, lattice: Lattice, directions: int) -> Tensor:
    """(v, D, 3H) of the vectors as (D, W, 3H) of the words where they stand."""
    parts = zip(lattice.directions[:directions], words.unbind(1), strict=True)
    return torch.stack([one.index_select(0, direction.word) for direction, one in parts])


def _push(links: Tensor, merge: str) -> Tensor:
    """The weight with which a word takes part, before all are divided by their sum."""
    if merge == "sum":
        return links
    return torch.ones_like(links) if merge == "equal" else links.exp()


def _mixed(
    i: Tensor, g: Tensor, before: Tensor | None, arrived: Tensor, total: Tensor, merge: str
) -> tuple[Tensor, Tensor]:
    """The cell where words arrive, and the sum of all weights."""
    if merge == "sum":
        return i * g + arrived, torch.ones_like(total)
    own = torch.ones_like(i) if merge == "equal" else i.exp()
    total = own + total
    mixed = own * g + arrived
    if merge == "keep":
        kept = (1 - i).exp()
        total = total + kept
        mixed = mixed if before is None else mixed + kept * before
    return mixed / total, total


def _unmixed(
    d_cell: Tensor, i: Tensor, g: Tensor, before: Tensor, cell: Tensor, total: Tensor, merge: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the sum over all parts, of input gate, candidate and the cell before, where words arrive."""
    if merge == "sum":
        return d_cell, d_cell * g, d_cell * i, torch.zeros_like(d_cell)
    share = d_cell / total
    if merge == "equal":
        return share, torch.zeros_like(share), share, torch.zeros_like(share)
    own = i.exp()
    d_i = share * (g - cell) * own
    if merge == "gated":
        return share, d_i, share * own, torch.zeros_like(share)
    kept = (1 - i).exp()
    return share, d_i - share * (before - cell) * kept, share * own, share * kept


def _unpush(
    cells: Tensor, links: Tensor, mixed: Tensor, arrived_at: Tensor, merge: str
) -> tuple[Tensor, Tensor]:
    """Gradients of a word's cell and link gate, from that of what they were mixed into."""
    if merge == "sum":
        return mixed * links, mixed * cells
    if merge == "equal":
        return mixed, torch.zeros_like(mixed)
    weight = links.exp()
    return mixed * weight, mixed * (cells - arrived_at) * weight
