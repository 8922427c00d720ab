"""Ours beside the plain dense evaluation of the same module in float64, in turn; writes results.json.

nox -s "bench(hard-attention)"
python packages/hard-attention/benchmarks --only scan sdpa --rounds 5
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from offprints.benchmark import Entry, compared, in_turn, run

from hard_attention import (
    LANGUAGES,
    Alphabet,
    FormulaTransformer,
    all_strings,
    compile_formula,
    formula,
    generated_corpus,
    letter,
    random_formula,
)
from hard_attention.verification import read_out

PEER = "dense float64"
AB = Alphabet("ab")
CORPUS = [name for name in LANGUAGES if name not in ("palindrome", "tomita3", "tomita6_diff_mod3")]
"""Languages of the corpus: those that had a formula when it was first measured, so that figures stay comparable."""
PROGRAMS = {"previous": "Y a", "once": "O a", "majority": "cl(b) < cl(a)"}
"""Small programs that other compilers of transformers have as examples."""
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
    """Fifty formulas on all strings of a length, by scan and by the matrix of scores, in float32."""
    formulas = [random_formula(np.random.default_rng(seed), 3, "ab") for seed in range(50)]
    soft = [compile_formula(f, AB, dtype=torch.float32) for f in formulas]
    plain = [compile_formula(f, AB) for f in formulas]
    for kernel in ("scan", "dense"):
        for n in (8, 12, 16):
            ids = all_strings(2, n)
            works = {"ours": lambda ids=ids, kernel=kernel: [read_out(model, ids, kernel) for model in soft]}
            if n <= 12 and not options.no_peers:
                works["peer"] = lambda ids=ids: [read_out(model, ids, "dense") for model in plain]
            found = in_turn(works, max(1, options.rounds // 5) if n < 16 else 1)
            name = "exhaustive" if kernel == "scan" else "exhaustive dense"
            yield compared(name, 2**n, 1, found["ours"], PEER if "peer" in found else "", found.get("peer"))


def compile(options: argparse.Namespace) -> Iterator[Entry]:
    """From a formula to a module, by the number of operators."""
    for size in (10, 100, 1_000, 10_000):
        f = letter("a")
        for k in range(size // 2):
            f = formula("S", letter("ab"[k % 2]), f) | letter("ba"[k % 2])
        found = in_turn({"ours": lambda f=f: compile_formula(f, AB)}, max(1, options.rounds // 5))
        yield compared("compile", size, 1, found["ours"])


def program(options: argparse.Namespace) -> Iterator[Entry]:
    """Small programs on strings of 64 letters, one at a time and a thousand together, by the matrix of scores in float32."""
    strings = {1: 64, 1_000: 64}
    for name, text in PROGRAMS.items():
        model = compile_formula(text, AB, dtype=torch.float32)
        for count, n in strings.items():
            ids = np.random.default_rng(0).integers(0, 2, (count, n))
            works = {"ours": lambda ids=ids, model=model: read_out(model, ids, "dense")}
            found = in_turn(works, options.rounds, repeat=100 if count == 1 else 1)
            yield compared(
                f"program {name}", count, 1, found["ours"], strings_per_second=count / found["ours"].median
            )


def _corpus(options: argparse.Namespace, name: str, kernel: str) -> Iterator[Entry]:
    """Each formula with its strings: all lengths in one batch for the scan, length by length where scores are a matrix."""
    for count in (3, 10, 30, 100):
        corpus = generated_corpus(0, (6, 12, 24, 48, 96), count, CORPUS)
        works: dict[str, list[Callable[[], object]]] = {"ours": [], "peer": []}
        for part in corpus.parts:
            ours = compile_formula(part.formula, part.alphabet, dtype=torch.float32)
            plain = compile_formula(part.formula, part.alphabet, dtype=torch.float64)
            ids, lengths = Alphabet(part.alphabet).batch(part.strings)
            alike = [ids[lengths == n, :n] for n in np.unique(lengths)]
            if kernel == "scan":
                works["ours"].append(
                    partial(_run, ours, torch.from_numpy(ids), kernel, torch.from_numpy(lengths))
                )
            else:
                works["ours"] += [partial(read_out, ours, rows, kernel) for rows in alike]
            works["peer"] += [partial(read_out, plain, rows, "dense") for rows in alike]
        if options.no_peers:
            del works["peer"]
        torch.set_num_threads(1)
        strings = sum(len(part.strings) for part in corpus.parts)
        found = in_turn(
            {who: lambda parts=parts: [part() for part in parts] for who, parts in works.items()},
            max(1, options.rounds // 5),
        )
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
def _run(
    model: FormulaTransformer, ids: torch.Tensor, kernel: str, lengths: torch.Tensor | None = None
) -> torch.Tensor:
    return model(ids, lengths, kernel)


if __name__ == "__main__":
    parts = {
        "scan": scan,
        "sdpa": sdpa,
        "long": long,
        "exhaustive": exhaustive,
        "compile": compile,
        "program": program,
    }
    run(parts, __doc__, Path(__file__).with_name("results.json"))
