"""Looking for a mistake: all strings up to a length, and strings made to hurt up to the certified length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.exhaustive import evaluate_all
from hard_attention.recurrence import evaluate
from hard_attention.transformer import FormulaTransformer

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Verified:
    """What a search found.

    Attributes:
        strings: how many were tried.
        positions: how many truth values were compared.
        wrong: how many differed.
        example: a string with a wrong position, the shortest met; "" if there is none.
        largest_raw_error: the largest distance of a raw output of a nearest, sign or compare head from 0 or 1.
    """

    strings: int
    positions: int
    wrong: int
    example: str
    largest_raw_error: float


def verify(model: FormulaTransformer, longest: int, kernel: str = "dense", batch: int = 4096) -> Verified:
    """Compare a transformer with the bit-parallel truth on every string of lengths 1 to `longest`.

    Args:
        model: the transformer.
        longest: there are len(alphabet)**longest strings of that length; at most 2**26.
        kernel: how attention is evaluated.
        batch: strings at a time.

    Raises:
        InputError: the length is not positive, or there are too many strings.
    """
    alphabet = model.program.alphabet
    if longest < 1:
        raise InputError(f"longest={longest}: 1 or more is needed")
    if len(alphabet) ** longest > 2**26:
        raise InputError(f"there are {len(alphabet)}**{longest} strings of length {longest}: more than 2**26")

    def cases() -> Iterator[tuple[Ids, NDArray[np.bool_]]]:
        for n in range(1, longest + 1):
            ids, truth = all_strings(len(alphabet), n), evaluate_all(model.program.core, alphabet, n)
            for at in range(0, len(ids), batch):
                yield ids[at : at + batch], truth[at : at + batch]

    return _compared(model, cases(), kernel)


def search(
    model: FormulaTransformer,
    n: int,
    tries: int,
    seed: int = 0,
    kernel: str = "dense",
    batch: int = 1024,
    on_batch: Callable[[int], None] | None = None,
) -> Verified:
    """Try strings that are hard for attention: long runs with few exceptions, periods, near-balanced counts, edits of the worst so far.

    Args:
        model: the transformer.
        n: length of the strings, usually the certified one.
        tries: how many strings.
        seed: of the strings.
        kernel: how attention is evaluated.
        batch: strings at a time.
        on_batch: called with the number of strings tried.
    """
    alphabet = model.program.alphabet
    rng = np.random.default_rng(seed)
    worst: Ids = np.zeros((0, n), np.int64)
    found = Verified(0, 0, 0, "", 0.0)
    for at in range(0, tries, batch):
        count = min(batch, tries - at)
        ids = hard_strings(rng, count, n, len(alphabet))
        if len(worst):
            edited = worst[rng.integers(len(worst), size=count // 4)].copy()
            if len(edited):
                edited[np.arange(len(edited)), rng.integers(n, size=len(edited))] = rng.integers(
                    len(alphabet), size=len(edited)
                )
                ids[: len(edited)] = edited
        truth = evaluate(model.program.core, ids, alphabet, model.positions.predicates)
        errors, values = _raw_errors(model, ids, kernel)
        found = _added(found, ids, truth, values, errors, alphabet)
        worst = ids[np.argsort(-errors, kind="stable")[:32]]
        if on_batch is not None:
            on_batch(at + count)
    return found


def hard_strings(rng: np.random.Generator, count: int, n: int, letters: int) -> Ids:
    """Strings of the kinds that `search` tries, in equal shares; (count, n)."""
    ids = np.empty((count, n), np.int64)
    for row in range(count):
        kind = row % 5
        base = int(rng.integers(letters))
        if kind == 0:  # a run with a few exceptions, mostly near the ends
            ids[row] = base
            ends = np.concatenate([np.arange(min(n, 4)), np.arange(max(n - 4, 0), n)])
            spots = np.concatenate([rng.choice(ends, 2), rng.integers(n, size=int(rng.integers(3)))])
            ids[row, spots] = rng.integers(letters, size=len(spots))
        elif kind == 1:  # a period
            period = int(rng.integers(1, 5))
            ids[row] = np.resize(rng.integers(letters, size=period), n)
            ids[row, rng.integers(n)] = int(rng.integers(letters))
        elif kind == 2:  # two blocks
            cut = int(rng.integers(n + 1))
            ids[row, :cut], ids[row, cut:] = base, int(rng.integers(letters))
        elif kind == 3:  # nearly as many of each letter
            ids[row] = rng.permutation(np.resize(np.arange(letters), n))
            ids[row, rng.integers(n, size=2)] = base
        else:
            ids[row] = rng.integers(letters, size=n)
    return ids


def _compared(
    model: FormulaTransformer, cases: Iterator[tuple[Ids, NDArray[np.bool_]]], kernel: str
) -> Verified:
    found = Verified(0, 0, 0, "", 0.0)
    for ids, truth in cases:
        errors, values = _raw_errors(model, ids, kernel)
        found = _added(found, ids, truth, values, errors, model.program.alphabet)
    return found


@torch.no_grad()
def _raw_errors(
    model: FormulaTransformer, ids: Ids, kernel: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each string its largest raw error; and the readout."""
    tensor = torch.from_numpy(ids)
    told = [number for number, head in enumerate(model.heads) if head.kind != "count"]
    if kernel == "scan":
        from hard_attention.scan import scan

        scanned = scan(model, tensor, torch.full((len(ids),), ids.shape[1]))
        raw, values = scanned.raw[:, told, 1:].double().numpy(), scanned.values.double().numpy()
    else:
        x = model.residual(tensor, kernel=kernel)
        columns = [model.heads[number].column for number in told]
        raw = x[:, 1:, columns].double().numpy().transpose(0, 2, 1)
        values = model.readout(x)[:, 1:, 0].double().numpy()
    if not told:
        return np.zeros(len(ids)), values
    return np.minimum(np.abs(raw), np.abs(raw - 1)).max((1, 2)), values


def _added(
    found: Verified,
    ids: Ids,
    truth: NDArray[np.bool_],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    alphabet: Alphabet,
) -> Verified:
    # Within a certificate the readout is exactly 0 or 1, and anything else is a mistake too.
    bad = values != truth
    example = found.example
    if not example and bad.any():
        row = int(np.flatnonzero(bad.any(1))[0])
        example = "".join(alphabet.letters[i] for i in ids[row])
    return Verified(
        found.strings + len(ids),
        found.positions + ids.size,
        found.wrong + int(bad.sum()),
        example,
        max(found.largest_raw_error, float(errors.max())),
    )
