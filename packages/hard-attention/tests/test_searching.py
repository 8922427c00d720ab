"""Certificates stand up to strings made to hurt, and beyond them formats with few digits do fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hard_attention.adversaries import edited, hard_strings, tails
from hard_attention.alphabet import all_strings
from hard_attention.beyond import (
    CURVES,
    block_languages,
    error_curve,
    first_failure,
    shares_right,
)
from hard_attention.certificate import certify
from hard_attention.languages import language, languages
from hard_attention.last_position import last_position
from hard_attention.recurrence import evaluate
from hard_attention.searching import PROBES, campaign, run_cells, search, searched_table
from hard_attention.transformer import compile_formula
from hard_attention.verification import raw_errors, read_out


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_hard_strings_are_of_every_kind(n):
    ids = hard_strings(np.random.default_rng(0), 64, n, 3)
    assert ids.shape == (64, n) and ids.min() >= 0 and ids.max() <= 2
    if n == 40:
        changes = (ids[:, 1:] != ids[:, :-1]).sum(1)
        assert (changes[1::8] <= 3).all() and (changes[6::8] <= 1 + 39).all()
        assert (changes[4::8] <= 1).all(), "two blocks"
        assert len(np.unique(ids, axis=0)) > 40
    children = edited(np.random.default_rng(1), ids[:4], 50, 3)
    assert children.shape == (50, n) and children.max() <= 2


def test_breeding_finds_larger_errors_than_chance():
    model = compile_formula("(S (Q a) (Q b))", "abc")
    rng = np.random.default_rng(0)
    by_chance = raw_errors(model, rng.integers(3, size=(400, 30)), "dense")[0].max()
    bred = search(model, 30, 400).largest_raw_error
    assert bred >= by_chance
    assert bred == pytest.approx(np.exp(-2), rel=1e-3), "the bound of the theorem is reached"


@pytest.mark.parametrize(
    "probe", [p for p in PROBES if p.name not in ("nested", "dyck1", "palindrome")], ids=lambda p: p.name
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_last_position_alone_is_that_of_the_whole_matrix(probe, dtype):
    model = compile_formula(probe.formula, probe.alphabet, dtype=dtype)
    ids = hard_strings(np.random.default_rng(2), 40, 33, len(probe.alphabet))
    errors, values = raw_errors(model, ids, "dense")
    read, raw = last_position(model, torch.from_numpy(ids))
    assert (read.double().numpy() == values[:, -1]).all()
    assert (read.double().numpy() == evaluate(model.program.core, ids, model.program.alphabet)[:, -1]).all()
    assert float(torch.minimum(raw[:, -1].abs(), (raw[:, -1] - 1).abs()).max()) <= errors.max() + 1e-3


def test_heads_of_heads_have_no_last_position_alone():
    model = compile_formula("(S (Q a) (Y (Q b)))", "ab")
    with pytest.raises(ValueError, match="other heads found"):
        last_position(model, torch.from_numpy(all_strings(2, 3)))


def test_a_campaign_finds_nothing_within_certificates_and_goes_on_where_it_stopped():
    cells = campaign(["float32", "bfloat16"], [8, 24], tries=800, at_the_end=8, longest=1000)
    assert {cell.probe.name for cell in cells} == {probe.name for probe in PROBES}
    assert sum(cell.tries for cell in cells if cell.kernel == "dense") >= 2 * 800
    assert all(cell.n <= cell.certified for cell in cells)
    found = [verified for _, verified in run_cells(cells, seed=3)]
    assert sum(verified.wrong for verified in found) == 0
    assert all(verified.largest_raw_error < 0.25 for verified in found)
    assert [verified for _, verified in run_cells(cells, seed=3, done=len(cells) - 4)] == found[-4:]
    assert len(searched_table(cells, found)) == len(cells)


@pytest.mark.parametrize(
    ("precision", "text", "alphabet"),
    [
        ("bfloat16", PROBES[0].formula, "abc"),
        ("float16", PROBES[0].formula, "abc"),
        ("float16", PROBES[4].formula, "ab"),
    ],
)
def test_at_the_certified_length_nothing_is_wrong_and_beyond_it_something_is(precision, text, alphabet):
    model = compile_formula(text, alphabet, dtype=getattr(torch, precision))
    n = certify(model).length
    assert 1_000 < n < 20_000
    assert search(model, n, 48, kernel="last").wrong == 0
    assert search(model, int(1.1 * n) + 2, 48, kernel="last").wrong > 0


def test_the_first_failure_of_a_language_lies_beyond_its_certificate():
    found = first_failure(language("parity"), "bfloat16", longest=500, count=1)
    assert (
        found.certified == certify(compile_formula(str(language("parity").formula), "ab"), "bfloat16").length
    )
    assert found.length is not None and found.certified < found.length <= 500
    assert found.right >= found.certified
    beyond = first_failure(language("parity"), "bfloat16", longest=500, count=1, within=False)
    assert beyond.right == 0 or beyond.right > beyond.certified
    untried = first_failure(block_languages([3])[0], "bfloat16", longest=500)
    assert (untried.length, untried.right, untried.strings) == (None, 0, 0)


def test_alternating_blocks_fail_beyond_their_certificate_in_float16():
    """Beyond the last rung all places share one: a head averages what it finds there, and the readout is neither 0 nor 1."""
    (three,) = block_languages([3])
    model = compile_formula(str(three.formula), "ab", dtype=torch.float16)
    certified = certify(model).length
    assert certified == 6_128
    root, alphabet = model.program.core, model.program.alphabet
    ids = alphabet.encode("a" * (certified + 9) + "babaab")[None]
    wrong = read_out(model, ids, "chunked") != evaluate(root, ids, alphabet)
    assert wrong[0, certified:].any() and not wrong[0, :certified].any()


def test_tails_are_runs_that_end_at_random():
    ids = tails(np.random.default_rng(0), 30, 50, 3)
    assert (ids[:, :38] == ids[:, :1]).all() and set(ids[:, 0].tolist()) == {0, 1, 2}
    assert len(np.unique(ids, axis=0)) > 20
    assert tails(np.random.default_rng(0), 4, 5, 2).shape == (4, 5)


def test_curves_stay_below_a_quarter_up_to_the_certified_length():
    for probe in CURVES:
        curve = error_curve(probe, "float16", longest=3_200, points=5, count=16, seed=0)
        within = [e for n, e in zip(curve.lengths, curve.errors, strict=True) if n <= curve.certified]
        assert len(within) >= 3 and max(within) < 0.25
        if curve.certified < 3_200 / 1.1:
            assert max(curve.errors) > 0.25


def test_shares_of_right_positions_fall_only_beyond_certificates():
    chosen = languages(["parity", "majority", "flip_flop"])
    shares = shares_right(chosen, ["bfloat16"], [24, 300], count=1, seed=0).set_index(["language", "length"])[
        "right"
    ]
    assert (shares.xs(24, level="length") == 1).all()
    assert shares[("parity", 300)] < 1 and shares[("majority", 300)] == 1


def test_bad_searches_are_refused():
    model = compile_formula("(Q a)", "ab")
    with pytest.raises(ValueError, match="1 or more"):
        search(model, 0, 5)
    with pytest.raises(ValueError, match="positive"):
        campaign(["float32"], [], 10, 0, 10)
    with pytest.raises(ValueError, match="precision float8"):
        campaign(["float8"], [4], 10, 0, 10)
