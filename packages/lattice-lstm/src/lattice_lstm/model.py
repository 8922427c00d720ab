"""A tagger as one module: vectors, an encoder, a linear layer and a CRF. It knows no file, no option object and no logger."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from offprints.dropout import Dropout

from lattice_lstm.crf import LinearChainCRF, Posterior
from lattice_lstm.encoders import SoftLexicon
from lattice_lstm.features import SEGMENTS, Batch
from lattice_lstm.layer import Shares
from lattice_lstm.tables import SymbolTable, WordTable, character_means
from lattice_lstm.trie import Ints


class TaggerModel(nn.Module):
    """Scores tags of units: of characters, or of words for a tagger of words.

    Args:
        encoder: of `lattice_lstm.encoders`.
        crf: of the tags.
        chars: vectors of characters.
        pairs: vectors of pairs of characters, or None.
        segment_size: numbers in the vector of a segment label; 0 takes none.
        words: vectors of the words of a lexicon or a segmentation, or None.
        dropout: of vectors of characters, vectors of words, and states.

    Attributes:
        word_rows: row of the own vector of each word of the lexicon; see `WordTable`. Not part of the weights: it changes with the lexicon.
        word_counts: how often each occurs in training, and once more.
    """

    def __init__(
        self,
        encoder: Any,
        crf: LinearChainCRF,
        chars: SymbolTable,
        pairs: SymbolTable | None = None,
        segment_size: int = 0,
        words: WordTable | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.crf, self.chars, self.pairs, self.words = crf, chars, pairs, words
        self.segments = nn.Embedding(len(SEGMENTS), segment_size) if segment_size else None
        self.dropout = Dropout(dropout)
        self.emit = nn.Linear(self.encoder.size, len(crf.tags))
        self.word_rows: Ints = np.zeros(0, np.int64)
        self.word_counts: Ints = np.zeros(0, np.int64)
        self.word_chars: Ints = np.zeros(0, np.int64)
        self.word_offsets: Ints = np.zeros(1, np.int64)

    def know_words(self, rows: Ints, counts: Ints, chars: Ints, offsets: Ints) -> None:
        """Take the words of a lexicon, or of another one.

        Args:
            rows: (L,) row of each word's own vector, 0 where it has none.
            counts: (L,) how often each occurs in training.
            chars: numbers of the characters of all words.
            offsets: (L+1,) where the characters of each begin.
        """
        self.word_rows, self.word_counts, self.word_chars, self.word_offsets = (
            rows,
            counts + 1,
            chars,
            offsets,
        )

    def emissions(self, batch: Batch) -> Tensor:
        """Scores of all tags of each unit, (units, K)."""
        x, words = self._vectors(batch)
        if isinstance(self.encoder, SoftLexicon):
            assert batch.lexicon_words is not None
            counts = torch.from_numpy(self.word_counts[batch.lexicon_words]).to(x.device)
            states = self.encoder(x, batch, words, counts)
        else:
            states = self.encoder(x, batch, words)
        out: Tensor = self.emit(self.dropout(states))
        return out

    def loss(self, batch: Batch) -> Tensor:
        """Negative log-likelihood of the tags, summed over sentences (Section 3.4)."""
        assert batch.tags is not None
        return self.crf.nll(self.emissions(batch), batch.tags, batch.offsets)

    @torch.no_grad()
    def decode(self, batch: Batch, constrained: bool = True) -> Tensor:
        """Best tags of all units, (units,) int64."""
        best: Tensor = self.crf.decode(self.emissions(batch), batch.offsets, constrained)
        return best

    @torch.no_grad()
    def believe(self, batch: Batch, constrained: bool = True) -> tuple[Tensor, Posterior]:
        """Best tags, and the posterior of all."""
        found: tuple[Tensor, Posterior] = self.crf.believe(self.emissions(batch), batch.offsets, constrained)
        return found

    @torch.no_grad()
    def shares(self, batch: Batch) -> Shares:
        """By what each cell of a lattice is mixed."""
        x, words = self._vectors(batch)
        found: Shares = self.encoder.lstm.shares(x, batch.lattice, words)
        return found

    def _vectors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        parts = [self.chars(batch.chars)]
        if self.pairs is not None and batch.pairs is not None:
            parts.append(self.pairs(batch.pairs))
        if self.segments is not None and batch.segments is not None:
            parts.append(self.segments(batch.segments))
        x = self.dropout(torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        if self.words is None:
            return x, None
        if batch.lexicon_words is not None:
            vectors = self.dropout(self._lexicon_vectors(batch.lexicon_words, x.device))
            return x, self.words.marked(vectors, batch.marks)
        assert batch.words is not None
        nothing = x.new_zeros(0, 0)
        return x, self.dropout(self.words(batch.words, nothing, nothing, nothing))

    def _lexicon_vectors(self, numbers: Ints, device: torch.device) -> Tensor:
        assert self.words is not None
        rows = torch.from_numpy(self.word_rows[numbers]).to(device)
        if self.words.compose is None:
            nothing = torch.zeros(0, 0, device=device)
            own: Tensor = self.words(rows, nothing, nothing, nothing)
            return own
        lengths = self.word_offsets[numbers + 1] - self.word_offsets[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        place = np.arange(offsets[-1]) + np.repeat(self.word_offsets[numbers] - offsets[:-1], lengths)
        chars = torch.from_numpy(self.word_chars[place]).to(device)
        vectors = self.chars.known(chars)
        first, last = (torch.from_numpy(one).to(device) for one in (offsets[:-1], offsets[1:] - 1))
        found: Tensor = self.words(rows, vectors[first], vectors[last], character_means(vectors, offsets))
        return found
