"""From vectors to a state for each unit that gets a tag: the paper's networks and a later relative.

CharacterEncoder   a BiLSTM over characters (Section 3.1)
WordEncoder        a BiLSTM over the words of a segmentation, with what their characters give (Section 3.2)
LatticeEncoder     the lattice LSTM (Section 3.3)
SoftLexicon        a BiLSTM over characters that carry the words around them (Ma et al. 2020)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from lattice_lstm.features import Batch
from lattice_lstm.lattice import Lattice
from lattice_lstm.layer import LatticeLSTM
from lattice_lstm.lexicon import Matches
from lattice_lstm.trie import Ints

CHARACTER_FEATURES = ("none", "lstm", "lstm_prime", "cnn")


class BiLSTM(nn.Module):
    """torch's LSTM over sequences that stand one after the other.

    Args:
        input_size: numbers in a vector.
        hidden_size: numbers in a state of one direction.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, bidirectional=True)

    def forward(self, x: Tensor, offsets: Ints) -> Tensor:
        """(n, input_size) to (n, 2 * hidden_size), in the same order; no sequence is empty."""
        order = Lattice.of(np.diff(offsets), Matches.none(len(offsets) - 1))
        take, place = (one.to(x.device) for one in (order.directions[0].take, order.directions[0].place))
        steps = torch.from_numpy(np.diff(order.step_rows))
        states, _ = self.lstm(PackedSequence(x[take], steps))
        out: Tensor = states.data[place]
        return out


class CharacterEncoder(nn.Module):
    """A BiLSTM over the vectors of characters."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.size = 2 * hidden_size
        self.lstm = BiLSTM(input_size, hidden_size)

    def forward(self, x: Tensor, batch: Batch, words: Tensor | None) -> Tensor:
        """(n, input_size) to (n, 2H); takes no words."""
        out: Tensor = self.lstm(x, batch.char_offsets)
        return out


class LatticeEncoder(nn.Module):
    """The lattice LSTM; see `LatticeLSTM`."""

    def __init__(self, input_size: int, word_size: int, hidden_size: int, merge: str, backend: str) -> None:
        super().__init__()
        self.size = 2 * hidden_size
        self.lstm = LatticeLSTM(input_size, word_size, hidden_size, merge=merge, backend=backend)

    def forward(self, x: Tensor, batch: Batch, words: Tensor | None) -> Tensor:
        """(n, input_size) and (v, word_size) to (n, 2H)."""
        assert batch.lattice is not None and words is not None
        out: Tensor = self.lstm(x, batch.lattice, words)
        return out


class SoftLexicon(nn.Module):
    """Each character carries the weighted means of the words that begin at it, go through it, and end at it.

    A word counts as often as it occurs in the training sentences and once more; the weights of all words around a character sum to 1, times
    three for the three sets. Words of one character are no words here, so that there is no set of them.

    Source: Ma et al. 2020, Simplify the Usage of Lexicon in Chinese NER, Section 3.2.
    """

    def __init__(self, input_size: int, word_size: int, hidden_size: int) -> None:
        super().__init__()
        self.size = 2 * hidden_size
        self.lstm = BiLSTM(input_size + 3 * word_size, hidden_size)

    def forward(self, x: Tensor, batch: Batch, words: Tensor | None, counts: Tensor | None = None) -> Tensor:
        """(n, input_size), (v, word_size) and (v,) counts to (n, 2H)."""
        assert words is not None and counts is not None
        carried = around(batch, words, counts)
        out: Tensor = self.lstm(torch.cat([x, carried], 1), batch.char_offsets)
        return out


def around(batch: Batch, words: Tensor, counts: Tensor) -> Tensor:
    """Weighted means of the words that begin at, go through and end at each character.

    Args:
        batch: with a lattice.
        words: (v, size) vectors.
        counts: (v,) weights.

    Returns:
        (n, 3 * size)
    """
    lattice = batch.lattice
    assert lattice is not None
    forwards = lattice.directions[0]
    first, last = forwards.take[forwards.start], forwards.take[forwards.end]
    lengths = last - first + 1
    match = torch.repeat_interleave(torch.arange(len(first), device=first.device), lengths)
    step = torch.arange(len(match), device=first.device)
    step = step - torch.repeat_interleave(torch.cumsum(lengths, 0) - lengths, lengths)
    at = first[match] + step
    part = torch.where(step == 0, 0, torch.where(at == last[match], 2, 1))
    weight = counts[forwards.word[match]].to(words.dtype)
    total = words.new_zeros(lattice.characters).index_add_(0, at, weight)
    share = 3 * weight / total[at]
    sums = words.new_zeros(lattice.characters * 3, words.shape[1])
    sums = sums.index_add(0, at * 3 + part, words[forwards.word[match]] * share[:, None])
    return sums.view(lattice.characters, -1)


class WordEncoder(nn.Module):
    """A BiLSTM over the words of a segmentation.

    Args:
        input_size: numbers in the vector of a character.
        word_size: numbers in the vector of a word.
        hidden_size: numbers in a state of one direction.
        characters: what a word gets from its characters: "none"; "lstm", the last states of a BiLSTM over them; "lstm_prime", the states of
            a BiLSTM over all of the sentence at the word's ends; "cnn", the maximum over a convolution of three.
        feature_size: numbers of that.
    """

    def __init__(
        self,
        input_size: int,
        word_size: int,
        hidden_size: int,
        characters: str = "none",
        feature_size: int = 50,
    ) -> None:
        super().__init__()
        self.size, self.characters = 2 * hidden_size, characters
        width = 0 if characters == "none" else feature_size
        if characters in ("lstm", "lstm_prime"):
            self.features: nn.Module = BiLSTM(input_size, feature_size // 2)
        elif characters == "cnn":
            self.features = nn.Conv1d(input_size, feature_size, 3, padding=1)
        self.lstm = BiLSTM(word_size + width, hidden_size)

    def forward(self, x: Tensor, batch: Batch, words: Tensor | None) -> Tensor:
        """(n, input_size) and (u, word_size) to (u, 2H)."""
        assert words is not None and batch.word_starts is not None
        given = [words] if self.characters == "none" else [words, self._of_characters(x, batch)]
        out: Tensor = self.lstm(torch.cat(given, 1), batch.offsets)
        return out

    def _of_characters(self, x: Tensor, batch: Batch) -> Tensor:
        assert batch.word_starts is not None
        starts = torch.from_numpy(batch.word_starts).to(x.device)
        if self.characters == "cnn":
            return self._convolved(x, starts)
        own = self.characters == "lstm"
        states = self.features(x, batch.word_starts if own else batch.char_offsets)
        half = states.shape[1] // 2
        # Forwards a word is read when its last character is, backwards when its first one is.
        return torch.cat([states[starts[1:] - 1, :half], states[starts[:-1], half:]], 1)

    def _convolved(self, x: Tensor, starts: Tensor) -> Tensor:
        lengths = starts[1:] - starts[:-1]
        longest = int(lengths.max())
        step = torch.arange(longest, device=x.device)
        inside = step < lengths[:, None]
        rows = torch.where(inside, starts[:-1, None] + step, 0)
        padded = x[rows] * inside[..., None]  # (u, longest, input_size)
        out = self.features(padded.transpose(1, 2)).transpose(1, 2)
        highest: Tensor = out.masked_fill(~inside[..., None], -torch.inf).amax(1)
        return highest
