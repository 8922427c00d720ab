"""How time-to-fit grows with label noise: local slopes of logarithms, with censored runs as censored and intervals over seeds.

A run that has not fitted its labels within the most steps is known to take longer, and nothing more. It enters a likelihood as that,
neither as if it had fitted at the last step nor not at all.

    slope(shares, steps, censored)  # of log steps against log share
    bootstrap(lambda table: slope(...), num_seeds)  # resamples whole seeds, which all levels and losses share
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from scipy.stats import norm

from offprints.errors import InputError

Floats = NDArray[np.float64]
_ITERATIONS = 100
_UNDEFINED = 0.05  # share of resamplings without a value that an interval may pass over


def slope(shares: Floats, steps: Floats, censored: NDArray[np.bool_]) -> float:
    """k of steps ~ c share^k: least squares on logarithms; with censored runs, the likelihood of a normal with known lower ends.

    Args:
        shares: (n,) noise level of each run, positive.
        steps: (n,) first exact fit, or the most steps where censored.
        censored: (n,) whether the run did not fit.

    Returns:
        The exponent; NaN where nothing but censored runs is left, or one level only.

    Raises:
        InputError: a share or a step is not positive.
    """
    if (shares <= 0).any() or (steps <= 0).any():
        raise InputError("a slope of logarithms needs positive noise levels and steps")
    return float(_line(np.log(shares)[:, None], np.log(steps), censored)[1])


def curvature(shares: Floats, steps: Floats, censored: NDArray[np.bool_]) -> float:
    """c of steps ~ a + b share + c share^2; above 0 the curve is convex. Arguments as `slope`."""
    centred = shares - shares.mean()
    return float(_line(np.stack([centred, centred**2], 1), steps, censored)[2])


def bootstrap(
    measure: Callable[[NDArray[np.int64]], float],
    num_seeds: int,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a measure over resampled seeds.

    Args:
        measure: of a list of seed numbers, with repeats.
        num_seeds: how many there are.
        draws: resamplings.
        level: of the interval.
        seed: of the resamplings.

    Returns:
        Its ends; NaN with one seed, or where more than a twentieth of the resamplings have no value.
    """
    if num_seeds < 2:
        return float("nan"), float("nan")
    draw = np.random.default_rng(seed)
    found = np.array([measure(draw.integers(0, num_seeds, num_seeds)) for _ in range(draws)])
    if np.isnan(found).mean() > _UNDEFINED:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _line(columns: Floats, values: Floats, censored: NDArray[np.bool_]) -> Floats:
    """Coefficients, the constant first, of a linear model whose censored values are lower ends."""
    design = np.column_stack([np.ones(len(values)), columns])
    seen = ~censored
    if np.linalg.matrix_rank(design[seen]) < design.shape[1] if seen.any() else True:
        return np.full(design.shape[1], np.nan)
    start, *_ = np.linalg.lstsq(design[seen], values[seen], rcond=None)
    if not censored.any():
        return np.asarray(start, dtype=np.float64)
    spread = max(float(np.std(values[seen] - design[seen] @ start)), 1e-3 * float(np.std(values)), 1e-9)
    scaled = _censored_line(design, values / spread, censored, np.asarray(start) / spread)
    return np.asarray(scaled * spread, dtype=np.float64)


def _censored_line(design: Floats, values: Floats, censored: NDArray[np.bool_], start: Floats) -> Floats:
    """Newton's method on coefficients over the deviation, and one over the deviation: the likelihood is concave in these (Olsen 1978)."""
    rows = np.column_stack([design, -values])  # times the parameters: minus the standardised residual
    parameters = np.append(start, 1.0)

    def likelihood(at: Floats) -> float:
        towards = rows @ at
        exact = (~censored).sum() * np.log(at[-1]) - 0.5 * np.square(towards[~censored]).sum()
        return float(exact + log_ndtr(towards[censored]).sum())

    best = likelihood(parameters)
    for _ in range(_ITERATIONS):
        towards = rows @ parameters
        hazard = np.exp(norm.logpdf(towards[censored]) - log_ndtr(towards[censored]))
        pull, stiffness = -towards, np.ones_like(towards)
        pull[censored], stiffness[censored] = hazard, hazard * (hazard + towards[censored])
        gradient = rows.T @ pull
        gradient[-1] += (~censored).sum() / parameters[-1]
        curve = (rows * stiffness[:, None]).T @ rows
        curve[-1, -1] += (~censored).sum() / parameters[-1] ** 2
        step = np.linalg.solve(curve + 1e-12 * np.eye(len(curve)), gradient)
        size = 1.0
        while (tried := parameters + size * step)[-1] <= 0 or (value := likelihood(tried)) < best:
            size /= 2
            if size < 1e-10:
                return np.asarray(parameters[:-1] / parameters[-1], dtype=np.float64)
        parameters, gained, best = tried, value - best, value
        if gained < 1e-12 * (1 + abs(best)):
            break
    return np.asarray(parameters[:-1] / parameters[-1], dtype=np.float64)
