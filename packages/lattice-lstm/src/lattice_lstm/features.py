"""What an encoder reads of sentences, as flat arrays over all their characters; and batches of it.

A corpus is looked up once: characters, pairs, segments and words never change between epochs. A batch is then a choice of sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lattice_lstm.corpus import Sentence
from lattice_lstm.dictionary import HIDDEN
from lattice_lstm.lattice import Lattice
from lattice_lstm.lexicon import Lexicon, Matches
from lattice_lstm.segmentation import segments_of
from lattice_lstm.tags import Span, lenient_spans, tags_of_spans
from lattice_lstm.trie import Codes, Ints
from lattice_lstm.vocabulary import Characters, Names, Pairs, pair_keys

SEGMENTS = "BMES"


@dataclass(frozen=True)
class Encoded:
    """Sentences looked up.

    Attributes:
        offsets: (S+1,) where the characters of each begin.
        codes: (n,) code points.
        chars: (n,) numbers of the characters.
        pairs: (n,) numbers of the pairs; None where they are not asked for.
        segments: (n,) place in `SEGMENTS`; None where they are not asked for.
        matches: words of the lexicon; None where they are not asked for.
        marks: (L,) which words of the lexicon are of a dictionary, and which are not there; see `dictionary`. None marks none.
        words: (u,) numbers of the words of the segmentation; None where they are not asked for.
        word_offsets: (S+1,) where the words of each sentence begin.
        word_starts: (u+1,) where the characters of each word begin.
    """

    offsets: Ints
    codes: Codes
    chars: Ints
    pairs: Ints | None = None
    segments: Ints | None = None
    matches: Matches | None = None
    marks: Ints | None = None
    words: Ints | None = None
    word_offsets: Ints | None = None
    word_starts: Ints | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True)
class Batch:
    """Some sentences for a model.

    Attributes:
        offsets: (S+1,) of the units that get tags: characters, or words for a tagger of words.
        char_offsets: (S+1,) of the characters.
        chars: (n,)
        pairs: (n,) or None.
        segments: (n,) or None.
        lattice: words of the lexicon, or None.
        lexicon_words: (v,) the different ones among them, by their number in the lexicon, or None.
        marks: (v,) of these; None marks none.
        words: (u,) words of the segmentation, or None.
        word_starts: (u+1,) where the characters of each begin, or None.
        tags: (units,) or None.
    """

    offsets: Ints
    char_offsets: Ints
    chars: Tensor
    pairs: Tensor | None = None
    segments: Tensor | None = None
    lattice: Lattice | None = None
    lexicon_words: Ints | None = None
    marks: Tensor | None = None
    words: Tensor | None = None
    word_starts: Ints | None = None
    tags: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        if torch.device(device).type == "cpu":
            return self
        moved = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, (Tensor, Lattice))
        }
        return replace(self, **moved)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Features:
    """What is looked up.

    Attributes:
        chars: the known characters.
        pairs: the known pairs, or None.
        segments: whether to segment.
        lexicon: of a lattice, or None.
        marks: (L,) of the words of the lexicon, or None.
        words: the known words of a tagger of words, or None.
    """

    chars: Characters
    pairs: Pairs | None = None
    segments: bool = False
    lexicon: Lexicon | None = None
    marks: Ints | None = None
    words: Names | None = None

    def encode(self, sentences: Sequence[Sentence]) -> Encoded:
        """Look sentences up, none of them empty."""
        texts = [one.characters for one in sentences]
        numbers, codes, offsets = self.chars.of_text(texts)
        found = Encoded(offsets, codes, numbers)
        if self.pairs is not None:
            found = replace(found, pairs=self.pairs.numbers(codes, offsets))
        if self.segments:
            labels = "".join("".join(segments_of(one)) for one in sentences)
            found = replace(found, segments=np.array([SEGMENTS.index(label) for label in labels], np.int64))
        if self.lexicon is not None:
            found = replace(found, matches=self.lexicon.match(texts), marks=self.marks)
        if self.words is not None:
            starts, word_offsets, words = segmented_words(sentences)
            known = self.words.numbers(words)
            found = replace(found, words=known, word_offsets=word_offsets, word_starts=starts)
        return found


def segmented_words(sentences: Sequence[Sentence]) -> tuple[Ints, Ints, list[str]]:
    """Words of a segmentation: (u+1,) where each begins among all characters, (S+1,) where each sentence's begin, and their names."""
    starts, counts, words, first = [], [0], [], 0
    for sentence in sentences:
        labels = segments_of(sentence)
        begins = [at for at, label in enumerate(labels) if label in "BS"]
        starts += [first + at for at in begins]
        counts.append(len(begins))
        for begin, end in zip(begins, [*begins[1:], len(labels)], strict=True):
            words.append("".join(sentence.characters[begin:end]))
        first += len(labels)
    return np.array([*starts, first], np.int64), np.cumsum(counts), words


def word_tags(sentence: Sentence, starts: Ints) -> list[str]:
    """Tags of the words of a sentence: an entity takes in every word that it touches, unless an earlier one has it.

    Args:
        sentence: with the tags of its characters.
        starts: (words + 1,) where each word begins in it, and its length.
    """
    spans: list[Span] = []
    free = 0
    for begin, end, kind in sentence.spans:
        first = max(int(np.searchsorted(starts, begin, "right")) - 1, free)
        last = int(np.searchsorted(starts, end, "left"))
        if first < last:
            spans.append(Span(first, last, kind))
            free = last
    return tags_of_spans(spans, len(starts) - 1)


def character_tags(tags: Sequence[str], starts: Ints) -> list[str]:
    """Tags of the characters of words with tags; the opposite of `word_tags` where entities end with words."""
    spans = [Span(int(starts[b]), int(starts[e]), kind) for b, e, kind in lenient_spans(tags)]
    return tags_of_spans(spans, int(starts[-1]))


def choose(encoded: Encoded, sentences: Ints, tags: Ints | None = None) -> Batch:
    """A batch of some sentences.

    Args:
        encoded: all of them.
        sentences: which ones.
        tags: of all units of all sentences.
    """
    rows, offsets = _spans(encoded.offsets, sentences)
    batch = Batch(offsets, offsets, _taken(encoded.chars, rows))
    if encoded.pairs is not None:
        batch = replace(batch, pairs=_taken(encoded.pairs, rows))
    if encoded.segments is not None:
        batch = replace(batch, segments=_taken(encoded.segments, rows))
    if encoded.matches is not None:
        which, begins = _spans(encoded.matches.offsets, sentences)
        m, marks = encoded.matches, encoded.marks
        if marks is not None:
            there = marks[m.word[which]] != HIDDEN
            which, begins = which[there], np.concatenate([[0], np.cumsum(there)])[begins]
        different, own = np.unique(m.word[which], return_inverse=True)
        chosen = Matches(begins, m.start[which], m.end[which], m.word[which])
        lattice = Lattice.of(np.diff(offsets), chosen, own.astype(np.int64))
        batch = replace(batch, lattice=lattice, lexicon_words=different.astype(np.int64))
        if marks is not None:
            batch = replace(batch, marks=torch.from_numpy(marks[different]))
    units = rows
    if encoded.words is not None and encoded.word_offsets is not None and encoded.word_starts is not None:
        units, word_offsets = _spans(encoded.word_offsets, sentences)
        lengths = encoded.word_starts[units + 1] - encoded.word_starts[units]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        batch = replace(batch, offsets=word_offsets, words=_taken(encoded.words, units), word_starts=starts)
    return batch if tags is None else replace(batch, tags=_taken(tags, units))


def known_characters(sentences: Sequence[Sentence], normalise_digits: bool) -> tuple[Characters, Ints]:
    """The characters of sentences, the most frequent first, and how often each occurs."""
    every = Characters((), normalise_digits)
    codes = every.of_text([one.characters for one in sentences])[1]
    found, counts = np.unique(codes, return_counts=True)
    real = found < 0x110000
    order = np.argsort(-counts[real], kind="stable")
    names = [chr(code) for code in found[real][order].tolist()]
    return Characters(names, normalise_digits), counts[real][order]


def known_pairs(sentences: Sequence[Sentence], normalise_digits: bool) -> Pairs:
    """The pairs of neighbouring characters in sentences."""
    _, codes, offsets = Characters((), normalise_digits).of_text([one.characters for one in sentences])
    return Pairs.of(pair_keys(codes, offsets))


def _spans(offsets: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """All places of the chosen pieces, one piece after the other, and where each begins."""
    lengths = offsets[chosen + 1] - offsets[chosen]
    begins = np.zeros(len(chosen) + 1, np.int64)
    np.cumsum(lengths, out=begins[1:])
    return np.arange(begins[-1]) + np.repeat(offsets[chosen] - begins[:-1], lengths), begins


def _taken(values: Ints, rows: Ints) -> Tensor:
    return torch.from_numpy(values[rows])
