"""The derivation as the paper would write it: intermediate variables, a rule for each, chain rules to put them together.

Every step is computed from those before it, in this order: a variable is introduced for each operation, each operation is differentiated by
what it works on, and the chain rules multiply and add these until the variable that was asked for is reached; then the variables are replaced
by what they stand for. Each step is held to autograd at random points before it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from offprints.errors import InputError

from matrix_calculus import printing
from matrix_calculus.codegen import function
from matrix_calculus.derive import Derivation, derive, laid_out
from matrix_calculus.differentiate import chained
from matrix_calculus.expression import Elementwise, Node, order
from matrix_calculus.inference import Typed, as_term, declared, read
from matrix_calculus.lowering import lower
from matrix_calculus.naming import rule_of
from matrix_calculus.notation import matrix_form
from matrix_calculus.products import add, number
from matrix_calculus.shapes import Shape
from matrix_calculus.substitution import replaced, substituted
from matrix_calculus.syntax import Term
from matrix_calculus.verify import draws, lengths, relative

_TOLERANCE = 1e-9
_MOST_VARIABLES = 60


@dataclass(frozen=True)
class Step:
    """A step of a derivation.

    Attributes:
        kind: "introduce", "differentiate", "combine", "substitute", "cases"; beyond the paper "again", "conclude" and "structure".
        rule: its name, in the paper's words.
        section: of the paper; "" where the rule is not in it.
        statement: what the step says, as text.
        latex: the same as LaTeX.
        mathml: the same as MathML.
        shape: of what it derives, such as "1×n".
        reason: why, in a sentence.
        error: largest relative difference from autograd at random points.
    """

    kind: str
    rule: str
    section: str
    statement: str
    latex: str
    mathml: str
    shape: str
    reason: str
    error: float

    @property
    def holds(self) -> bool:
        """Whether the step is right at the random points."""
        return self.error < _TOLERANCE


@dataclass(frozen=True)
class _Variable:
    """An operation with a name for its result.

    Attributes:
        name: u1, u2, ...
        term: the operation on names and constants.
        typed: the operation, with shapes.
        operands: names that it works on and that depend on what is differentiated by.
        whole: what the name stands for, in the symbols of the expression.
    """

    name: str
    term: Term
    typed: Typed
    operands: tuple[str, ...]
    whole: Term


class Transcript:
    """The steps of one derivative by a general symbol.

    Args:
        found: what was derived, of kind "derivative".
        letter: of the intermediate variables.
        left: what the last step says is derived; None is the derivation's own name, such as df/dx.

    Raises:
        InputError: it takes more than 60 intermediate variables.
    """

    def __init__(self, found: Derivation, letter: str = "u", left: str | None = None) -> None:
        self.found = found
        self.letter = letter
        self.left = left or found.name
        self.symbols = found.reading.declarations
        self.kinds = {name: shape.kind for name, shape in found.reading.symbols.items()}
        self._step = partial(stated, kinds=self.kinds)
        self.values: dict[str, Node] = {}  # of the variables, in the symbols of the expression
        self.variables: list[_Variable] = []
        self.known: dict[Term, str] = {}
        self.taken = set(self.symbols)
        self._introduce(found.reading.term)
        self.locals: dict[tuple[str, str], Derivation] = {}

    # Intermediate variables

    def _introduce(self, typed: Typed) -> Term:
        """A name for each operation on what is differentiated by; what does not depend on it stays as it is."""
        wholly = as_term(typed)
        if typed.op == "name" or not self._depends(typed):
            return wholly
        if wholly in self.known:
            return Term("name", (), self.known[wholly])
        operands = [
            Term("neg", (self._introduce(one.args[0]),))
            if typed.op == "add" and one.op == "neg"
            else self._introduce(one)
            for one in typed.args
        ]  # a difference is one operation
        if _is_dot(typed):
            return self._dot(typed, operands, wholly)
        return self._named(typed, as_term(typed, operands), wholly)

    def _dot(self, typed: Typed, operands: list[Term], wholly: Term) -> Term:
        """The paper's way with w·x: u = w ⊗ x, y = sum(u)."""
        kinds = [inner.shape.kind for inner in typed.args]
        upright = [_upright(one, kind) for one, kind in zip(operands, kinds, strict=True)]
        column = Shape("column", typed.args[1].shape.sizes)
        product = Typed(".*", typed.args, None, column, typed.at)
        whole = [_upright(as_term(one), kind) for one, kind in zip(typed.args, kinds, strict=True)]
        inner = self._named(product, Term(".*", tuple(upright)), Term(".*", tuple(whole)))
        total = Typed("call", (product,), "sum", typed.shape, typed.at)
        return self._named(total, Term("call", (inner,), "sum"), wholly)

    def _named(self, typed: Typed, term: Term, wholly: Term) -> Term:
        if wholly in self.known:
            return Term("name", (), self.known[wholly])
        name = f"{self.letter}{len(self.variables) + 1}"
        while name in self.taken:
            name += "_"
        names = {variable.name for variable in self.variables} | {self.found.wrt}
        used = dict.fromkeys(one.name for one in term.walk() if one.op == "name" and one.name in names)
        self.variables.append(_Variable(name, term, typed, tuple(used), wholly))
        self.known[wholly] = name
        self.symbols[name], self.kinds[name] = declared(typed.shape), typed.shape.kind
        self.values[name] = lower(read(wholly, self.found.reading.declarations))
        if len(self.variables) > _MOST_VARIABLES:
            raise InputError(
                f"more than {_MOST_VARIABLES} intermediate variables: nobody would read such a transcript"
            )
        return Term("name", (), name)

    def _depends(self, typed: Typed) -> bool:
        return any(one.op == "name" and one.name == self.found.wrt for one in typed.walk())

    # Steps

    def steps(self) -> Iterator[Step]:
        """All of them, in order."""
        if not self.variables:
            yield self._last()
            return
        if len(self.variables) > 1:
            for variable in self.variables:
                yield self._introduction(variable)
        for variable in self.variables:
            for operand in variable.operands:
                yield self._partial(variable, operand)
        if len(self.variables) > 1:
            yield from self._combinations()
        yield self._last()
        cases = self._cases()
        if cases is not None:
            yield cases

    def _introduction(self, variable: _Variable) -> Step:
        """Held to the expression itself: the variable's value must be that of the part it stands for."""
        reading = read(variable.whole, self.found.reading.declarations, (self.found.wrt,))
        small = substituted(lower(read(variable.term, self.symbols)), self.values)
        error = apart(small, lower(reading), self.found)
        return self._step(
            "introduce", "intermediate variable", "Single-variable chain rule", variable.name, variable.term, str(variable.typed.shape),
            f"stands for {printing.text(variable.whole)}", error,
        )  # fmt: skip

    def _partial(self, variable: _Variable, operand: str) -> Step:
        local = derive(variable.term, operand, self.symbols, layout=self.found.layout)
        self.locals[variable.name, operand] = local
        rule, section, reason = rule_of(variable.typed, local, self.symbols[operand])
        symbol = "∂" if len(variable.operands) > 1 else "d"
        return self._step(
            "differentiate", rule, section, f"{symbol}{variable.name}/{symbol}{operand}", local.term or local.formula, local.shape, reason,
            local.check(1, digits=0).error,
        )  # fmt: skip

    def _combinations(self) -> Iterator[Step]:
        x = self.found.wrt
        totals: dict[str, Node] = {}
        declarations = self.found.reading.declarations
        for variable in self.variables:
            parts, shown = [], []
            for operand in variable.operands:
                local = self.locals[variable.name, operand].plain
                if operand == x:
                    parts.append(local)
                    shown.append(
                        f"∂{variable.name}/∂{x}" if len(variable.operands) > 1 else f"d{variable.name}/d{x}"
                    )
                else:
                    rank = len(self.locals[variable.name, operand].reading.symbols[operand].sizes)
                    parts.append(chained(local, totals[operand], rank))
                    before = "∂" if len(variable.operands) > 1 else "d"
                    shown.append(f"{before}{variable.name}/{before}{operand} d{operand}/d{x}")
            shape = parts[0].shape
            total = add([(1, part) for part in parts], shape)
            totals[variable.name] = total
            if variable.operands == (x,):
                continue  # nothing to put together
            whole = derive(variable.whole, x, declarations, layout=self.found.layout)
            reached = substituted(total, self.values)
            error = apart(reached, whole.plain, self.found)
            error = max(error, whole.check(1, digits=0).error)
            rule, section, reason = self._chain(variable)
            form = _laid(self.found, variable, total, whole)
            left = f"d{variable.name}/d{x} = {' + '.join(shown)}"
            yield self._step("combine", rule, section, left, form, whole.shape, reason, error)

    def _chain(self, variable: _Variable) -> tuple[str, str, str]:
        names = [variable.name, self.found.wrt, *variable.operands]
        if all(self.symbols[name].endswith("scalar") for name in names):
            if len(variable.operands) > 1:
                reason = f"{self.found.wrt} reaches {variable.name} by {len(variable.operands)} paths; their contributions are added"
                return (
                    "single-variable total-derivative chain rule",
                    "Single-variable total-derivative chain rule",
                    reason,
                )
            return (
                "single-variable chain rule",
                "Single-variable chain rule",
                "one path: the derivatives along it are multiplied",
            )
        reason = "Jacobians are multiplied as matrices"
        if len(variable.operands) > 1:
            reason += f"; {self.found.wrt} reaches {variable.name} by {len(variable.operands)} paths, whose products are added"
        return "vector chain rule", "Vector chain rule", reason

    def _last(self) -> Step:
        found = self.found
        reason = "the variables are replaced by what they stand for, and the result is simplified"
        if len(self.variables) < 2:
            reason = "there is nothing to replace" if self.variables else "it does not depend on it, or is it"
        return self._step(
            "substitute", "substitution", "Single-variable chain rule", self.left, found.term or found.formula, found.shape, reason,
            found.check(2, digits=0).error,
        )  # fmt: skip

    def _cases(self) -> Step | None:
        """The paper's braces, where one condition on a scalar switches the result."""
        found = self.found
        steps = [
            node
            for node in order([found.tensor])
            if isinstance(node, Elementwise) and node.function == "step"
        ]
        if len(steps) != 1 or steps[0].rank or found.term is None:
            return None
        off, on = (replaced(found.tensor, steps[0], number(value)) for value in (0, 1))
        condition = matrix_form(steps[0].argument)
        forms = [matrix_form(node, found.row) for node in (off, on)]
        if condition is None or forms[0] is None or forms[1] is None:
            return None
        test = printing.text(condition.term())
        texts = [printing.text(form.term()) for form in forms if form is not None]
        math = [printing.latex(form.term(), found.kinds) for form in forms if form is not None]
        z = printing.latex(condition.term(), found.kinds)
        latex = rf"{_left(self.left)} = \begin{{cases}} {math[0]} & {z} \le 0 \\ {math[1]} & {z} > 0 \end{{cases}}"
        statement = f"{self.left} = {texts[0]} where {test} <= 0, {texts[1]} where {test} > 0"
        return Step(
            "cases", "max(0, z) by cases", "The gradient of neuron activation", statement, latex, _mtext(statement), found.shape,
            "the derivative of max(0, z) is 0 up to z = 0 and 1 beyond", self._case_error(off, on, steps[0].argument),
        )  # fmt: skip

    def _case_error(self, off: Node, on: Node, condition: Node) -> float:
        found = self.found
        program = function({"d": found.tensor, "off": off, "on": on, "z": condition}, found.inputs)
        drawn = draws(found.reading, found.value, 0, lengths(found.reading))
        worst = 0.0
        for _ in range(8):
            whole, dark, lit, z = map(np.asarray, program(*next(drawn).values()))
            worst = max(worst, relative(whole, lit if z > 0 else dark))
        return worst


def stated(
    kind: str,
    rule: str,
    section: str,
    left: str,
    right: Term | str,
    shape: str,
    reason: str,
    error: float,
    kinds: dict[str, str],
) -> Step:
    """A step whose statement is an equation, in all three ways of writing it.

    Args:
        kind: see `Step`.
        rule: see `Step`.
        section: see `Step`.
        left: side of the equation.
        right: side of the equation; a text where only indices can say it.
        shape: see `Step`.
        reason: see `Step`.
        error: see `Step`.
        kinds: kind of each symbol.
    """
    if isinstance(right, str):
        first = right.split("\n")
        statement = "\n".join([f"{left}: {first[0]}", *first[1:]])
        latex = rf"\texttt{{{printing.latex_words(statement)}}}"
        return Step(kind, rule, section, statement, latex, _mtext(statement), shape, reason, error)
    statement = f"{left} = {printing.text(right)}"
    latex = f"{_left(left, kinds)} = {printing.latex(right, kinds)}"
    math = printing.mathml(right, kinds).replace(">", f"><mtext>{left} =\u00a0</mtext>", 1)
    return Step(kind, rule, section, statement, latex, math, shape, reason, error)


def _upright(term: Term, kind: str) -> Term:
    """A row as a column."""
    if kind != "row":
        return term
    return term.args[0] if term.op == "transpose" else Term("transpose", (term,))


def _is_dot(typed: Typed) -> bool:
    if typed.op == "dot" or (typed.op == "call" and typed.value == "dot"):
        return True
    return typed.op == "*" and [one.shape.kind for one in typed.args] == ["row", "column"]


def apart(one: Node, other: Node, found: Derivation) -> float:
    """Largest relative difference of two tensors at two random points of an expression.

    Args:
        one: a tensor of the symbols.
        other: another.
        found: whose points are drawn.
    """
    inputs = [one for one in found.inputs if one.name in found.reading.symbols]
    program = function({"one": one, "other": other}, inputs)
    drawn = draws(found.reading, found.value, 0, lengths(found.reading))
    return max(relative(*map(np.asarray, program(*next(drawn).values()))) for _ in range(2))


def _laid(found: Derivation, variable: _Variable, total: Node, whole: Derivation) -> Term | str:
    """A total in the layout of the answer, with the variables still in it."""
    row, tensor = laid_out(total, variable.typed.shape, found.reading.symbols[found.wrt], found.layout)
    form = matrix_form(tensor, row)
    return replace(whole, tensor=tensor, plain=total).formula if form is None else form.term()


def _left(left: str, kinds: dict[str, str] | None = None) -> str:
    """The left side of a statement as LaTeX: ∂u/∂x becomes a fraction, alone or, in brackets, times v."""
    made = []
    for part in left.split(" "):
        along = re.fullmatch(r"\((.+)/(.+)\)·(\w+)", part)
        if along is not None:
            made.append(rf"\frac{{{_plain(along[1])}}}{{{_plain(along[2])}}} \cdot {_plain(along[3])}")
            continue
        top, slash, bottom = part.partition("/")
        made.append(rf"\frac{{{_plain(top)}}}{{{_plain(bottom)}}}" if slash else _plain(part))
    return r"\,".join(made)


def _plain(text: str) -> str:
    shown = text.replace("_", r"\_").replace("∂", r"\partial ").replace("²", "^{2}")
    return re.sub(r"([a-z])(\d+)", r"\1_{\2}", shown)


def _mtext(text: str) -> str:
    import html

    return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mtext>{html.escape(text)}</mtext></math>'
