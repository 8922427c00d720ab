"""Steps of what takes more than one derivative: every one holds at random points, and each stage starts from the one before."""

from __future__ import annotations

import pytest

from matrix_calculus import derive, grade
from matrix_calculus.transcript import as_html, as_latex, as_text

LOGISTIC = "sum(softplus(-y .* (X*w)))"
LOGISTIC_SYMBOLS = {"X": "matrix(N, n)", "w": "vector(n)", "y": "vector(N)"}
SQUARE = {"A": "symmetric matrix(n)", "B": "matrix(n, n)"}

CASES = [
    ("x'*A*x", "x", {"A": "matrix(n, n)", "x": "vector(n)"}, "hessian"), ("x^3", "x", {"x": "scalar"}, "hessian"),
    ("x^3", "x", {"x": "scalar"}, "hvp"), (LOGISTIC, "w", LOGISTIC_SYMBOLS, "hessian"), (LOGISTIC, "w", LOGISTIC_SYMBOLS, "hvp"),
    ("frobenius(T - U*V')^2", "U", {"T": "matrix(n, m)", "U": "matrix(n, k)", "V": "matrix(m, k)"}, "hessian"),
    ("frobenius(T - U*V')^2", "U", {"T": "matrix(n, m)", "U": "matrix(n, k)", "V": "matrix(m, k)"}, "hvp"),
    ("A*x", "x", {"A": "matrix(m, n)", "x": "vector(n)"}, "differential"), ("tr(A*A*B)", "A", SQUARE, "derivative"),
    ("tr(A*A*B)", "A", SQUARE, "hessian"), ("tr(A*A*B)", "A", SQUARE, "differential"), ("logdet(A)", "A", SQUARE, "derivative"),
    ("x'*D*x", "D", {"x": "vector(n)", "D": "diagonal matrix(n)"}, "derivative"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "wrt", "symbols", "kind"), CASES)
def test_every_step_holds(expression, wrt, symbols, kind):
    found = derive(expression, wrt, symbols, kind=kind)
    assert all(step.holds for step in found.steps), [step for step in found.steps if not step.holds]
    last = found.steps[-1]
    assert last.statement in (f"{found.name} = {found.formula}", f"{found.name}: {found.formula}")
    assert last.kind == {"derivative": "structure", "hessian": last.kind}.get(kind, "conclude")


def test_a_second_stage_starts_from_the_gradient_that_the_first_one_found():
    steps = derive(LOGISTIC, "w", LOGISTIC_SYMBOLS, kind="hessian").steps
    at = next(place for place, step in enumerate(steps) if step.kind == "again")
    first, second = steps[:at], steps[at + 1 :]
    gradient = derive(LOGISTIC, "w", LOGISTIC_SYMBOLS, layout="denominator").formula
    assert first[-1].statement == f"df/dw = {gradient}" and steps[at].statement == f"g = {gradient}"
    assert {step.statement[0] for step in second if step.kind == "introduce"} == {"v"}
    assert steps[-1].rule == "Hessian"


def test_a_symmetric_matrix_is_general_until_the_last_step():
    steps = derive("tr(A*A*B)", "A", SQUARE).steps
    assert [step.kind for step in steps].count("structure") == 1 and steps[-1].rule == "symmetric matrix"
    assert "stays symmetric" in steps[-1].reason


def test_stages_are_told_as_text_latex_and_html():
    found = derive("x'*A*x", "x", {"A": "matrix(n, n)", "x": "vector(n)"}, kind="hessian")
    text = as_text(found)
    assert text.index("Substitute back") < text.index("Differentiate once more") < text.index("In the end")
    assert as_latex(found).count(r"\subsection*") == as_html(found).count("<h2>") - 1  # the notes


def test_a_formula_is_proved_as_it_is_printed():
    """Three factors meet in an index here: their sum is no trace."""
    symbols = {"M": "matrix(m, m)", "A": "matrix(m, n)", "B": "matrix(n, m)", "s": "scalar"}
    found = derive("M*((B' .* A)*(ones(n) + s))", "s", symbols)
    assert found.formula == "sum(M*(B' .* A), 2)" and found.check().holds
    assert grade("M*((B' .* A)*(ones(n) + s))", "s", "M*sum(B' .* A, 2)", symbols).right


def test_the_judge_of_determinants_is_right_at_diagonal_matrices():
    """There torch.linalg.det has second derivatives that are no numbers."""
    found = derive(
        "logdet(4*eye(m) + sum(z)*diag(diag(C)))",
        "z",
        {"z": "vector(m)", "C": "matrix(m, m)"},
        kind="hessian",
    )
    assert found.check().holds
