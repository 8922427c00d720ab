"""The grader accepts what is right in any form, refuses what is wrong, and names the classic mistakes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from matrix_calculus import LanguageError, grade, read
from matrix_calculus.evaluate import by_syntax
from matrix_calculus.exercises import Progress, exercises
from matrix_calculus.printing import text
from matrix_calculus.rules import RULES
from matrix_calculus.syntax import Term
from matrix_calculus.verify import autograd, draws, lengths, relative

A = {"A": "matrix(n, n)", "B": "matrix(m, n)", "x": "vector(n)", "y": "vector(n)", "b": "scalar"}


@pytest.mark.parametrize(
    ("expression", "wrt", "answer"),
    [
        ("x'*A*x", "x", "x'*(A + A')"), ("x'*A*x", "x", "((A + A')*x)'"), ("x'*A*x", "x", "x'*A + (A*x)'"),
        ("x'*x", "x", "x' + x'"), ("sum(x.*y)", "x", "y'"), ("B*x", "x", "B"), ("x.*y", "x", "diag(y)"), ("x.*y", "x", "I.*(y*ones(n)')"),
        ("norm2(x)", "x", "x'/sqrt(sum(x.^2))"), ("logdet(A)", "A", "inv(A)"), ("tr(A*A)", "A", "2*A"), ("sin(b)^2 + cos(b)^2", "b", "0"),
        ("max(0, x'*y)", "x", "(x'*y > 0)*y'"),
    ],
)  # fmt: skip
def test_right_answers_are_accepted_in_every_form(expression, wrt, answer):
    verdict = grade(expression, wrt, answer, A)
    assert verdict.right, verdict


@pytest.mark.parametrize(
    ("expression", "wrt", "answer", "mistake", "word"),
    [
        ("x'*A*x", "x", "(A + A')*x", "layout", "denominator"),
        ("B*x", "x", "B'", "layout", "numerator"),
        ("A*x", "x", "A'", "transpose", "transpose"),
        ("x'*x", "x", "x'", "path", "2 paths"),
        ("sum(x.^2)", "x", "x'", "factor", "0.5"),
        ("sin(b)", "b", "-cos(b)", "factor", "sign"),
        ("x'*A*x", "x", "x'*A", "path", "forgets the path"),
        ("b*b^2", "b", "b^2", "path", "paths"),
        ("sin(b^2)", "b", "cos(b^2)", "chain", "chain rule"),
        ("sum(exp(sin(x)))", "x", "exp(sin(x))'", "chain", "sin(x)"),
        ("x.*y", "x", "y", "shape", "matrix n×n"),
        ("sin(b)", "b", "sin(b)", "value", "should be"),
        ("tr(A*A*A)", "A", "3*A.*A", "product", "matrix product"),
    ],
)  # fmt: skip
def test_each_classic_mistake_is_refused_with_its_reason(expression, wrt, answer, mistake, word):
    verdict = grade(expression, wrt, answer, A)
    assert not verdict.right
    assert verdict.mistake == mistake, verdict
    assert word in verdict.reason


def mutated(term: Term, generator: np.random.Generator, names: list[str]) -> Term:
    """A term with one of its nodes changed."""
    nodes = list(term.walk())
    chosen = nodes[int(generator.integers(len(nodes)))]

    def change(one: Term) -> Term:
        if one is not chosen:
            return Term(one.op, tuple(change(inner) for inner in one.args), one.value)
        kind = int(generator.integers(5))
        if one.op == "number":
            return Term("number", (), one.number + 1)
        if one.op == "name" and kind < 2:
            return Term("name", (), names[int(generator.integers(len(names)))])
        if one.op in ("*", ".*", "./", "/") and kind < 2:
            return Term({"*": ".*", ".*": "*", "./": ".*", "/": "*"}[one.op], one.args)
        if kind == 2:
            return Term("neg", (one,))
        if kind == 3:
            return Term("transpose", (one,))
        return Term("*", (Term("number", (), Fraction(2)), one))

    return change(term)


def truly_right(rule, answer: Term) -> bool:
    """By autograd and the syntax alone, at points that the grader does not use."""
    found = rule.derive()
    reading = read(answer, found.reading.declarations)
    shape = reading.term.shape
    if (
        shape.kind != ("scalar", "row" if found.row else "column", "matrix")[found.tensor.rank]
        or shape.sizes != found.tensor.shape
    ):
        return False
    sizes = lengths(found.reading)
    points = draws(found.reading, found.value, 1234, sizes)
    for _ in range(40):
        values = next(points)
        tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in values.items()}
        if relative(by_syntax(reading, tensors, sizes).numpy(), autograd(found, values, sizes)) > 1e-9:
            return False
    return True


@pytest.mark.parametrize(
    ("answer", "right"), [("1/10000000000", True), ("0", False), ("2/10000000000", False)]
)
def test_a_small_derivative_is_not_0(answer: str, right: bool) -> None:
    assert grade("x/10000000000", "x", answer, {"x": "scalar"}).right is right


def test_no_mutated_answer_is_accepted_that_autograd_refuses(expressions):
    generator = np.random.default_rng(0)
    wrong = accepted = 0
    rules = [rule for rule in RULES if rule.derive().term is not None]
    while wrong < expressions // 2:
        rule = rules[int(generator.integers(len(rules)))]
        answer = mutated(rule.derive().term, generator, sorted(rule.symbols))
        try:
            verdict = grade(rule.expression, rule.wrt, text(answer), rule.symbols)
        except InputError:
            continue  # shapes clash: refused before it is graded
        assert not verdict.right or truly_right(rule, answer), (rule.name, text(answer), verdict)
        wrong += not verdict.right
        accepted += verdict.right
    assert wrong and accepted


@pytest.mark.parametrize(
    "answer", ["step(w'*x + 2*b)", "step(w'*x + b + b^2/100)", "step(w'*x + b)*step(w'*x + 2*b)"]
)
def test_a_condition_that_is_nearly_right_is_refused(answer):
    """Such an answer differs at few points; those on both sides of the conditions are among them."""
    symbols = {"w": "vector(n)", "x": "vector(n)", "b": "scalar"}
    assert not grade("max(0, w·x + b)", "b", answer, symbols).right
    assert grade("max(0, w·x + b)", "b", "step(3*(w'*x + b))^2", symbols).right


def rewritten(term: Term, generator: np.random.Generator) -> Term:
    """The same value in other words."""
    sized = term.value in ("eye", "ones", "zeros")  # sizes are names, and exponents and axes are numbers
    free = len(term.args) - (term.op in ("^", ".^") or (term.value == "sum" and len(term.args) == 2))
    args = tuple(
        rewritten(one, generator) if at < free and not sized else one for at, one in enumerate(term.args)
    )
    term = Term(term.op, args, term.value)
    kind = int(generator.integers(7))
    if term.op == "number" or kind == 0:
        return term
    if kind == 1:
        return Term("transpose", (Term("transpose", (term,)),))
    if kind == 2:
        return Term(
            "/", (Term("*", (Term("number", (), Fraction(3)), term)), Term("number", (), Fraction(3)))
        )
    if kind == 3:
        return Term("neg", (Term("neg", (term,)),))
    if kind == 4 and term.op == "add":
        return Term("add", term.args[::-1])
    if kind == 5 and term.op == "*":
        return Term("transpose", (Term("*", tuple(Term("transpose", (one,)) for one in args[::-1])),))
    return Term("add", (Term("*", (Term("number", (), Fraction(2)), term)), Term("neg", (term,))))


def test_no_rewritten_right_answer_is_refused(expressions):
    generator = np.random.default_rng(1)
    rules = [rule for rule in RULES if rule.derive().term is not None]
    for number in range(expressions // 2):
        rule = rules[number % len(rules)]
        answer = text(rewritten(rule.derive().term, generator))
        if len(answer) > 4_000:
            continue  # longer than what is read
        verdict = grade(rule.expression, rule.wrt, answer, rule.symbols)
        assert verdict.right, (rule.name, answer, verdict)


def test_every_rule_has_five_exercises_whose_derived_answers_are_right():
    every = exercises()
    assert len(every) == 5 * len(RULES)
    for exercise in every[::7]:
        assert exercise.grade(exercise.derive().formula).right, exercise.question


def test_an_answer_of_unknown_symbols_or_bad_syntax_is_refused():
    with pytest.raises(LanguageError, match="where a number"):
        grade("x'*x", "x", "2*", A)
    with pytest.raises(InputError, match="speaks of z"):
        grade("x'*x", "x", "z'", A)
    with pytest.raises(InputError, match="cannot say it"):
        grade("A*A", "A", "A", A)


def test_progress_is_kept_and_a_damaged_file_refused(tmp_path):
    path = tmp_path / "progress.json"
    progress = Progress.load(path)
    first = progress.next()
    progress.record(first, first.grade("1"))
    assert Progress.load(path).next().number == first.number
    progress.record(first, first.grade("0"))
    again = Progress.load(path)
    assert again.tries == {1: 2} and again.solved == [1] and again.next().number == 2
    path.write_text("{}")
    with pytest.raises(InputError, match="not a file of practice"):
        Progress.load(path)
