"""What the theorems say, in numbers: how sharp heads have to be, what fails without it, and formulas checked on all short strings.

Every number is measured here: least temperatures by bisection on the worst error of a head, first failures by trying lengths, errors of
random networks by exact runs, and of random formulas by all strings of a length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hard_attention import maps, single_heads
from hard_attention.precision import PRECISIONS
from hard_attention.randomised import random_formula
from hard_attention.surveys import survey
from hard_attention.transformer import MODES, compile_formula
from hard_attention.verification import verify

LENGTHS = (4, 8, 16, 64, 256, 1024, 4096, 65536)
BETAS = (10, 30, 100, 300, 1000)
FORMULAS = 120
Measured = Iterator[dict[str, float]]


def least_temperatures() -> Measured:
    """The least inverse temperature of a head with the embedding j/n, the least step with j, and of flat scores a gap of 1 apart."""
    for n in LENGTHS:
        yield {
            f"bounded/least_beta/n={n}": single_heads.least_beta(n),
            f"unbounded/least_step/n={n}": single_heads.least_step(n),
            f"flat/least_beta/n={n}": single_heads.flat_beta(n),
        }


def fixed_temperatures() -> Measured:
    """The first lengths at which a temperature that does not follow the length errs by 1/4 and by 1/2."""
    for beta in BETAS:
        yield {
            f"fixed/rounding_fails/beta={beta}": float(single_heads.first_failure(beta, 0.25)),
            f"fixed/answer_fails/beta={beta}": float(single_heads.first_failure(beta, 0.5)),
        }


def whole_number_scores() -> Measured:
    """The first lengths at which scores made of whole numbers are no longer a step apart: what the ladder is for."""
    for name in ("bfloat16", "float16"):
        for shifted in (False, True):
            which = "shifted" if shifted else "plain"
            yield {f"{name}/{which}": float(single_heads.first_tie(PRECISIONS[name], shifted))}


def depths() -> Measured:
    """The largest error of the readout of nested S, with the rounding and without."""
    with_rounding, without = maps.depth_errors()
    for depth, (rounded, raw) in enumerate(zip(with_rounding, without, strict=True), 1):
        yield {f"depth/{depth}/with_rounding": rounded, f"depth/{depth}/without": raw}


def random_networks(seed: int) -> Measured:
    """Random average-hard networks run with softmax: how often an error was above its bound."""
    found = survey(30, seed=seed)
    yield {"networks": float(len(found.measured)), "networks/violations": float(found.violations)}


def random_formulas(seed: int) -> Measured:
    """Random formulas of depth 4 on all strings up to length 8 (two letters) and 5 (three), of every kind and in both modes."""
    wrong = strings = values = 0
    raw_error = 0.0
    for number in range(FORMULAS):
        letters, longest = ("ab", 8) if number % 2 else ("abc", 5)
        rng = np.random.default_rng([seed, number])
        root = random_formula(rng, 4, letters, counting=number % 3 == 1, lookups=number % 3 == 2)
        found = verify(compile_formula(root, letters, mode=MODES[number % 4 // 2]), longest)
        wrong, strings, values = wrong + found.wrong, strings + found.strings, values + found.positions
        raw_error = max(raw_error, found.largest_raw_error)
        yield {
            "formulas": float(number + 1),
            "formulas/strings": float(strings),
            "formulas/values": float(values),
            "formulas/wrong": float(wrong),
            "formulas/raw_error": raw_error,
        }


def parts(seed: int) -> list[Callable[[], Measured]]:
    """All of it, in the order of the documentation.

    Args:
        seed: of networks and formulas.
    """
    return [
        least_temperatures,
        fixed_temperatures,
        whole_number_scores,
        depths,
        lambda: random_networks(seed),
        lambda: random_formulas(seed),
    ]
