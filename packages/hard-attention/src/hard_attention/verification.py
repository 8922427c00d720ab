"""Looking for a mistake in a transformer: on all strings up to a length, or on any that are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from hard_attention.alphabet import Alphabet, all_strings
from hard_attention.exhaustive import evaluate_all
from hard_attention.last_position import last_position
from hard_attention.transformer import FormulaTransformer

Ids = NDArray[np.int64]
ENTRIES = 2**18
"""Scores of a head that are held at once: about what a core's cache takes."""


@dataclass(frozen=True)
class Verified:
    """What a search found.

    Attributes:
        strings: how many were tried.
        positions: how many truth values were compared.
        wrong: how many differed.
        example: a string with a wrong position, the shortest met; "" if there is none.
        largest_raw_error: the largest distance of a raw output from 0 or 1, of all heads but those that count.
    """

    strings: int
    positions: int
    wrong: int
    example: str
    largest_raw_error: float


def verify(model: FormulaTransformer, longest: int, kernel: str = "dense", batch: int = 2**16) -> Verified:
    """Compare a transformer with the bit-parallel truth on every string of lengths 1 to `longest`.

    Args:
        model: the transformer.
        longest: there are len(alphabet)**longest strings of that length; at most 2**26.
        kernel: how attention is evaluated.
        batch: strings whose truth is held at a time.

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


def strings_at_once(n: int, kernel: str) -> int:
    """How many strings of a length to give a kernel at a time, so that its scores stay in the cache.

    Args:
        n: the length.
        kernel: scan has no matrix of scores, and of sdpa only a part of one is there at a time.
    """
    entries = {"scan": 2**30, "sdpa": 2**23}.get(kernel, ENTRIES)
    return min(2**16, max(1, entries // (n + 1) ** 2))


@torch.no_grad()
def read_out(model: FormulaTransformer, ids: Ids, kernel: str) -> NDArray[np.float64]:
    """The readout, (B, n), of strings of one length, some at a time."""
    at_once = strings_at_once(ids.shape[1], kernel)
    parts = [
        model.values(torch.from_numpy(ids[at : at + at_once]), kernel=kernel).double().numpy()
        for at in range(0, len(ids), at_once)
    ]
    return np.concatenate(parts)


@torch.no_grad()
def raw_errors(
    model: FormulaTransformer, ids: Ids, kernel: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far heads are from 0 and 1, and what is read out.

    Args:
        model: the transformer.
        ids: (B, n) strings of one length.
        kernel: dense, sdpa, chunked, scan, or last: the last position alone, see last_position.py.

    Returns:
        (B,) the largest distance of a raw output from 0 or 1, of all heads but those that count, nan if one is no number;
        and the readout, (B, n) or (B, 1).
    """
    told = [number for number, head in enumerate(model.heads) if head.kind != "count"]
    errors, values = [], []
    at_once = max(1, ENTRIES // ids.shape[1]) if kernel == "last" else strings_at_once(ids.shape[1], kernel)
    for at in range(0, len(ids), at_once):
        part = torch.from_numpy(ids[at : at + at_once])
        if kernel == "last":
            read, raw = last_position(model, part)
            read, raw = read[:, None], raw[:, told, None]
        elif kernel == "scan":
            from hard_attention.scan import scan

            scanned = scan(model, part, torch.full((len(part),), part.shape[1]), raw=True)
            read, raw = scanned.values, scanned.raw[:, told, 1:]
        else:
            x = model.residual(part, kernel=kernel)
            read, raw = model.readout(x)[:, 1:, 0], x[:, 1:, [model.heads[number].column for number in told]]
        away = torch.minimum(raw.abs(), (raw - 1).abs()).flatten(1).double()
        errors.append(away.amax(1).numpy() if told else np.zeros(len(part)))
        values.append(read.double().numpy())
    return np.concatenate(errors), np.concatenate(values)


def added(
    found: Verified,
    ids: Ids,
    truth: NDArray[np.bool_],
    values: NDArray[np.float64],
    errors: NDArray[np.float64],
    alphabet: Alphabet,
) -> Verified:
    """What was found, with more strings.

    Args:
        found: so far.
        ids: (B, n).
        truth: (B, positions) of those that were read out.
        values: (B, positions).
        errors: (B,) raw.
        alphabet: to write a string down.
    """
    # Within a certificate the readout is exactly 0 or 1, and anything else is a mistake too.
    bad = values != truth
    example = found.example
    if not example and bad.any():
        row = int(np.flatnonzero(bad.any(1))[0])
        example = "".join(alphabet.letters[i] for i in ids[row])
    return Verified(
        found.strings + len(ids),
        found.positions + truth.size,
        found.wrong + int(bad.sum()),
        example,
        max(found.largest_raw_error, float(np.where(np.isnan(errors), 1.0, errors).max())),
    )


def _compared(
    model: FormulaTransformer, cases: Iterator[tuple[Ids, NDArray[np.bool_]]], kernel: str
) -> Verified:
    found = Verified(0, 0, 0, "", 0.0)
    for ids, truth in cases:
        errors, values = raw_errors(model, ids, kernel)
        found = added(found, ids, truth, values, errors, model.program.alphabet)
    return found
