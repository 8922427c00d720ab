"""Beyond the certificate: the first lengths at which formats with few digits do fail, and how the error of a head gets there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hard_attention.adversaries import hard_strings, tails
from hard_attention.alphabet import Alphabet
from hard_attention.certificate import certify
from hard_attention.languages import Language
from hard_attention.last_position import last_position
from hard_attention.precision import precision_of
from hard_attention.recurrence import evaluate
from hard_attention.samplers import blocks
from hard_attention.searching import Probe
from hard_attention.transformer import FormulaTransformer, compile_formula
from hard_attention.verification import read_out

Ids = NDArray[np.int64]
GROWTH = (1.0, 1.02, 1.1, 1.25, 1.6, 2.0, 3.0, 5.0)
"""Lengths that are tried, in certified lengths."""
CURVES = (
    Probe("since", "(S (Q a) (Q b))", "abc"),
    Probe("majority", "(lt (cl (Q b)) (cl (Q a)))", "ab"),
    Probe("mixed", "(le (pos) (call (Q a)))", "ab"),
)
"""One formula for each kind of head."""
_OF_THE_LENGTH = {"rung back", "sign", "length + 1", "last"}
"""Columns of the embedding that depend on the length: without them the start of a string is computed like a string of its own."""


@dataclass(frozen=True)
class Failure:
    """The first mistake of a transformer that was met.

    Attributes:
        language: whose formula it is.
        precision: the format.
        certified: length of the certificate.
        right: the longest strings that were tried and were right at every position.
        length: the shortest string with a wrong position that was met; None if none was.
        strings: how many were tried.
    """

    language: str
    precision: str
    certified: int
    right: int
    length: int | None
    strings: int


def first_failure(
    found: Language,
    precision: str,
    longest: int,
    count: int = 4,
    seed: int = 0,
    kernel: str = "chunked",
    within: bool = True,
) -> Failure:
    """Lengthen strings until a transformer errs, from the certified length on.

    The strings are members of the language, near misses, random ones, strings made to hurt, and runs that end at random. Where the
    embedding does not depend on the length, a wrong position is the end of a shorter string that fails.

    Args:
        found: a language.
        precision: the format.
        longest: no string is longer; if the certificate reaches further, nothing is tried.
        count: strings of each kind and length.
        seed: of the strings.
        kernel: how attention is evaluated.
        within: begin at the certified length itself, where nothing may be wrong.
    """
    model = compile_formula(found.formula, found.alphabet, dtype=precision_of(precision).dtype)
    certified = certify(model, kernel=kernel).length
    rng = np.random.default_rng(seed)
    past = not any(name in _OF_THE_LENGTH or name.startswith("target ") for name in model.program.positions)
    right = tried = 0
    for factor in GROWTH if within else GROWTH[1:]:
        n = int(certified * factor) + (2 if factor > 1 else 0)
        if n > longest:
            break
        for ids in np.array_split(
            _strings(found, rng, n, count), max(1, n // 1000)
        ):  # long strings take seconds each
            tried += len(ids)
            bad = read_out(model, ids, kernel) != evaluate(model.program.core, ids, model.program.alphabet)
            if bad.any():
                where = int(np.flatnonzero(bad.any(0))[0]) + 1
                return Failure(found.name, precision, certified, right, where if past else n, tried)
        right = n
    return Failure(found.name, precision, certified, right, None, tried)


def block_languages(counts: Sequence[int]) -> list[Language]:
    """a+ b+ a+ ... with each of these numbers of blocks, as languages."""
    made = []
    for k in counts:
        text, member, sample = blocks(k)
        made.append(Language(f"{k} blocks", "ab", member, sample, text, True))
    return made


def failures_table(found: Sequence[Failure]) -> pd.DataFrame:
    """One row for each language and format."""
    rows = [
        [f.language, f.precision, f.certified, f.right or "not tried", f.length or "none", f.strings]
        for f in found
    ]
    names = ["language", "format", "certified", "right up to", "first failure", "strings"]
    return pd.DataFrame(rows, columns=names)


@dataclass(frozen=True)
class Curve:
    """The largest raw error of a head, by length.

    Attributes:
        name: of the formula.
        precision: the format.
        certified: length of the certificate.
        lengths: of the strings.
        errors: the distance of the head from what it should say at the last position, the largest of the strings tried.
    """

    name: str
    precision: str
    certified: int
    lengths: tuple[int, ...]
    errors: tuple[float, ...]


def error_curve(probe: Probe, precision: str, longest: int, points: int, count: int, seed: int) -> Curve:
    """Measure a head's error at the last position, at lengths evenly apart on a logarithmic scale and around the certified one.

    Lengths are even: only then can the letters of two kinds be equally many, which is where counts are told apart least.

    Args:
        probe: a formula with one head that decides.
        precision: the format.
        longest: of the lengths.
        points: how many lengths.
        count: strings made to hurt, at each.
        seed: of the strings.
    """
    model = compile_formula(probe.formula, probe.alphabet, dtype=precision_of(precision).dtype)
    certified = certify(model).length
    rng = np.random.default_rng(seed)
    wanted = [*np.geomspace(4, longest, points), certified, certified + 2, 1.1 * certified]
    lengths = {2 * int(n / 2) for n in wanted if n <= longest}
    errors = [_error(model, hard_strings(rng, count, n, len(probe.alphabet))) for n in sorted(lengths)]
    return Curve(probe.name, precision, certified, tuple(sorted(lengths)), tuple(errors))


def errors_by_step(
    precisions: Sequence[str], steps: Sequence[float], n: int, count: int, seed: int
) -> dict[str, list[float]]:
    """The largest raw error of a Since head at the last position, by format and step of its scores.

    Args:
        precisions: the formats.
        steps: b, the distance of neighbouring scores: temperature 1 / b times scores a step of 1 apart.
        n: length of the strings.
        count: strings made to hurt.
        seed: of the strings.
    """
    probe = CURVES[0]
    ids = hard_strings(np.random.default_rng(seed), count, n, len(probe.alphabet))
    return {
        name: [
            _error(
                compile_formula(probe.formula, probe.alphabet, step=step, dtype=precision_of(name).dtype), ids
            )
            for step in steps
        ]
        for name in precisions
    }


def shares_right(
    languages: Sequence[Language],
    precisions: Sequence[str],
    lengths: Sequence[int],
    count: int,
    seed: int,
    kernel: str = "dense",
) -> pd.DataFrame:
    """The share of right positions, by language, format and length, on the strings that `first_failure` tries.

    Args:
        languages: any.
        precisions: the formats.
        lengths: of the strings.
        count: strings of each kind.
        seed: of the strings.
        kernel: how attention is evaluated.
    """
    rows = []
    for found in languages:
        for precision in precisions:
            model = compile_formula(found.formula, found.alphabet, dtype=precision_of(precision).dtype)
            for n in lengths:
                ids = _strings(found, np.random.default_rng(seed), n, count)
                right = read_out(model, ids, kernel) == evaluate(
                    model.program.core, ids, model.program.alphabet
                )
                rows.append([found.name, precision, n, float(right.mean())])
    return pd.DataFrame(rows, columns=["language", "format", "length", "right"])


def _error(model: FormulaTransformer, ids: Ids) -> float:
    """The readout's head against the truth: a rounded readout would show nothing before it is wrong."""
    truth = evaluate(model.program.core, ids, model.program.alphabet)[:, -1]
    worst = 0.0
    at_once = max(1, 2**20 // ids.shape[1])
    for at in range(0, len(ids), at_once):
        part = slice(at, at + at_once)
        _, raw = last_position(model, torch.from_numpy(ids[part]))
        wrong = np.abs(raw[:, -1].double().numpy() - truth[part])
        worst = max(worst, float(np.where(np.isnan(wrong), 1.0, wrong).max()))
    return worst


def _strings(found: Language, rng: np.random.Generator, n: int, count: int) -> Ids:
    alphabet = Alphabet(found.alphabet)
    drawn = found.strings(rng, n, count)
    encoded = np.stack([alphabet.encode(s) for s in drawn])
    hard = hard_strings(rng, 2 * count, n, len(alphabet))
    return np.concatenate([tails(rng, 4 * count, n, len(alphabet)), hard, encoded])
