"""Tables of vectors: of symbols, and of words that may be new."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lattice_lstm.trie import Ints


class SymbolTable(nn.Module):
    """Vectors of symbols; 0 is the unknown one.

    Only symbols of the training sentences are trained. Others may have pretrained vectors, which stay as they are, so that a training
    step does not pay for them.

    Args:
        trained: (k, size) first values, of the unknown symbol and those of the training sentences.
        fixed: (f, size) of further symbols, whose numbers go on from k.
        rare: (k,) whether a symbol occurs once in training; in training such a one is taken for unknown now and then, which is what the
            unknown one learns from.
        unknown_share: how often.
    """

    fixed: Tensor
    rare: Tensor

    def __init__(
        self,
        trained: Tensor,
        fixed: Tensor | None = None,
        rare: Tensor | None = None,
        unknown_share: float = 0.5,
    ) -> None:
        super().__init__()
        self.size, self.unknown_share = trained.shape[1], unknown_share
        self.trained = nn.Parameter(trained)
        self.register_buffer("fixed", trained.new_zeros(0, self.size) if fixed is None else fixed)
        self.register_buffer("rare", torch.zeros(len(trained), dtype=torch.bool) if rare is None else rare)

    def forward(self, numbers: Tensor) -> Tensor:
        """(n,) numbers to (n, size) vectors."""
        if self.training and self.unknown_share:
            drop = self.rare[numbers] & (
                torch.rand(numbers.shape, device=numbers.device) < self.unknown_share
            )
            numbers = numbers.masked_fill(drop, 0)
        return self.known(numbers)

    def known(self, numbers: Tensor) -> Tensor:
        """The same, with none of them taken for unknown."""
        if self.training or not len(self.fixed):  # training sentences hold trained symbols alone
            return F.embedding(numbers, self.trained, sparse=True)
        return F.embedding(numbers, torch.cat([self.trained, self.fixed]))


class WordTable(nn.Module):
    """Vectors of the words of a lexicon: an own one for words met in training, and one composed of a word's characters for every word.

    A word that nobody has seen, from a dictionary given later, thus has a vector like those of words that look like it. In training own
    vectors are left out now and then, so that the composed ones learn to stand alone.

    Args:
        own: (k, size) first values; row 0 stands for words without an own vector.
        composed_of: numbers in a character's vector; 0 composes nothing, and row 0 is then the vector of every new word, as published.
        own_dropout: how often a word is taken for a new one.
        directions: 2 gives each direction own vectors of its own, as published; 1 shares them.
        marks: of a dictionary, that add to a word's vector; see `lattice_lstm.dictionary`. 0 knows none.
    """

    def __init__(
        self,
        own: Tensor,
        composed_of: int = 0,
        own_dropout: float = 0.2,
        directions: int = 1,
        marks: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.own_dropout = own.shape[1], own_dropout
        self.own = nn.ParameterList(nn.Parameter(own.clone()) for _ in range(directions))
        self.compose = nn.Linear(3 * composed_of, self.size) if composed_of else None
        self.marks = nn.Parameter(torch.zeros(marks, self.size)) if marks else None

    def forward(self, rows: Tensor, first: Tensor, last: Tensor, mean: Tensor) -> Tensor:
        """Vectors of words.

        Args:
            rows: (v,) row of each word's own vector; 0 where it has none.
            first: (v, c) vector of its first character.
            last: (v, c) of its last one.
            mean: (v, c) of all.

        Returns:
            (v, size), or (D, v, size) where directions have vectors of their own.
        """
        if self.training and self.own_dropout:
            rows = rows.masked_fill(torch.rand(rows.shape, device=rows.device) < self.own_dropout, 0)
        found = [F.embedding(rows, own, sparse=True) for own in self.own]
        vectors = found[0] if len(found) == 1 else torch.stack(found)
        return vectors if self.compose is None else vectors + self.compose(torch.cat([first, last, mean], 1))

    def marked(self, vectors: Tensor, marks: Tensor | None) -> Tensor:
        """Vectors of words with those of their marks; (v,) marks, 0 of a word of no dictionary, or None where there is no dictionary.

        It comes after dropout: half of a mark would leave it in doubt whether there is one.
        """
        if self.marks is None or marks is None:
            return vectors
        return vectors + F.pad(self.marks, (0, 0, 1, 0))[marks]  # nothing is added for 0


def character_means(vectors: Tensor, offsets: Ints) -> Tensor:
    """Mean of the vectors of each word's characters.

    Args:
        vectors: (c, size) of the characters of all words, one word after the other.
        offsets: (v+1,) where each begins; none is empty.
    """
    lengths = torch.from_numpy(np.diff(offsets)).to(vectors.device)
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=vectors.device), lengths)
    total = vectors.new_zeros(len(lengths), vectors.shape[1]).index_add_(0, owner, vectors)
    return total / lengths[:, None]
