"""Of what languages are made: direct tests of a string, and ways to draw a member of a length; none knows the logic."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from offprints.errors import InputError

Rng = np.random.Generator
Member = Callable[[str], bool]
Sampler = Callable[[Rng, int], "str | None"]


def blocks(k: int) -> tuple[str, Member, Sampler]:
    """a+ b+ a+ ... with k blocks: its formula, member and sampler.

    phi_1 = H a, and phi_k = x and (x S phi_(k-1)), where x is the letter of the last block.

    Args:
        k: 1 or more.
    """
    if k < 1:
        raise InputError(f"{k} blocks: one or more is needed")
    text = "(H (Q a))"
    for number in range(2, k + 1):
        x = "a" if number % 2 else "b"
        text = f"(and (Q {x}) (S (Q {x}) {text}))"
    pattern = re.compile("".join("a+" if number % 2 == 0 else "b+" for number in range(k)))

    def sample(rng: Rng, n: int) -> str | None:
        if n < k:
            return None
        cuts = np.sort(rng.choice(np.arange(1, n), k - 1, replace=False)) if k > 1 else np.zeros(0, int)
        sizes = np.diff(np.concatenate([[0], cuts, [n]]))
        return "".join("ab"[number % 2] * int(size) for number, size in enumerate(sizes))

    return text, matches(pattern.pattern), sample


def matches(pattern: str) -> Member:
    """Strings that a regular expression reads from end to end."""
    compiled = re.compile(pattern)
    return lambda s: bool(s) and compiled.fullmatch(s) is not None


def random_string(alphabet: str) -> Sampler:
    """Any string is a member."""
    return lambda rng, n: "".join(rng.choice(list(alphabet), n))


def fixed(make: Callable[[int], str | None]) -> Sampler:
    """One member of a length, or none."""
    return lambda rng, n: make(n)


def patched(alphabet: str, fix: Callable[[Rng, list[str]], None]) -> Sampler:
    """A random string, made a member in place."""

    def sample(rng: Rng, n: int) -> str:
        letters = [str(a) for a in rng.choice(list(alphabet), n)]
        fix(rng, letters)
        return "".join(letters)

    return sample


def put_in(word: str, at: str) -> Callable[[Rng, list[str]], None]:
    """Writes a word at the start, the end or anywhere."""

    def fix(rng: Rng, letters: list[str]) -> None:
        if len(letters) < len(word):
            return
        latest = len(letters) - len(word)
        start = {"start": 0, "end": latest, "somewhere": int(rng.integers(latest + 1))}[at]
        letters[start : start + len(word)] = word

    return fix


def counted(modulus: int) -> Sampler:
    """The number of a is a multiple of the modulus."""

    def sample(rng: Rng, n: int) -> str:
        count = modulus * int(rng.integers(n // modulus + 1))
        letters = np.array(["b"] * n)
        letters[rng.choice(n, count, replace=False)] = "a"
        return "".join(letters)

    return sample


def dyck(deepest: int | None) -> Sampler:
    """A walk that returns to 0 and stays between 0 and the depth."""

    def sample(rng: Rng, n: int) -> str | None:
        if n % 2:
            return None
        height, word = 0, ""
        for left in range(n, 0, -1):
            top = deepest if deepest is not None else n
            up = height < min(left - 1, top) and (height == 0 or rng.random() < 0.5)
            word += "a" if up else "b"
            height += 1 if up else -1
        return word

    return sample


def is_dyck(deepest: int | None) -> Member:
    """Brackets a and b that close, no deeper than that."""

    def member(s: str) -> bool:
        height = 0
        for letter in s:
            height += 1 if letter == "a" else -1
            if height < 0 or (deepest is not None and height > deepest):
                return False
        return bool(s) and height == 0

    return member


def without(word: str) -> Sampler:
    """Random, with letters of every occurrence of the word changed until there is none."""

    def sample(rng: Rng, n: int) -> str:
        s = "".join(rng.choice(list("ab"), n))
        while word in s:
            at = s.index(word) + len(word) - 1
            s = s[:at] + ("b" if s[at] == "a" else "a") + s[at + 1 :]
        return s

    return sample


def halves(rng: Rng, n: int) -> str | None:
    """As many a as b, in any order."""
    if n % 2:
        return None
    letters = np.array(["a", "b"] * (n // 2))
    rng.shuffle(letters)
    return "".join(letters)


def palindrome(rng: Rng, n: int) -> str:
    """A word that reads alike from both ends."""
    half = "".join(rng.choice(list("ab"), n - n // 2))
    return half + half[::-1][n % 2 :]


def cut_to(word: str, pieces: int) -> Sampler:
    """Blocks of the letters of `word` in turn, some of them empty."""

    def sample(rng: Rng, n: int) -> str:
        cuts = np.sort(rng.integers(0, n + 1, pieces - 1))
        sizes = np.diff(np.concatenate([[0], cuts, [n]]))
        return "".join(letter * int(size) for letter, size in zip(word, sizes, strict=True))

    return sample


def majority_sample(rng: Rng, n: int) -> str:
    """More a than b."""
    count = int(rng.integers(n // 2 + 1, n + 1))
    letters = np.array(["a"] * count + ["b"] * (n - count))
    rng.shuffle(letters)
    return "".join(letters)


def tomita3(s: str) -> bool:
    """No odd run of a right before an odd run of b."""
    return re.search(r"(?:^|[^a])(?:aa)*a(?:bb)*b(?:[^b]|$)", s) is None
