"""Matrix notation as terms that know what they are, and the operations that write them short.

A `Form` is a term of the language with its kind and whether it is symmetric. What is made of forms has no needless bracket, transpose,
unit or division: scalars come first and divisors last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce

from matrix_calculus.shapes import Size, parts_of
from matrix_calculus.syntax import Term


@dataclass(frozen=True)
class Form:
    """A term, and what it is.

    Attributes:
        op: as of a `Term`.
        args: operands.
        value: as of a `Term`.
        kind: scalar, column, row or matrix.
        symmetric: whether it equals its transpose.
    """

    op: str
    args: tuple[Form, ...] = ()
    value: Fraction | str | None = None
    kind: str = "scalar"
    symmetric: bool = False

    @cached_property
    def size(self) -> int:
        """How many terms it is written with; a part that stands twice counts twice."""
        return 1 + sum(one.size for one in self.args)

    def term(self) -> Term:
        """Without the kinds."""
        return Term(self.op, tuple(one.term() for one in self.args), self.value)


def number(value: Fraction | int) -> Form:
    """A number; a fraction is a quotient of two."""
    value = Fraction(value)
    if value < 0:
        return Form("neg", (number(-value),))
    if value.denominator != 1:
        return Form("/", (number(value.numerator), number(value.denominator)))
    return Form("number", (), value)


def size_form(size: Size) -> Form:
    """A number, a name, or a product of these.

    Args:
        size: any.
    """
    made = [number(one) if isinstance(one, int) else Form("name", (), one) for one in parts_of(size)]
    return reduce(lambda one, other: Form("*", (one, other)), made)


def filled(shape: Sequence[Size], name: str = "ones") -> Form:
    """ones or zeros of up to two axes."""
    return Form("call", tuple(size_form(size) for size in shape), name, kind_of_rank(len(shape)))


def kind_of_rank(rank: int) -> str:
    """Kind of a tensor with so many axes; a vector is a column."""
    return ("scalar", "column", "matrix")[rank]


def turned(form: Form) -> Form:
    """The transpose, pushed inwards where the notation stays as short."""
    if form.kind == "scalar" or form.symmetric:
        return form
    kind = {"column": "row", "row": "column"}.get(form.kind, "matrix")
    if form.op == "transpose":
        return form.args[0]
    if form.op == "*" and "scalar" not in (form.args[0].kind, form.args[1].kind):
        return times(turned(form.args[1]), turned(form.args[0]))
    if form.op in ("add", "neg", "*", "/", ".*", "./"):
        return Form(form.op, tuple(turned(one) for one in form.args), None, kind)
    return Form("transpose", (form,), None, kind)


def times(one: Form, other: Form) -> Form:
    """Matrix product, or scaling."""
    kinds = one.kind, other.kind
    if one.op == "neg":
        return negated(times(one.args[0], other))
    if other.op == "neg":
        return negated(times(one, other.args[0]))
    if other.op == "number" and other.value == 1:
        return one
    if one.op == "number" and one.value == 1:
        return other
    if one.kind == "scalar" and other.op == "*" and "scalar" not in (other.args[0].kind, other.args[1].kind):
        return times(times(one, other.args[0]), other.args[1])
    if "scalar" in kinds:
        kind = kinds[0] if kinds[1] == "scalar" else kinds[1]
        if one.op == "/" and one.kind == "scalar" and one.args[0] == number(1) and kinds[1] != "scalar":
            return over(other, one.args[1])
        if other.op == "/" and other.kind == "scalar" and other.args[0] == number(1):
            return over(one, other.args[1])
        if one.op == "/" and one.kind == "scalar":
            return over(times(one.args[0], other), one.args[1])
    else:
        rows, columns = kinds[0] in ("column", "matrix"), kinds[1] in ("row", "matrix")
        kind = "matrix" if rows and columns else "column" if rows else "row" if columns else "scalar"
    if "scalar" not in kinds:  # scalars come first, and divisors last
        if other.op == "*" and other.args[0].kind == "scalar":
            return times(other.args[0], times(one, other.args[1]))
        for inner in (one, other):
            if inner.op == "/":
                rest = [half.args[0] if half is inner else half for half in (one, other)]
                return over(times(rest[0], rest[1]), inner.args[1])
    plain = other.op == "*" and "scalar" not in (other.args[0].kind, other.args[1].kind)
    if plain and "scalar" not in kinds:  # products are written from the left, without brackets
        return times(times(one, other.args[0]), other.args[1])
    return Form(
        "*",
        (one, other),
        None,
        kind,
        kind == "matrix" and "scalar" in kinds and (one.symmetric or other.symmetric),
    )


def negated(form: Form) -> Form:
    """Minus a form."""
    return form.args[0] if form.op == "neg" else Form("neg", (form,), None, form.kind, form.symmetric)


def over(one: Form, other: Form) -> Form:
    """one / other, element by element."""
    if other.kind == "scalar":
        if other.op == "/":
            return over(times(other.args[1], one) if other.args[1] != number(1) else one, other.args[0])
        if one.op == "/" and one.args[1].kind == "scalar":
            return over(one.args[0], times(one.args[1], other))
        return Form("/", (one, other), None, one.kind, one.symmetric)
    return Form("./", (one, other), None, other.kind, one.symmetric and other.symmetric)


def hadamard(one: Form, other: Form) -> Form:
    """Element by element."""
    for a, b in ((one, other), (other, one)):
        if b.op == "./" and b.args[0].op == "number" and b.args[0].value == 1:
            return over(a, b.args[1])
    return Form(".*", (one, other), None, one.kind, one.symmetric and other.symmetric)


def scaled(scale: Fraction, form: Form) -> Form:
    """A positive exact multiple."""
    if scale == 1:
        return form
    if form.op == "number" and form.value == 1:
        return number(scale)
    top = times(number(scale.numerator), form)
    return top if scale.denominator == 1 else over(top, number(scale.denominator))
