"""The language: text becomes a tree of terms, and every complaint points at the place in the text.

    x'*A*x          matrix product by shape, ' is the transpose
    w .* x, w ./ x  element by element, as is .^; ⊗ and ⊘ are the paper's signs for the first two
    w·x, dot(w, x)  the dot product of two vectors
    max(0, w·x + b) a function of one or two arguments

Nothing of a text is ever evaluated as a program. Its length, its depth and its numbers are bounded before anything is derived from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from offprints.errors import InputError

MOST_CHARACTERS = 4_000
MOST_DEPTH = 150  # of nested brackets and operators: a tree is walked by recursion
_MOST_LEVELS = 170  # of the tree; a long chain of products is as deep as it is long
_MOST_DIGITS = 30

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3}(?![\w.]))?)|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\.\*|\./|\.\^|[-+*/^'(),<>⊗⊘·])"
)
_SIGNS = {"⊗": ".*", "⊘": "./", "·": "dot"}
# How tightly an operator holds its operands.
_BINDS = {">": 1, "<": 1, "+": 2, "-": 2, "*": 3, "/": 3, ".*": 3, "./": 3, "dot": 3, "^": 5, ".^": 5}
_EXPONENT = 4


class LanguageError(InputError):
    """A text is not an expression, or its shapes do not fit.

    Attributes:
        text: the whole expression.
        at: the place in it, counted from 0.
    """

    def __init__(self, reason: str, text: str, at: int) -> None:
        super().__init__(reason, text, at)  # kept as arguments, so that it crosses process borders unharmed
        self.reason = reason
        self.text = text
        self.at = at

    def __str__(self) -> str:
        start, stop = max(0, self.at - 30), self.at + 30
        shown = self.text[start:stop].replace("\n", " ").replace("\t", " ")
        return f"column {self.at + 1}: {self.reason}\n  {shown}\n  {' ' * (self.at - start)}^"


@dataclass(frozen=True)
class Term:
    """A node of the syntax tree.

    Attributes:
        op: "number", "name", "call", "neg", "transpose", "add" (of any number of terms), "*", "/", ".*", "./", "^", ".^", "dot", ">".
        args: operands.
        value: of a number; or the name of a symbol or function.
        at: place in the text; trees are equal whatever their places.
    """

    op: str
    args: tuple[Term, ...] = ()
    value: Fraction | str | None = None
    at: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """Of a symbol or function."""
        assert isinstance(self.value, str)
        return self.value

    @property
    def number(self) -> Fraction:
        """Of a number."""
        assert isinstance(self.value, Fraction)
        return self.value

    def walk(self) -> Iterator[Term]:
        """This term and all below it, each before its operands."""
        waiting = [self]
        while waiting:
            term = waiting.pop()
            yield term
            waiting.extend(reversed(term.args))


def parse(text: str) -> Term:
    """Read an expression.

    Args:
        text: see the module.

    Raises:
        LanguageError: it is not an expression, is longer than 4,000 characters, or is nested more than 150 deep.
    """
    if len(text) > MOST_CHARACTERS:
        raise LanguageError(
            f"the expression has {len(text)} characters, more than {MOST_CHARACTERS}", text[:60], 0
        )
    reader = _Reader(text, list(_tokens(text)))
    term = reader.expression(0, 0)
    if reader.kind != "end":
        raise reader.wrong(f"{reader.shown} where an operator or the end was expected")
    _bounded(term, text)
    return term


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise LanguageError(f"the character {text[at]!r} has no meaning here", text, at)
        kind = str(match.lastgroup)
        if kind != "space":
            yield kind, match.group(), at
        at = match.end()
    yield "end", "", len(text)


@dataclass
class _Reader:
    """Operator precedence: three calls for each bracket, so that the depth of the text bounds the depth of the stack."""

    text: str
    tokens: list[tuple[str, str, int]]
    place: int = 0

    @property
    def kind(self) -> str:
        return self.tokens[self.place][0]

    @property
    def token(self) -> str:
        found = self.tokens[self.place][1]
        return _SIGNS.get(found, found)

    @property
    def at(self) -> int:
        return self.tokens[self.place][2]

    @property
    def shown(self) -> str:
        return "the end of the text" if self.kind == "end" else repr(self.tokens[self.place][1])

    def wrong(self, reason: str) -> LanguageError:
        return LanguageError(reason, self.text, self.at)

    def take(self) -> str:
        token = self.token
        self.place += 1
        return token

    def expect(self, sign: str, opened: int) -> None:
        if self.kind != "sign" or self.token != sign:
            raise self.wrong(
                f"{self.shown} where {sign!r} was expected; the bracket opens in column {opened + 1}"
            )
        self.place += 1

    def expression(self, least: int, depth: int) -> Term:
        if depth > MOST_DEPTH:
            raise self.wrong(f"nested more than {MOST_DEPTH} deep")
        left = self.operand(least, depth)
        while self.kind == "sign" and (self.token == "'" or _BINDS.get(self.token, 0) > least):
            at, sign = self.at, self.take()
            if sign == "'":
                left = Term("transpose", (left,), at=at)
            elif sign in ("+", "-"):
                right = self.expression(_BINDS[sign], depth + 1)
                more = right if sign == "+" else Term("neg", (right,), at=at)
                chain = left.op == "add"
                left = Term("add", (*left.args, more) if chain else (left, more), at=at)
            elif sign in ("^", ".^"):
                left = Term(sign, (left, self.expression(_EXPONENT, depth + 1)), at=at)  # binds to the right
            elif sign == "<":
                left = Term(">", (self.expression(1, depth + 1), left), at=at)
            else:
                left = Term(sign, (left, self.expression(_BINDS[sign], depth + 1)), at=at)
        return left

    def operand(self, least: int, depth: int) -> Term:
        at = self.at
        if self.kind == "number":
            return Term("number", value=self.number(), at=at)
        if self.kind == "name":
            name = self.take()
            if self.kind == "sign" and self.token == "(":
                return Term("call", self.arguments(depth), name, at)
            return Term("name", value=name, at=at)
        if self.kind == "sign" and self.token in ("-", "+"):
            sign = self.take()
            # -a*b is -(a*b), but a * -b .* c is (a * (-b)) .* c: a minus takes no more than its place allows.
            inner = self.expression(max(least, _BINDS["-"]), depth + 1)
            return Term("neg", (inner,), at=at) if sign == "-" else inner
        if self.kind == "sign" and self.token == "(":
            self.place += 1
            inner = self.expression(0, depth + 1)
            self.expect(")", at)
            return inner
        raise self.wrong(f"{self.shown} where a number, a name or a bracket was expected")

    def arguments(self, depth: int) -> tuple[Term, ...]:
        opened = self.at
        self.place += 1
        found = [self.expression(0, depth + 1)]
        while self.kind == "sign" and self.token == ",":
            self.place += 1
            found.append(self.expression(0, depth + 1))
        self.expect(")", opened)
        return tuple(found)

    def number(self) -> Fraction:
        token = self.tokens[self.place][1]
        if len(token) > _MOST_DIGITS or abs(int([*token.lower().split("e"), "0"][1])) > 300:
            raise self.wrong(f"a number of {len(token)} characters or beyond 1e300 is too large")
        self.place += 1
        return Fraction(token)


def _bounded(term: Term, text: str) -> None:
    """Long chains of products have no brackets, but are as deep."""
    waiting = [(term, 1)]
    while waiting:
        one, depth = waiting.pop()
        if depth > _MOST_LEVELS:
            raise LanguageError(f"more than {_MOST_LEVELS} operators, each inside the next", text, one.at)
        waiting.extend((inner, depth + 1) for inner in one.args)


def constant(term: Term) -> Fraction | None:
    """The number that a term is, if it is made of small numbers alone.

    Args:
        term: any.
    """
    if term.op == "number":
        return term.number
    parts = [constant(one) for one in term.args]
    if any(part is None for part in parts):
        return None
    values = [part for part in parts if part is not None]
    if term.op == "neg":
        return -values[0]
    if term.op == "add":
        return sum(values, Fraction(0))
    if term.op == "*":
        return values[0] * values[1]
    if term.op == "/" and values[1] != 0:
        return values[0] / values[1]
    return None
