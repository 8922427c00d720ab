"""What ours is compared with: a lattice LSTM a sentence at a time, and a BiLSTM with a CRF that has no words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torchcrf import CRF

from lattice_lstm import LatticeLSTM, read_sentence

Words = list[tuple[int, int, int]]
"""Start, end and number of each word of a sentence."""


class PerSentence(nn.Module):
    """The lattice LSTM as the paper writes it, character by character, with autograd and pytorch-crf."""

    def __init__(self, chars: int, words: int, size: int, tags: int, char_size: int, word_size: int) -> None:
        super().__init__()
        self.chars, self.words = nn.Embedding(chars, char_size), nn.Embedding(words, word_size)
        self.weights = LatticeLSTM(char_size, word_size, size)  # its weights alone
        self.dropout, self.emit = nn.Dropout(0.5), nn.Linear(2 * size, tags)
        self.crf = CRF(tags, batch_first=True)

    def emissions(self, chars: Tensor, words: Words) -> Tensor:
        x = self.dropout(self.chars(chars))
        vectors = self.dropout(self.words(torch.tensor([w for _, _, w in words], dtype=torch.int64)))
        placed = [(start, end, row) for row, (start, end, _) in enumerate(words)]
        ways = [
            read_sentence(x, placed, vectors, self.weights.weights_of(d), backwards=d == 1)[0]
            for d in range(2)
        ]
        return self.emit(self.dropout(torch.cat(ways, 1)))[None]

    def loss(self, chars: Sequence[Tensor], words: Sequence[Words], tags: Sequence[Tensor]) -> Tensor:
        parts = zip(chars, words, tags, strict=True)
        return sum((-self.crf(self.emissions(c, w), t[None]) for c, w, t in parts), torch.zeros(()))

    @torch.no_grad()
    def decode(self, chars: Sequence[Tensor], words: Sequence[Words]) -> list[list[int]]:
        return [self.crf.decode(self.emissions(c, w))[0] for c, w in zip(chars, words, strict=True)]


class CharacterTagger(nn.Module):
    """nn.LSTM over padded batches of characters, and pytorch-crf; it sees no word."""

    def __init__(self, chars: int, size: int, tags: int, char_size: int) -> None:
        super().__init__()
        self.chars = nn.Embedding(chars, char_size)
        self.lstm = nn.LSTM(char_size, size, batch_first=True, bidirectional=True)
        self.dropout, self.emit = nn.Dropout(0.5), nn.Linear(2 * size, tags)
        self.crf = CRF(tags, batch_first=True)

    def emissions(self, chars: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        lengths = torch.tensor([len(one) for one in chars])
        x = self.dropout(self.chars(pad_sequence(list(chars), batch_first=True)))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.emit(self.dropout(states)), torch.arange(states.shape[1]) < lengths[:, None]

    def loss(self, chars: Sequence[Tensor], tags: Sequence[Tensor]) -> Tensor:
        emissions, mask = self.emissions(chars)
        return -self.crf(emissions, pad_sequence(list(tags), batch_first=True), mask)

    @torch.no_grad()
    def decode(self, chars: Sequence[Tensor]) -> list[list[int]]:
        found: list[list[int]] = self.crf.decode(*self.emissions(chars))
        return found
