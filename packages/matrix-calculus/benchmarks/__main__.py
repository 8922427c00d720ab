"""Derived Hessians and gradients beside torch.func, and how long deriving takes; writes results.json beside this file.

    nox -s "bench(matrix-calculus)"                          the table of docs/benchmarks.md
    nox -s "bench(matrix-calculus)" -- --rounds 5            quicker and noisier
    nox -s "bench(matrix-calculus)" -- --only hessian        a part: hessian, gradient, derive

Every time is the median of rounds in which ours and its peer take turns. Hessians and gradients are in float64 by generated torch code and
by torch.func on the same tensors; they are compared before they are timed. `bound_share` is the share reached of the time that BLAS takes
for the products that the closed form cannot avoid. `nodes` counts the tensors of a derivation.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from problems import PROBLEMS, Problem, layers

from offprints.benchmark import Entry, compared, in_turn, run

from matrix_calculus import derive
from matrix_calculus.expression import order
from matrix_calculus.rules import RULES

PEER = f"torch.func {torch.__version__}"


def _bound(problem: Problem, sizes: dict[str, int]) -> float | None:
    """Seconds of the matrix products that the Hessian is made of, by BLAS on the same threads."""

    def product(rows: int, inner: int, columns: int) -> float:
        left, right = (
            torch.randn(rows, inner, dtype=torch.float64),
            torch.randn(inner, columns, dtype=torch.float64),
        )
        return in_turn({"product": lambda: left @ right}, 5)["product"].best

    if problem.name == "logistic regression":
        return product(sizes["d"], sizes["n"], sizes["d"])
    if problem.name == "small net":
        return product(sizes["n"] ** 2, sizes["N"], sizes["h"] ** 2)
    return None  # the blocks of V'V are small, and to write them is what takes time


def _compared(kind: str, options: argparse.Namespace) -> Iterator[Entry]:
    for problem, threads in itertools.product(PROBLEMS, options.threads):
        torch.set_num_threads(threads)
        for sizes in problem.sizes:
            values = problem.values(sizes)
            found = derive(
                problem.expression, problem.wrt, problem.symbols, layout="denominator",
                kind="hessian" if kind == "hessian" else "derivative",
            )  # fmt: skip
            program = found.function("torch", sizes)
            given = [values[one.name] for one in found.inputs]

            def plain(moved: Any, problem: Problem = problem, values: dict[str, Any] = values) -> Any:
                return problem.plain({**values, problem.wrt: moved})

            judge = torch.func.hessian(plain) if kind == "hessian" else torch.func.grad(plain)
            at = values[problem.wrt]
            apart = float((program(*given) - judge(at)).abs().max() / judge(at).abs().max())
            if apart > 1e-9:
                raise AssertionError(f"{kind} of {problem.name}: off by {apart}")
            timing = in_turn(
                {
                    "ours": lambda program=program, given=given: program(*given),
                    "peer": lambda judge=judge, at=at: judge(at),
                },
                options.rounds,
            )
            bound = _bound(problem, sizes) if kind == "hessian" else None
            yield compared(
                f"{kind} {problem.name}", at.numel(), threads, timing["ours"], PEER, timing["peer"],
                bound_share=bound / timing["ours"].best if bound else None,
            )  # fmt: skip


def hessian(options: argparse.Namespace) -> Iterator[Entry]:
    """Hessians of the three problems."""
    yield from _compared("hessian", options)


def gradient(options: argparse.Namespace) -> Iterator[Entry]:
    """Gradients of the three problems."""
    yield from _compared("gradient", options)


def deriving(options: argparse.Namespace) -> Iterator[Entry]:
    """How long a derivation takes: the paper's formulas, nested layers, a Hessian; SymPy where it can."""

    def every() -> None:
        for rule in RULES:
            _ = rule.derive().formula

    timing = in_turn({"ours": every}, max(3, options.rounds // 5))["ours"]
    yield compared(
        "derive all formulas of the paper", len(RULES), 1, timing, seconds_each=timing.median / len(RULES)
    )
    for depth in (1, 4, 16, 64):
        text, symbols = layers(depth)
        timing = in_turn(
            {"ours": lambda text=text, symbols=symbols: derive(text, "x", symbols)},
            max(3, options.rounds // 5),
        )["ours"]
        nodes = len(order([derive(text, "x", symbols).tensor]))
        yield compared("derive gradient of nested layers", depth, 1, timing, nodes=nodes)
    text, symbols = layers(3)
    timing = in_turn(
        {"ours": lambda: derive(text, "x", symbols, kind="hessian")}, max(3, options.rounds // 5)
    )["ours"]
    yield compared("derive hessian of a net of three layers", 3, 1, timing)
    yield from _sympy(options)


def _sympy(options: argparse.Namespace) -> Iterator[Entry]:
    import sympy

    n = sympy.Symbol("n")
    matrix, vector = sympy.MatrixSymbol("A", n, n), sympy.MatrixSymbol("x", n, 1)
    quadratic = vector.T * matrix * vector
    works = {
        "ours": lambda: derive("x'*A*x", "x", {"A": "matrix(n, n)", "x": "vector(n)"}).formula,
        "sympy": lambda: str(quadratic.diff(vector)),
    }
    timing = in_turn(works, max(3, options.rounds // 5))
    yield compared("derive x'Ax", 1, 1, timing["ours"], f"sympy {sympy.__version__}", timing["sympy"])


if __name__ == "__main__":
    run(
        {"hessian": hessian, "gradient": gradient, "derive": deriving},
        __doc__,
        Path(__file__).with_name("results.json"),
    )
