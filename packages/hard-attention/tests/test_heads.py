"""Single heads: what softmax gives away, and how sharp it must be. Items of the theory, and numbers of 50 digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hard_attention import single_heads as heads
from hard_attention.alphabet import Alphabet
from hard_attention.blocks import FeedForwardBlock
from hard_attention.compiler import plan
from hard_attention.parsing import parse
from hard_attention.precision import PRECISIONS, rungs


def test_heads_as_recorded_in_50_digits(parity):
    recorded = parity("heads.npz")
    for k in sorted({name.split("_")[0] for name in recorded}):
        kind, b = str(recorded[f"{k}_kind"]), float(recorded[f"{k}_b"])
        chi, psi = recorded[f"{k}_chi"].astype(bool), recorded[f"{k}_psi"].astype(bool)
        soft = heads.head(kind, chi, psi, b)
        assert np.abs(soft - recorded[f"{k}_soft"]).max() <= 1e-12
        assert np.abs(soft - recorded[f"{k}_hard"]).max() <= math.exp(-b)


def test_mass_off_the_maxima_as_recorded(parity):
    recorded = parity("softmax_bound.npz")
    rows = zip(
        *(recorded[name] for name in ("scores", "n", "m", "gap", "itau", "poff_exact", "poff_bound")),
        strict=True,
    )
    for score, n, m, gap, beta, exact, bound in rows:
        found = heads.mass_off_the_maxima(score[:n], beta)
        assert found == pytest.approx(exact, abs=1e-13)
        assert heads.mass_bound(int(n), int(m), float(gap), float(beta)) == pytest.approx(bound, abs=1e-13)
        assert found <= bound + 1e-15


@given(st.integers(2, 200), st.integers(1, 5), st.floats(0.1, 5))
def test_the_bound_is_reached_where_all_others_are_one_gap_below(n, m, gap):
    m = min(m, n - 1)
    score = np.full(n, -gap)
    score[:m] = 0
    assert heads.mass_off_the_maxima(score, 3.0) == pytest.approx(heads.mass_bound(n, m, gap, 3.0), rel=1e-12)


@given(st.integers(0, 10**9), st.floats(0.01, 3), st.floats(0.01, 1))
def test_moved_scores_shift_no_more_weight_than_a_tanh(seed, beta, eta):
    moved = np.random.default_rng(seed).uniform(-eta, eta, 30)
    assert shifted(moved, beta) <= heads.weight_shift(beta, eta) + 1e-12


def test_two_values_of_moved_scores_reach_the_tanh():
    eta, beta = 0.3, 2.0
    # Some positions rise and the others fall; the shift is largest where 1 / (1 + exp(beta eta)) of them rise.
    best = max(shifted(np.where(np.arange(2000) < k, eta, -eta), beta) for k in range(1, 2000))
    assert best == pytest.approx(heads.weight_shift(beta, eta), rel=1e-5)
    assert heads.weight_shift(beta, 0.0) == 0.0


def shifted(moved: np.ndarray, beta: float) -> float:
    """Total variation between softmax of moved scores and equal weights."""
    weights = np.exp(beta * moved)
    return float(np.abs(weights / weights.sum() - 1 / len(moved)).sum() / 2)


@pytest.mark.parametrize(
    ("n", "beta"), [(4, 5.3317), (8, 11.089), (16, 22.181), (64, 88.723), (1024, 1419.57), (65536, 90852.2)]
)
def test_least_temperature_of_the_bounded_embedding(n, beta):
    assert heads.least_beta(n) == pytest.approx(beta, rel=1e-4)
    assert heads.least_beta(n) <= n * math.log(4)  # what the theorem asks for


@pytest.mark.parametrize(("n", "b"), [(4, 1.3329), (8, 1.3861), (16, 1.3863), (10**6, math.log(4))])
def test_least_step_does_not_grow_with_the_length(n, b):
    assert heads.least_step(n) == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize(("n", "beta"), [(4, 2.1972), (64, 5.2417), (1024, 8.0291), (65536, 12.189)])
def test_flat_scores_need_a_logarithm(n, beta):
    assert heads.flat_beta(n) == pytest.approx(beta, abs=1e-4)
    assert heads.mass_bound(n, 1, 1.0, heads.flat_beta(n)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("beta", "quarter", "half"),
    [(10, 8, 15), (30, 22, 44), (100, 73, 145), (300, 217, 433), (1000, 722, 1443)],
)
def test_a_fixed_temperature_fails_at_a_length_proportional_to_it(beta, quarter, half):
    assert heads.first_failure(beta, 0.25) == quarter
    assert heads.first_failure(beta, 0.5) == half


@pytest.mark.parametrize("kind", heads.KINDS)
def test_the_worst_case_formula_is_the_worst_of_all_strings(kind):
    n, b = 7, 1.1
    worst = 0.0
    for bits in range(3**n):
        chi = np.array([bits // 3**k % 3 > 0 for k in range(n)])
        psi = np.array([bits // 3**k % 3 > 1 for k in range(n)])
        if bits % 7 and not (chi[0] and chi[-1]):
            continue  # a seventh of the dull ones
        soft = heads.head(kind, chi, psi, b)
        hard = np.zeros(n)
        for i in range(n):
            seen = range(i - 1, -1, -1) if kind.startswith("past") else range(i + 1, n)
            hard[i] = next((float(psi[j]) for j in seen if chi[j]), 0.0)
        worst = max(worst, float(np.abs(soft - hard).max()))
    assert worst == pytest.approx(heads.worst_error(n, b), rel=1e-9)


def test_five_per_cent_below_ln_4_n_is_too_warm():
    n = 50
    beta = 0.95 * n * math.log(4)
    chi = np.ones(n, bool)
    psi = np.arange(n) == n - 2  # the nearest one, and it alone
    found = heads.head("past_temp", chi, psi, beta / n)
    assert abs(found[-1] - 1) > 0.25
    assert abs(heads.head("past_temp", chi, psi, math.log(4))[-1] - 1) < 0.25


def rounded(values: torch.Tensor) -> torch.Tensor:
    """What the compiler's own feed-forward block makes of raw outputs."""
    program = plan(parse("(S (Q a) (Q b))"), Alphabet("ab"))
    (rounding,) = program.layers[-1].roundings
    block = FeedForwardBlock([rounding], program).to(values.dtype)
    found = []
    for part in values.split(2**20):
        x = torch.zeros(1, len(part), rounding.raw + 1, dtype=values.dtype)
        x[0, :, rounding.raw] = part
        with torch.no_grad():
            found.append(block(x)[0, :, 0])
    return torch.cat(found)


def test_rounding_is_exact_on_every_float32_near_0_and_1():
    low, high = (int(torch.tensor(v).view(torch.int32)) for v in (0.75, 1.25))
    every = torch.arange(low, high + 1, dtype=torch.int32).view(torch.float32)
    assert len(every) == 6_291_457
    assert bool((rounded(every) == 1).all())
    small = torch.linspace(-0.25, 0.25, 100_001)
    assert bool((rounded(small) == 0).all())
    assert 0 < float(rounded(torch.tensor([0.3]))) < 1 and 0 < float(rounded(torch.tensor([0.7]))) < 1
    for dtype in (torch.float16, torch.bfloat16):
        bits = torch.arange(0, 2**15, dtype=torch.int16).view(dtype)
        near = bits[(bits >= 0.75) & (bits <= 1.25)]
        assert len(near) > 90 and bool((rounded(near) == 1).all())
        assert bool((rounded(bits[bits <= 0.25]) == 0).all())


@pytest.mark.parametrize(("name", "plain", "shifted"), [("bfloat16", 129, 258), ("float16", 1025, 2050)])
def test_scores_of_whole_numbers_end_where_the_format_does(name, plain, shifted):
    form = PRECISIONS[name]
    assert heads.first_tie(form, shifted=False) == plain
    assert heads.first_tie(form, shifted=True) == shifted
    assert rungs(form, 2.0) > 2 * shifted, "the ladder goes on"


def test_bad_heads_are_refused():
    with pytest.raises(ValueError, match="kind"):
        heads.scores("sideways", np.ones(3, bool), 1.0)
    with pytest.raises(ValueError, match="positive"):
        heads.scores("past_pe", np.ones(3, bool), 0.0)
    with pytest.raises(ValueError, match="two scores"):
        heads.flat_beta(1)
