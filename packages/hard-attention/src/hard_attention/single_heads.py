"""One head by itself, in the forms that the theorems are about, and how sharp a softmax has to be.

These are the plain forms, `b (j + i chi_j)` with an unbounded embedding and `b n (chi_j + j / n)` with a bounded one; the compiler uses a
variant of them whose scores are exact in every format (precision.py). All statements here are this package's own; the paper's idea is
that either the embedding or the inverse temperature has to grow.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.precision import Precision

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]
KINDS = ("past_pe", "past_temp", "future_pe", "future_temp")


def scores(kind: str, chi: Bits, b: float) -> Floats:
    """The scores of a head that looks for the nearest position with chi.

    Args:
        kind: past_pe is b (j + i chi_j), past_temp is b n (chi_j + j / n), over j < i; future_pe and future_temp mirror them.
        chi: (n,) where the search may end.
        b: the least distance of two scores.

    Returns:
        (n, n + 1): rows are queries; the last column is the sink's score 0; -inf where a key is not seen.

    Raises:
        InputError: there is no such kind, or b is not positive.
    """
    if kind not in KINDS:
        raise InputError(f"kind={kind!r} is unknown: one of {', '.join(KINDS)}")
    if not b > 0:
        raise InputError(f"b={b} must be positive")
    n = len(chi)
    i, j = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)[None, :]
    seen = j < i if kind.startswith("past") else j > i
    place = j if kind.startswith("past") else n + 1 - j
    query = i if kind.startswith("past") else n + 1 - i
    score = b * (place + query * chi) if kind.endswith("pe") else b * n * (chi + place / n)
    return np.concatenate([np.where(seen, score, -np.inf), np.zeros((n, 1))], 1)


def head(kind: str, chi: Bits, psi: Bits, b: float) -> Floats:
    """The softmax output of such a head: psi at the nearest position with chi, up to exp(-b); (n,).

    Args:
        kind: as of `scores`.
        chi: (n,) where the search may end.
        psi: (n,) the values, 0 where chi is false.
        b: as of `scores`.
    """
    found = scores(kind, chi, b)
    weights = np.exp(found - found.max(1, keepdims=True))
    result: Floats = (weights[:, :-1] @ psi.astype(float)) / weights.sum(1)
    return result


def mass_off_the_maxima(score: Floats, inverse_temperature: float) -> float:
    """What softmax gives to positions that are not maximal: d / (1 + d), d the mean over the maxima of the others' ratios.

    Args:
        score: (n,) finite scores.
        inverse_temperature: beta.
    """
    deficit = score.max() - score
    others = np.exp(-inverse_temperature * deficit[deficit > 0]).sum()
    d = others / np.count_nonzero(deficit == 0)
    return float(d / (1 + d))


def mass_bound(n: int, maxima: int, gap: float, inverse_temperature: float) -> float:
    """The largest that `mass_off_the_maxima` can be; reached where all others are exactly the gap below.

    Args:
        n: scores.
        maxima: how many of them are maximal.
        gap: distance from the maximum to the next score; inf where there is none.
        inverse_temperature: beta.
    """
    if maxima == n:
        return 0.0
    d = (n - maxima) / maxima * math.exp(-gap * inverse_temperature)
    return d / (1 + d)


def weight_shift(inverse_temperature: float, moved: float) -> float:
    """How far softmax over equal maxima can be from equal weights, in total variation, if each score is off by at most `moved`.

    Reached where scores are off by `moved` one way or the other, and 1 / (1 + exp(beta moved)) of them upwards.

    Args:
        inverse_temperature: beta.
        moved: largest error of a score, 0 or more.
    """
    return math.tanh(inverse_temperature * moved / 2)


def flat_beta(n: int, error: float = 0.25) -> float:
    """The inverse temperature that n scores need if all but one lie exactly 1 below the maximum: ln((n - 1)(1 - e) / e)."""
    if n < 2:
        raise InputError(f"n={n}: two scores or more are needed")
    return math.log((n - 1) * (1 - error) / error)


def worst_error(n: int, b: float, inverse_temperature: float = 1.0) -> float:
    """The largest error of a past head at n over all strings and targets: everything may end the search, one place has the value.

    Args:
        n: the query's position; keys are 1..n-1 and the sink.
        b: distance of neighbouring scores.
        inverse_temperature: times b.
    """
    if n < 2:
        return 0.0
    # With the target at j* the deficits are b times 1..j*-1 (places behind it), j*+1..n-1 (beyond it, to be looked past) and n + j*
    # (the sink): all of 1..n-1 but j*, which weighs least where j* = n - 1.
    step = b * inverse_temperature
    d = _geometric(step, 1, n - 2) + math.exp(-min(step * (2 * n - 1), 700.0))
    return d / (1 + d)


def _geometric(step: float, first: int, count: int) -> float:
    """exp(-step first) + ... , count terms."""
    if count <= 0:
        return 0.0
    return math.exp(-step * first) * -math.expm1(-step * count) / -math.expm1(-step)


def least_step(n: int, error: float = 0.25) -> float:
    """The least b for which `worst_error(n, b)` is at most the error, by bisection."""
    low, high = 0.0, 64.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if worst_error(n, middle) > error else (low, middle)
    return high


def least_beta(n: int, error: float = 0.25) -> float:
    """The least inverse temperature of the head with scores chi_j + j / n: n times the least step."""
    return n * least_step(n, error)


def first_failure(beta: float, error: float, longest: int = 10**6) -> int:
    """The first n at which a fixed inverse temperature and the bounded embedding j / n err by more than `error`.

    Args:
        beta: the fixed inverse temperature.
        error: 1/4 (rounding fails) or 1/2 (the answer is wrong).
        longest: where the search ends.

    Raises:
        InputError: there is none up to `longest`.
    """
    low, high = 1, 2
    while high <= longest and worst_error(high, beta / high) <= error:
        low, high = high, high * 2
    if high > longest:
        raise InputError(f"beta={beta} errs by no more than {error} up to n={longest:,}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if worst_error(middle, beta / middle) <= error else (low, middle)
    return high


def first_tie(precision: Precision, shifted: bool, b: float = 2.0) -> int:
    """The first n at which a format rounds the scores of two neighbouring keys to one number.

    Args:
        precision: the format that scores are rounded to.
        shifted: whether the query takes b i off its scores, so that they are b j and not b (i + j).
        b: the distance of neighbouring scores.
    """
    n = 2
    while True:
        places = torch.arange(1, n, dtype=torch.float64)  # keys that may all end the search
        exact = b * places if shifted else b * (places + n)
        score = exact.to(precision.dtype).double()
        if bool((score[1:] == score[:-1]).any()):
            return n
        n += 1
