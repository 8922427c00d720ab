"""The problems of the benchmarks: Laue, Mitterreiter, Giesen (2018), Section 4, and the same in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from matrix_calculus import derive

Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """A scalar function, in our language and in torch's."""

    name: str
    expression: str
    wrt: str
    symbols: Mapping[str, str]
    plain: Callable[[Values], Tensor]
    sizes: tuple[dict[str, int], ...]

    def values(self, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Random values of all symbols."""
        generator = torch.Generator().manual_seed(0)
        found = derive(self.expression, self.wrt, self.symbols)
        shapes = {one.name: [sizes[str(size)] for size in one.shape] for one in found.inputs}
        made = {
            name: torch.randn(shape, generator=generator, dtype=torch.float64)
            for name, shape in shapes.items()
        }
        if "Y" in made:
            classes = torch.randint(made["Y"].shape[1], (made["Y"].shape[0],), generator=generator)
            made["Y"] = torch.nn.functional.one_hot(classes, made["Y"].shape[1]).to(torch.float64)
        return made


PROBLEMS = (
    Problem(
        "logistic regression", "sum(softplus(-y .* (X*w)))", "w", {"X": "matrix(n, d)", "y": "vector(n)", "w": "vector(d)"},
        lambda v: torch.logaddexp(torch.zeros_like(v["y"]), -v["y"] * (v["X"] @ v["w"])).sum(),
        ({"n": 1_000, "d": 50}, {"n": 4_000, "d": 100}, {"n": 10_000, "d": 200}),
    ),
    Problem(
        "matrix factorisation", "frobenius(T - U*V')^2", "U", {"T": "matrix(n, m)", "U": "matrix(n, k)", "V": "matrix(m, k)"},
        lambda v: ((v["T"] - v["U"] @ v["V"].T) ** 2).sum(),
        ({"n": 25, "m": 25, "k": 5}, {"n": 50, "m": 50, "k": 5}, {"n": 100, "m": 100, "k": 5}),
    ),
    Problem(
        "small net", "sum(logsumexp(relu(X*W)*V, 2)) - sum(Y .* (relu(X*W)*V))", "W",
        {"X": "matrix(N, n)", "W": "matrix(n, h)", "V": "matrix(h, c)", "Y": "matrix(N, c)"},
        lambda v: torch.nn.functional.cross_entropy(torch.relu(v["X"] @ v["W"]) @ v["V"], v["Y"], reduction="sum"),
        ({"N": 100, "n": 10, "h": 5, "c": 5}, {"N": 200, "n": 10, "h": 10, "c": 5}, {"N": 400, "n": 20, "h": 20, "c": 5}),
    ),
)  # fmt: skip


def layers(depth: int) -> tuple[str, dict[str, str]]:
    """A net of nested layers, and its symbols."""
    text, symbols = "x", {"x": "vector(n)", "w": "vector(n)"}
    for number in range(depth):
        text = f"tanh(A{number}*{text})"
        symbols[f"A{number}"] = "matrix(n, n)"
    return f"sum(w .* {text})", symbols
