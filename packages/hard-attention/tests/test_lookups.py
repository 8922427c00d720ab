"""Lookups: a position that a term names, found by digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.certificate import certify
from hard_attention.definition import by_definition
from hard_attention.exhaustive import evaluate_all
from hard_attention.formulas import nodes
from hard_attention.languages import language
from hard_attention.last_position import last_position
from hard_attention.parsing import parse
from hard_attention.places import APART, HALF, digits, largest_squares, last_place, read_digits
from hard_attention.precision import PRECISIONS
from hard_attention.printing import infix, prefix
from hard_attention.randomised import random_formula
from hard_attention.recurrence import evaluate
from hard_attention.searching import search
from hard_attention.simplification import simplify, to_core
from hard_attention.transformer import compile_formula

AB = Alphabet("ab")
PALINDROME = language("palindrome").formula
KERNELS = ("dense", "sdpa", "chunked", "scan", "average", "leftmost", "rightmost")


def looking(seed: int, depth: int = 3, counting: bool = False):
    """A random formula with a lookup in it."""
    rng = np.random.default_rng(seed)
    while True:
        f = random_formula(rng, depth, "ab", counting=counting, lookups=True)
        if any(node.op == "at" for node in nodes(to_core(f))):
            return f


@settings(max_examples=15)
@given(st.integers(0, 10**9), st.integers(1, 5), st.booleans())
def test_three_evaluators_and_both_syntaxes_agree(seed, n, counting):
    f = looking(seed, counting=counting)
    ids = all_strings(2, n)
    expected = np.array([by_definition(f, "".join("ab"[i] for i in row)) for row in ids])
    assert (evaluate(f, ids, AB) == expected).all()
    assert (evaluate_all(f, AB, n) == expected).all()
    assert (evaluate(simplify(f), ids, AB) == expected).all()
    assert (evaluate(to_core(f), ids, AB) == expected).all()
    assert parse(prefix(f)) is f
    assert simplify(parse(infix(f), "infix")) is simplify(f)


@settings(max_examples=15)
@given(st.integers(0, 10**9), st.booleans(), st.integers(1, 7))
def test_transformers_are_exact_on_all_strings(seed, bounded, n):
    f = looking(seed)
    ids = all_strings(2, n)
    model = compile_formula(f, AB, mode="temperature" if bounded else "positions")
    truth = evaluate(f, ids, AB)
    for kernel in KERNELS:
        with torch.no_grad():
            assert (model.values(torch.from_numpy(ids), kernel=kernel).numpy() == truth).all(), kernel


@settings(max_examples=8)
@given(st.integers(0, 10**9), st.booleans(), st.sampled_from(["float32", "float16", "bfloat16"]))
def test_short_strings_are_exact_in_every_format(seed, bounded, name):
    f = looking(seed, counting=not bounded)
    ids = all_strings(2, 5)
    mode = "temperature" if bounded else "positions"
    model = compile_formula(f, AB, mode=mode, dtype=getattr(torch, name))
    for kernel in ("dense", "sdpa", "chunked", "average"):
        with torch.no_grad():
            found = model.values(torch.from_numpy(ids), kernel=kernel).float().numpy()
        assert (found == evaluate(f, ids, AB)).all(), kernel


@pytest.mark.parametrize("name", PRECISIONS)
def test_digits_read_back_and_stay_small(name):
    form = PRECISIONS[name]
    end = last_place(form)
    rng = np.random.default_rng(0)
    places = torch.from_numpy(
        np.concatenate([np.arange(50), rng.integers(0, end + 1, 500), np.arange(end - 50, end + 1)])
    )
    found = digits(places, form)
    assert torch.equal(read_digits(found, form), places)
    assert int(found.abs().max()) <= HALF[name]
    squares = found.square().sum(-1)
    assert int(squares.max()) <= largest_squares(form) <= 2**form.bits
    assert torch.equal(squares.to(form.dtype).long(), squares), "whole numbers of the format"
    assert APART * largest_squares(form) <= form.largest
    beyond = digits(torch.arange(end + 1, end + 5), form)
    assert torch.equal(read_digits(beyond, form), torch.arange(end + 1, end + 5))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_place_looked_for_is_ahead_by_64_in_the_format_itself(name):
    form = PRECISIONS[name]
    end = last_place(form)
    rng = np.random.default_rng(1)
    wanted = torch.from_numpy(np.concatenate([[1, 2, end], rng.integers(1, end + 1, 60)]))
    near = torch.cat([wanted + step for step in (-961, -289, -31, -17, -1, 0, 1, 17, 31, 289, 961)])
    keys = torch.cat([torch.arange(200), torch.arange(end - 200, end + 1), near]).clamp(0, end).unique()
    own = digits(keys, form)
    rows = torch.cat([own, -own.square().sum(-1, keepdim=True) * int(APART)], -1).to(form.dtype)
    asked = torch.cat([2 * int(APART) * digits(wanted, form), torch.ones(len(wanted), 1)], -1).to(form.dtype)
    score = (asked @ rows.T).double()
    target = score[torch.arange(len(wanted)), torch.searchsorted(keys, wanted)]
    score[torch.arange(len(wanted)), torch.searchsorted(keys, wanted)] = -torch.inf
    assert bool((target - score.amax(1) >= APART).all())


def test_certified_lengths_are_those_of_four_digits():
    model = compile_formula("at(len + 1 - pos, a)", "ab")
    found = {name: certify(model, name).length for name in PRECISIONS}
    assert found["bfloat16"] == 17**4 - 1 == 83_520
    assert found["float16"] == 31**4 - 1 == 923_520
    assert found["float32"] > 10**6 and found["float64"] == 2**40
    assert certify(model, "bfloat16", "sdpa").length == 83_520
    reason = certify(model, "bfloat16").reasons[0]
    assert reason.kind == "lookup" and reason.error < 0.01 and "four digits" in reason.limit


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_last_position_of_long_strings_finds_its_mirror(name):
    """Up to the certified length in bfloat16; one deviating letter decides."""
    model = compile_formula("at(len + 1 - pos, a)", "ab", dtype=PRECISIONS[name].dtype)
    n = min(certify(model).length, 90_000)
    ids = torch.ones((4, n), dtype=torch.int64)
    ids[1, 0] = 0
    ids[2, 1] = 0
    ids[3] = 0
    ids[3, 0] = 1
    read, raw = last_position(model, ids)
    assert read.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert torch.minimum(raw.abs(), (raw - 1).abs()).max() < 1e-3


def test_palindromes_of_thousands_of_letters():
    rng = np.random.default_rng(0)
    half = rng.integers(0, 2, 1500)
    whole = np.concatenate([half, half[::-1]])
    broken = whole.copy()
    broken[1000] ^= 1
    ids = np.stack([whole, broken])
    for dtype in (torch.float32, torch.float64):
        model = compile_formula(PALINDROME, AB, dtype=dtype)
        with torch.no_grad():
            found = model.values(torch.from_numpy(ids), kernel="scan").numpy()
        assert (found == evaluate(parse(PALINDROME), ids, AB)).all()
        assert found[:, -1].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_a_search_at_the_certified_length_finds_nothing(name):
    model = compile_formula(PALINDROME, AB, dtype=PRECISIONS[name].dtype)
    n = min(certify(model).length, 120)
    for kernel in ("dense", "sdpa"):
        found = search(model, n, 80, kernel=kernel)
        assert found.wrong == 0, found.example


def test_padding_changes_nothing():
    strings = ["a", "bba", "abab", "bbabb", "aabbaabb"]
    for mode in ("positions", "temperature"):
        model = compile_formula("at(len + 1 - pos, a) & !at(2 * pos, b)", AB, mode=mode)
        for kernel in KERNELS:
            alone = [model.decide([string], kernel)[0] for string in strings]
            assert model.decide(strings, kernel) == alone, (mode, kernel)


def test_temperature_mode_has_the_same_scores_and_a_bounded_embedding():
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (3, 60)))
    for name in PRECISIONS:
        dtype = PRECISIONS[name].dtype
        free, bounded = (
            compile_formula(PALINDROME, AB, mode=m, dtype=dtype) for m in ("positions", "temperature")
        )
        for column, raw in free.raw(ids).items():
            assert torch.equal(raw, bounded.raw(ids)[column])
        embedded, _ = bounded.embed(ids, torch.tensor([60]))
        assert float(embedded.detach().abs().max()) <= HALF[name]


def test_a_scan_refuses_digits_that_training_has_moved():
    ids = torch.from_numpy(all_strings(2, 4))
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9), slice(9, 10)):
        model = compile_formula("at(len + 1 - pos, a)", AB)
        with torch.no_grad():
            model.layers[0].attention[0].project.weight[rows] *= 1.25
        with pytest.raises(ValueError, match="no longer those of a compiled formula"):
            model.values(ids, kernel="scan")
