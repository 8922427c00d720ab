"""Ours beside the plain dense evaluation of the same module in float64, in turn; writes results.json.

nox -s "bench(hard-attention)"
python packages/hard-attention/benchmarks --only scan sdpa --rounds 5
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from offprints.benchmark import Entry, compared, in_turn, run

from hard_attention import (
    Alphabet,
    FormulaTransformer,
    all_strings,
    compile_formula,
    formula,
    generated_corpus,
    letter,
    random_formula,
)
from hard_attention.corpora import by_length

PEER = "dense float64"
AB = Alphabet("ab")
DEEP = "(S (Q a) (or (Q b) (S (Q b) (or (Q a) (S (Q a) (or (Q b) (S (Q b) (Q a))))))))"


def scan(options: argparse.Namespace) -> Iterator[Entry]:
    """All formulas of a corpus at all positions, by scan in float32."""
    yield from _corpus(options, "scan corpus", "scan")


def sdpa(options: argparse.Namespace) -> Iterator[Entry]:
    """The same by torch's fused attention in float32."""
    yield from _corpus(options, "sdpa corpus", "sdpa")


def long(options: argparse.Namespace) -> Iterator[Entry]:
    """One string and a formula of depth 4; the peer where its matrix of scores still fits."""
    model = compile_formula(DEEP, AB, dtype=torch.float64)
    for n in (1_000, 10_000, 100_000):
        ids = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, n)))
        works = {"ours": lambda ids=ids: _run(model, ids, "scan")}
        if n <= 1_000 and not options.no_peers:
            works["peer"] = lambda ids=ids: _run(model, ids, "dense")
        for threads in options.threads:
            torch.set_num_threads(threads)
            found = in_turn(works, options.rounds)
            yield compared(
                "long", n, threads, found["ours"], PEER if "peer" in found else "", found.get("peer")
            )


def exhaustive(options: argparse.Namespace) -> Iterator[Entry]:
    """Fifty formulas on all strings of a length."""
    formulas = [random_formula(np.random.default_rng(seed), 3, "ab") for seed in range(50)]
    soft = [compile_formula(f, AB, dtype=torch.float32) for f in formulas]
    plain = [compile_formula(f, AB) for f in formulas]
    for n in (8, 12, 16):
        ids = torch.from_numpy(all_strings(2, n))
        works = {"ours": lambda ids=ids: [_run(model, ids, "scan") for model in soft]}
        if n <= 12 and not options.no_peers:
            works["peer"] = lambda ids=ids: [_run(model, ids, "dense") for model in plain]
        found = in_turn(works, max(1, options.rounds // 5))
        yield compared(
            "exhaustive", 2**n, 1, found["ours"], PEER if "peer" in found else "", found.get("peer")
        )


def compile(options: argparse.Namespace) -> Iterator[Entry]:
    """From a formula to a module, by the number of operators."""
    for size in (10, 100, 1_000, 10_000):
        f = letter("a")
        for k in range(size // 2):
            f = formula("S", letter("ab"[k % 2]), f) | letter("ba"[k % 2])
        found = in_turn({"ours": lambda f=f: compile_formula(f, AB)}, max(1, options.rounds // 5))
        yield compared("compile", size, 1, found["ours"])


def _corpus(options: argparse.Namespace, name: str, kernel: str) -> Iterator[Entry]:
    for count in (3, 10, 30):
        corpus = generated_corpus(0, (6, 12, 24, 48, 96), count)
        batches = []
        for part in corpus.parts:
            ours = compile_formula(part.formula, part.alphabet, dtype=torch.float32)
            plain = compile_formula(part.formula, part.alphabet, dtype=torch.float64)
            alphabet = Alphabet(part.alphabet)
            for rows in by_length(part.strings).values():
                ids = torch.from_numpy(np.stack([alphabet.encode(part.strings[i]) for i in rows]))
                batches.append((ours, plain, ids))
        strings = sum(len(ids) for _, _, ids in batches)
        works = {"ours": lambda batches=batches: [_run(ours, ids, kernel) for ours, _, ids in batches]}
        if not options.no_peers:
            works["peer"] = lambda batches=batches: [_run(plain, ids, "dense") for _, plain, ids in batches]
        torch.set_num_threads(1)
        found = in_turn(works, max(1, options.rounds // 5))
        yield compared(
            name,
            strings,
            1,
            found["ours"],
            PEER if "peer" in found else "",
            found.get("peer"),
            strings_per_second=strings / found["ours"].median,
        )


@torch.no_grad()
def _run(model: FormulaTransformer, ids: torch.Tensor, kernel: str) -> torch.Tensor:
    return model(ids, kernel=kernel)


if __name__ == "__main__":
    parts = {"scan": scan, "sdpa": sdpa, "long": long, "exhaustive": exhaustive, "compile": compile}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
