"""Formal languages: who is a member, how to draw one, and a formula where there is one.

Membership is a direct test of the string, written without the logic, so that a formula is checked against something that does not know it.
Formulas hold at the last position of the members. The empty string is left out everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError
from offprints.user_errors import closest

Rng = np.random.Generator
Member = Callable[[str], bool]
Sampler = Callable[[Rng, int], "str | None"]


@dataclass(frozen=True)
class Language:
    """A set of non-empty strings.

    Attributes:
        name: such as dyck1.
        alphabet: its letters.
        member: whether a string belongs to it.
        sample: a random member of a length, or None where there is none; not uniform.
        formula: prefix text.
        star_free: whether it is star-free; None if it is not regular.
    """

    name: str
    alphabet: str
    member: Member
    sample: Sampler
    formula: str
    star_free: bool | None

    def strings(self, rng: Rng, n: int, count: int) -> list[str]:
        """Members, members with one letter changed, and random strings, all of length n and distinct.

        Args:
            rng: the randomness.
            n: the length.
            count: most of each of the three.
        """
        found: dict[str, None] = {}
        for _ in range(count):
            member = self.sample(rng, n)
            if member is not None:
                found[member] = None
                at = int(rng.integers(n))
                found[member[:at] + str(rng.choice(list(self.alphabet))) + member[at + 1 :]] = None
            found["".join(rng.choice(list(self.alphabet), n))] = None
        return list(found)


def language(name: str) -> Language:
    """A language by its name.

    Raises:
        InputError: there is none of that name; says which are near.
    """
    if name not in LANGUAGES:
        raise InputError(f"language {name!r} is unknown{closest(name, LANGUAGES)}")
    return LANGUAGES[name]


def languages(names: Sequence[str] | None = None) -> list[Language]:
    """Languages by their names; None takes all.

    Raises:
        InputError: there is none of a name; says which are near.
    """
    return list(LANGUAGES.values()) if names is None else [language(name) for name in names]


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

    return text, _matches(pattern.pattern), sample


def _matches(pattern: str) -> Member:
    compiled = re.compile(pattern)
    return lambda s: bool(s) and compiled.fullmatch(s) is not None


def _random(alphabet: str) -> Sampler:
    return lambda rng, n: "".join(rng.choice(list(alphabet), n))


def _fixed(make: Callable[[int], str | None]) -> Sampler:
    return lambda rng, n: make(n)


def _patched(alphabet: str, fix: Callable[[Rng, list[str]], None]) -> Sampler:
    """A random string, made a member in place."""

    def sample(rng: Rng, n: int) -> str:
        letters = [str(a) for a in rng.choice(list(alphabet), n)]
        fix(rng, letters)
        return "".join(letters)

    return sample


def _put(word: str, at: str) -> Callable[[Rng, list[str]], None]:
    def fix(rng: Rng, letters: list[str]) -> None:
        if len(letters) < len(word):
            return
        latest = len(letters) - len(word)
        start = {"start": 0, "end": latest, "somewhere": int(rng.integers(latest + 1))}[at]
        letters[start : start + len(word)] = word

    return fix


def _counted(modulus: int) -> Sampler:
    """The number of a is a multiple of the modulus."""

    def sample(rng: Rng, n: int) -> str:
        count = modulus * int(rng.integers(n // modulus + 1))
        letters = np.array(["b"] * n)
        letters[rng.choice(n, count, replace=False)] = "a"
        return "".join(letters)

    return sample


def _dyck(deepest: int | None) -> Sampler:
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


def _is_dyck(deepest: int | None) -> Member:
    def member(s: str) -> bool:
        height = 0
        for letter in s:
            height += 1 if letter == "a" else -1
            if height < 0 or (deepest is not None and height > deepest):
                return False
        return bool(s) and height == 0

    return member


def _without(word: str) -> Sampler:
    """Random, with letters of every occurrence of the word changed until there is none."""

    def sample(rng: Rng, n: int) -> str:
        s = "".join(rng.choice(list("ab"), n))
        while word in s:
            at = s.index(word) + len(word) - 1
            s = s[:at] + ("b" if s[at] == "a" else "a") + s[at + 1 :]
        return s

    return sample


def _halves(rng: Rng, n: int) -> str | None:
    if n % 2:
        return None
    letters = np.array(["a", "b"] * (n // 2))
    rng.shuffle(letters)
    return "".join(letters)


def _palindrome(rng: Rng, n: int) -> str:
    half = "".join(rng.choice(list("ab"), n - n // 2))
    return half + half[::-1][n % 2 :]


def _cut(word: str, pieces: int) -> Sampler:
    """Blocks of the letters of `word` in turn, some of them empty."""

    def sample(rng: Rng, n: int) -> str:
        cuts = np.sort(rng.integers(0, n + 1, pieces - 1))
        sizes = np.diff(np.concatenate([[0], cuts, [n]]))
        return "".join(letter * int(size) for letter, size in zip(word, sizes, strict=True))

    return sample


_HEIGHT = "(+ (cl (Q a)) (* -1 (cl (Q b))))"


def _bounded_dyck(deepest: int) -> str:
    return f"(and (eq {_HEIGHT} 0) (H (and (le 0 {_HEIGHT}) (le {_HEIGHT} {deepest}))))"


def _remainder(r: int, modulus: int, letter: str = "a") -> str:
    """The number of a letter is the position of some i with that remainder: the string counts for itself. No position is 0."""
    some = f"(O (and (eq (pos) (call (Q {letter}))) (mod {r} {modulus})))"
    return some if r else f"(or (eq (call (Q {letter})) 0) {some})"


def _same_remainder(modulus: int) -> str:
    """a and b occur equally often modulo a number."""
    pairs = (f"(and {_remainder(r, modulus)} {_remainder(r, modulus, 'b')})" for r in range(modulus))
    return f"(or {' '.join(pairs)})"


def _odd_run(letter: str, begins: str) -> str:
    """The run of a letter that ends here has an odd length: it began at a position of the same parity, where `begins` held."""
    halves = (f"(and (mod {r} 2) (Sn (Q {letter}) (and (mod {r} 2) {begins})))" for r in range(2))
    return f"(and (Q {letter}) (or {' '.join(halves)}))"


_ODD_RUNS = _odd_run("b", f"(and (Q b) (Y {_odd_run('a', '(and (Q a) (not (Y (Q a))))')}))")
"""An odd run of b ends here, or goes on, and right before it lies an odd run of a."""


def _majority_sample(rng: Rng, n: int) -> str:
    count = int(rng.integers(n // 2 + 1, n + 1))
    letters = np.array(["a"] * count + ["b"] * (n - count))
    rng.shuffle(letters)
    return "".join(letters)


def _tomita3(s: str) -> bool:
    return re.search(r"(?:^|[^a])(?:aa)*a(?:bb)*b(?:[^b]|$)", s) is None


def _all() -> Iterator[Language]:
    yield Language(
        "a_star_b_star", "ab", _matches("a*b*"), _cut("ab", 2), "(H (not (and (Q a) (Y (Q b)))))", True
    )
    yield Language(
        "ab_plus",
        "ab",
        _matches("(ab)+"),
        _fixed(lambda n: "ab" * (n // 2) if n % 2 == 0 else None),
        "(and (Q b) (H (and (or (Q a) (Y (Q a))) (or (Q b) (first) (Y (Q b))))))",
        True,
    )
    yield Language(
        "even_length",
        "ab",
        lambda s: bool(s) and len(s) % 2 == 0,
        lambda rng, n: _random("ab")(rng, n) if n % 2 == 0 else None,
        "(mod 0 2)",
        False,
    )
    yield Language(
        "parity", "ab", lambda s: bool(s) and s.count("a") % 2 == 0, _counted(2), _remainder(0, 2), False
    )
    yield Language(
        "a_mod3", "ab", lambda s: bool(s) and s.count("a") % 3 == 0, _counted(3), _remainder(0, 3), False
    )
    yield Language(
        "first_is_a",
        "ab",
        _matches("a.*"),
        _patched("ab", _put("a", "start")),
        "(O (and (first) (Q a)))",
        True,
    )
    yield Language("last_is_a", "ab", _matches(".*a"), _patched("ab", _put("a", "end")), "(Q a)", True)
    yield Language(
        "ends_aba",
        "ab",
        _matches(".*aba"),
        _patched("ab", _put("aba", "end")),
        "(and (Q a) (Y (and (Q b) (Y (Q a)))))",
        True,
    )
    yield Language(
        "contains_abba",
        "ab",
        lambda s: "abba" in s,
        _patched("ab", _put("abba", "somewhere")),
        "(O (and (Q a) (Y (and (Q b) (Y (and (Q b) (Y (Q a))))))))",
        True,
    )
    yield Language(
        "no_aa",
        "ab",
        lambda s: bool(s) and "aa" not in s,
        _without("aa"),
        "(H (not (and (Q a) (Y (Q a)))))",
        True,
    )
    yield Language(
        "subseq_abab",
        "ab",
        _matches(".*a.*b.*a.*b.*"),
        _random("ab"),
        "(O (and (Q b) (P (and (Q a) (P (and (Q b) (P (Q a))))))))",
        True,
    )
    yield Language(
        "first_equals_last",
        "ab",
        lambda s: bool(s) and s[0] == s[-1],
        lambda rng, n: (s := "".join(rng.choice(list("ab"), n)))[:-1] + s[0] if n > 1 else "a",
        "(or (and (Q a) (O (and (first) (Q a)))) (and (Q b) (O (and (first) (Q b)))))",
        True,
    )
    yield Language(
        "flip_flop",
        "abc",
        _matches("[abc]*ac*"),
        _patched("abc", _put("ac", "end")),
        "(Sn (Q c) (Q a))",
        True,
    )
    yield Language(
        "abc_plus",
        "abc",
        _matches("(abc)+"),
        _fixed(lambda n: "abc" * (n // 3) if n % 3 == 0 else None),
        "(and (Q c) (H (and (or (not (Q c)) (Y (Q b))) (or (not (Q b)) (Y (Q a))) "
        "(or (not (Q a)) (first) (Y (Q c))))))",
        True,
    )
    yield Language(
        "dyck1_depth1", "ab", _is_dyck(1), _dyck(1), _bounded_dyck(1), True
    )  # without the empty string this is (ab)+
    yield Language("dyck1_depth2", "ab", _is_dyck(2), _dyck(2), _bounded_dyck(2), True)
    yield Language("dyck1_depth3", "ab", _is_dyck(3), _dyck(3), _bounded_dyck(3), True)
    yield Language(
        "dyck1",
        "ab",
        _is_dyck(None),
        _dyck(None),
        "(and (eq (cl (Q a)) (cl (Q b))) (H (le (cl (Q b)) (cl (Q a)))))",
        None,
    )
    yield Language(
        "majority",
        "ab",
        lambda s: 2 * s.count("a") > len(s),
        _majority_sample,
        "(lt (cl (Q b)) (cl (Q a)))",
        None,
    )
    yield Language(
        "equal_counts",
        "ab",
        lambda s: bool(s) and 2 * s.count("a") == len(s),
        _halves,
        "(eq (cl (Q b)) (cl (Q a)))",
        None,
    )
    yield Language(
        "anbn",
        "ab",
        lambda s: bool(s) and s == "a" * (len(s) // 2) + "b" * (len(s) // 2),
        _fixed(lambda n: "a" * (n // 2) + "b" * (n // 2) if n % 2 == 0 else None),
        "(and (eq (cl (Q b)) (cl (Q a))) (H (not (and (Q a) (Y (Q b))))))",
        None,
    )
    yield Language(
        "anbncn",
        "abc",
        lambda s: bool(s) and s == "a" * (len(s) // 3) + "b" * (len(s) // 3) + "c" * (len(s) // 3),
        _fixed(lambda n: "a" * (n // 3) + "b" * (n // 3) + "c" * (n // 3) if n % 3 == 0 else None),
        "(and (eq (cl (Q b)) (cl (Q a))) (eq (cl (Q b)) (cl (Q c))) "
        "(H (and (not (and (Q a) (Y (not (Q a))))) (not (and (Q b) (Y (Q c)))))))",
        None,
    )
    yield Language(
        "palindrome",
        "ab",
        lambda s: bool(s) and s == s[::-1],
        _palindrome,
        "(H (or (and (Q a) (at (+ 1 (len) (* -1 (pos))) (Q a))) (and (Q b) (at (+ 1 (len) (* -1 (pos))) (Q b)))))",
        None,
    )
    yield Language(
        "tomita3",
        "ab",
        lambda s: bool(s) and _tomita3(s),
        _cut("ba", 2),
        f"(not (or {_ODD_RUNS} (O (and (Q a) (Y {_ODD_RUNS})))))",
        False,
    )
    yield Language(
        "tomita4_no_bbb",
        "ab",
        lambda s: bool(s) and "bbb" not in s,
        _without("bbb"),
        "(H (not (and (Q b) (Y (and (Q b) (Y (Q b)))))))",
        True,
    )
    yield Language(
        "tomita5_even_even",
        "ab",
        lambda s: bool(s) and s.count("a") % 2 == 0 and s.count("b") % 2 == 0,
        lambda rng, n: _counted(2)(rng, n) if n % 2 == 0 else None,
        f"(and {_remainder(0, 2)} {_remainder(0, 2, 'b')})",
        False,
    )
    yield Language(
        "tomita6_diff_mod3",
        "ab",
        lambda s: bool(s) and (s.count("a") - s.count("b")) % 3 == 0,
        _random("ab"),
        _same_remainder(3),
        False,
    )
    yield Language(
        "tomita7",
        "ab",
        _matches("b*a*b*a*"),
        _cut("baba", 4),
        "(not (O (and (Q b) (P (and (Q a) (P (and (Q b) (P (Q a)))))))))",
        True,
    )


LANGUAGES = {found.name: found for found in _all()}
