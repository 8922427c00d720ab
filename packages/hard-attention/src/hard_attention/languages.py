"""Formal languages: who is a member, how to draw one, and a formula where there is one.

Membership is a direct test of the string, written without the logic, so that a formula is checked against something that does not know it.
Formulas hold at the last position of the members. The empty string is left out everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from offprints.errors import InputError
from offprints.user_errors import closest

from hard_attention.samplers import (
    Member,
    Rng,
    Sampler,
    counted,
    cut_to,
    dyck,
    fixed,
    halves,
    is_dyck,
    majority_sample,
    matches,
    palindrome,
    patched,
    put_in,
    random_string,
    tomita3,
    without,
)


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


_HEIGHT = "(+ (cl (Q a)) (* -1 (cl (Q b))))"


def _odd_run(letter: str, begins: str) -> str:
    """The run of a letter that ends here has an odd length: it began at a position of the same parity, where `begins` held."""
    halves = (f"(and (mod {r} 2) (Sn (Q {letter}) (and (mod {r} 2) {begins})))" for r in range(2))
    return f"(and (Q {letter}) (or {' '.join(halves)}))"


_ODD_RUNS = _odd_run("b", f"(and (Q b) (Y {_odd_run('a', '(and (Q a) (not (Y (Q a))))')}))")
"""An odd run of b ends here, or goes on, and right before it lies an odd run of a."""


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


def _all() -> Iterator[Language]:
    yield Language(
        "a_star_b_star", "ab", matches("a*b*"), cut_to("ab", 2), "(H (not (and (Q a) (Y (Q b)))))", True
    )
    yield Language(
        "ab_plus",
        "ab",
        matches("(ab)+"),
        fixed(lambda n: "ab" * (n // 2) if n % 2 == 0 else None),
        "(and (Q b) (H (and (or (Q a) (Y (Q a))) (or (Q b) (first) (Y (Q b))))))",
        True,
    )
    yield Language(
        "even_length",
        "ab",
        lambda s: bool(s) and len(s) % 2 == 0,
        lambda rng, n: random_string("ab")(rng, n) if n % 2 == 0 else None,
        "(mod 0 2)",
        False,
    )
    yield Language(
        "parity", "ab", lambda s: bool(s) and s.count("a") % 2 == 0, counted(2), _remainder(0, 2), False
    )
    yield Language(
        "a_mod3", "ab", lambda s: bool(s) and s.count("a") % 3 == 0, counted(3), _remainder(0, 3), False
    )
    yield Language(
        "first_is_a",
        "ab",
        matches("a.*"),
        patched("ab", put_in("a", "start")),
        "(O (and (first) (Q a)))",
        True,
    )
    yield Language("last_is_a", "ab", matches(".*a"), patched("ab", put_in("a", "end")), "(Q a)", True)
    yield Language(
        "ends_aba",
        "ab",
        matches(".*aba"),
        patched("ab", put_in("aba", "end")),
        "(and (Q a) (Y (and (Q b) (Y (Q a)))))",
        True,
    )
    yield Language(
        "contains_abba",
        "ab",
        lambda s: "abba" in s,
        patched("ab", put_in("abba", "somewhere")),
        "(O (and (Q a) (Y (and (Q b) (Y (and (Q b) (Y (Q a))))))))",
        True,
    )
    yield Language(
        "no_aa",
        "ab",
        lambda s: bool(s) and "aa" not in s,
        without("aa"),
        "(H (not (and (Q a) (Y (Q a)))))",
        True,
    )
    yield Language(
        "subseq_abab",
        "ab",
        matches(".*a.*b.*a.*b.*"),
        random_string("ab"),
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
        matches("[abc]*ac*"),
        patched("abc", put_in("ac", "end")),
        "(Sn (Q c) (Q a))",
        True,
    )
    yield Language(
        "abc_plus",
        "abc",
        matches("(abc)+"),
        fixed(lambda n: "abc" * (n // 3) if n % 3 == 0 else None),
        "(and (Q c) (H (and (or (not (Q c)) (Y (Q b))) (or (not (Q b)) (Y (Q a))) "
        "(or (not (Q a)) (first) (Y (Q c))))))",
        True,
    )
    yield Language(
        "dyck1_depth1", "ab", is_dyck(1), dyck(1), _bounded_dyck(1), True
    )  # without the empty string this is (ab)+
    yield Language("dyck1_depth2", "ab", is_dyck(2), dyck(2), _bounded_dyck(2), True)
    yield Language("dyck1_depth3", "ab", is_dyck(3), dyck(3), _bounded_dyck(3), True)
    yield Language(
        "dyck1",
        "ab",
        is_dyck(None),
        dyck(None),
        "(and (eq (cl (Q a)) (cl (Q b))) (H (le (cl (Q b)) (cl (Q a)))))",
        None,
    )
    yield Language(
        "majority",
        "ab",
        lambda s: 2 * s.count("a") > len(s),
        majority_sample,
        "(lt (cl (Q b)) (cl (Q a)))",
        None,
    )
    yield Language(
        "equal_counts",
        "ab",
        lambda s: bool(s) and 2 * s.count("a") == len(s),
        halves,
        "(eq (cl (Q b)) (cl (Q a)))",
        None,
    )
    yield Language(
        "anbn",
        "ab",
        lambda s: bool(s) and s == "a" * (len(s) // 2) + "b" * (len(s) // 2),
        fixed(lambda n: "a" * (n // 2) + "b" * (n // 2) if n % 2 == 0 else None),
        "(and (eq (cl (Q b)) (cl (Q a))) (H (not (and (Q a) (Y (Q b))))))",
        None,
    )
    yield Language(
        "anbncn",
        "abc",
        lambda s: bool(s) and s == "a" * (len(s) // 3) + "b" * (len(s) // 3) + "c" * (len(s) // 3),
        fixed(lambda n: "a" * (n // 3) + "b" * (n // 3) + "c" * (n // 3) if n % 3 == 0 else None),
        "(and (eq (cl (Q b)) (cl (Q a))) (eq (cl (Q b)) (cl (Q c))) "
        "(H (and (not (and (Q a) (Y (not (Q a))))) (not (and (Q b) (Y (Q c)))))))",
        None,
    )
    yield Language(
        "palindrome",
        "ab",
        lambda s: bool(s) and s == s[::-1],
        palindrome,
        "(H (or (and (Q a) (at (+ 1 (len) (* -1 (pos))) (Q a))) (and (Q b) (at (+ 1 (len) (* -1 (pos))) (Q b)))))",
        None,
    )
    yield Language(
        "tomita3",
        "ab",
        lambda s: bool(s) and tomita3(s),
        cut_to("ba", 2),
        f"(not (or {_ODD_RUNS} (O (and (Q a) (Y {_ODD_RUNS})))))",
        False,
    )
    yield Language(
        "tomita4_no_bbb",
        "ab",
        lambda s: bool(s) and "bbb" not in s,
        without("bbb"),
        "(H (not (and (Q b) (Y (and (Q b) (Y (Q b)))))))",
        True,
    )
    yield Language(
        "tomita5_even_even",
        "ab",
        lambda s: bool(s) and s.count("a") % 2 == 0 and s.count("b") % 2 == 0,
        lambda rng, n: counted(2)(rng, n) if n % 2 == 0 else None,
        f"(and {_remainder(0, 2)} {_remainder(0, 2, 'b')})",
        False,
    )
    yield Language(
        "tomita6_diff_mod3",
        "ab",
        lambda s: bool(s) and (s.count("a") - s.count("b")) % 3 == 0,
        random_string("ab"),
        _same_remainder(3),
        False,
    )
    yield Language(
        "tomita7",
        "ab",
        matches("b*a*b*a*"),
        cut_to("baba", 4),
        "(not (O (and (Q b) (P (and (Q a) (P (and (Q b) (P (Q a)))))))))",
        True,
    )


LANGUAGES = {found.name: found for found in _all()}
