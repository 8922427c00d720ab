"""A lexicon of words, and every place where one of them stands in a sentence.

    lexicon = Lexicon(["南京", "南京市", "市长", "长江", "长江大桥", "大桥"])
    lexicon.words_in("南京市长江大桥")        # [(0, 2, "南京"), (0, 3, "南京市"), (2, 4, "市长"), ...]
    lexicon.extended(["江大桥"])            # another lexicon with one word more
    Lexicon.from_file("words.txt")        # one word a line; jieba's dictionaries; word2vec's text

Source: Section 3 of the paper; all words match, overlapping and nested ones too, of two characters or more.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offprints.errors import DataError, InputError, MissingFile

from lattice_lstm import trie
from lattice_lstm.trie import Codes, Ints
from lattice_lstm.word_files import read_word_file

_LAST_DIGIT = 0x1FFFF  # no code point above is a digit
_NO_CHARACTER = 0x110000  # stands for what is more than one code point: no word has it


@dataclass(frozen=True)
class Matches:
    """The words in a number of sentences.

    Attributes:
        offsets: (S+1,) where the matches of each sentence begin.
        start: (m,) int32, position of the first character in the sentence.
        end: (m,) int32, position after the last one.
        word: (m,) int32, number of the word in the lexicon.
    """

    offsets: Ints
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    word: NDArray[np.int32]

    def of(self, sentence: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Start, end and word of each match in one sentence."""
        span = slice(self.offsets[sentence], self.offsets[sentence + 1])
        return self.start[span], self.end[span], self.word[span]

    @classmethod
    def none(cls, sentences: int) -> Matches:
        """No match in any sentence."""
        empty = np.zeros(0, np.int32)
        return cls(np.zeros(sentences + 1, np.int64), empty, empty, empty)


class Lexicon:
    """Words to look for.

    Args:
        words: of one character or more; what stands twice counts once.
        normalise_digits: every digit reads as "0", in the words and in the text. The published program does it in the text alone, so
            that words with other digits never match.

    Raises:
        InputError: a word is empty.
    """

    def __init__(self, words: Iterable[str] = (), *, normalise_digits: bool = True) -> None:
        self.normalise_digits = normalise_digits
        words = words if isinstance(words, list) else list(words)
        self._take(*_flat(words, normalise_digits))

    def _take(self, codes: Codes, offsets: Ints) -> None:
        if bool((np.diff(offsets) == 0).any()):
            raise InputError(f"word {int(np.argmin(np.diff(offsets)))} of the lexicon is empty")
        self._edges, self._word_at, number = trie.build(codes, offsets)
        first = np.unique(number, return_index=True)[1]
        if len(first) < len(number):
            codes, offsets = _chosen(codes, offsets, first)
        self._codes, self._offsets = codes, offsets

    @classmethod
    def from_file(cls, path: str | Path, *, format: str = "auto", normalise_digits: bool = True) -> Lexicon:
        """Read a lexicon, plain or as .gz.

        Args:
            path: a word a line, or lines that begin with one; see `read_word_file`.
            format: "auto", "plain" or "columns"; see `read_word_file`.
            normalise_digits: see `Lexicon`.

        Raises:
            MissingFile: there is no such file.
            MalformedLine: a line is no UTF-8.
            DataError: the file holds no word.
        """
        codes, offsets = read_word_file(path, format)
        if len(offsets) < 2:
            raise DataError(f"{path} holds no word")
        codes = _with_zeros(codes) if normalise_digits else codes
        return cls(normalise_digits=normalise_digits)._with(codes, offsets)

    @classmethod
    def of_jieba(cls, *, normalise_digits: bool = True) -> Lexicon:
        """The dictionary of the package jieba: about 337,000 words of two characters or more."""
        return cls.from_file(_jieba_file(), format="columns", normalise_digits=normalise_digits)

    @classmethod
    def of_flat(
        cls, codes: Codes, lengths: Sequence[int] | Ints, *, normalise_digits: bool = True
    ) -> Lexicon:
        """From what `flat` gave: code points of all words, one word after the other, digits normalised already, and their lengths."""
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        if (
            np.asarray(lengths).min(initial=1) < 1
            or offsets[-1] != len(codes)
            or codes.max(initial=0) >= _NO_CHARACTER
        ):
            raise InputError(f"{len(codes)} code points are not {len(lengths)} words of these lengths")
        return cls(normalise_digits=normalise_digits)._with(codes, offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __contains__(self, word: str) -> bool:
        return bool(self.find([word])[0] >= 0)

    def __iter__(self) -> Iterator[str]:
        text, ends = _decoded(self._codes), self._offsets.tolist()  # a code point is a character of a str
        return (text[begin:end] for begin, end in itertools.pairwise(ends))

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return sum(one.nbytes for one in (self._codes, self._offsets, self._edges, self._word_at))

    @property
    def flat(self) -> tuple[Codes, Ints]:
        """Code points of all words, one word after the other, and where each begins; (C,), (L+1,)."""
        return self._codes, self._offsets

    @property
    def digest(self) -> str:
        """sha256 of the words in their order."""
        made = hashlib.sha256(self._codes.tobytes())
        made.update(self._offsets.tobytes())
        return made.hexdigest()

    def word(self, number: int) -> str:
        """A word by its number; digits are "0" where they are normalised."""
        return _decoded(self._codes[self._offsets[number] : self._offsets[number + 1]])

    def find(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The number of each word, (n,) int32; -1 for those that are not in it."""
        codes, offsets = _flat(list(words), self.normalise_digits)
        found: NDArray[np.int32] = trie.find(codes, offsets, self._edges, self._word_at)
        return found

    def words_in(self, sentence: Sequence[str], shortest: int = 2) -> list[tuple[int, int, str]]:
        """Start, end (not included) and word of every match in one sentence, by start and then by length."""
        start, end, word = self.match([sentence], shortest).of(0)
        return [(int(b), int(e), self.word(int(w))) for b, e, w in zip(start, end, word, strict=True)]

    def match(self, sentences: Sequence[Sequence[str]], shortest: int = 2) -> Matches:
        """Every word in every sentence.

        Args:
            sentences: each a string, or its characters.
            shortest: words with fewer characters are left out; 2 as in the paper.
        """
        codes, offsets = flat_characters(sentences, self.normalise_digits)
        return Matches(*trie.matches(codes, offsets, self._edges, self._word_at, shortest))

    def extended(self, words: Iterable[str]) -> Lexicon:
        """A lexicon with further words; those of this one keep their numbers."""
        codes, offsets = _flat(list(words), self.normalise_digits)
        return self._with(
            np.concatenate([self._codes, codes]),
            np.concatenate([self._offsets, offsets[1:] + self._offsets[-1]]),
        )

    def without(self, words: Sequence[str]) -> Lexicon:
        """A lexicon that lacks some words; the others are numbered anew."""
        kept = np.setdiff1d(np.arange(len(self)), self.find(words))
        return self._with(*_chosen(self._codes, self._offsets, kept))

    def subset(self, share: float, seed: int = 0) -> Lexicon:
        """A random share of the words, for asking what the size of a lexicon is worth.

        Raises:
            InputError: the share is not between 0 and 1.
        """
        if not 0 <= share <= 1:
            raise InputError(f"a share of the lexicon must be between 0 and 1, not {share}")
        kept = np.random.default_rng(seed).permutation(len(self))[: round(share * len(self))]
        return self._with(*_chosen(self._codes, self._offsets, np.sort(kept)))

    def without_longer(self, longest: int) -> Lexicon:
        """The words of at most so many characters."""
        return self._with(
            *_chosen(self._codes, self._offsets, np.flatnonzero(np.diff(self._offsets) <= longest))
        )

    def _with(self, codes: Codes, offsets: Ints) -> Lexicon:
        """A lexicon of these words, normalised already."""
        made = Lexicon.__new__(Lexicon)
        made.normalise_digits = self.normalise_digits
        made._take(codes, offsets)
        return made


@functools.cache
def jieba_entries() -> tuple[tuple[str, int, str], ...]:
    """Word, frequency and part of speech of each entry of jieba's dictionary."""
    rows = (line.split(" ") for line in _jieba_file().read_text(encoding="utf-8").splitlines() if line)
    return tuple((word, int(count), kind) for word, count, kind in rows)


def _jieba_file() -> Path:
    """Where the package jieba lies; importing it for its dictionary would prepare its segmenter."""
    spec = importlib.util.find_spec("jieba")
    if spec is None or spec.origin is None:
        raise MissingFile("the package jieba is not installed: pip install jieba")
    return Path(spec.origin).with_name("dict.txt")


def normalised(char: str) -> str:
    """A character with its digits as "0"."""
    return "0" if char.isdigit() else char


def flat_characters(sentences: Sequence[Sequence[str]], normalise_digits: bool) -> tuple[Codes, Ints]:
    """The characters of sentences, one after the other, and where each sentence begins; (C,), (S+1,).

    What stands as one character and is more than one code point, or none, gets a number that no word has.
    """
    offsets = np.zeros(len(sentences) + 1, np.int64)
    np.cumsum([len(one) for one in sentences], out=offsets[1:])
    text = "".join(one if isinstance(one, str) else "".join(one) for one in sentences)
    if len(text) != offsets[-1] or not _is_text(sentences):
        chars = [char if len(char) == 1 else None for one in sentences for char in one]
        codes = np.fromiter((_NO_CHARACTER if c is None else ord(c) for c in chars), np.uint32, len(chars))
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    return (_with_zeros(codes) if normalise_digits else codes), offsets


def _is_text(sentences: Sequence[Sequence[str]]) -> bool:
    """Whether every character is one code point, which equal lengths alone do not say."""
    return all(isinstance(one, str) or max(map(len, one), default=1) == 1 for one in sentences)


def _flat(words: list[str], normalise_digits: bool) -> tuple[Codes, Ints]:
    offsets = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
    codes = np.frombuffer("".join(words).encode("utf-32-le", "surrogatepass"), np.uint32)
    return (_with_zeros(codes) if normalise_digits else codes), offsets


def _decoded(codes: Codes) -> str:
    return codes.tobytes().decode("utf-32-le", "surrogatepass")


def _with_zeros(codes: Codes) -> Codes:
    return np.where(_digits()[np.minimum(codes, _LAST_DIGIT)], np.uint32(ord("0")), codes)


@functools.cache
def _digits() -> NDArray[np.bool_]:
    return np.fromiter((chr(code).isdigit() for code in range(_LAST_DIGIT + 1)), np.bool_, _LAST_DIGIT + 1)


def _chosen(codes: Codes, offsets: Ints, words: Ints) -> tuple[Codes, Ints]:
    """Some of the words, in the order given."""
    lengths = np.diff(offsets)[words]
    ends = np.cumsum(lengths)
    place = np.arange(ends[-1] if len(ends) else 0) + np.repeat(offsets[words] - (ends - lengths), lengths)
    return codes[place], np.concatenate([[0], ends]).astype(np.int64)
