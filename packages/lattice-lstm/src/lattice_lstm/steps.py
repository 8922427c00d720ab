"""One pass through the sentences of a lattice and back: what goes in, what is kept, what comes out, and which two loops do it.

`plain_steps` has them in torch's operations, on any device; `recurrence_kernels` as compiled loops for the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lattice_lstm.lattice import Lattice


@dataclass(frozen=True)
class Weights:
    """What multiplies states, of all D directions, stacked.

    Attributes:
        h: (D, H, 3H) of the state in input gate, output gate and candidate.
        word_h: (D, H, 3H) of the state in forget gate, input gate and candidate of a word.
        link: (D, H, H) of a word's cell in its link gate.
    """

    h: Tensor
    word_h: Tensor
    link: Tensor


@dataclass(frozen=True)
class States:
    """What a pass through the sentences leaves, of all D directions, in rows of the lattice; W words.

    Attributes:
        h: (D, n, H)
        c: (D, n, H)
        gates: (D, n, 4H) input gate, output gate, candidate, tanh of the cell.
        total: (D, n, H) sum of the weights of all that was mixed into a cell where words arrive.
        arrivals: (D, n) number of words that arrive.
        word_gates: (D, W, 3H) forget gate, input gate, candidate.
        word_cells: (D, W, H)
        links: (D, W, H) link gates.
    """

    h: Tensor
    c: Tensor
    gates: Tensor
    total: Tensor
    arrivals: Tensor
    word_gates: Tensor
    word_cells: Tensor
    links: Tensor

    @classmethod
    def empty(cls, like: Tensor, directions: int, rows: int, words: int, size: int) -> States:
        """Room for them; cells, totals and arrivals begin at zero, as they are added to."""
        made = [like.new_empty(directions, rows, size), like.new_zeros(directions, rows, size)]
        made += [like.new_empty(directions, rows, 4 * size), like.new_zeros(directions, rows, size)]
        made += [torch.zeros(directions, rows, dtype=torch.int64, device=like.device)]
        made += [like.new_empty(directions, words, width * size) for width in (3, 1, 1)]
        return cls(*made)


@dataclass(frozen=True)
class Gradients:
    """Of what went into the loop; see `Steps.backward`."""

    projected: Tensor
    words: Tensor
    h: Tensor
    word_h: Tensor
    link: Tensor


class Steps(Protocol):
    """The two loops."""

    def forward(
        self, projected: Tensor, words: Tensor, weights: Weights, lattice: Lattice, merge: str
    ) -> States:
        """Go through the sentences.

        Args:
            projected: (n, D, 4H) products of the characters, in their own order: input gate, output gate, candidate, link gate.
            words: (v, D, 3H) products of the words' vectors: forget gate, input gate, candidate.
            weights: of the states.
            lattice: the sentences and which words stand in them.
            merge: one of `MERGES`.
        """
        ...

    def backward(
        self,
        grad: Tensor,
        words: int,
        weights: Weights,
        states: States,
        lattice: Lattice,
        merge: str,
    ) -> Gradients:
        """Go back through them.

        Args:
            grad: (D, n, H) of the states h, in rows of the lattice; not kept.
            words: v, the number of vectors of words.
            weights: as in `forward`.
            states: that `forward` gave.
            lattice: as in `forward`.
            merge: as in `forward`.
        """
        ...


def in_text_order(rows: Tensor, lattice: Lattice) -> Tensor:
    """From rows of the lattice (D, n, ...) to characters (n, D, ...)."""
    placed = zip(lattice.directions, rows, strict=False)
    return torch.stack([one.index_select(0, direction.place) for direction, one in placed], 1)


def weight_gradients(
    states: States, lattice: Lattice, gates: Tensor, slots: list[Tensor], links: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the three weights, as one product each over all steps.

    Args:
        states: of the pass.
        lattice: of the pass.
        gates: (D, n, 3H) gradient of what input gate, output gate and candidate are of.
        slots: of each direction (s, 3H), the same of the word gates, summed over the words that begin in a row.
        links: (D, W, H) the same of the link gates.
    """
    rows, width = lattice.step_rows, np.diff(lattice.step_rows)
    # What each row but those of the first step follows.
    before = np.arange(rows[1], rows[-1]) - np.repeat(width[:-1], width[1:])
    earlier = torch.from_numpy(before).to(gates.device)
    first = int(rows[1])
    h = torch.stack(
        [s.index_select(0, earlier).t() @ g[first:] for s, g in zip(states.h, gates, strict=True)]
    )
    word_h = torch.stack(
        [
            s.index_select(0, direction.slots).t() @ g
            for direction, s, g in zip(lattice.directions, states.h, slots, strict=False)
        ]
    )
    return h, word_h, states.word_cells.transpose(1, 2) @ links
