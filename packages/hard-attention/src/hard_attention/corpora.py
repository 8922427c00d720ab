"""A corpus through its transformers: is every position of every string right?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hard_attention.alphabet import Alphabet
from hard_attention.certificate import SOFT_KERNELS, Certificate, certify
from hard_attention.datasets import Corpus, Part
from hard_attention.parsing import parse
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer, compile_formula
from hard_attention.verification import read_out


@dataclass(frozen=True)
class PartResult:
    """One language of a corpus.

    Attributes:
        language: its name.
        strings: how many.
        positions: how many, over all strings.
        wrong: positions at which the transformer differs from the formula's truth.
        exact: positions at which the readout is exactly 0.0 or 1.0 and right.
        labels_wrong: labels of the corpus that the transformer contradicts.
        labels: how many labels.
        first_wrong: the shortest length at which a position is wrong; None if none is.
        longest: the longest string.
        certified: the certificate's length.
        wrong_within: wrong positions of strings within the certified length; anything but 0 refutes the certificate.
    """

    language: str
    strings: int
    positions: int
    wrong: int
    exact: int
    labels_wrong: int
    labels: int
    first_wrong: int | None
    longest: int
    certified: int
    wrong_within: int


def run_corpus(
    corpus: Corpus,
    *,
    kernel: str = "dense",
    dtype: torch.dtype = torch.float64,
    mode: str = "positions",
    step: float = 2.0,
    norm: str = "none",
    on_part: Callable[[PartResult], None] | None = None,
) -> list[PartResult]:
    """Compile each formula and compare its transformer with the formula's truth and with the labels.

    Args:
        corpus: parts with formulas.
        kernel: how attention is evaluated.
        dtype: of the transformers.
        mode: positions or temperature.
        step: as of `compile_formula`.
        norm: as of `compile_formula`.
        on_part: called after each part.
    """
    results = []
    for part in corpus.parts:
        model = compile_formula(part.formula, part.alphabet, dtype=dtype, mode=mode, step=step, norm=norm)
        certificate = certify(model, kernel=kernel) if kernel in SOFT_KERNELS else None
        results.append(_part(part, model, kernel, certificate))
        if on_part is not None:
            on_part(results[-1])
    return results


def summary(results: list[PartResult]) -> dict[str, float]:
    """Metrics over all languages: fractions of positions and of labels that are right, and what the certificates say."""
    positions = sum(r.positions for r in results)
    labels = sum(r.labels for r in results)
    return {
        "test/exact": sum(r.exact for r in results) / positions,
        "test/right": 1 - sum(r.wrong for r in results) / positions,
        "test/labels": 1 - sum(r.labels_wrong for r in results) / labels,
        "test/wrong_within_certificate": float(sum(r.wrong_within for r in results)),
        "test/positions": float(positions),
        "test/strings": float(sum(r.strings for r in results)),
        "certificate/shortest": float(min(r.certified for r in results)),
    }


def table(results: list[PartResult]) -> pd.DataFrame:
    """One row for each language."""
    return pd.DataFrame(
        [
            [
                r.language,
                r.strings,
                r.positions,
                r.wrong,
                r.labels_wrong,
                r.longest,
                r.certified,
                r.first_wrong or "none",
            ]
            for r in results
        ],
        columns=[
            "language",
            "strings",
            "positions",
            "wrong",
            "labels wrong",
            "longest",
            "certified",
            "first wrong at",
        ],
    )


def by_length(strings: tuple[str, ...]) -> dict[int, NDArray[np.int64]]:
    """Length -> numbers of the strings that have it."""
    lengths = np.array([len(s) for s in strings])
    return {int(n): np.flatnonzero(lengths == n) for n in np.unique(lengths)}


def _part(part: Part, model: FormulaTransformer, kernel: str, certificate: Certificate | None) -> PartResult:
    root, alphabet = parse(part.formula), Alphabet(part.alphabet)
    certified = certificate.length if certificate is not None else 0
    wrong = exact = labels_wrong = labels = within = positions = 0
    first_wrong: int | None = None
    for n, chosen in by_length(part.strings).items():
        ids = np.stack([alphabet.encode(part.strings[i]) for i in chosen])
        truth = evaluate(root, ids, alphabet)
        values = read_out(model, ids, kernel)
        bad = (values > 0.5) != truth
        positions += bad.size
        wrong += int(bad.sum())
        exact += int((values == truth).sum())
        if bad.any():
            first_wrong = first_wrong or n
            within += int(bad.sum()) if n <= certified else 0
        if part.last is not None:
            expected = np.array([part.last[i] for i in chosen])
            labels_wrong += int(((values[:, -1] > 0.5) != expected).sum())
            labels += len(chosen)
        if part.every is not None:
            every = np.array([part.every[i] for i in chosen])
            labels_wrong += int(((values > 0.5) != every).sum())
            labels += every.size
    return PartResult(
        part.language,
        len(part.strings),
        positions,
        wrong,
        exact,
        labels_wrong,
        labels,
        first_wrong,
        max(map(len, part.strings)),
        certified,
        within,
    )
