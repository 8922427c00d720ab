"""What texts are formulas, and which formula each is."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hard_attention.formulas import BOT, TOP, formula, integer, letter, nodes, temporal_depth, term
from hard_attention.parsing import FormulaError, parse
from hard_attention.printing import infix, prefix
from hard_attention.randomised import random_formula
from hard_attention.simplification import simplify

a, b = letter("a"), letter("b")


def test_equal_formulas_are_one_object():
    assert parse("(S (Q a) (and (Q b) (Q a)))") is formula("S", a, b & a)
    assert copy.deepcopy(a) is a
    assert parse("(S (Q a) (Q b))") is not parse("(S (Q b) (Q a))")


@given(st.integers(0, 10**6), st.booleans())
def test_both_syntaxes_read_back_to_the_same_formula(seed, counting):
    f = random_formula(np.random.default_rng(seed), 4, "ab(A'", counting=counting)
    assert parse(prefix(f), "prefix") is f
    assert parse(prefix(f)) is f
    # a & b & c is read as (a & b) & c
    assert simplify(parse(infix(f), "infix")) is simplify(f)
    assert simplify(parse(infix(f))) is simplify(f)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a S b & c", "(and (S (Q a) (Q b)) (Q c))"),
        ("a | b & c", "(or (Q a) (and (Q b) (Q c)))"),
        ("a S b S c", "(S (Q a) (S (Q b) (Q c)))"),
        ("!a S b", "(S (not (Q a)) (Q b))"),
        ("H(!a | Y b)", "(H (or (not (Q a)) (Y (Q b))))"),
        ("a -> b -> c", "(or (not (Q a)) (or (not (Q b)) (Q c)))"),
        ("cl(a) - cl(b) <= 2", "(le (+ (cl (Q a)) (* -1 (cl (Q b)))) 2)"),
        ("2 * pos + 1 > len", "(lt (len) (+ (* 2 (pos)) 1))"),
        ("-pos < 3 & a", "(and (lt (* -1 (pos)) 3) (Q a))"),
        ("mod(4, 3) & 'S'", "(and (mod 1 3) (Q S))"),
        ("pos != len", "(not (eq (pos) (len)))"),
        ("true S pred(prime)", "(S top (pred prime))"),
        (
            "H(a <-> at(len + 1 - pos, a))",
            "(H (or (and (Q a) (at MIRROR (Q a))) (and (not (Q a)) (not (at MIRROR (Q a))))))",
        ),
        ("at(1, at(pos - 2, a) & b) | c", "(or (at 1 (and (at (+ (pos) (* -1 2)) (Q a)) (Q b))) (Q c))"),
    ],
)
def test_infix_binds_as_documented(text, same):
    same = same.replace("MIRROR", "(+ (+ (len) 1) (* -1 (pos)))")
    assert parse(text, "infix") is parse(same, "prefix")


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "no formula|ends where"),
        ("(S (Q a)", 8, "not closed"),
        ("(S (Q a) (Q b)))", 15, "ended before"),
        ("(and (Q a) (Zz (Q b)))", 12, "no operator"),
        ("(S (Q a))", 1, "takes 2 arguments"),
        ("(Q ab)", 1, "one character"),
        ("(mod 1 0)", 1, "modulus"),
        ("(mod 1 x)", 7, "whole number"),
        ("(le (Q a) 3)", 1, "terms"),
        ("(and (Q a) (pos))", 1, "formulas"),
        ("(call (Q a))", 0, "term"),
        ("(le 3000000 (pos))", 4, "too large"),
        ("a &", 3, "ends where"),
        ("a b", 2, "operator should"),
        ("(a & b", 0, "not closed"),
        ("a )", 2, "closes nothing"),
        ("H(cl(a))", 0, "needs a formula"),
        ("a <= 3", 2, "needs a term"),
        ("pos * pos < 3", 4, "must be a number"),
        ("a & B", 4, "is quoted"),
        ("a 'S' b", 2, "operator should"),
        ("a = b", 2, "compares terms"),
        ("mod(1, 0) & a", 0, "modulus"),
        ("a & §", 4, "operand should"),
        ("b & at(pos, a", 4, "not closed"),
        ("at(pos)", 0, "needs both"),
        ("at(a, b)", 0, "needs a term"),
        ("at(pos, len)", 0, "needs a formula"),
        ("at(pos, a, b)", 9, "operator should"),
        ("(a, b)", 2, "operator should"),
        ("at(cl(a), a)", 0, "a place made of"),
        ("(at (call (Q a)) (Q b))", 1, "a place made of"),
        ("(at (Q a) (Q b))", 1, "takes terms"),
    ],
)
def test_an_error_points_at_its_place(text, position, reason):
    with pytest.raises(FormulaError, match=reason) as found:
        parse(text)
    assert found.value.position == position
    assert f"column {position + 1}" in str(found.value)


def test_the_message_shows_the_line_and_a_pointer():
    with pytest.raises(FormulaError) as found:
        parse("(and\n  (Q a)\n  (Zz b))", "prefix")
    lines = str(found.value).splitlines()
    assert lines[0].startswith("line 3, column 4")
    assert lines[1].index("Zz") == lines[2].index("^")


def test_hostile_texts_end_in_a_clear_error_or_a_formula():
    deep = "(not " * 20_000 + "(Q a)" + ")" * 20_000
    f = parse(deep)
    assert len(nodes(f)) == 20_001
    assert parse("!" * 20_000 + "a", "infix") is f
    assert parse(prefix(f)) is f
    with pytest.raises(FormulaError, match="not closed"):
        parse("(not " * 20_000, "prefix")
    with pytest.raises(FormulaError, match="bracket is not closed|ends where"):
        parse("(" * 20_000, "infix")
    with pytest.raises(FormulaError, match="longer than"):
        parse("(" * 10_000_001)
    with pytest.raises(FormulaError, match="too large"):
        parse("(le " + "9" * 5000 + " (pos))", "prefix")


def test_a_formula_that_doubles_in_writing_is_refused_before_it_fills_memory():
    f = a
    for _ in range(60):
        f = f & ~f if f is not a else a & b
    assert len(nodes(f)) < 200
    with pytest.raises(ValueError, match="longer than"):
        prefix(f)


def test_operators_and_terms_check_their_arguments():
    with pytest.raises(ValueError, match="takes formulas"):
        formula("and", a, integer(3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no operator"):
        formula("until", a, b)
    with pytest.raises(ValueError, match="whole number"):
        term("int", value="3")
    with pytest.raises(ValueError, match="syntax"):
        parse("(Q a)", "lisp")
    assert formula("mod", value=(7, 3)) is formula("mod", value=(1, 3))


def test_depth_counts_operators_that_look_elsewhere():
    assert temporal_depth(parse("(and (Q a) (not (Q b)))")) == 0
    assert temporal_depth(parse("(S (Y (Q a)) (O (S top (Q b))))")) == 3
    assert temporal_depth(parse("(le (cl (Y (Q a))) 3)")) == 2
    assert TOP is parse("top") and BOT is parse("bot")
