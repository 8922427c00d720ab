"""Formulas as B-RASP programs, and programs as formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.brasp import from_brasp, to_brasp
from hard_attention.parsing import parse
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.transformer import compile_formula

AB = Alphabet("ab")


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(1, 6))
def test_a_formula_survives_the_way_through_brasp(seed, n):
    f = random_formula(np.random.default_rng(seed), 4, "ab")
    ids = all_strings(2, n)
    assert (evaluate(from_brasp(to_brasp(f)), ids, AB) == evaluate(f, ids, AB)).all()


def test_since_is_the_rightmost_place_where_the_search_may_end():
    program = to_brasp(parse("(and (Q a) (S (Q a) (Q b)))"))
    assert program == ("P1(i) = rightmost j [ j < i, !Q_a(j) | Q_b(j) ] Q_b(j) : 0\nP2(i) = Q_a(i) & P1(i)\n")


def attend(side: str, mask: str, score, value, default) -> np.ndarray:
    """By definition: the value at the rightmost or leftmost j that is let through."""
    n = len(default)
    found = np.zeros(n, bool)
    for i in range(n):
        seen = {"<": range(i), "<=": range(i + 1), ">": range(i + 1, n), ">=": range(i, n), "1": range(n)}[
            mask
        ]
        through = [j for j in seen if score(i, j)]
        at = (max(through) if side == "rightmost" else min(through)) if through else None
        found[i] = default[i] if at is None else value(i, at)
    return found


@pytest.mark.parametrize("side", ["leftmost", "rightmost"])
@pytest.mark.parametrize("mask", ["<", "<=", ">", ">=", "1"])
def test_attention_of_every_side_and_mask_by_definition(side, mask):
    shown = mask if mask == "1" else f"j {mask} i"
    program = f"""
        # score and value speak of i and of j
        A(i) = Q_a(i) | last(i)
        out(i) = {side} j [ {shown}, Q_b(j) & !A(i) | A(j) & Q_a(i) ] Q_a(j) & A(i) | first(j) : !Q_a(i)
    """
    f = from_brasp(program)
    for row in all_strings(2, 5):
        a, b = row == 0, row == 1
        mark = a | (np.arange(5) == 4)
        expected = attend(
            side,
            mask,
            lambda i, j, a=a, b=b, mark=mark: (b[j] and not mark[i]) or (mark[j] and a[i]),
            lambda i, j, a=a, mark=mark: (a[j] and mark[i]) or j == 0,
            ~a,
        )
        assert (evaluate(f, row[None], AB)[0] == expected).all(), row


def test_a_program_compiles():
    model = compile_formula(from_brasp("P(i) = leftmost j [ j < i, Q_b(j) ] mod_1_2(j) : 1"), "ab")
    assert model.decide(["abab", "baa", "aa"]) == [
        [True, True, False, False],
        [True, True, True],
        [True, True],
    ]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "no line"),
        ("P(j) = 1", "line 1: not"),
        ("P(i) = R(i)", "R has no line before"),
        ("P(i) = Q_a(j)", "no meaning here"),
        ("P(i) = (Q_a(i)", "not closed"),
        ("P(i) = Q_a(i) Q_b(i)", "should end"),
        ("P(i) = Q_a(i) &", "expression ends"),
        ("P(i) = Q_a(i) + 1", "is no name"),
        ("P(i) = | 1", "where a value"),
        ("P(i) = leftmost j [ j = i, 1 ] 1 : 0", "the mask 'j = i'"),
        ("\n".join(f"A{k}(i) = 1" for k in range(7)) + "\nP(i) = leftmost j [ 1, "
         + " & ".join(f"A{k}(i)" for k in range(7)) + " ] 1 : 0", "7 vectors of i"),
    ],
)  # fmt: skip
def test_programs_that_do_not_read_say_where(program, reason):
    with pytest.raises(ValueError, match=reason):
        from_brasp(program)


def test_counting_has_no_program():
    with pytest.raises(ValueError, match="does not count"):
        to_brasp(parse("(le (cl (Q a)) 3)"))
    with pytest.raises(ValueError, match="names no places"):
        to_brasp(parse("at(2 * pos, a)"))
