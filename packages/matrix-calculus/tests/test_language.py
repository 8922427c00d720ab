"""What the language reads, what it refuses, and where it says the fault is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from offprints.errors import InputError

from matrix_calculus import LanguageError, derive, parse, read
from matrix_calculus.expression import order
from matrix_calculus.printing import text


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("a-b-c", "a - b - c"), ("a-(b-c)", "a - (b - c)"), ("-a*b", "-a*b"), ("(-a)*b", "(-a)*b"), ("x'^2", "x'^2"), ("(x^2)'", "(x^2)'"),
        ("2^3^4", "2^3^4"), ("(2^3)^4", "(2^3)^4"), ("w ⊗ x ⊘ y", "w .* x ./ y"), ("a/(b*c)", "a/(b*c)"), ("1e-3*x", "0.001*x"),
        ("x < y", "y > x"), ("a*-b", "a*(-b)"), ("A*(B*C)", "A*(B*C)"), ("x^-1", "x^(-1)"), ("w·x+b", "w·x + b"),
    ],
)  # fmt: skip
def test_text_is_read_and_printed_with_the_brackets_it_needs(typed, printed):
    assert text(parse(typed)) == printed
    assert parse(printed) == parse(typed)


@pytest.mark.parametrize(
    ("typed", "symbols", "message", "column"),
    [
        ("A*x + B*y", {"A": "matrix(m, n)", "x": "vector(n)", "B": "matrix(k, n)", "y": "vector(n)"}, "column of m and a column of k", 5),
        ("A*B", {"A": "matrix(m, n)", "B": "matrix(m, n)"}, "'*' cannot take a matrix m×n and a matrix m×n", 2),
        ("x*y", {"x": "vector(n)", "y": "vector(n)"}, "x'*y is the dot product", 2),
        ("x + y'", {"x": "vector(n)", "y": "vector(n)"}, "turns a column into a row", 3),
        ("tr(A)", {"A": "matrix(m, n)"}, "square", 1),
        ("A^2", {"A": "matrix(m, n)"}, "square", 2),
        ("w ⊘ x", {"w": "vector(3)", "x": "vector(4)"}, "'./' cannot take a column of 3 and a column of 4", 3),
        ("sin(x, y)", {}, "takes 1 argument", 1),
        ("x +", {}, "the end of the text", 4),
        ("x + )", {}, "')' where a number", 5),
        ("foo + 1", {}, "'foo' is not declared", 1),
        ("x $ y", {}, "'$' has no meaning", 3),
        ("x^1001", {}, "beyond 1,000", 2),
        ("norm2(A)", {}, "frobenius", 1),
        ("dot(A, x)", {}, "dot product", 1),
        ("1e999", {}, "too large", 1),
    ],
)  # fmt: skip
def test_an_error_names_the_operator_both_shapes_and_the_column(typed, symbols, message, column):
    with pytest.raises(LanguageError) as caught:
        read(typed, symbols)
    assert message in str(caught.value)
    assert f"column {column}:" in str(caught.value)


@pytest.mark.parametrize(
    "declared",
    [
        "",
        "vektor",
        "matrix(1, 2, 3)",
        "vector(n, m)",
        "symmetric vector",
        "symmetric matrix(m, n)",
        "vector(0)",
        "matrix(n,",
    ],
)
def test_a_wrong_declaration_is_refused(declared):
    with pytest.raises(InputError, match="x: "):
        read("x", {"x": declared})


def test_sizes_are_inferred_and_named_apart():
    found = read("A*B*x + y", {"A": "matrix(m, n)", "x": "vector(k)"})
    assert found.symbols["B"].sizes == ("n", "k")
    assert found.symbols["y"].sizes == ("m",)
    assert found.guessed == ("B", "y")


HOSTILE = {
    "brackets": "'(' * 100_000", "closed brackets": "'(' * 50_000 + 'x' + ')' * 50_000", "deep": "'sin(' * 900 + 'x' + ')' * 900",
    "chain of powers": "'^'.join(['x'] * 1_900)", "chain of products": "'*'.join(['x'] * 1_900)", "minuses": "'-' * 3_900 + 'x'",
    "transposes": "'x' + chr(39) * 3_900", "huge exponent": "'x^999999999999999999999999999'", "tower": "'9^9^9^9^9'",
    "huge number": "'9' * 3_000", "big power": "'(2^900)^900'", "unknown": "'__import__(x)'", "attribute": "'x.__class__'",
    "quotes": "'\"x\" + x'", "lambda": "'lambda x: x'", "matrix power": "'A^1000000'", "null byte": "'x' + chr(0)",
    "division by zero": "'1/0 * x'", "log of zero": "'log(0) + x'", "nested sums": "'sum(' * 99 + 'x' + ')' * 99",
    "exponential numbers": "'(' * 9 + '3^600' + ')^9' * 9 + '*x'", "huge size": "'ones(10000000000)'",
}  # fmt: skip


def test_hostile_input_ends_in_a_clear_error_within_bounds(tmp_path):
    """Each is refused with a message; the process that tries them all may use a second each, and 200 MB beyond its imports."""
    script = tmp_path / "hostile.py"
    lines = ["import json, resource, sys", "from offprints.errors import InputError", "from matrix_calculus import derive",
             "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss", "found = {}",
             f"for name, made in {HOSTILE!r}.items():", "    started = resource.getrusage(resource.RUSAGE_SELF).ru_utime",
             "    try:", "        derive(eval(made), 'x').formula", "        found[name] = 'accepted'",
             "    except InputError as error:", "        found[name] = str(error)[:200]",
             "    if resource.getrusage(resource.RUSAGE_SELF).ru_utime - started > 1: found[name] = 'slow'",
             "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before",
             "json.dump([found, grown], sys.stdout)"]  # fmt: skip
    script.write_text("\n".join(lines))
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    import json

    found, grown = json.loads(ended.stdout)
    assert set(found) == set(HOSTILE)
    assert [name for name, answer in found.items() if answer in ("accepted", "slow")] == []
    assert grown < 200_000


def test_the_deepest_expressions_that_are_read_are_derived_and_printed():
    """What the bounds let through must not run into Python's own."""
    for text_ in (
        "sin(" * 74 + "x" + ")" * 74,
        "softmax(" * 60 + "x" + ")" * 60,  # written out, each would stand in its own derivative three times
        "*".join(["A"] * 160) + "*x",
        " + ".join(["x"] * 900),
        "(" * 140 + "x" + ")" * 140,
    ):
        found = derive(text_, "x", {"x": "vector(n)", "A": "matrix(n, n)"})
        assert parse(text(parse(text_))) == parse(text_)
        assert found.formula and found.latex and found.mathml and found.code()


def test_a_network_of_64_layers_has_a_gradient_that_grows_with_its_depth_alone():
    counts = []
    for depth in (8, 16, 32, 64):
        expression = "x"
        for number in range(depth):
            expression = f"tanh(A{number}*{expression})"
        symbols = {"x": "vector(n)", **{f"A{number}": "matrix(n, n)" for number in range(depth)}}
        for wrt in ("x", "A0"):
            found = derive(f"sum({expression})", wrt, symbols)
            counts.append(len(order([found.tensor])) + len(found.code().splitlines()))
    for wrt in (0, 1):
        first, second, third, last = counts[wrt::2]
        assert last - third < 2.5 * (third - second) < 2.5 * 2.5 * (second - first)


@pytest.mark.parametrize(
    ("typed", "symbols"),
    [
        ("sum(ones(50000, 50000)*x)", {"x": "vector(50000)"}),
        ("X*X", {"X": "matrix(300, 300)"}),
        ("tr(eye(1000000)*x)", {"x": "scalar"}),
    ],
)
def test_what_is_too_large_to_try_is_refused_and_still_derived(typed, symbols):
    found = derive(typed, next(iter(symbols)), symbols)
    assert found.formula
    with pytest.raises(InputError, match="elements"):
        found.check()


def test_a_symbol_may_be_called_like_a_keyword_or_a_library():
    found = derive(
        "sum(np .* lambda .* t0)", "lambda", {"np": "vector(n)", "lambda": "vector(n)", "t0": "vector(n)"}
    )
    assert found.check().holds


def test_a_variable_that_does_not_occur_is_named():
    said = "Q does not occur in the expression: its derivative is 0 everywhere"
    assert said in derive("A*B", "Q").notes
    assert not any("occur" in note for note in derive("A*B", "A").notes)


def test_parts_of_index_notation_are_named_alike_on_both_sides_of_their_equations():
    found = derive(
        "sum(log(exp(A*B)*exp(B'*A')))", "A", {"A": "matrix(m, n)", "B": "matrix(n, k)"}, kind="hessian"
    )
    assert "T1[i,j,k,l] = " in found.formula
    assert r"\\ \mathrm{T1}_{ijkl} = " in found.latex and r"\\mathrm" not in found.latex
