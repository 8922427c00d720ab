"""Every formula of the paper, by name, against what the paper says, written down here by hand."""

from __future__ import annotations

import pytest

from matrix_calculus.inference import read
from matrix_calculus.lowering import lower
from matrix_calculus.rules import RULES
from matrix_calculus.verify import same

ACTIVE = "(X*w + b > 0)"
PAPER = {
    "constant": "0*x", "multiplication by a constant": "c", "power": "3*x^2", "power with any exponent": "2.5*x^1.5",
    "sum": "2*x + cos(x)", "difference": "2*x - cos(x)", "product": "2*x*sin(x) + x^2*cos(x)",
    "quotient": "(cos(x)*x - sin(x))/x^2", "exponential": "exp(x)", "logarithm": "1/x", "polynomial": "9 + 18*x",
    "partial derivative by x": "6*y*x", "partial derivative by y": "3*x^2", "second function by x": "2 + 0*x",
    "second function by y": "8*y^7", "gradient": "2*x'", "identity": "eye(n)", "scalar by scalar": "2*x", "scalar by vector": "2*x'",
    "vector by scalar": "2*z*x", "vector by vector": "A",
    "w + x by w": "eye(n)", "w + x by x": "eye(n)", "w - x by w": "eye(n)", "w - x by x": "-eye(n)", "w ⊗ x by w": "diag(x)",
    "w ⊗ x by x": "diag(w)", "w ⊘ x by w": "diag(1 ./ x)", "w ⊘ x by x": "diag(-w ./ x.^2)", "max(w, x) by w": "diag(w > x)",
    "max(w, x) by x": "diag(x > w)", "min(w, x) by w": "diag(x > w)", "min(w, x) by x": "diag(w > x)", "w > x by w": "zeros(n, n)",
    "w > x by x": "zeros(n, n)", "power of a vector": "diag(3*x.^2)", "w to the x by w": "diag(x .* w.^(x - 1))",
    "w to the x by x": "diag(log(w) .* w.^x)",
    "x + z by x": "eye(n)", "x + z by z": "ones(n)", "x z by x": "eye(n)*z", "x z by z": "x", "x - z by z": "-ones(n)",
    "x / z by z": "-x/z^2", "sum(x)": "ones(n)'", "sum(x z) by x": "z*ones(n)'", "sum(x z) by z": "sum(x)", "sum(w ⊗ x) by w": "x'",
    "sum(w ⊗ x) by x": "w'", "sum(f(x))": "cos(x)'",
    "sin(x²)": "2*x*cos(x^2)", "ln(sin(x³)²)": "6*x^2*cos(x^3)/sin(x^3)", "exp(-x²)": "-2*x*exp(-x^2)",
    "x + x² by two paths": "1 + 2*x", "x x² by two paths": "3*x^2", "sin(x + x²)": "cos(x + x^2)*(1 + 2*x)",
    "vector of scalar functions": "2*z*(cos(x*z^2) .* x)", "f(g(x)) of vectors": "diag(1 - tanh(A*x).^2)*A",
    "f(g(x)) with diagonal Jacobians": "diag(cos(x.^2))*diag(2*x)",
    "w·x by w": "x'", "w·x + b by w": "x'", "w·x + b by b": "1 + 0*b", "max(0, z)": "z > 0", "activation by w": "(w·x + b > 0)*x'",
    "activation by b": "w·x + b > 0",
    # (2/N) Σ e_i x_i^T over the active inputs, with the paper's error e_i = w·x_i + b - y_i.
    "loss by w": f"2/N*(({ACTIVE} .* (X*w + b - y))'*X)", "loss by b": f"2/N*sum({ACTIVE} .* (X*w + b - y))",
}  # fmt: skip


def test_every_formula_of_the_card_has_its_answer_here():
    assert {rule.name for rule in RULES} == set(PAPER)
    assert len(RULES) >= 60


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_derivation_is_what_the_paper_says(rule):
    found = rule.derive()
    paper = read(PAPER[rule.name], rule.symbols)
    assert same(found.tensor, lower(paper), found.reading, found.value) < 1e-12
    shape = paper.term.shape
    assert (shape.kind == "row") == found.row
    assert shape.sizes == found.tensor.shape


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_derivation_holds_in_both_layouts(rule):
    from matrix_calculus import derive

    for layout in ("numerator", "denominator"):
        proof = derive(rule.expression, rule.wrt, rule.symbols, layout=layout).check(points=2)
        assert proof.holds, (layout, str(proof))
        assert proof.exact_error is not None


def test_a_wrong_answer_is_told_from_the_right_one():
    """The comparison above can fail: the transpose of the Jacobian, and the loss without its factor 2."""
    rules = {rule.name: rule for rule in RULES}
    for name, wrong in (
        ("vector by vector", "0.5*A"),
        ("loss by b", f"sum({ACTIVE} .* (X*w + b - y))/N"),
        ("w ⊗ x by w", "diag(w)"),
    ):
        found = rules[name].derive()
        assert same(found.tensor, lower(read(wrong, rules[name].symbols)), found.reading, found.value) > 1e-3
