"""The lattice LSTM as the paper writes it: one sentence, one direction, one character after the other.

It is slow, and it is what the batched forms in `lattice_lstm.recurrence` are held to. Vectors are rows; * is elementwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MERGES = ("gated", "equal", "sum", "keep")
"""How arriving words and the character make a cell: as published, or an ablation of it; see `character_cell`."""


@dataclass(frozen=True)
class CellWeights:
    """Weights of one direction; d numbers a character vector, w a word vector, H a state.

    Attributes:
        x: (d, 4H) blocks input gate, output gate, candidate, link gate.
        bias: (4H,)
        h: (H, 3H) of the first three.
        word_x: (w, 3H) blocks forget gate, input gate, candidate of the word cell.
        word_bias: (3H,)
        word_h: (H, 3H)
        link: (H, H) of the word cell in the link gate.
    """

    x: Tensor
    bias: Tensor
    h: Tensor
    word_x: Tensor
    word_bias: Tensor
    word_h: Tensor
    link: Tensor


def word_cell(word: Tensor, h: Tensor, c: Tensor, weights: CellWeights) -> Tensor:
    """The cell of a word that begins at a character with state h and c; it has no hidden vector and no output gate.

    Args:
        word: (w,) its vector.
        h: (H,) after the word's first character.
        c: (H,) after the word's first character.
        weights: of the direction.

    Returns:
        (H,). Source: Section 3.3 of the paper.
    """
    f, i, g = (word @ weights.word_x + h @ weights.word_h + weights.word_bias).chunk(3)
    return f.sigmoid() * c + i.sigmoid() * g.tanh()


def character_cell(
    x: Tensor, h: Tensor, c: Tensor, arrivals: Sequence[Tensor], weights: CellWeights, merge: str = "gated"
) -> tuple[Tensor, Tensor, Tensor]:
    """One character: h and c after it, and the weights by which its cell was mixed.

    Without arrivals the forget gate is one less the input gate, as in the published program. With arrivals

        gated   c = (exp(i) * g + sum exp(a) * word) / (exp(i) + sum exp(a)), where c before has no part
        keep    c before takes part with exp(1 - i)
        equal   all take part alike
        sum     c = i * g + sum a * word

    Args:
        x: (d,) vector of the character.
        h: (H,) before.
        c: (H,) before.
        arrivals: (H,) cells of the words that end here.
        weights: of the direction.
        merge: one of `MERGES`.

    Returns:
        h (H,), c (H,), and (1 + len(arrivals), H) weight of the candidate and of each arrival; without arrivals the input gate.
        Source: Section 3.3 of the paper.
    """
    size = len(h)
    projected = x @ weights.x + weights.bias
    i, o, g = (projected[: 3 * size] + h @ weights.h).chunk(3)
    i, o, g = i.sigmoid(), o.sigmoid(), g.tanh()
    if not arrivals:
        c = (1 - i) * c + i * g
        return o * c.tanh(), c, i[None]
    words = torch.stack(list(arrivals))
    a = (projected[3 * size :] + words @ weights.link).sigmoid()
    parts = torch.cat([g[None], words])
    gates = torch.cat([i[None], a])
    if merge == "sum":
        share = gates
    elif merge == "equal":
        share = torch.full_like(gates, 1 / len(gates))
    elif merge == "keep":
        total = gates.exp().sum(0) + (1 - i).exp()
        share = gates.exp() / total
        parts, share = torch.cat([parts, c[None]]), torch.cat([share, (1 - i).exp()[None] / total])
    else:
        share = gates.softmax(0)
    c = (share * parts).sum(0)
    return o * c.tanh(), c, share[: 1 + len(words)]


def read_sentence(
    x: Tensor,
    words: Sequence[tuple[int, int, int]],
    vectors: Tensor,
    weights: CellWeights,
    *,
    backwards: bool = False,
    merge: str = "gated",
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Read a sentence in one direction.

    Args:
        x: (n, d) vectors of the characters.
        words: start, end (not included) and row in `vectors` of each word, of two characters or more.
        vectors: (v, w)
        weights: of the direction.
        backwards: read from the last character to the first; a word then begins with its last character.
        merge: one of `MERGES`.

    Returns:
        h (n, H), c (n, H), and the weights of `character_cell` at each character, whose words are in the order of `words`.
    """
    length, size = len(x), weights.h.shape[0]
    h, c = x.new_zeros(size), x.new_zeros(size)
    hidden, cells = [h] * length, [c] * length
    shares: list[Tensor] = [x.new_zeros(0)] * length
    for at in range(length - 1, -1, -1) if backwards else range(length):
        arrivals = []
        for start, end, row in words:
            first, last = (end - 1, start) if backwards else (start, end - 1)
            if last == at:
                arrivals.append(word_cell(vectors[row], hidden[first], cells[first], weights))
        h, c, shares[at] = character_cell(x[at], h, c, arrivals, weights, merge)
        hidden[at], cells[at] = h, c
    return torch.stack(hidden), torch.stack(cells), shares
