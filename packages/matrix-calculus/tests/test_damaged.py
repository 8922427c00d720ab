"""Whatever a person types, posts or leaves in a file, it is derived, or refused with a sentence.

`pytest packages/matrix-calculus/tests/test_damaged.py --fuzz 10000` is the full size. test_fuzz.py has expressions that are right.
"""

from __future__ import annotations

import pytest

from offprints.errors import InputError
from offprints.fuzzing import as_text, in_file, posted

from matrix_calculus import derive, parse, printing, read
from matrix_calculus.exercises import Progress, exercises
from matrix_calculus.shapes import declaration, declarations
from matrix_calculus.web import server

EXPRESSIONS = [
    b"sum((y - max(0, X*w + b)).^2)/N",
    b"log(det(A'*A)) + tr(inv(A)*B) - 1/2*norm2(x)^2",
    b"(x'*A*x) .* exp(-x) / 3e-2",
    b"kron(A, x) + vec(A)*x'",
]
SYMBOLS = {
    "X": "matrix(N, n)", "A": "matrix(n, n)", "B": "matrix(n, n)",
    "y": "vector(N)", "w": "vector(n)", "x": "vector(n)", "b": "scalar",
}  # fmt: skip


def reads_back(text: str) -> None:
    tree = parse(text)
    assert parse(printing.text(tree)) == tree


def test_expressions(fuzz):
    fuzz(as_text(reads_back), EXPRESSIONS)


def test_expressions_with_shapes(fuzz):
    fuzz(as_text(lambda text: read(text, SYMBOLS)), EXPRESSIONS[:3])


def test_declarations(fuzz):
    def declared(text: str) -> None:
        for name, kind in declarations(text).items():
            declaration(name, kind)

    corpus = [
        b"X: matrix(N, n); y: vector(N); b: scalar",
        b"A: matrix(2*n, 3); c: vector",
        b"S: symmetric matrix(n, n)",
    ]
    fuzz(as_text(declared), corpus)


@pytest.mark.parametrize("path", ["/derive", "/grade"])
def test_requests(fuzz, path):
    """A request that is right takes a good part of its second, so these are short."""
    corpus = [
        b'{"expression": "x\'*A*x", "wrt": "x", "symbols": "A: matrix(n, n); x: vector(n)", "answer": "2*A*x"}',
        b'{"expression": "sum(x.^2)", "wrt": "x", "symbols": "x: vector", "layout": "denominator", "answer": "x"}',
    ]
    with server(port=0) as listening:
        fuzz(posted(listening, path), corpus, allowed=())


def test_files_of_practice(fuzz, tmp_path):
    def load(path):
        found = Progress.load(path)
        assert all(count >= 0 for count in found.tries.values())
        assert set(found.solved) <= {one.number for one in exercises()}
        found.next()

    corpus = [b'{"tries": {"1": 2, "3": 1}, "solved": [1]}', b'{"tries": {}, "solved": []}']
    fuzz(in_file(load, tmp_path / "practice.json"), corpus, says="practice.json")


@pytest.mark.parametrize("size", ["0" * 9 + "1" * 5000, "1000001", "0", "*".join(["999999"] * 17)])
def test_a_size_is_a_number_up_to_a_million_or_a_short_product(size):
    with pytest.raises(InputError, match="X: (the size|a size|.* is no declaration)"):
        declaration("X", f"vector({size})")
    assert declaration("X", "vector(0010)").sizes == (10,)


@pytest.mark.parametrize("wrt", ["", "8", "x)", "a=open('x')", "x" * 41])
def test_what_a_program_would_be_written_with_is_a_name(wrt):
    with pytest.raises(InputError, match="cannot be the name of a symbol"):
        derive("sum(x.^2)", wrt, {"x": "vector"})


def test_two_names_that_python_takes_for_one_are_refused():
    with pytest.raises(InputError, match="look alike"):
        derive(
            "\N{MATHEMATICAL BOLD SMALL X}*x", "x", {"x": "scalar", "\N{MATHEMATICAL BOLD SMALL X}": "scalar"}
        )
    assert derive("\N{MICRO SIGN}*x", "x", {"x": "scalar"}).check().holds
