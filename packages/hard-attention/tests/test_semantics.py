"""Three evaluators that share nothing but the formula, laws of the logic, and the recorded truth tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.definition import by_definition
from hard_attention.exhaustive import evaluate_all
from hard_attention.formulas import Formula, formula, letter, nodes, term
from hard_attention.fragments import fragment
from hard_attention.parsing import parse
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.simplification import simplify, to_core

AB, ABC = Alphabet("ab"), Alphabet("abc")
seeds = st.integers(0, 10**9)


def truth(f: Formula, n: int, alphabet: Alphabet = AB) -> np.ndarray:
    return evaluate(f, all_strings(len(alphabet), n), alphabet)


def defined(f: Formula, n: int, alphabet: Alphabet = AB) -> np.ndarray:
    strings = all_strings(len(alphabet), n)
    return np.array([by_definition(f, "".join(alphabet.letters[i] for i in row)) for row in strings])


@settings(max_examples=12)
@given(seeds, st.integers(1, 5), st.booleans())
def test_definition_recurrence_and_bits_agree_on_all_strings(seed, n, counting):
    f = random_formula(np.random.default_rng(seed), 4, "ab", counting=counting)
    expected = defined(f, n)
    assert (truth(f, n) == expected).all()
    assert (evaluate_all(f, AB, n) == expected).all()


@given(seeds, st.integers(1, 3))
def test_they_agree_on_three_letters(seed, n):
    f = random_formula(np.random.default_rng(seed), 3, "abc", counting=True)
    assert (truth(f, n, ABC) == defined(f, n, ABC)).all()
    assert (evaluate_all(f, ABC, n) == defined(f, n, ABC)).all()


@given(seeds, st.integers(1, 6), st.booleans())
def test_simplified_and_core_formulas_are_equivalent(seed, n, counting):
    f = random_formula(np.random.default_rng(seed), 4, "ab", counting=counting)
    expected = truth(f, n)
    assert (truth(simplify(f), n) == expected).all()
    core = to_core(f)
    assert (truth(core, n) == expected).all()
    assert len(nodes(simplify(f))) <= len(nodes(f)) + 1  # P top becomes not first
    allowed = {"top", "bot", "Q", "first", "last", "mod", "not", "and", "or", "S", "U", "le", "lt", "eq"}
    assert {node.op for node in nodes(core) if isinstance(node, Formula)} <= allowed


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("(and (Q a) top (not (not (Q a))))", "(Q a)"),
        ("(or (Q a) (not (Q a)))", "top"),
        ("(S top bot)", "bot"),
        ("(S bot (Q a))", "(Y (Q a))"),
        ("(S (Q a) top)", "(not (first))"),
        ("(Sn top (Q a))", "(O (Q a))"),
        ("(H (H (Q a)))", "(H (Q a))"),
        ("(le 0 (cl (Q a)))", "top"),
        ("(lt (call (Q a)) 0)", "bot"),
        ("(mod 0 1)", "top"),
        ("(at (+ (pos) -1) (Q a))", "(Y (Q a))"),
        ("(at (+ 1 (pos)) (Q a))", "(X (Q a))"),
        ("(at (+ (pos) (len) (* -1 (len))) (Q a))", "(Q a)"),
        ("(at 3 bot)", "bot"),
    ],
)
def test_simplification_by_hand(text, simple):
    assert simplify(parse(text)) is parse(simple)


@given(seeds)
def test_dualities_and_shift_laws(seed):
    rng = np.random.default_rng(seed)
    f, g = (random_formula(rng, 2, "ab", counting=True) for _ in "fg")
    n = 5

    def same(left: Formula, right: Formula) -> bool:
        return bool((truth(left, n) == truth(right, n)).all())

    def F(op: str, *args: Formula) -> Formula:
        return formula(op, *args)

    assert same(F("H", f), ~F("O", ~f))
    assert same(F("G", f), ~F("F", ~f))
    assert same(F("Sn", f, g), g | (f & F("S", f, g)))
    assert same(F("Un", f, g), g | (f & F("U", f, g)))
    assert same(F("S", f, g), F("Y", F("Sn", f, g)))
    assert same(F("Y", F("X", f)), ~F("first") & f)
    assert same(F("X", F("Y", f)), ~F("last") & f)
    counted = term("cl", f) + term("cr", f)
    self_once = formula("eq", counted, term("call", f) + term("int", value=1))
    assert same(f, self_once)  # cl + cr = call + [f at i]
    assert (truth(F("S", f, g), n) <= truth(F("S", f, g | f), n)).all()  # monotone in what is waited for


@given(seeds)
def test_since_reversed_is_until(seed):
    rng = np.random.default_rng(seed)
    options = {"modular": False}
    f = random_formula(rng, 3, "ab", future=False, **options)
    mirrored = {"S": "U", "Sn": "Un", "Y": "X", "P": "Fs", "O": "F", "H": "G"}
    made: dict[int, Formula] = {}
    for node in nodes(f):
        args = [made[id(child)] for child in node.args]
        made[id(node)] = formula(mirrored.get(node.op, node.op), *args, value=node.value)
    ids = all_strings(2, 6)
    assert (evaluate(made[id(f)], ids[:, ::-1], AB)[:, ::-1] == evaluate(f, ids, AB)).all()


def test_strict_and_non_strict_differ():
    assert by_definition(parse("(S (Q a) (Q b))"), "ab") == [False, False]
    assert by_definition(parse("(Sn (Q a) (Q b))"), "ab") == [False, True]
    assert by_definition(parse("(Y (Q a))"), "a") == [False]
    assert by_definition(parse("(not (Y (not (Q a))))"), "a") == [True]  # the weak one
    assert by_definition(parse("(mod 1 2)"), "aaa") == [True, False, True]  # positions begin at 1


def test_truth_tables_as_recorded(parity):
    recorded = parity("logic.npz")
    compared = 0
    for group in sorted({name.split("_")[0] for name in recorded if name.endswith("_strings")}):
        alphabet = ABC if group.startswith("abc") else AB
        strings = recorded[f"{group}_strings"].astype(np.int64)
        n = strings.shape[1]
        tables = np.unpackbits(recorded[f"{group}_truth"], axis=-1)[..., :n].astype(bool)
        for text, table in zip(recorded["formulas"], tables, strict=True):
            f = parse(str(text))
            assert (evaluate(f, strings, alphabet) == table).all(), text
            if len(strings) == len(alphabet) ** n:
                order = np.lexsort(strings.T[::-1])
                assert (evaluate_all(f, alphabet, n) == table[order]).all(), text
            compared += table.size
    assert compared > 70_000


def test_predicates_of_the_user():
    prime = {"prime": lambda i, n: i in (2, 3, 5, 7) and i < n}
    f = parse("(O (and (pred prime) (Q a)))")
    found = evaluate(f, AB.batch(["bab", "bba", "abb"])[0], AB, prime)
    assert found.tolist() == [[False, True, True], [False, False, False], [False, False, False]]
    assert by_definition(f, "bab", prime) == [False, True, True]
    with pytest.raises(ValueError, match="prime"):
        evaluate(f, np.zeros((1, 3), np.int64), AB)


def test_bad_strings_and_alphabets_are_refused():
    with pytest.raises(ValueError, match="empty"):
        AB.encode("")
    with pytest.raises(ValueError, match="'c' at position 2"):
        AB.encode("acb")
    with pytest.raises(ValueError, match="lacks"):
        evaluate(letter("c"), np.zeros((1, 3), np.int64), AB)
    with pytest.raises(ValueError, match="twice"):
        Alphabet("aba")
    with pytest.raises(ValueError, match="more than"):
        evaluate_all(letter("a"), AB, 40)
    with pytest.raises(ValueError, match="one position"):
        evaluate(letter("a"), np.zeros((3, 0), np.int64), AB)


def test_fragments_are_named():
    names = {
        "(and (Q a) (not (Q b)))": "no temporal operator",
        "(Y (Y (Q a)))": "LTL[Y]",
        "(O (and (Q a) (P (Q b))))": "LTL[P]",
        "(Sn (Q a) (Q b))": "LTL[Y, S]",
        "(U (Q a) (Q b))": "LTL[U]",
        "(X (Q a))": "LTL[X]",
        "(S (Q a) (X (Q b)))": "LTL[S, U]",
        "(O (and (mod 0 2) (Q a)))": "LTL[S, U] with mod",
        "(le (cl (Q a)) 3)": "Boolean combinations of counts",
        "(H (le (cl (Q a)) 3))": "LTL[S, U] with counting",
        "(H (at (* 2 (pos)) (Q a)))": "LTL[S, U] with lookups",
        "(or (le 0 (cl (Q a))) (Y (Q b)))": "no temporal operator",  # always true
    }
    assert {text: fragment(parse(text)).name for text in names} == names
    assert fragment(parse("(mod 0 2)")).star_free is None
