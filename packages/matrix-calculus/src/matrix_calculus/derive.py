"""Deriving: an expression in, its derivative out, as a formula, as a program, as a transcript, and proved.

found = derive("sum((y - relu(X*w + b)).^2)/N", wrt="w", symbols={"X": "matrix(N, n)", "y": "vector", "b": "scalar"})
found.formula, found.latex, found.shape, found.steps, found.code("numpy"), found.function(), found.check()
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from offprints.errors import InputError

from matrix_calculus import codegen, printing
from matrix_calculus.differentiate import derivative, structured
from matrix_calculus.expression import Elementwise, Node, Pairing, Symbol, Whole, order
from matrix_calculus.forms import Form
from matrix_calculus.functions import kink
from matrix_calculus.indices import index_form
from matrix_calculus.inference import Reading, read
from matrix_calculus.kronecker import kronecker_form
from matrix_calculus.lowering import lower, symbol
from matrix_calculus.notation import matrix_form
from matrix_calculus.products import product, transpose
from matrix_calculus.shapes import Shape
from matrix_calculus.syntax import Term

if TYPE_CHECKING:
    from matrix_calculus.explain import Step
    from matrix_calculus.verify import Proof

LAYOUTS = ("numerator", "denominator")
KINDS = ("derivative", "hessian", "hvp", "differential")


@dataclass(frozen=True)
class Derivation:
    """A derivative that was found.

    Attributes:
        reading: the expression, with the shapes of all it is made of.
        wrt: name of the symbol it is differentiated by.
        kind: "derivative", "hessian", "hvp" or "differential".
        layout: "numerator" (the paper's) or "denominator".
        mode: order of accumulation.
        symmetric: convention for symmetric matrices.
        value: the expression as a tensor.
        plain: the derivative, axes of the result first and those of the symbol behind them.
        tensor: the derivative in the layout.
        row: whether it is a row.
        inputs: arguments of the generated function, in this order.
    """

    reading: Reading
    wrt: str
    kind: str
    layout: str
    mode: str
    symmetric: str
    value: Node
    plain: Node
    tensor: Node
    row: bool
    inputs: tuple[Symbol, ...]

    @cached_property
    def _form(self) -> Form | None:
        return matrix_form(self.tensor, self.row)

    @property
    def term(self) -> Term | None:
        """The formula as a term of the language; None where only index notation can say it."""
        return None if self._form is None else self._form.term()

    @cached_property
    def formula(self) -> str:
        """In the language, or by indices where no matrix form exists, with a line for each tensor that is named on the way."""
        if self.term is not None:
            return printing.text(self.term)
        form, parts = index_form(self.tensor)
        lines = [printing.index_text(self.name, form)]
        return "\n".join([*lines, *(printing.index_text(name, part) for name, part in parts.items())])

    @cached_property
    def kronecker(self) -> str | None:
        """A derivative of three or four axes as one matrix, that of vec(f) by vec(X)'; see `kronecker`. None where it has no such form.

        kron, vec and commutation are no words of the language: this is for the eye.
        """
        rank = self.plain.rank - len(self.reading.symbols[self.wrt].sizes)
        if self.kind not in ("derivative", "hessian") or self.plain.rank not in (3, 4):
            return None
        form = kronecker_form(self.plain, rank)
        return None if form is None else printing.text(form.term())

    @cached_property
    def latex(self) -> str:
        """The formula as LaTeX."""
        if self.term is not None:
            return printing.latex(self.term, self.kinds)
        form, parts = index_form(self.tensor)
        lines = [printing.index_latex("D", form, self.kinds)]
        lines += [
            printing.index_latex(rf"\mathrm{{{name}}}", part, self.kinds) for name, part in parts.items()
        ]
        return r" \\ ".join(lines)

    @cached_property
    def mathml(self) -> str:
        """The formula as MathML; in index notation, its text."""
        if self.term is not None:
            return printing.mathml(self.term, self.kinds)
        return f'<math xmlns="http://www.w3.org/1998/Math/MathML"><mtext>{html.escape(self.formula)}</mtext></math>'

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each symbol."""
        found = {name: shape.kind for name, shape in self.reading.symbols.items()}
        extra = {
            one.name: ("scalar", "column", "matrix")[one.rank] for one in self.inputs if one.name not in found
        }
        return found | extra

    @property
    def name(self) -> str:
        """What is derived, such as "df/dx"."""
        x = self.wrt
        return {
            "derivative": f"df/d{x}",
            "hessian": f"d²f/d{x}²",
            "hvp": f"(d²f/d{x}²)·v",
            "differential": "df",
        }[self.kind]

    @property
    def shape(self) -> str:
        """Of the result, such as "1×n" or "m×n×k"."""
        sizes = [str(size) for size in self.tensor.shape]
        if len(sizes) < 2:
            sizes = ["1", *(sizes or ["1"])] if self.row or not sizes else [*sizes, "1"]
        return "×".join(sizes)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the answer takes for granted: the layout, shapes that were guessed, conventions, and where there is no derivative."""
        found = [f"{self.layout} layout: {_LAYOUT_SAYS[self.layout]}"] if self.kind == "derivative" else []
        for name in self.reading.guessed:
            found.append(f"{name} was not declared and is read as a {self.reading.symbols[name]}")
        if self.wrt not in self.value.symbols:
            found.append(f"{self.wrt} does not occur in the expression: its derivative is 0 everywhere")
        structure = self.reading.structures.get(self.wrt)
        if structure == "symmetric" and self.kind in ("derivative", "hessian"):
            found.append(_SYMMETRIC_SAYS[self.symmetric].format(self.wrt))
        if structure == "diagonal" and self.kind in ("derivative", "hessian"):
            found.append(f"{self.wrt} stays diagonal: only the diagonal of the derivative is kept")
        for node in order([self.value]):
            if self.wrt in node.symbols and isinstance(node, Elementwise):
                found.append(kink(node.function, node.power))
            elif self.wrt in node.symbols and isinstance(node, Whole):
                found.append(_WHOLE_SAYS.get(node.function, ""))
        if self.term is None and any(isinstance(node, Pairing) for node in order([self.tensor])):
            found.append(
                "π[i, k, l] is 1 where place i of a Kronecker product comes from the places k and l of its factors, and else 0"
            )
        return tuple(dict.fromkeys(note for note in found if note))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The derivation in the paper's own rules; see `stages.explain`."""
        from matrix_calculus.stages import explain

        return explain(self)

    def code(
        self, backend: str = "numpy", name: str = "derivative", sizes: Mapping[str, int] | None = None
    ) -> str:
        """A Python function that computes the derivative.

        Args:
            backend: "numpy", "torch" or "jax".
            name: of the function.
            sizes: guesses for named sizes, by which the order of multiplications is chosen.
        """
        return codegen.source({"derivative": self.tensor}, self.inputs, backend, name, sizes)

    def function(self, backend: str = "numpy", sizes: Mapping[str, int] | None = None) -> Callable[..., Any]:
        """The function of `code`, ready to be called with `inputs` in their order.

        Args:
            backend: see `code`.
            sizes: see `code`.
        """
        return codegen.function({"derivative": self.tensor}, self.inputs, backend, sizes)

    def check(self, points: int = 3, seed: int = 0, digits: int = 50) -> Proof:
        """Prove the derivative at random points; see `verify.check`.

        Args:
            points: how many.
            seed: of the points.
            digits: of the high-precision part; 0 leaves it out.
        """
        from matrix_calculus.verify import check

        return check(self, points, seed, digits)


_LAYOUT_SAYS = {
    "numerator": "rows belong to what is differentiated, columns to what it is differentiated by; a gradient is a row",
    "denominator": "rows belong to what it is differentiated by; a gradient has the shape of its variable",
}
_SYMMETRIC_SAYS = {
    "projected": "{} stays symmetric: the derivative is (G + G')/2, the gradient within the symmetric matrices",
    "independent": "{} stays symmetric: the derivative is G + G' - G∘I, each entry moves with its mirror image",
}
_WHOLE_SAYS = {
    "inv": "the inverse and its derivative exist where the matrix is invertible",
    "det": "the derivative is written with the inverse: it stands where the matrix is invertible",
    "logdet": "logdet is ln|det|; it has a derivative where the matrix is invertible",
}


def derive(
    expression: str | Term,
    wrt: str,
    symbols: Mapping[str, str] | None = None,
    *,
    kind: str = "derivative",
    layout: str = "numerator",
    mode: str = "reverse",
    symmetric: str = "projected",
) -> Derivation:
    """Differentiate an expression.

    Args:
        expression: see `syntax`.
        wrt: name of the symbol.
        symbols: name -> declaration, see `inference.read`.
        kind: "derivative" (gradient or Jacobian); "hessian" and "hvp" (its product with a direction v), of a scalar;
            "differential", df for a change d<wrt>.
        layout: "numerator", as in the paper, or "denominator".
        mode: "reverse", "forward" or "cross-country".
        symmetric: "projected" or "independent", see `differentiate.structured`.

    Raises:
        LanguageError: the expression does not read, or shapes clash.
        InputError: an option is unknown, or the Hessian of what is no scalar is asked for.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout={layout!r} is none of {', '.join(LAYOUTS)}")
    if kind not in KINDS:
        raise InputError(f"kind={kind!r} is none of {', '.join(KINDS)}")
    reading = read(expression, symbols, (wrt,))
    x, value = symbol(reading, wrt), lower(reading)
    if kind in ("hessian", "hvp") and value.rank:
        raise InputError(f"the Hessian is that of a scalar; the expression is a {reading.term.shape}")
    plain = structured(derivative(value, x, mode), x, symmetric)
    inputs = [symbol(reading, name) for name in reading.symbols]
    row, tensor = False, plain
    if kind == "derivative":
        row, tensor = laid_out(plain, reading.term.shape, reading.symbols[wrt], layout)
    elif kind == "hessian":
        tensor = plain = structured(derivative(plain, x, mode), x, symmetric)
    elif kind == "hvp":
        direction = _fresh("v", reading, x)
        inputs.append(direction)
        axes = tuple(range(x.rank))
        along = product([(plain, axes), (direction, axes)], ())
        tensor = plain = structured(derivative(along, x, mode), x, symmetric)
    else:
        change = _fresh(f"d{wrt}", reading, x)
        inputs.append(change)
        free = derivative(value, x, mode)  # a change of a structured matrix has that structure itself
        axes = tuple(range(free.rank))
        tensor = plain = product([(free, axes), (change, axes[value.rank :])], axes[: value.rank])
        row = reading.term.shape.kind == "row"
    return Derivation(reading, wrt, kind, layout, mode, symmetric, value, plain, tensor, row, tuple(inputs))


def _fresh(name: str, reading: Reading, x: Symbol) -> Symbol:
    taken = set(reading.symbols)
    while name in taken:
        name += "_"
    return Symbol(name, x.shape, x.structure if x.structure != "constant" else "general", x.row)


def laid_out(plain: Node, y: Shape, x: Shape, layout: str) -> tuple[bool, Node]:
    """Whether the result is a row, and its tensor in the layout."""
    numerator = layout == "numerator"
    if plain.rank == 1:
        # A column's derivative by a scalar is a column; a scalar's by a column is a row. The other layout turns both.
        upright = y.kind == "column" or x.kind == "row"
        return upright != numerator, plain
    if plain.rank == 2 and (x.kind == "matrix" or y.kind == "matrix"):
        return False, transpose(plain) if numerator == (x.kind == "matrix") else plain
    if not numerator:
        axes = tuple(range(plain.rank))
        return False, product([(plain, axes)], (*axes[len(y.sizes) :], *axes[: len(y.sizes)]))
    return False, plain
