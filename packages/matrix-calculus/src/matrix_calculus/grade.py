"""Grading: an answer in any equivalent form is right; of a wrong one, the classic mistake is named that leads to it.

Right and wrong are decided by values at random points, and on both sides of each condition. The mistakes are made on purpose, on the derivation itself, and the one whose
values are those of the answer is what the learner did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError

from matrix_calculus import printing
from matrix_calculus.boundaries import beside
from matrix_calculus.codegen import function
from matrix_calculus.derive import Derivation, derive, laid_out
from matrix_calculus.differentiate import chained, derivative, unit
from matrix_calculus.expression import Elementwise, Node, Symbol, order
from matrix_calculus.inference import Typed, as_term, read
from matrix_calculus.lowering import apply, lower, symbol
from matrix_calculus.products import add, transpose
from matrix_calculus.shapes import Shape
from matrix_calculus.substitution import substituted
from matrix_calculus.syntax import Term
from matrix_calculus.verify import JUMPS, draws, lengths, relative

Floats = NDArray[np.float64]
_TOLERANCE = 1e-9
_COARSE = 1e-3  # of the largest value, where all are small: 0 is within the tolerance of 1e-10
_NOISE = 1e-12  # what rounding may leave of a derivative that is 0
_POINTS = 6
_MORE_POINTS = 60  # where a condition decides, an answer may be wrong in a corner only
_MOST_PATHS = 5


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth.

    Attributes:
        right: whether it is the derivative.
        mistake: "" if it is right; else "layout", "transpose", "factor", "path", "chain", "product", "shape" or "value".
        reason: a sentence to the learner.
        shape: that the derivative has.
    """

    right: bool
    mistake: str
    reason: str
    shape: str


def grade(
    expression: str,
    wrt: str,
    answer: str,
    symbols: Mapping[str, str] | None = None,
    layout: str = "numerator",
    seed: int = 0,
) -> Verdict:
    """Grade an answer.

    Args:
        expression: what was to be differentiated.
        wrt: by what.
        answer: the learner's, in the language, with the same symbols.
        symbols: see `derive`.
        layout: that the answer is asked for in.
        seed: of the random points.

    Raises:
        LanguageError: expression or answer does not read.
        InputError: the derivative has more than two axes, so that no answer can be written in the language.
    """
    found = derive(expression, wrt, symbols, layout=layout)
    if found.tensor.rank > 2:
        raise InputError(
            f"the derivative has the shape {found.shape}: an answer in matrix notation cannot say it"
        )
    given = read(answer, found.reading.declarations)
    unknown = set(given.symbols) - set(found.reading.symbols)
    if unknown:
        raise InputError(
            f"the answer speaks of {', '.join(sorted(unknown))}, which the expression does not have"
        )
    return _Grader(found, given.term, lower(given), seed).verdict()


class _Grader:
    def __init__(self, found: Derivation, answer: Typed, tensor: Node, seed: int) -> None:
        self.found, self.answer, self.tensor = found, answer, tensor
        self.inputs = [symbol(found.reading, name) for name in found.reading.symbols]
        conditions = {
            one.argument.key: one.argument
            for one in order([found.value, found.tensor, tensor])
            if isinstance(one, Elementwise) and one.function in JUMPS
        }
        drawn = draws(found.reading, found.value, seed, lengths(found.reading))
        self.points = [next(drawn) for _ in range(_MORE_POINTS if conditions else _POINTS)]
        generator = np.random.default_rng(seed)
        crossings = list(beside(list(conditions.values()), self.inputs, self.points, generator))
        self.points += self._defined(crossings)
        self.given = self._values(tensor)
        self.wanted = self._values(found.tensor)

    def _defined(self, points: list[dict[str, Floats]]) -> list[dict[str, Floats]]:
        """Those at which the expression and its derivative have values."""
        program = function({"f": self.found.value, "d": self.found.tensor}, self.inputs)
        with np.errstate(all="ignore"):
            return [
                point
                for point in points
                if all(np.isfinite(np.asarray(one)).all() for one in program(*point.values()))
            ]

    def _values(self, node: Node) -> list[Floats]:
        program = function({"value": node}, self.inputs)
        with np.errstate(all="ignore"):
            return [np.asarray(program(*point.values()), dtype=np.float64) for point in self.points]

    def _is(self, node: Node) -> bool:
        """Whether the answer has the values of a tensor."""
        return node.shape == self.tensor.shape and self._alike(self._values(node))

    def _alike(self, values: list[Floats]) -> bool:
        pairs = list(zip(self.given, values, strict=True))
        if not all(relative(ours, theirs) < _TOLERANCE for ours, theirs in pairs):
            return False
        largest = max(float(np.abs(theirs).max(initial=0)) for _, theirs in pairs)
        apart = max(float(np.abs(ours - theirs).max(initial=0)) for ours, theirs in pairs)
        return not _NOISE < largest < 1 or apart <= _COARSE * largest

    @property
    def shape(self) -> Shape:
        """Of the right answer."""
        tensor = self.found.tensor
        kind = ("scalar", "row" if self.found.row else "column", "matrix")[tensor.rank]
        return Shape(kind, tensor.shape)

    def verdict(self) -> Verdict:
        """Right, or the first mistake that explains the answer."""
        wanted, given = self.shape, self.answer.shape
        if given == wanted and self._alike(self.wanted):
            return Verdict(True, "", "right: equal to the derivative at all random points", self.found.shape)
        mistake, reason = self._mistake(wanted, given)
        return Verdict(False, mistake, reason, self.found.shape)

    def _mistake(self, wanted: Shape, given: Shape) -> tuple[str, str]:
        found = self.found
        other = {"numerator": "denominator", "denominator": "numerator"}[found.layout]
        if given != wanted and given == wanted.transposed and self._is(transpose(found.tensor)):
            return (
                "layout",
                f"the values are right, in {other} layout; in {found.layout} layout it is a {wanted}",
            )
        if given != wanted:
            return "shape", f"the derivative is a {wanted}; the answer is a {given}"
        if found.tensor.rank == 2 and self._is(transpose(found.tensor)):
            return "transpose", "it is the transpose of the derivative"
        for mistake, reason, make in self._paths():
            if self._is(make()):
                return mistake, reason
        factor = self._factor()
        if factor is not None:
            shown = f"{float(factor):.6g}" if factor.denominator > 1 else str(factor)
            return "factor", "the sign is wrong" if factor == -1 else f"it is {shown} times the derivative"
        for mistake, reason, make in self._mistakes():
            if self._is(make()):
                return mistake, reason
        return "value", self._difference()

    def _factor(self) -> Fraction | None:
        """The constant that the answer is a multiple by, if there is one."""
        sizes = [float(np.abs(wanted).max(initial=0)) for wanted in self.wanted]
        if max(sizes) == 0:
            return None
        ratios = []
        for given, wanted, size in zip(self.given, self.wanted, sizes, strict=True):
            if size > 1e-6:
                place = np.unravel_index(int(np.abs(wanted).argmax()), wanted.shape) if wanted.ndim else ()
                ratios.append(float(given[place] / wanted[place]))
        if not ratios or not np.isfinite(ratios).all() or np.ptp(ratios) > 1e-7 or abs(ratios[0]) < 1e-9:
            return None
        if not self._alike([ratios[0] * wanted for wanted in self.wanted]):
            return None
        return Fraction(ratios[0]).limit_denominator(1_000)

    def _mistakes(self) -> Iterator[tuple[str, str, Callable[[], Node]]]:
        yield from self._chains()
        yield from self._operators()

    def _lay(self, plain: Node) -> Node:
        reading = self.found.reading
        return laid_out(plain, reading.term.shape, reading.symbols[self.found.wrt], self.found.layout)[1]

    def _paths(self) -> Iterator[tuple[str, str, Callable[[], Node]]]:
        """Some of the places where the variable stands were taken for constants."""
        reading, x = self.found.reading, symbol(self.found.reading, self.found.wrt)
        copies: list[Symbol] = []

        def walk(term: Typed) -> Node:
            if term.op == "name" and term.name == x.name:
                copies.append(Symbol(f"{x.name} {len(copies)}", x.shape))
                return copies[-1]
            if term.op == "name":
                return symbol(reading, term.name)
            return apply(term, [walk(one) for one in term.args])

        split = walk(reading.term)
        if not 2 <= len(copies) <= _MOST_PATHS:
            return
        back: dict[str, Node] = {one.name: x for one in copies}
        parts = [substituted(derivative(split, one), back) for one in copies]
        for count in range(1, len(parts)):
            for chosen in combinations(range(len(parts)), count):
                left = [str(at + 1) for at in range(len(parts)) if at not in chosen]
                reason = (
                    f"{x.name} reaches the result by {len(parts)} paths, and the answer forgets the path through its place "
                    f"number {' and '.join(left)}: the total derivative adds them all"
                )
                yield (
                    "path",
                    reason,
                    partial(self._together, parts, chosen),
                )

    def _together(self, parts: list[Node], chosen: tuple[int, ...]) -> Node:
        return self._lay(add([(1, parts[at]) for at in chosen], parts[0].shape))

    def _chains(self) -> Iterator[tuple[str, str, Callable[[], Node]]]:
        """The derivative of one operation was forgotten: its factor in the chain rule was left out."""
        reading, x = self.found.reading, symbol(self.found.reading, self.found.wrt)
        for term in reading.term.walk():
            if term.op not in ("call", ".^", "./", "neg", "*", ".*") or not term.args:
                continue
            inner = next((one for one in term.args if one.shape == term.shape and _has(one, x.name)), None)
            if inner is None:
                continue
            shown = printing.text(as_term(term))
            reason = f"the derivative of {shown} by {printing.text(as_term(inner))} is missing: the chain rule multiplies by it"
            yield "chain", reason, partial(self._without, term, inner, x)
        for term in reading.term.walk():
            if (
                _has(term, x.name)
                and term.op != "name"
                and len(term.shape.sizes) == len(x.shape)
                and term is not reading.term
            ):
                reason = f"the inner derivative, that of {printing.text(as_term(term))}, is missing: the chain rule multiplies by it"
                yield "chain", reason, partial(self._outer_alone, term, x)

    def _cut(self, term: Typed) -> tuple[Node, Symbol, Node]:
        """The expression with a part of it as a symbol; that symbol, and the part."""
        part = lower(self.found.reading, term)
        hole = Symbol("a part", part.shape)

        def walk(one: Typed) -> Node:
            if one is term:
                return hole
            if one.op == "name":
                return symbol(self.found.reading, one.name)
            return apply(one, [walk(inner) for inner in one.args])

        return walk(self.found.reading.term), hole, part

    def _without(self, term: Typed, inner: Typed, x: Symbol) -> Node:
        whole, hole, part = self._cut(term)
        outer = substituted(derivative(whole, hole), {hole.name: part})
        below = derivative(lower(self.found.reading, inner), x)
        return self._lay(chained(outer, below, part.rank))

    def _outer_alone(self, term: Typed, x: Symbol) -> Node:
        whole, hole, part = self._cut(term)
        if part.shape != x.shape:
            return self.found.tensor
        outer = substituted(derivative(whole, hole), {hole.name: part})
        return self._lay(chained(outer, unit(x.shape), part.rank))

    def _operators(self) -> Iterator[tuple[str, str, Callable[[], Node]]]:
        """A matrix product where an element-wise one belongs, or the reverse; a transpose that is missing inside."""
        formula = self.found.term
        if formula is None:
            return
        for changed, what in _changed(formula):
            try:
                reading = read(changed, self.found.reading.declarations)
            except InputError:
                continue
            if reading.term.shape == self.shape:
                kind = "transpose" if "transpose" in what else "product"
                yield kind, what, partial(lower, reading)

    def _difference(self) -> str:
        apart = [np.abs(given - wanted) for given, wanted in zip(self.given, self.wanted, strict=True)]
        sizes = [float(np.nan_to_num(one, nan=np.inf).max()) for one in apart]
        at = int(np.argmax(sizes))
        place = (
            np.unravel_index(int(np.nan_to_num(apart[at], nan=np.inf).argmax()), apart[at].shape)
            if apart[at].ndim
            else ()
        )
        where = f"element [{', '.join(str(int(one) + 1) for one in place)}]" if place else "the value"
        return f"at a random point {where} is {float(self.given[at][place]):.6g} and should be {float(self.wanted[at][place]):.6g}"


def _has(term: Typed, name: str) -> bool:
    return any(one.op == "name" and one.value == name for one in term.walk())


def _changed(term: Term) -> Iterator[tuple[Term, str]]:
    """A formula with one of its operators exchanged."""
    swap = {"*": (".*", "a matrix product belongs where the answer goes element by element"),
            ".*": ("*", "the answer has a matrix product where it must go element by element")}  # fmt: skip
    if term.op in swap:
        op, what = swap[term.op]
        yield Term(op, term.args, term.value), what
    if term.op == "transpose":
        yield term.args[0], "a transpose is missing"
    if term.op == "name":
        yield Term("transpose", (term,)), f"a transpose of {term.value} is too much"
    for at, one in enumerate(term.args):
        for inner, what in _changed(one):
            yield Term(term.op, (*term.args[:at], inner, *term.args[at + 1 :]), term.value), what
