"""Does a certificate claim too much? Many strings made to hurt, at lengths up to the certified one, and the worst bred further.

`search` tries one transformer at one length. A campaign is a list of cells (format, formula, length), each with a share of the tries
and a seed of its own, so that a campaign that was stopped goes on at the next cell to the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.adversaries import edited, hard_strings
from hard_attention.certificate import certify
from hard_attention.languages import LANGUAGES
from hard_attention.last_position import require_independent_heads
from hard_attention.precision import precision_of
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer, compile_formula
from hard_attention.verification import Verified, added, raw_errors

Ids = NDArray[np.int64]
BRED = 64
"""Strings that further ones are bred from."""


@dataclass(frozen=True)
class Probe:
    """A formula that is put to the test.

    Attributes:
        name: for tables.
        formula: prefix text.
        alphabet: its letters.
    """

    name: str
    formula: str
    alphabet: str


PROBES = (
    Probe("since", "(S (Q a) (Q b))", "abc"),
    Probe("until", "(U (Q a) (Q b))", "abc"),
    Probe("ever", "(P (Q a))", "ab"),
    Probe("nested", "(S (or (Q a) (Q b)) (and (Q b) (S (Q a) (and (Q c) (U (Q b) (Q c))))))", "abc"),
    Probe("majority", "(lt (cl (Q b)) (cl (Q a)))", "ab"),
    Probe("majority of all", "(lt (call (Q b)) (call (Q a)))", "ab"),
    Probe("mixed", "(le (pos) (call (Q a)))", "ab"),
    Probe("dyck1", LANGUAGES["dyck1"].formula, "ab"),
    Probe("mirror", "(at (+ 1 (len) (* -1 (pos))) (Q a))", "ab"),
    Probe("palindrome", LANGUAGES["palindrome"].formula, "ab"),
)


@dataclass(frozen=True)
class Cell:
    """A transformer, a length and a share of the tries.

    Attributes:
        precision: the format.
        probe: the formula.
        n: length of the strings.
        certified: the certificate's length, at least n.
        kernel: how attention is evaluated; last is the dense kernel at the last position alone.
        tries: strings.
    """

    precision: str
    probe: Probe
    n: int
    certified: int
    kernel: str
    tries: int


def search(
    model: FormulaTransformer,
    n: int,
    tries: int,
    seed: int = 0,
    kernel: str = "dense",
    batch: int = 2048,
    on_batch: Callable[[int], None] | None = None,
) -> Verified:
    """Try strings that are hard for attention, half of them bred from those with the largest raw errors so far.

    Args:
        model: the transformer.
        n: length of the strings.
        tries: how many strings.
        seed: of the strings.
        kernel: how attention is evaluated; last takes the last position alone, which long strings allow.
        batch: strings at a time.
        on_batch: called with the number of strings tried in a batch.
    """
    if n < 1 or tries < 1:
        raise InputError(f"a length of {n} and {tries} tries: 1 or more are needed")
    alphabet = model.program.alphabet
    rng = np.random.default_rng(seed)
    batch = max(1, min(batch, 2**24 // n))
    worst, worst_errors = np.zeros((0, n), np.int64), np.zeros(0)
    found = Verified(0, 0, 0, "", 0.0)
    for at in range(0, tries, batch):
        count = min(batch, tries - at)
        bred = count // 2 if len(worst) else 0
        ids = hard_strings(rng, count - bred, n, len(alphabet))
        if bred:
            ids = np.concatenate([ids, edited(rng, worst, bred, len(alphabet))])
        truth = evaluate(model.program.core, ids, alphabet, model.positions.predicates)
        errors, values = raw_errors(model, ids, kernel)
        found = added(found, ids, truth[:, -values.shape[1] :], values, errors, alphabet)
        pool, pool_errors = np.concatenate([worst, ids]), np.concatenate([worst_errors, errors])
        kept = np.argsort(-pool_errors, kind="stable")[:BRED]
        worst, worst_errors = pool[kept], pool_errors[kept]
        if on_batch is not None:
            on_batch(count)
    return found


def campaign(
    precisions: Sequence[str], lengths: Sequence[int], tries: int, at_the_end: int, longest: int
) -> list[Cell]:
    """The cells of a search: every probe at some lengths, and at the end of its certificate.

    Args:
        precisions: the formats.
        lengths: of strings whose positions are all compared; cut to the certified length.
        tries: strings for each format, spread over these cells, fewer of long ones.
        at_the_end: strings for each probe at its certified length, compared at their last position.
        longest: where that length is cut.

    Raises:
        InputError: there is no such format, or a number is not positive.
    """
    if not lengths or min(*lengths, tries, longest) < 1 or at_the_end < 0:
        raise InputError(f"lengths={list(lengths)}, tries={tries} and longest={longest} must be positive")
    cells = []
    for precision in precisions:
        dtype = precision_of(precision).dtype
        models = [compile_formula(p.formula, p.alphabet, dtype=dtype) for p in PROBES]
        certified = [certify(model).length for model in models]
        shorter = sum(1 / n for n in lengths)
        for probe, model, most in zip(PROBES, models, certified, strict=True):
            for n in lengths:
                share = math.ceil(tries / len(PROBES) / n / shorter)
                cells.append(Cell(precision, probe, min(n, most), most, "dense", share))
            if at_the_end and _independent(model):
                cells.append(Cell(precision, probe, min(most, longest), most, "last", at_the_end))
    return cells


def run_cells(
    cells: Sequence[Cell],
    seed: int,
    done: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> Iterator[tuple[Cell, Verified]]:
    """Search cell after cell.

    Args:
        cells: of a campaign.
        seed: of the campaign; each cell draws from (seed, its number).
        done: cells that were searched before.
        on_batch: called with the number of strings tried in a batch.
    """
    for number in range(done, len(cells)):
        cell = cells[number]
        model = compile_formula(
            cell.probe.formula, cell.probe.alphabet, dtype=precision_of(cell.precision).dtype
        )
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        yield cell, search(model, cell.n, cell.tries, own, cell.kernel, on_batch=on_batch)


def searched_table(cells: Sequence[Cell], found: Sequence[Verified]) -> pd.DataFrame:
    """One row for each cell."""
    rows = [
        [c.precision, c.probe.name, c.n, c.certified, c.kernel, v.strings, v.wrong, v.largest_raw_error]
        for c, v in zip(cells, found, strict=True)
    ]
    names = ["format", "formula", "length", "certified", "kernel", "strings", "wrong", "largest raw error"]
    return pd.DataFrame(rows, columns=names)


def _independent(model: FormulaTransformer) -> bool:
    try:
        require_independent_heads(model.program)
    except InputError:
        return False
    return True
