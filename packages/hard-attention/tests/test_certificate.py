"""Certificates hold where they say, end where they must, and say why."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from hard_attention import BeyondCertificate
from hard_attention.certificate import SOFT_KERNELS, certify
from hard_attention.last_position import last_position
from hard_attention.precision import PRECISIONS, ladder, rungs
from hard_attention.recurrence import evaluate
from hard_attention.searching import search
from hard_attention.transformer import compile_formula
from hard_attention.verification import verify

SINCE = "(S (Q a) (Q b))"
MAJORITY = "(lt (cl (Q b)) (cl (Q a)))"
MIXED = "(le (pos) (call (Q a)))"


@pytest.mark.parametrize("name", PRECISIONS)
def test_rungs_are_floats_of_the_format_a_step_apart(name):
    form = PRECISIONS[name]
    many = min(rungs(form, 2.0), 40_000)
    place = torch.arange(0, many + 1)
    if rungs(form, 2.0) > many:  # and some of the highest
        place = torch.cat([place, torch.arange(rungs(form, 2.0) - 5, rungs(form, 2.0) + 1)])
    rung = ladder(place, form, 2.0)
    assert torch.equal(rung.to(form.dtype).double(), rung)
    assert bool((rung[2:] - rung[1:-1] >= 2).all()) and float(rung[0]) == 0
    assert float(rung.max()) <= form.largest
    assert float(ladder(torch.tensor([rungs(form, 2.0) + 1]), form, 2.0)) == float(rung[-1]), (
        "no rung is left"
    )
    low = torch.arange(1, 200)
    assert torch.equal(ladder(low, form, 2.0), 2.0 * (low + 15)), (
        "an affine function while whole numbers suffice"
    )


def test_lengths_of_the_ladder():
    model = compile_formula(SINCE, "ab")
    found = {name: certify(model, name).length for name in PRECISIONS}
    assert (
        found["bfloat16"] == rungs(PRECISIONS["bfloat16"], 2.0) == 15_344
    )  # whole numbers alone would end at 256
    assert found["float16"] == rungs(PRECISIONS["float16"], 2.0) == 6_128  # and at 2,048
    assert found["float32"] > 10**7
    assert found["float64"] > 10**10


@pytest.mark.parametrize(("name", "other"), [("float16", 6_128), ("bfloat16", 15_344)])
def test_beyond_the_last_rung_a_string_fails(name, other):
    """The target is the last position but one, and the one before it has the opposite value on the same rung."""
    form = PRECISIONS[name]
    model = compile_formula(SINCE, "abc", dtype=form.dtype)
    for n, holds in ((other, True), (other + 2, False)):
        head = _tail_error(model, n)
        assert (head < 0.25) == holds, n


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_four_worst_strings_are_right_at_the_certified_length(name):
    """Everything may end the search; the farthest place alone; every other; the nearest, and behind it the opposite value."""
    model = compile_formula(SINCE, "abc", dtype=PRECISIONS[name].dtype)
    n = certify(model).length
    assert n > 6_000
    strings = {
        "c" * n: 0.0,
        "b" + "a" * (n - 1): 1.0,
        ("ab" * n)[:n]: 1.0,
        "c" * (n - 2) + "ba": 1.0,
        "b" * (n - 2) + "ca": 0.0,
    }
    ids = model.program.alphabet.batch(list(strings))[0]
    read, _ = last_position(model, torch.from_numpy(ids))
    assert read.tolist() == list(strings.values())
    assert evaluate(model.program.core, ids, model.program.alphabet)[:, -1].tolist() == list(strings.values())


def _tail_error(model, n) -> float:
    """The raw error of the head at the last position of c...cbx, from its scores alone: a string of the certified length is long."""
    place = torch.arange(n + 1)
    rung = ladder(place, model.precision, 2.0)[:n].to(model.precision.dtype).float()
    weights = torch.exp(rung - rung.max())  # every key may end the search: scores are the rungs
    return 1 - float(weights[-1] / weights.sum())


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_the_whole_transformer_fails_beyond_its_last_rung_and_not_before(name, monkeypatch):
    from hard_attention import positions, precision

    # A ladder cut short has the same end at a length that fits a test.
    def cut(place, form, step):
        return precision.ladder(place.clamp(max=60), form, step)

    monkeypatch.setattr(positions, "ladder", cut)
    model = compile_formula(SINCE, "abc", dtype=PRECISIONS[name].dtype)
    right = "c" * 59 + "ba"
    assert model.decide([right])[0][-1] is True
    assert model.decide(["c" * 20 + right])[0][-1] is False


@pytest.mark.parametrize(
    "text", [SINCE, "(U (Q a) (Q b))", MAJORITY, "(lt (call (Q b)) (call (Q a)))", MIXED]
)
@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_a_search_at_the_certified_length_finds_nothing(text, name):
    model = compile_formula(text, "ab", dtype=PRECISIONS[name].dtype)
    certificate = certify(model)
    n = min(certificate.length, 150)
    assert n >= 16
    for kernel in ("dense", "sdpa"):
        length = min(n, certify(model, kernel=kernel).length)
        found = search(model, length, 60, kernel=kernel)
        assert found.wrong == 0, found.example
        assert found.largest_raw_error < 0.25


def test_mixed_counts_fail_beyond_their_certificate():
    model = compile_formula(MIXED, "ab", dtype=torch.bfloat16)
    length = certify(model).length
    assert 16 <= length < 250
    assert search(model, 300, 60).wrong > 0


def test_counts_over_one_denominator_reach_further_than_mixed_ones():
    lengths = {
        text: certify(compile_formula(text, "ab"), "bfloat16").length
        for text in (MAJORITY, "(lt (call (Q b)) (call (Q a)))", MIXED)
    }
    assert lengths[MAJORITY] > 10_000
    assert lengths[MAJORITY] > 50 * lengths[MIXED]


def test_verify_is_exhaustive_and_finds_a_broken_model():
    model = compile_formula("(S (Q a) (Y (Q b)))", "ab")
    found = verify(model, 8)
    assert found.strings == 2**9 - 2 and found.wrong == 0 and found.largest_raw_error <= np.exp(-2)
    with torch.no_grad():
        model.layers[-1].attention[0].weights[1].mul_(0.1)  # too warm
    broken = verify(model, 8)
    assert broken.wrong > 0
    ids = model.program.alphabet.encode(broken.example)[None]
    truth = evaluate(model.program.formula, ids, model.program.alphabet)
    assert (model.values(torch.from_numpy(ids)).detach().numpy() != truth).any()


def test_the_argument_is_a_table():
    model = compile_formula(f"(S {MAJORITY} (Q a))", "ab")
    for kernel in SOFT_KERNELS:
        found = certify(model, kernel=kernel)
        assert set(found.table()["kind"]) == {"nearest", "count", "sign"}
        assert found.length == found.table()["length"].min()
        assert "majority" not in str(found) and "ends where" in str(found)
    assert certify(compile_formula("(Q a)", "ab")).length == 2**40


def test_what_cannot_be_certified_is_refused_and_says_why():
    with pytest.raises(ValueError, match="power of two"):
        certify(compile_formula(SINCE, "ab", step=1.3))
    with pytest.raises(ValueError, match="not by 1/4"):
        certify(compile_formula(SINCE, "ab", step=1.0))
    model = compile_formula(SINCE, "ab")
    with pytest.raises(ValueError, match="no certificate"):
        certify(model, kernel="average")
    with pytest.raises(ValueError, match="does not work in bfloat16"):
        certify(model, "bfloat16", "scan")
    with pytest.raises(ValueError, match="precision int8"):
        certify(model, "int8")
    with torch.no_grad():
        model.readout.weight[0, 0] += 1
    with pytest.raises(ValueError, match="readout.weight is not as compiled"):
        certify(model)
    with torch.no_grad():
        model.readout.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        certify(model)


def test_products_of_fewer_digits_and_other_devices_are_refused():
    model = compile_formula(SINCE, "ab", dtype=torch.float32)
    torch.set_float32_matmul_precision("high")  # products of TF32 or bfloat16 where the machine has them
    try:
        with pytest.raises(ValueError, match="float32_matmul_precision"):
            certify(model)
        assert certify(model, "float64").length > 0, "other formats do not care"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert certify(model).length > 0
    with pytest.raises(ValueError, match="CPU"):
        certify(model.to("meta"))


def test_16_bit_products_are_summed_in_float32_on_this_machine():
    """What certificates assume of the machine."""
    for dtype in (torch.float16, torch.bfloat16):
        row = torch.tensor([[2.0**11, 1.0, -(2.0**11)]] * 2, dtype=dtype)
        assert float((row @ torch.ones(3, 2, dtype=dtype))[0, 0]) == 1.0
        layer = torch.nn.Linear(3, 1, bias=False, dtype=dtype)
        with torch.no_grad():
            layer.weight.fill_(1)
            assert float(layer(row)[0, 0]) == 1.0


def test_beyond_the_certificate_a_transformer_warns_once_or_refuses():
    model = compile_formula(MIXED, "ab", dtype=torch.bfloat16)
    long = ["ab" * 110]
    with pytest.warns(
        BeyondCertificate, match="length 220 are beyond the 209 that are certified in bfloat16"
    ):
        model.decide(long)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.decide(long)  # once
        model.decide(["ab" * 100], strict=True)
        model.decide(long, "average", strict=True)  # hard attention has nothing to be certified
    with pytest.raises(ValueError, match="beyond the 209"):
        model.decide(long, strict=True)
    with torch.no_grad():
        model.readout.weight *= 1.5
    model.decide(["ab"])
    with pytest.raises(ValueError, match="not as compiled"):
        model.decide(["ab"], strict=True)


def test_a_head_whose_keys_agree_needs_no_rungs():
    """P a: wherever the search may end the value is 1."""
    ever, since = (certify(compile_formula(text, "ab"), "bfloat16").length for text in ("(P (Q a))", SINCE))
    assert since == 15_344 and ever > 2 * 10**6
    model = compile_formula("(P (Q a))", "ab", dtype=torch.bfloat16)
    n = 40_000  # far beyond the last rung
    for ones in ([0], [n - 2], [], [5, 20_000, 20_001], range(0, n, 2)):
        ids = torch.ones((1, n), dtype=torch.int64)
        ids[0, list(ones)] = 0
        read, _ = last_position(model, ids)
        assert float(read) == (len(ones) > 0)
