"""What each term is: a scalar, a column, a row or a matrix, of which sizes; a clash names the operator, both shapes and the place."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from offprints.errors import InputError

from matrix_calculus.functions import ALIASES, ELEMENTWISE
from matrix_calculus.shapes import SCALAR, Declared, Shape, Size, Sizes, declaration, parts_of, times_size
from matrix_calculus.syntax import LanguageError, Term, constant, parse

_VECTORS = frozenset("uvwxyzpqr")
_MOST_POWER = 64  # of a matrix
_ARGUMENTS = {
    "sum": (1, 2), "mean": (1, 1), "tr": (1, 1), "trace": (1, 1), "det": (1, 1), "logdet": (1, 1), "inv": (1, 1), "diag": (1, 1),
    "norm1": (1, 1), "norm2": (1, 1), "frobenius": (1, 1), "max": (2, 2), "min": (2, 2), "dot": (2, 2), "outer": (2, 2), "kron": (2, 2),
    "softmax": (1, 1), "logsumexp": (1, 2), "sqrt": (1, 1), "ones": (1, 2), "zeros": (1, 2), "eye": (1, 1),
    **dict.fromkeys([*ELEMENTWISE, *ALIASES], (1, 1)),
}  # fmt: skip
FUNCTIONS = tuple(sorted(_ARGUMENTS))
"""Names of all functions of the language."""


@dataclass(frozen=True)
class Typed:
    """A term with its shape.

    Attributes:
        op: as of a `Term`; functions by their first name.
        args: operands.
        value: as of a `Term`; of "^" and ".^" with a constant exponent, that number.
        shape: of it, with every size settled.
        at: place in the text.
    """

    op: str
    args: tuple[Typed, ...]
    value: Fraction | str | None
    shape: Shape
    at: int

    @property
    def name(self) -> str:
        """Of a symbol or function."""
        assert isinstance(self.value, str)
        return self.value

    def walk(self) -> Iterator[Typed]:
        """This term and all below it."""
        waiting = [self]
        while waiting:
            term = waiting.pop()
            yield term
            waiting.extend(reversed(term.args))


@dataclass(frozen=True)
class Reading:
    """An expression with what was found of its symbols.

    Attributes:
        text: as given.
        term: with shapes.
        symbols: name -> shape, of every declared or used symbol.
        structures: name -> general, symmetric, diagonal or constant.
        guessed: names that were not declared, and read by the paper's convention for letters.
    """

    text: str
    term: Typed
    symbols: Mapping[str, Shape]
    structures: Mapping[str, str]
    guessed: tuple[str, ...]

    @property
    def declarations(self) -> dict[str, str]:
        """What the symbols are, with all sizes, as `read` takes it."""
        found = {}
        for name, shape in self.symbols.items():
            structure = self.structures.get(name, "general")
            found[name] = f"{'' if structure == 'general' else structure + ' '}{declared(shape)}"
        return found

    @property
    def sizes(self) -> tuple[str, ...]:
        """All named sizes, in order of appearance."""
        shapes = [*self.symbols.values(), *(term.shape for term in self.term.walk())]
        names = [
            one for shape in shapes for size in shape.sizes for one in parts_of(size) if isinstance(one, str)
        ]
        used = [term.name for term in self.term.walk() if term.op == "size" and not term.name.isdigit()]
        return tuple(dict.fromkeys([*names, *used]))


def declared(shape: Shape) -> str:
    """The declaration of a shape, such as "matrix(m, n)"."""
    kind = "vector" if shape.kind == "column" else shape.kind
    return f"{kind}({', '.join(map(str, shape.sizes))})" if shape.sizes else kind


def size_term(size: Size) -> Term:
    """A size as a term of the language.

    Args:
        size: a number, a name, or a product.
    """
    made = [
        Term("number", (), Fraction(one)) if isinstance(one, int) else Term("name", (), one)
        for one in parts_of(size)
    ]
    return reduce(lambda one, other: Term("*", (one, other)), made)


def as_term(typed: Typed, args: Sequence[Term] | None = None) -> Term:
    """A typed term as a term of the language.

    Args:
        typed: the term.
        args: what stands for its operands; None takes their own terms.
    """
    inner = tuple(as_term(one) for one in typed.args) if args is None else tuple(args)
    sizes = [size_term(size) for size in typed.shape.sizes]
    match typed.op:
        case "size":
            return Term("name", (), typed.value)
        case "eye":
            return Term("call", (sizes[0],), "eye")
        case "filled":
            return Term("call", tuple(sizes), "ones" if typed.value == 1 else "zeros")
        case "^" | ".^" if isinstance(typed.value, Fraction):
            power = typed.value
            whole = Term("number", (), Fraction(abs(power.numerator)))
            exponent = (
                whole
                if power.denominator == 1
                else Term("/", (whole, Term("number", (), Fraction(power.denominator))))
            )
            op = "^" if typed.op == "^" or typed.shape.kind == "scalar" else ".^"
            return Term(op, (*inner, Term("neg", (exponent,)) if power < 0 else exponent))
        case "./" if typed.args[1].shape.kind == "scalar":
            return Term("/", inner)
        case "call" if typed.name[-1] in "12" and typed.name not in FUNCTIONS:
            return Term("call", (*inner, Term("number", (), Fraction(int(typed.name[-1])))), typed.name[:-1])
    return Term(typed.op, inner, typed.value)


def read(text: str | Term, symbols: Mapping[str, str] | None = None, wanted: tuple[str, ...] = ()) -> Reading:
    """Parse an expression and infer the shape of each of its terms.

    Args:
        text: the expression, or its tree.
        symbols: name -> declaration, such as {"X": "matrix(m, n)", "w": "vector"}. A single letter that is not declared is a matrix
            if it is a capital, a vector from p to r and u to z, and otherwise a scalar.
        wanted: further symbols that must be known, such as what is differentiated by.

    Raises:
        LanguageError: it does not read, a name is unknown, or shapes clash.
        InputError: a declaration does not read.
    """
    tree = parse(text) if isinstance(text, str) else text
    declared = {name: declaration(name, kind) for name, kind in (symbols or {}).items()}
    for name in (*declared, *wanted):
        if not name.isidentifier() or len(name) > 40:  # names are words of the programs that are made
            raise InputError(f"{name[:40]!r} cannot be the name of a symbol")
    return _Inference(text if isinstance(text, str) else "", declared).read(tree, wanted)


class _Inference:
    def __init__(self, text: str, declared: Mapping[str, Declared]) -> None:
        self.text = text
        self.sizes = Sizes()
        self.declared = declared
        self.named = {
            s for one in declared.values() for size in one.sizes for s in parts_of(size) if isinstance(s, str)
        }
        for name in self.named & set(declared):
            raise InputError(f"{name} is declared as a {declared[name].kind} and stands for a size")
        self.guessed: dict[str, None] = {}
        self.symbols: dict[str, Shape] = {}
        for name, one in declared.items():
            self.symbols[name] = self._declared(one)

    def _declared(self, one: Declared) -> Shape:
        if one.kind == "scalar":
            return SCALAR
        sizes = one.sizes
        if not sizes:
            first = self.sizes.unknown()
            square = one.structure in ("symmetric", "diagonal")
            sizes = (first,) if one.kind != "matrix" else (first, first if square else self.sizes.unknown())
        return Shape({"vector": "column"}.get(one.kind, one.kind), sizes)

    def read(self, tree: Term, wanted: tuple[str, ...]) -> Reading:
        typed = self.typed(tree)
        for name in wanted:
            self.symbol(name, Term("name", value=name, at=0))
        spelt: dict[str, str] = {}
        for name in self.symbols:  # Python, which runs the programs that are made, takes these for one name
            other = spelt.setdefault(unicodedata.normalize("NFKC", name), name)
            if other != name:
                raise InputError(f"{other!r} and {name!r} look alike and cannot both be symbols")
        every = [size for shape in self.symbols.values() for size in shape.sizes]
        every += [size for term in typed.walk() for size in term.shape.sizes]
        apart = self.sizes.settle(every, self.named | set(self.symbols))
        if apart is not None:
            raise self.wrong(
                f"a Kronecker product has the size {apart[1]}, and {apart[0]} is asked for", tree.at
            )
        symbols = {name: self.sizes.shape(shape) for name, shape in self.symbols.items()}
        structures = {name: one.structure for name, one in self.declared.items()}
        return Reading(self.text, self._settled(typed), symbols, structures, tuple(self.guessed))

    def _settled(self, term: Typed) -> Typed:
        args = tuple(self._settled(one) for one in term.args)
        return Typed(term.op, args, term.value, self.sizes.shape(term.shape), term.at)

    def wrong(self, reason: str, at: int) -> LanguageError:
        return LanguageError(reason, self.text, at)

    def clash(self, what: str, one: Shape, other: Shape, at: int, hint: str = "") -> LanguageError:
        one, other = self.sizes.shape(one), self.sizes.shape(other)
        return self.wrong(f"{what} cannot take a {one} and a {other}{hint}", at)

    def typed(self, term: Term) -> Typed:
        if term.op == "call":
            return self.call(term)
        if term.op == "number":
            return Typed("number", (), term.value, SCALAR, term.at)
        if term.op == "name":
            return self.symbol(term.name, term)
        args = tuple(self.typed(one) for one in term.args)
        made = getattr(self, f"_{_RULES[term.op]}")(term, args)
        assert isinstance(made, Typed)
        return made

    def symbol(self, name: str, term: Term) -> Typed:
        if name in self.symbols:
            return Typed("name", (), name, self.symbols[name], term.at)
        if name in self.named:
            return Typed("size", (), name, SCALAR, term.at)
        if name == "I":
            size = self.sizes.unknown()
            return Typed("eye", (), None, Shape("matrix", (size, size)), term.at)
        if len(name) > 1:
            raise self.wrong(f"{name!r} is not declared; only single letters need no declaration", term.at)
        kind = "matrix" if name.isupper() else "vector" if name in _VECTORS else "scalar"
        self.guessed[name] = None
        self.symbols[name] = self._declared(Declared(kind))
        return self.symbol(name, term)

    def _neg(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        return Typed("neg", args, None, args[0].shape, term.at)

    def _transpose(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        return Typed("transpose", args, None, args[0].shape.transposed, term.at)

    def _alike(self, op: str, args: tuple[Typed, ...], at: int, what: str) -> Typed:
        """Operands of one shape; scalars are expanded."""
        shape = SCALAR
        for one in args:
            if one.shape.kind == "scalar":
                continue
            if shape.kind == "scalar":
                shape = one.shape
            elif shape.kind != one.shape.kind or not self._same(shape, one.shape):
                raise self.clash(what, shape, one.shape, at, _TURN if shape.kind != one.shape.kind else "")
        return Typed(op, args, None, shape, at)

    def _same(self, one: Shape, other: Shape) -> bool:
        return all(self.sizes.same(a, b) for a, b in zip(one.sizes, other.sizes, strict=True))

    def _elementwise(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        what = {"add": "a sum", ".*": "'.*'", "./": "'./'", ">": "'>'"}[term.op]
        return self._alike(term.op, args, term.at, what)

    def _times(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        left, right = args[0].shape, args[1].shape
        if "scalar" in (left.kind, right.kind):
            return Typed("*", args, None, right if left.kind == "scalar" else left, term.at)
        if (left.kind, right.kind) not in _PRODUCTS or not self.sizes.same(left.columns, right.rows):
            hint = ""
            if left.kind == right.kind and left.kind in ("column", "row"):
                hint = "; x'*y is the dot product, x*y' the outer one, x.*y goes element by element"
            raise self.clash("'*'", left, right, term.at, hint)
        rows, columns = left.kind in ("column", "matrix"), right.kind in ("row", "matrix")
        if rows and columns:
            shape = Shape("matrix", (left.rows, right.columns))
        else:
            shape = (
                Shape("column", (left.rows,))
                if rows
                else Shape("row", (right.columns,))
                if columns
                else SCALAR
            )
        return Typed("*", args, None, shape, term.at)

    def _over(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        if args[1].shape.kind != "scalar":
            hint = "; x./y divides element by element, and A*inv(B) by a matrix"
            raise self.clash("'/'", args[0].shape, args[1].shape, term.at, hint)
        return Typed("./", args, None, args[0].shape, term.at)

    def _power(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        base, power, shape = args[0], constant(term.args[1]), args[0].shape
        if power is not None and abs(power) > 1_000:
            raise self.wrong(f"the exponent {_short(power)} is beyond 1,000", term.at)
        if power is None and not any(one.op in ("name", "call") for one in term.args[1].walk()):
            raise self.wrong("a tower of numbers is no exponent; write the number", term.at)
        if shape.kind == "matrix" and term.op == "^":
            self._square(base, "'^'", term.at)
            if power is None or power.denominator != 1 or abs(power) > _MOST_POWER:
                raise self.wrong(
                    f"a matrix has whole powers up to {_MOST_POWER}; A.^p is the power of each element",
                    term.at,
                )
            return Typed("^", (base,), power, shape, term.at)
        if power is not None:
            return Typed(".^", (base,), power, shape, term.at)
        return self._alike(".^", args, term.at, f"{term.op!r}")

    def _dot(self, term: Term, args: tuple[Typed, ...]) -> Typed:
        for one in args:
            if one.shape.kind not in ("column", "row"):
                raise self.clash("the dot product", args[0].shape, args[1].shape, term.at)
        if not self.sizes.same(args[0].shape.sizes[0], args[1].shape.sizes[0]):
            raise self.clash("the dot product", args[0].shape, args[1].shape, term.at)
        return Typed("dot", args, None, SCALAR, term.at)

    def _square(self, arg: Typed, what: str, at: int) -> None:
        shape = arg.shape
        if shape.kind != "matrix" or not self.sizes.same(shape.rows, shape.columns):
            raise self.wrong(f"{what} asks for a square matrix, not for a {self.sizes.shape(shape)}", at)

    def call(self, term: Term) -> Typed:
        name = ALIASES.get(term.name, {"trace": "tr"}.get(term.name, term.name))
        if name not in _ARGUMENTS:
            raise self.wrong(
                f"there is no function {term.name[:40]!r}; there are {', '.join(FUNCTIONS)}", term.at
            )
        least, most = _ARGUMENTS[name]
        if not least <= len(term.args) <= most:
            wanted = str(least) if least == most else f"{least} or {most}"
            raise self.wrong(f"{term.name} takes {wanted} argument(s), not {len(term.args)}", term.at)
        if name in ("ones", "zeros", "eye"):
            return self._filled(name, term)
        if name in ("sum", "logsumexp"):
            return self._reduced(name, term)
        args = tuple(self.typed(one) for one in term.args)
        shape, at = args[0].shape, term.at
        if name in ELEMENTWISE or name == "sqrt":
            return Typed("call", args, name, shape, at)
        if name in ("max", "min"):
            return Typed("call", args, name, self._alike("", args, at, name).shape, at)
        if name == "dot":
            return self._dot(term, args)
        if name in ("tr", "det", "logdet", "inv"):
            self._square(args[0], name, at)
            return Typed("call", args, name, shape if name == "inv" else SCALAR, at)
        if name == "kron":
            if shape.kind == "scalar" or shape.kind != args[1].shape.kind:
                raise self.clash("kron", shape, args[1].shape, at)
            pairs = zip(shape.sizes, args[1].shape.sizes, strict=True)
            return Typed(
                "call", args, name, Shape(shape.kind, tuple(self.sizes.product(*pair) for pair in pairs)), at
            )
        if name == "outer":
            if {one.shape.kind for one in args} <= {"column", "row"}:
                return Typed(
                    "call", args, name, Shape("matrix", (args[0].shape.sizes[0], args[1].shape.sizes[0])), at
                )
            raise self.clash("outer", args[0].shape, args[1].shape, at)
        if shape.kind == "scalar":
            raise self.wrong(f"{term.name} takes a vector or a matrix, not a scalar", at)
        if name == "diag":
            if shape.kind == "matrix":
                self._square(args[0], name, at)
                return Typed("call", args, name, Shape("column", shape.sizes[:1]), at)
            return Typed("call", args, name, Shape("matrix", shape.sizes * 2), at)
        if name == "norm2" and shape.kind == "matrix":
            raise self.wrong(
                "norm2 takes a vector; frobenius(A) is the root of a matrix's sum of squares", at
            )
        return Typed("call", args, name, shape if name == "softmax" else SCALAR, at)

    def _filled(self, name: str, term: Term) -> Typed:
        sizes: list[Size] = []
        for one in term.args:
            sizes.append(self._length(name, one))
        if name == "eye":
            return Typed("eye", (), None, Shape("matrix", (sizes[0], sizes[0])), term.at)
        shape = Shape("column", (sizes[0],)) if len(sizes) == 1 else Shape("matrix", (sizes[0], sizes[1]))
        return Typed("filled", (), Fraction(int(name == "ones")), shape, term.at)

    def _length(self, name: str, term: Term) -> Size:
        """A size that is written as an argument."""
        value = constant(term)
        if term.op == "name" and term.name not in self.symbols:
            self.named.add(term.name)
            return term.name
        if value is not None and value.denominator == 1 and 1 <= value <= 10**6:
            return int(value)
        if term.op == "*":
            return times_size(*(self._length(name, one) for one in term.args))
        raise self.wrong(f"{name} takes sizes: names such as n, or numbers", term.at)

    def _reduced(self, name: str, term: Term) -> Typed:
        arg = self.typed(term.args[0])
        if arg.shape.kind == "scalar":
            raise self.wrong(f"{name} takes a vector or a matrix, not a scalar", term.at)
        if len(term.args) == 1:
            if name == "logsumexp" and arg.shape.kind == "matrix":
                raise self.wrong(
                    "logsumexp of a matrix takes an axis: 1 down the columns, 2 along the rows", term.at
                )
            return Typed("call", (arg,), name, SCALAR, term.at)
        axis = constant(term.args[1])
        if arg.shape.kind != "matrix" or axis not in (1, 2):
            raise self.wrong(
                f"an axis, 1 or 2, goes with a matrix, not with a {self.sizes.shape(arg.shape)}", term.at
            )
        row, column = Shape("row", (arg.shape.columns,)), Shape("column", (arg.shape.rows,))
        return Typed("call", (arg,), f"{name}{axis}", row if axis == 1 else column, term.at)


_PRODUCTS = {
    ("matrix", "matrix"), ("matrix", "column"), ("row", "matrix"), ("row", "column"), ("column", "row"),
}  # fmt: skip
_TURN = "; x' turns a column into a row"
_RULES = {
    "neg": "neg", "transpose": "transpose", "add": "elementwise", ".*": "elementwise", "./": "elementwise", ">": "elementwise",
    "*": "times", "/": "over", "^": "power", ".^": "power", "dot": "dot",
}  # fmt: skip


def _short(value: Fraction) -> str:
    return str(value) if value.denominator == 1 and abs(value) < 10**12 else f"{float(value):.4g}"
