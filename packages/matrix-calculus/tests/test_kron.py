"""Kronecker products in expressions: products of sizes, derivatives, and what simplifies; and rows, which are written as such."""

from __future__ import annotations

import numpy as np
import pytest

from offprints.errors import InputError

from matrix_calculus import LanguageError, derive, parse, printing, read

SYMBOLS = {
    "A": "matrix(m, n)", "B": "matrix(p, q)", "C": "matrix(n, r)", "D": "matrix(q, t)", "Q": "matrix(k, k)", "R": "matrix(h, h)",
    "X": "matrix(3, 2)", "x": "vector(n)", "y": "vector(k)", "s": "scalar",
}  # fmt: skip

PROVED = [
    ("kron(A, B)", "A", "derivative"), ("kron(A, B)*kron(C, D)", "B", "derivative"), ("kron(x, y)", "x", "derivative"), ("kron(x', y')", "y", "derivative"),
    ("kron(kron(x, y), x)", "x", "derivative"), ("kron(X, B)", "X", "derivative"), ("sum(sin(kron(A, B)))", "A", "derivative"),
    ("norm2(kron(A, B)*z)", "B", "derivative"), ("logdet(kron(Q, R))", "Q", "derivative"), ("sum(kron(Q, R)*kron(Q, R))", "Q", "hessian"),
    ("norm2(kron(A, B)*z)^2", "z", "hvp"), ("sum(softmax(kron(x', y')))", "x", "derivative"), ("kron(A, B) + s*eye(m*p)*kron(A, B)", "s", "differential"),
]  # fmt: skip

SIMPLE = [
    ("sum(kron(A, B))", "A", "sum(B)*ones(n, m)"),
    ("tr(kron(Q, R))", "Q", "sum(diag(R))*eye(k)"),
    ("frobenius(kron(A, B))^2", "A", "2*sum(B.^2)*A'"),
    ("s*kron(A, B)*kron(C, D)", "s", "kron(A*C, B*D)"),
    ("kron(A, B)*z", "z", "kron(A, B)"),
    ("s*kron(x, 2*y)", "s", "2*kron(x, y)"),
]


@pytest.mark.parametrize(("expression", "wrt", "kind"), PROVED)
def test_derivatives_hold(expression, wrt, kind):
    found = derive(expression, wrt, SYMBOLS, kind=kind)
    proof = found.check(2, digits=30)
    assert proof.holds, proof
    assert parse(printing.text(parse(expression))) == parse(expression)
    assert found.latex and found.mathml and found.code("torch") and found.code("jax")


@pytest.mark.parametrize(("expression", "wrt", "formula"), SIMPLE)
def test_what_simplifies(expression, wrt, formula):
    found = derive(expression, wrt, SYMBOLS)
    assert found.formula == formula and found.check(2, digits=0).holds
    assert all(step.holds for step in found.steps)


def test_the_program_has_the_values_of_numpy():
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=size) for name, size in {"A": (2, 3), "B": (4, 2), "s": ()}.items()}
    found = derive("s*kron(A, B)", "s", {"A": "matrix(m, n)", "B": "matrix(p, q)", "s": "scalar"})
    ours = found.function()(*(values[one.name] for one in found.inputs))
    np.testing.assert_allclose(ours, np.kron(values["A"], values["B"]))


def test_sizes_are_products_that_can_be_declared_and_are_inferred():
    inferred = read("kron(A, B)*z", SYMBOLS)
    assert inferred.symbols["z"].sizes == ("n*q",) and inferred.declarations["z"] == "vector(n*q)"
    assert read("kron(A, B)*z", {**SYMBOLS, "z": "vector(n*q)"}).term.shape.sizes == ("m*p",)
    assert read("kron(X, ones(2, 5))", SYMBOLS).term.shape.sizes == (6, 10)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("kron(A, s)", "cannot take a matrix m×n and a scalar"), ("kron(x, A)", "cannot take a column of n and a matrix"),
        ("kron(A, B)*x", r"has the size n\*q, and n is asked for"), ("kron(A, B) + A", r"has the size m\*p, and m"), ("kron(A)", "2 argument"),
    ],
)  # fmt: skip
def test_clashes_name_the_sizes(expression, words):
    with pytest.raises(LanguageError, match=words):
        derive(expression, "x", SYMBOLS)


def test_indices_say_what_they_mean_and_a_gradient_in_them_has_no_second_stage():
    found = derive("sum(sin(kron(A, B)))", "A", SYMBOLS)
    assert "π[" in found.formula and any(note.startswith("π[i, k, l] is 1") for note in found.notes)
    assert r"\pi_{" in found.latex and "π" not in found.latex
    with pytest.raises(InputError, match="no matrix form"):
        _ = derive("sum(sin(kron(A, B)))", "A", SYMBOLS, kind="hessian").steps


ROWS = {"r": "row(n)", "A": "matrix(n, n)", "x": "vector(n)"}


@pytest.mark.parametrize(
    ("expression", "wrt", "kind", "formula"),
    [
        ("r*x", "x", "derivative", "r"), ("r*x", "r", "derivative", "x"), ("r*A*r'", "r", "derivative", "A*r' + A'*r'"), ("r*A*r'", "r", "hessian", "A' + A"),
        ("r*A*r'", "r", "hvp", "A*v' + A'*v'"), ("softmax(r)", "r", "derivative", "diag(softmax(r')) - softmax(r')*softmax(r')'"),
        ("r .* x'", "r", "differential", "x' .* dr"),
    ],
)  # fmt: skip
def test_formulas_write_a_row_as_the_row_it_is_declared_to_be(expression, wrt, kind, formula):
    found = derive(expression, wrt, ROWS, kind=kind)
    assert found.check(2, digits=0).holds and all(step.holds for step in found.steps)
    assert found.formula == formula
