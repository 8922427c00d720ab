"""The theorems as numbers: what no representation can go below, and where the losses stand at the simplex.

    sc_bound(10, temperature=0.1, batch_size=256)          # 3.22056..., batches drawn with replacement
    ce_bound(10, radius=1.0, frobenius=5.0)                # 0.93740...
    ce_l2_optimum(4, radius=1.0, penalty=1e-2)             # the weights' norm and the value with an L2 penalty

All of it holds for balanced classes, features of norm `radius` (the supervised contrastive loss) or at most `radius`
(cross-entropy), and h >= K - 1. Unit features with temperature tau are features of radius 1 / sqrt(tau) without one.
Logarithms carry the binomials, so that batches of many thousands neither overflow nor round to zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaln
from torch import Tensor

from offprints.errors import InputError

Sampling = Literal["iid", "multiset", "subset"]
"""How batches are drawn. iid: each row from the K classes alike, as drawing with replacement does. multiset: every multiset of rows
once, as the paper's sum runs. subset: every set of rows once, as drawing without replacement does."""
Floats = NDArray[np.float64]


def ce_bound(
    classes: int, radius: float = 1.0, *, frobenius: float | None = None, weight_norm: float | None = None
) -> float:
    """The least cross-entropy, with one of two limits to the classifier's weights.

    Args:
        classes: K, 2 or more.
        radius: rho, the largest norm of a feature vector.
        frobenius: the Frobenius norm of the weights: ln(1 + (K - 1) exp(-rho ||W||_F sqrt(K) / (K - 1))).
        weight_norm: or the largest norm of one class's weights: ln(1 + (K - 1) exp(-K rho r / (K - 1))).

    Raises:
        InputError: none or both limits are given, or a number is out of range.

    Source: Theorem 1 and its corollary; a bias does not lower it.
    """
    _check_classes(classes)
    _check_not_negative(radius=radius)
    if (frobenius is None) == (weight_norm is None):
        raise InputError("give one limit to the weights: frobenius=... or weight_norm=...")
    if frobenius is not None:
        _check_not_negative(frobenius=frobenius)
        weight_norm = frobenius / math.sqrt(classes)
    assert weight_norm is not None
    _check_not_negative(weight_norm=weight_norm)
    return math.log1p((classes - 1) * math.exp(-classes * radius * weight_norm / (classes - 1)))


class PenalisedOptimum(NamedTuple):
    """Where cross-entropy with an L2 penalty is least.

    Attributes:
        weight_norm: of each class's weights.
        value: of the loss with its penalty.
    """

    weight_norm: float
    value: float


def ce_l2_optimum(classes: int, radius: float, penalty: float) -> PenalisedOptimum:
    """The least value of cross-entropy plus penalty * ||W||_F^2, and the norm of the weights that reach it.

    Args:
        classes: K, 2 or more.
        radius: rho, the largest norm of a feature vector, above 0.
        penalty: lambda, above 0. An optimiser's weight decay d is lambda = d / 2.

    Raises:
        InputError: a number is out of range.

    Source: Theorem 1's corollary with an L2 penalty; r is the root of 2 lambda r = rho / (exp(K rho r / (K - 1)) + K - 1).
    """
    _check_classes(classes)
    for name, value in (("radius", radius), ("penalty", penalty)):
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} must be above 0 and finite, got {value}")
    steep = classes * radius / (classes - 1)

    def slope(norm: float) -> float:
        # exp(-steep r) on both sides of the fraction: nothing overflows
        shrunk = math.exp(-steep * norm)
        return 2 * penalty * norm - radius * shrunk / (1 + (classes - 1) * shrunk)

    above = radius / (
        2 * penalty * classes
    )  # the slope is increasing, and positive where the fraction is at its largest
    norm = float(brentq(slope, 0.0, above, xtol=1e-15 * max(1.0, above), rtol=8.9e-16, maxiter=500))
    return PenalisedOptimum(norm, ce_bound(classes, radius, weight_norm=norm) + penalty * classes * norm**2)


def sc_bound(
    classes: int,
    temperature: float,
    batch_size: int,
    sampling: Sampling = "iid",
    per_class: int | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    nonnegative: bool = False,
) -> float:
    """The least supervised contrastive loss of a batch, on average over the batches.

    Args:
        classes: K, 2 or more.
        temperature: tau; the theorem's radius is 1 / sqrt(tau).
        batch_size: b, 2 or more; the theorem speaks of 3 or more.
        sampling: see `Sampling`.
        per_class: n, rows of each class; "multiset" and "subset" need it, "iid" takes none.
        reduction: of a batch: "mean" divides by all its rows, "sum" does not.
        nonnegative: the features cannot be negative, as those behind a ReLU: their inner products end at 0, and the optimum is an
            orthogonal frame (which needs h >= K) instead of a simplex.

    Raises:
        InputError: a number is out of range, or the rows are too few for such batches.

    Source: Theorem 2, divided by the number of batches; the expectation for "iid".
    """
    share = np.exp(_log_share_of_anchors(classes, batch_size, sampling, per_class))
    total = float((share * _at_simplex(classes, temperature, batch_size, nonnegative)).sum())
    return total if reduction == "mean" else total * batch_size


def sc_total_bound(
    classes: int,
    per_class: int,
    batch_size: int,
    radius: float = 1.0,
    sampling: Literal["multiset", "subset"] = "multiset",
) -> float:
    """The least sum of the loss over all batches, as the theorem has it.

    Args:
        classes: K.
        per_class: n, rows of each class.
        batch_size: b.
        radius: rho of the sphere.
        sampling: batches that may hold a row more than once ("multiset"), or not ("subset").

    Raises:
        InputError: a number is out of range, or the rows are too few for such batches.

    Source: Theorem 2, sum over l of l M_l ln(l - 1 + (b - l) exp(-K rho^2 / (K - 1))).
    """
    rows = classes * per_class
    mean = sc_bound(classes, 1 / radius**2, batch_size, sampling, per_class, reduction="sum")
    batches = (
        math.comb(rows + batch_size - 1, batch_size)
        if sampling == "multiset"
        else math.comb(rows, batch_size)
    )
    return mean * batches


def sc_batch_value(
    counts: Sequence[int] | Tensor,
    temperature: float,
    *,
    classes: int | None = None,
    nonnegative: bool = False,
) -> float:
    """The mean loss of one batch whose classes stand on the vertices of a simplex.

    It is the least value for equal counts only: a batch of unequal counts can go lower, and the simplex is optimal because the loss
    is averaged over all compositions. For nonnegative features it is the least value whatever the counts.

    Args:
        counts: rows of each class in the batch; classes that are not in it may stand with 0.
        temperature: tau.
        classes: K of the whole task, which sets the simplex's angle; None takes the length of `counts`.
        nonnegative: see `sc_bound`.

    Raises:
        InputError: a count is negative, there are no rows, or a number is out of range.

    Source: the value of Theorem 2 for one composition.
    """
    found = np.asarray(counts.tolist() if isinstance(counts, Tensor) else counts, dtype=np.int64)
    classes = len(found) if classes is None else classes
    if found.ndim != 1 or (found < 0).any() or found.sum() < 1:
        raise InputError(
            f"counts must be rows of each class, 0 or more, with a row at all; got {found.tolist()}"
        )
    if classes < np.count_nonzero(found):
        raise InputError(f"counts are of {np.count_nonzero(found)} classes, but classes={classes}")
    batch_size = int(found.sum())
    if batch_size == 1:
        return 0.0
    level = _at_simplex(classes, temperature, batch_size, nonnegative)
    present = found[found >= 2]
    return float((present * level[present - 2]).sum() / batch_size)


def _at_simplex(classes: int, temperature: float, batch_size: int, nonnegative: bool) -> Floats:
    """ln(l - 1 + (b - l) exp(-K / (tau (K - 1)))) for l = 2 ... b: what an anchor with l - 1 positives pays at the simplex."""
    _check_classes(classes)
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InputError(f"temperature must be above 0 and finite, got {temperature}")
    if batch_size < 2:
        raise InputError(f"batch_size must be 2 or more, got {batch_size}")
    drop = 1 / temperature if nonnegative else classes / (temperature * (classes - 1))
    same = np.arange(2, batch_size + 1, dtype=np.float64)
    level = np.log(same - 1) + np.log1p((batch_size - same) / (same - 1) * math.exp(-drop))
    return np.asarray(level, np.float64)


def _log_share_of_anchors(classes: int, batch_size: int, sampling: Sampling, per_class: int | None) -> Floats:
    """ln of the expected share of a batch's rows that have l rows of their class, themselves included; l = 2 ... b."""
    if sampling not in get_args(Sampling):
        raise InputError(f"sampling={sampling!r} is unknown: one of {', '.join(get_args(Sampling))}")
    _check_classes(classes)
    same = np.arange(2, batch_size + 1, dtype=np.float64)
    other = batch_size - same
    if sampling == "iid":
        if per_class is not None:
            raise InputError("per_class has no place in iid sampling: batches are drawn with replacement")
        chance = -same * math.log(classes) + other * (math.log(classes - 1) - math.log(classes))
        log_batches = _log_choose(batch_size, same) + chance
    else:
        if per_class is None or per_class < 1:
            raise InputError(f"sampling={sampling!r} needs per_class, 1 or more, got {per_class}")
        count = _log_multisets if sampling == "multiset" else _log_choose
        rows, others = per_class * classes, per_class * (classes - 1)
        if sampling == "subset" and batch_size > rows:
            raise InputError(f"a batch of {batch_size} different rows cannot be drawn from {rows}")
        log_batches = count(per_class, same) + count(others, other) - count(rows, batch_size)
    return np.asarray(math.log(classes) + np.log(same) - math.log(batch_size) + log_batches, np.float64)


def _log_choose(n: float, k: Floats | float) -> Floats:
    """ln of the binomial n over k; -inf where k > n."""
    k = np.asarray(k, np.float64)
    inside = np.minimum(k, n)
    found = gammaln(n + 1) - gammaln(inside + 1) - gammaln(n - inside + 1)
    return np.where(k <= n, found, -np.inf)


def _log_multisets(n: float, k: Floats | float) -> Floats:
    """ln of the number of multisets of k out of n."""
    k = np.asarray(k, np.float64)
    return np.asarray(gammaln(n + k) - gammaln(k + 1) - gammaln(n), np.float64)


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise InputError(f"classes must be 2 or more, got {classes}")


def _check_not_negative(**named: float) -> None:
    for name, value in named.items():
        if not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name} must be 0 or more and finite, got {value}")
