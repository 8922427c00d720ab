"""Strings as numbers: the letters of an alphabet are 0, 1, ... in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

Ids = NDArray[np.int64]
Truth = NDArray[np.bool_]


@dataclass(frozen=True)
class Alphabet:
    """An ordered set of letters.

    Attributes:
        letters: each one once, such as "ab".
    """

    letters: str

    def __post_init__(self) -> None:
        if not self.letters:
            raise InputError("an alphabet needs one letter or more")
        twice = sorted({a for a in self.letters if self.letters.count(a) > 1})
        if twice:
            raise InputError(f"the alphabet {self.letters!r} has {', '.join(map(repr, twice))} twice")

    def __len__(self) -> int:
        return len(self.letters)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {a: number for number, a in enumerate(self.letters)}

    def encode(self, string: str) -> Ids:
        """The numbers of a string's letters, (n,) int64.

        Raises:
            InputError: the string is empty or has a letter that the alphabet lacks.
        """
        if not string:
            raise InputError("the string is empty: a formula has no value where there is no position")
        try:
            return np.array([self._number[a] for a in string], np.int64)
        except KeyError as error:
            place = string.index(error.args[0])
            raise InputError(
                f"letter {error.args[0]!r} at position {place + 1} is not in the alphabet {self.letters!r}"
            ) from None

    def batch(self, strings: Sequence[str]) -> tuple[Ids, Ids]:
        """Strings of any lengths, padded with the first letter, and their lengths: (B, n) and (B,) int64."""
        if not strings:
            raise InputError("there is no string")
        rows = [self.encode(string) for string in strings]
        lengths = np.array([len(row) for row in rows], np.int64)
        ids = np.zeros((len(rows), int(lengths.max())), np.int64)
        for row, into in zip(rows, ids, strict=True):
            into[: len(row)] = row
        return ids, lengths

    def check(self, used: set[str]) -> None:
        """Refuse a formula whose letters are not all in the alphabet.

        Raises:
            InputError: names the letters that are missing.
        """
        missing = sorted(used - set(self.letters))
        if missing:
            raise InputError(
                f"the formula speaks of {', '.join(map(repr, missing))}, which the alphabet {self.letters!r} lacks"
            )


def all_strings(letters: int, n: int) -> Ids:
    """Every string of a length, in lexicographic order: (letters**n, n) int64.

    Raises:
        InputError: there are more than 2**26 of them.
    """
    if n < 1:
        raise InputError(f"length {n}: strings have one letter or more")
    if letters**n > 2**26:
        raise InputError(f"there are {letters}**{n} strings of length {n}: more than 2**26")
    number = np.arange(letters**n)[:, None]
    return number // letters ** np.arange(n - 1, -1, -1) % letters
