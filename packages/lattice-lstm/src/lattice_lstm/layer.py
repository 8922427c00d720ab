"""The lattice LSTM as a layer: vectors of characters and words in, a state for each character out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from offprints.errors import InputError

from lattice_lstm.cell import MERGES, CellWeights
from lattice_lstm.lattice import Lattice
from lattice_lstm.recurrence import BACKENDS, read_sentences, steps_named
from lattice_lstm.steps import Weights


@dataclass(frozen=True)
class Shares:
    """By what each cell was mixed; each number is between 0 and 1, and where words arrive they sum to 1 over all that is mixed.

    Attributes:
        own: (n, D, H) weight of the character's candidate; without arrivals the input gate.
        words: (m, D, H) weight of each match where it ends, in the order of the matches.
    """

    own: Tensor
    words: Tensor


class LatticeLSTM(nn.Module):
    """Reads characters and the words among them, in one or both directions.

    Args:
        input_size: numbers in the vector of a character.
        word_size: numbers in the vector of a word.
        hidden_size: H, numbers in a state of one direction.
        bidirectional: read backwards, too, with weights of its own.
        merge: "gated" as published, or an ablation; see `lattice_lstm.cell.character_cell`.
        backend: "auto", "compiled" or "plain"; see `lattice_lstm.recurrence.read_sentences`.

    Attributes:
        x: (input_size, D * 4H)
        bias: (D * 4H,)
        h: (D, H, 3H)
        word_x: (D, word_size, 3H)
        word_bias: (D, 3H)
        word_h: (D, H, 3H)
        link: (D, H, H)

    Raises:
        InputError: there is no such merge or backend.
    """

    def __init__(
        self,
        input_size: int,
        word_size: int,
        hidden_size: int,
        *,
        bidirectional: bool = True,
        merge: str = "gated",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if merge not in MERGES:
            raise InputError(f"merge={merge!r} is unknown: one of {', '.join(MERGES)}")
        if backend not in BACKENDS:
            raise InputError(f"backend={backend!r} is unknown: one of {', '.join(BACKENDS)}")
        self.size, self.merge, self.backend = hidden_size, merge, backend
        self.num_directions = d = 2 if bidirectional else 1
        self.x = nn.Parameter(torch.empty(input_size, d * 4 * hidden_size))
        self.bias = nn.Parameter(torch.zeros(d * 4 * hidden_size))
        self.h = nn.Parameter(torch.empty(d, hidden_size, 3 * hidden_size))
        self.word_x = nn.Parameter(torch.empty(d, word_size, 3 * hidden_size))
        self.word_bias = nn.Parameter(torch.zeros(d, 3 * hidden_size))
        self.word_h = nn.Parameter(torch.empty(d, hidden_size, 3 * hidden_size))
        self.link = nn.Parameter(torch.empty(d, hidden_size, hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """As published: orthogonal for what multiplies vectors, identities for states, 0 for biases."""
        size = self.size
        blocks = self.x.view(-1, self.num_directions, 4 * size)
        for d in range(self.num_directions):
            blocks[:, d, : 3 * size] = nn.init.orthogonal_(torch.empty(len(self.x), 3 * size))
            blocks[:, d, 3 * size :] = nn.init.orthogonal_(torch.empty(len(self.x), size))
            nn.init.orthogonal_(self.word_x[d])
        self.h.copy_(torch.eye(size).repeat(1, 3))
        self.word_h.copy_(torch.eye(size).repeat(1, 3))
        self.link.copy_(torch.eye(size))
        self.bias.zero_()
        self.word_bias.zero_()

    def forward(self, x: Tensor, lattice: Lattice, words: Tensor) -> Tensor:
        """Read sentences.

        Args:
            x: (n, input_size) vectors of all characters, a sentence after the other.
            lattice: which words stand where; `Direction.word` says which vector each has.
            words: (v, word_size) vectors, or (D, v, word_size) where each direction has its own.

        Returns:
            (n, D * H), forwards and then backwards.
        """
        projected, products = self._products(x, words)
        weights = Weights(self.h, self.word_h, self.link)
        read = read_sentences(projected, products, weights, lattice, self.merge, self.backend)
        return read.flatten(1)

    @torch.no_grad()
    def shares(self, x: Tensor, lattice: Lattice, words: Tensor) -> Shares:
        """By what each cell is mixed, for the same arguments as `forward`; sums to 1 where words arrive, but for merge="sum" and "keep"."""
        projected, products = self._products(x, words)
        weights = Weights(self.h, self.word_h, self.link)
        steps = steps_named(self.backend, x.device)
        states = steps.forward(projected, products, weights, lattice, self.merge)
        own, matched = [], []
        for d, direction in enumerate(lattice.directions[: self.num_directions]):
            gate, total = states.gates[d, :, : self.size], states.total[d]
            links, of_end = states.links[d], total[direction.end]
            arrive = (states.arrivals[d] > 0)[:, None]
            if self.merge == "sum":
                mixed, word = gate, links
            elif self.merge == "equal":
                mixed, word = 1 / total, 1 / of_end
            else:
                mixed, word = gate.exp() / total, links.exp() / of_end
            own.append(torch.where(arrive, mixed, gate)[direction.place])
            back = torch.empty_like(word)
            back[direction.match] = word
            matched.append(back)
        return Shares(torch.stack(own, 1), torch.stack(matched, 1))

    def weights_of(self, direction: int) -> CellWeights:
        """The weights of one direction, as `lattice_lstm.cell` takes them."""
        size = self.size
        mine = slice(direction * 4 * size, (direction + 1) * 4 * size)
        return CellWeights(
            self.x[:, mine],
            self.bias[mine],
            self.h[direction],
            self.word_x[direction],
            self.word_bias[direction],
            self.word_h[direction],
            self.link[direction],
        )

    def _products(self, x: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """(n, D, 4H) of the characters and (v, D, 3H) of the words with what does not multiply states."""
        projected = torch.addmm(self.bias, x, self.x).view(len(x), self.num_directions, 4 * self.size)
        if words.dim() == 3:
            return projected, (torch.bmm(words, self.word_x) + self.word_bias[:, None]).transpose(0, 1)
        weight = self.word_x.transpose(0, 1).flatten(1)  # (w, D * 3H)
        products = torch.addmm(self.word_bias.flatten(), words, weight)
        return projected, products.view(len(words), self.num_directions, 3 * self.size)
