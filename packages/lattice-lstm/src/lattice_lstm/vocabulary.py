"""Numbers for characters, pairs of characters, and words; 0 stands for all that is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lattice_lstm.lexicon import flat_characters
from lattice_lstm.trie import Codes, Ints

_CODES = 0x110002  # code points, and what stands for those that are none and for the end of a sentence
_END = 0x110001
_BITS = 21
END = "\n"
"""Stands for the end of a sentence in a pair of characters; no character of a sentence is a line feed."""


class Characters:
    """The characters that a model knows.

    Args:
        names: each of one code point; digits are normalised already.
        normalise_digits: read every digit as 0.
    """

    def __init__(self, names: Sequence[str], normalise_digits: bool = True) -> None:
        self.names, self.normalise_digits = tuple(names), normalise_digits

    def __len__(self) -> int:
        return len(self.names) + 1

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """The number of each code point."""
        numbers = np.zeros(_CODES, np.int32)
        numbers[[ord(name) for name in self.names]] = np.arange(1, len(self.names) + 1)
        return numbers

    def numbers(self, codes: Codes) -> Ints:
        """The number of each character, given as a code point."""
        return self.table[codes].astype(np.int64)

    def of_text(self, sentences: Sequence[Sequence[str]]) -> tuple[Ints, Codes, Ints]:
        """Numbers and code points of all characters, and where each sentence begins."""
        codes, offsets = flat_characters(sentences, self.normalise_digits)
        return self.numbers(codes), codes, offsets


class Pairs:
    """The pairs of neighbouring characters that a model knows.

    Args:
        names: each two characters, of which the second may be `END`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        keys = np.array(
            [_key(ord(name[0]), _END if name[1] == END else ord(name[1])) for name in self.names], np.int64
        )
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def __len__(self) -> int:
        return len(self.names) + 1

    def numbers(self, codes: Codes, offsets: Ints) -> Ints:
        """The number of the pair that begins at each character; the last one of a sentence pairs with its end."""
        keys = pair_keys(codes, offsets)
        if not len(self._keys):
            return np.zeros(len(keys), np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._order[place] + 1, 0)

    @classmethod
    def of(cls, keys: Ints) -> Pairs:
        """The pairs among some keys, each once, the smallest first."""
        found = np.unique(keys)
        first, second = found >> _BITS, found & ((1 << _BITS) - 1)
        # What is no code point has no name, and a line feed has that of the end; both stay unknown.
        real = (first < 0x110000) & (second != 0x110000) & (second != ord(END))
        pairs = zip(first[real].tolist(), second[real].tolist(), strict=True)
        return cls([chr(a) + (END if b == _END else chr(b)) for a, b in pairs])


class Names:
    """The words that a model knows, by name.

    Args:
        names: each once.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names, 1)}

    def __len__(self) -> int:
        return len(self.names) + 1

    def numbers(self, words: Iterable[str]) -> Ints:
        """The number of each word."""
        return np.fromiter((self._numbers.get(word, 0) for word in words), np.int64)


def pair_keys(codes: Codes, offsets: Ints) -> Ints:
    """One number for each character and the one after it."""
    after = np.empty(len(codes), np.int64)
    after[:-1] = codes[1:]
    ends = offsets[1:][np.diff(offsets) > 0] - 1
    after[ends] = _END
    return (codes.astype(np.int64) << _BITS) | after


def _key(first: int, second: int) -> int:
    return (first << _BITS) | second
