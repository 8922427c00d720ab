"""Kronecker forms have the values of the tensors that they stand for, columns stacked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from matrix_calculus import derive, read
from matrix_calculus.evaluate import by_syntax
from matrix_calculus.kronecker import kronecker_form
from matrix_calculus.verify import autograd, draws, lengths

SYMBOLS = {
    "A": "matrix(m, n)", "X": "matrix(n, p)", "B": "matrix(p, q)", "Y": "matrix(n, n)", "C": "matrix(n, n)", "a": "vector(n)", "b": "vector(p)",
    "U": "matrix(n, k)", "V": "matrix(s, k)", "T": "matrix(n, s)",
}  # fmt: skip

CASES = [
    ("A*X*B", "X", "derivative", "kron(B', A)"),
    ("X'", "X", "derivative", "kron(eye(n), eye(p))*commutation(n, p)"),
    ("X'*X", "X", "derivative", "kron(X', eye(p))*commutation(n, p) + kron(eye(p), X')"),
    ("exp(A*X*B)", "X", "derivative", "diag(vec(exp(A*X*B)))*kron(B', A)"),
    ("inv(Y)", "Y", "derivative", "-kron(inv(Y)', inv(Y))"),
    ("X*b", "X", "derivative", "kron(b', eye(n))"),
    ("X'*a", "X", "derivative", "kron(a', eye(p))*commutation(n, p)"),
    ("a*b'", "a", "derivative", "kron(b, eye(n))"),
    ("a*b'", "b", "derivative", "kron(eye(p), a)"),
    ("X .* X", "X", "derivative", "2*diag(vec(X))"),
    ("tr(Y)*Y", "Y", "derivative", "vec(Y)*vec(eye(n))' + sum(diag(Y))*kron(eye(n), eye(n))"),
    ("Y*C*Y", "Y", "derivative", "kron(Y'*C', eye(n)) + kron(eye(n), Y*C)"),
    ("diag(a)", "a", "derivative", "diag(vec(eye(n)))*kron(ones(n), eye(n))"),
    ("frobenius(T - U*V')^2", "U", "hessian", "2*kron(V'*V, eye(n))"),
    ("logdet(Y)", "Y", "hessian", "-kron(inv(Y), inv(Y)')*commutation(n, n)"),
    ("sum(X)^2", "X", "hessian", "2*vec(ones(n, p))*vec(ones(n, p))'"),
]


def value(term, symbols, values, sizes):
    """Of a term that may have kron, vec and commutation in it, as a matrix."""
    inner = [value(one, symbols, values, sizes) for one in term.args] if term.value != "commutation" else []
    match term.value or term.op:
        case "kron":
            return np.kron(*inner)
        case "vec":
            return inner[0].reshape(-1, 1, order="F")
        case "diag" if term.args[0].value == "vec":
            return np.diag(inner[0][:, 0])
        case "commutation":
            rows, columns = (sizes[str(one.value)] for one in term.args)
            places = np.arange(rows * columns).reshape(rows, columns, order="F")
            return np.eye(rows * columns)[places.T.reshape(-1, order="F")]
        case "add":
            return sum(inner[1:], inner[0])
        case "neg":
            return -inner[0]
        case "transpose":
            return inner[0].T
        case "*":
            scalar = 1 in (inner[0].size, inner[1].size)
            return inner[0] * inner[1] if scalar else inner[0] @ inner[1]
    tensors = {name: torch.from_numpy(np.asarray(one)) for name, one in values.items()}
    reading = read(term, symbols)
    found = np.asarray(by_syntax(reading, tensors, sizes))
    kind = reading.term.shape.kind
    return found.reshape(1, -1) if kind in ("row", "scalar") else found.reshape(len(found), -1)


@pytest.mark.parametrize(("expression", "wrt", "kind", "formula"), CASES)
def test_the_matrix_of_vec_by_vec(expression, wrt, kind, formula):
    found = derive(expression, wrt, SYMBOLS, kind=kind)
    assert found.kronecker == formula
    sizes = lengths(found.reading)
    values = next(draws(found.reading, found.value, 3, sizes))
    x = len(found.reading.symbols[wrt].sizes)
    form = kronecker_form(found.plain, found.plain.rank - x)
    symbols = dict(found.reading.declarations)
    ours = value(form.term(), symbols, values, sizes)
    plain = autograd(found, values, sizes)
    axes = tuple(range(plain.ndim))
    f, of_x = axes[: plain.ndim - x][::-1], axes[plain.ndim - x :][::-1]
    theirs = plain.transpose(*f, *of_x).reshape(int(np.prod([plain.shape[one] for one in f])), -1)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("expression", ["softmax(X)", "diag(Y)"])
def test_what_is_no_kronecker_product_is_left_to_the_indices(expression):
    found = derive(expression, expression[-2], SYMBOLS)
    assert found.term is None and found.kronecker is None


def test_a_gradient_needs_none():
    assert derive("a'*Y*a", "a", SYMBOLS).kronecker is None
