"""The transcript: the paper's rules in the paper's order, each step right by itself."""

from __future__ import annotations

import dataclasses

import pytest

from matrix_calculus import derive
from matrix_calculus.rules import LOSS, RULES
from matrix_calculus.transcript import as_html, as_latex, as_text

UNIT = {"w": "vector(n)", "x": "vector(n)", "b": "scalar"}


def told(expression, wrt, symbols=None, **options):
    return derive(expression, wrt, symbols, **options).steps


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_step_of_every_formula_holds(rule):
    steps = rule.derive().steps
    assert steps[-1].kind in ("substitute", "cases")
    assert [step.statement for step in steps if not step.holds] == []


def test_a_wrong_derivative_is_seen_by_its_own_step():
    """The check of a step can fail: the last one of a derivation whose tensor was halved."""
    from fractions import Fraction

    from matrix_calculus.products import product
    from matrix_calculus.stages import explain

    found = derive("A*x", "x", {"A": "matrix(m, n)", "x": "vector(n)"})
    wrong = product([(found.tensor, (0, 1))], (0, 1), None, Fraction(1, 2))
    steps = explain(dataclasses.replace(found, tensor=wrong))
    assert [step.holds for step in steps] == [True, False]


def test_the_dot_product_goes_by_u_and_its_sum_as_in_the_paper():
    steps = told("w·x", "w", UNIT)
    assert [step.statement for step in steps] == [
        "u1 = w .* x", "u2 = sum(u1)", "du1/dw = diag(x)", "du2/du1 = ones(n)'", "du2/dw = du2/du1 du1/dw = x'", "df/dw = x'",
    ]  # fmt: skip
    assert [step.rule for step in steps[2:5]] == [
        "element-wise diagonal condition",
        "vector sum reduction",
        "vector chain rule",
    ]


def test_the_neuron_has_the_papers_cases():
    last = told("max(0, w·x + b)", "w", UNIT)[-1]
    assert last.kind == "cases"
    assert last.statement == "df/dw = zeros(n)' where w'*x + b <= 0, x' where w'*x + b > 0"
    assert last.holds
    assert r"\begin{cases}" in last.latex


def test_two_paths_are_added_even_where_the_operator_is_a_product():
    steps = told("x*x^2", "x", {"x": "scalar"})
    combined = next(step for step in steps if step.kind == "combine")
    assert combined.rule == "single-variable total-derivative chain rule"
    assert combined.statement == "du2/dx = ∂u2/∂x + ∂u2/∂u1 du1/dx = u1 + 2*x^2"


def test_one_path_is_the_single_variable_chain_rule():
    rules = {step.rule for step in told("sin(x^2)", "x", {"x": "scalar"}) if step.kind == "combine"}
    assert rules == {"single-variable chain rule"}


def test_scalar_expansion_is_named():
    assert "scalar expansion" in {step.rule for step in told("x + z", "z", {"x": "vector(n)", "z": "scalar"})}


def test_the_loss_introduces_a_variable_for_each_operation():
    steps = LOSS["w"].derive().steps
    introduced = [step.statement for step in steps if step.kind == "introduce"]
    assert introduced == [
        "u1 = X*w",
        "u2 = u1 + b",
        "u3 = max(0, u2)",
        "u4 = y - u3",
        "u5 = u4.^2",
        "u6 = sum(u5)",
        "u7 = u6/N",
    ]
    assert {step.shape for step in steps if step.kind == "combine"} == {"N×n", "1×n"}


def test_equal_parts_have_one_name():
    steps = told("sin(x^2) + cos(x^2)", "x", {"x": "scalar"})
    assert sum(step.statement.endswith("= x^2") for step in steps if step.kind == "introduce") == 1


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_matrices_by_matrices_are_told_by_indices(layout):
    steps = told("tanh(A*B)", "A", {"A": "matrix(m, n)", "B": "matrix(n, k)"}, layout=layout)
    assert all(step.holds for step in steps)
    assert "δ" in steps[-1].statement


def test_transcripts_have_every_step_in_every_form():
    found = LOSS["b"].derive()
    plain, tex, page = as_text(found), as_latex(found), as_html(found)
    for step in found.steps:
        assert step.statement in plain
        assert step.latex in tex
        assert step.mathml in page
    assert tex.count("{") == tex.count("}")
    assert "numerator layout" in plain and "FAILS" not in plain


@pytest.mark.parametrize(
    ("expression", "wrt", "kind"),
    [("tanh(A*B)", "A", "derivative"), ("w·x", "w", "derivative"), ("sum(x.^3)", "x", "hvp"), ("sum(x.^3)", "x", "hessian")],
)  # fmt: skip
def test_latex_has_no_sign_that_amsmath_alone_cannot_set(expression, wrt, kind):
    tex = as_latex(derive(expression, wrt, kind=kind))
    assert tex.isascii()
    assert tex.replace(r"\{", "").replace(r"\}", "").count("{") == tex.replace(r"\{", "").replace(
        r"\}", ""
    ).count("}")
    assert (r"\frac{d^{2}f}{dx^{2}} \cdot v" in tex) == (kind == "hvp")


def test_html_is_well_formed():
    from xml.etree import ElementTree

    page = as_html(derive("max(0, w·x + b)", "w", UNIT))
    start, end = page.index("<main>"), page.index("</main>") + len("</main>")
    assert ElementTree.fromstring(page[start:end]).tag == "main"
