"""Proof at random points: the derivative against autograd, and against finite differences with many digits.

Both judges differentiate the expression as it was typed (`evaluate.by_syntax`) and know nothing of the derivation. With 50 digits and
steps of 1e-15 a central difference of a smooth function has 25 right digits or more, so that agreement is no accident.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
import torch
from numpy.typing import NDArray

from offprints.errors import InputError

from matrix_calculus.codegen import function
from matrix_calculus.evaluate import by_einsum, by_syntax
from matrix_calculus.expression import Elementwise, Node, Symbol, order
from matrix_calculus.inference import Reading, declared, read
from matrix_calculus.lowering import symbol
from matrix_calculus.shapes import concrete
from matrix_calculus.syntax import MOST_CHARACTERS

if TYPE_CHECKING:
    from matrix_calculus.derive import Derivation

Floats = NDArray[np.float64]
_TOLERANCE = 1e-9
_EXACT_TOLERANCE = 1e-15
_FEWEST_DIGITS = 30
_MOST_ELEMENTS = 100_000
_LENGTHS = (3, 2, 4, 5)
_TRIES = 200
_SPANS = ((-1.2, 1.2), (0.2, 1.0), (-0.4, 0.4), (-0.15, 0.1), (-4.0, 4.0))
JUMPS = ("relu", "abs", "sign", "step")
"""Functions with a kink or a jump at 0."""


@dataclass(frozen=True)
class Proof:
    """What the check of a derivative came to.

    Attributes:
        holds: whether every error is below its bound.
        points: random points that were tried.
        error: largest relative difference from torch.func in float64; bound 1e-9.
        exact_error: largest relative difference from central differences with `digits` digits; bound 1e-15; None if left out.
        digits: of the high-precision part.
        sizes: numbers that stood for the named sizes.
    """

    holds: bool
    points: int
    error: float
    exact_error: float | None
    digits: int
    sizes: Mapping[str, int]

    def __str__(self) -> str:
        exact = (
            ""
            if self.exact_error is None
            else f", from differences with {self.digits} digits {self.exact_error:.1e}"
        )
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{verdict} at {self.points} random points: off torch.func by {self.error:.1e}{exact}"


def lengths(reading: Reading) -> dict[str, int]:
    """A small number for each named size; neighbours differ, so that a wrong transpose shows.

    Args:
        reading: the expression.
    """
    return {name: _LENGTHS[at % len(_LENGTHS)] for at, name in enumerate(reading.sizes)}


def draws(reading: Reading, value: Node, seed: int, sizes: Mapping[str, int]) -> Iterator[dict[str, Floats]]:
    """Random values of all symbols at which the expression is defined and has a derivative.

    Args:
        reading: the expression.
        value: its tensor.
        seed: of the points.
        sizes: number of each named size.

    Raises:
        InputError: none of 200 points in a row was one.
    """
    generator, last = np.random.default_rng(seed), 0
    shapes = {name: concrete(shape.sizes, sizes) for name, shape in reading.symbols.items()}
    parts = [concrete(term.shape.sizes, sizes) for term in reading.term.walk()]
    largest = max(math.prod(shape) for shape in (*shapes.values(), *parts))
    if largest > _MOST_ELEMENTS:
        raise InputError(
            f"a part of the expression has {largest} elements: more than the {_MOST_ELEMENTS} that random points are tried for; "
            "a size can have a name instead of a number"
        )
    kinks = _kinks(reading, value)
    for attempt in itertools.count():
        if attempt - last > _TRIES:
            break
        low, high = _SPANS[attempt % len(_SPANS)]
        found = {}
        for name, shape in shapes.items():
            drawn = generator.uniform(low, high, shape)
            found[name] = _structured(drawn, reading.structures.get(name, "general"))
        if _smooth(reading, kinks, found, sizes):
            last = attempt
            yield found
    raise InputError("no random point was found at which the expression is defined and has a derivative")


def _structured(drawn: Any, structure: str) -> Floats:
    if structure == "symmetric":
        return np.asarray((drawn + drawn.T) / 2)
    return np.diag(np.diag(drawn)) if structure == "diagonal" else np.asarray(drawn)


def _smooth(
    reading: Reading, kinks: Callable[..., Any] | None, found: Mapping[str, Floats], sizes: Mapping[str, int]
) -> bool:
    """Whether all values are finite, and no argument of a kink is near it."""
    tensors = {name: torch.from_numpy(np.asarray(one)) for name, one in found.items()}
    try:
        whole = by_syntax(reading, tensors, sizes)
    except RuntimeError:  # a singular matrix, of which torch's LinAlgError tells
        return False
    if not bool(torch.isfinite(whole).all()):
        return False
    return kinks is None or all(bool((one.abs() > 1e-3).all()) for one in kinks(*tensors.values()))


def _kinks(reading: Reading, value: Node) -> Callable[..., Any] | None:
    """A program for the arguments that must not be near 0; None where there are none."""
    edges = [
        node.argument
        for node in order([value])
        if isinstance(node, Elementwise)
        and (node.function in JUMPS or (node.function == "pow" and node.power != 2))
    ]
    if not edges:
        return None
    inputs = [symbol(reading, name) for name in reading.symbols]
    outputs = {str(at): edge for at, edge in enumerate(edges)}
    if len(edges) == 1:
        program = function(outputs, inputs, "torch")
        return lambda *values: (program(*values),)
    return function(outputs, inputs, "torch")


def check(found: Derivation, points: int = 3, seed: int = 0, digits: int = 50) -> Proof:
    """Hold a derivative to autograd and to finite differences of the expression as it was typed.

    Both the generated program and the formula, read back from its text, are held to autograd; a formula in index notation, which the
    language cannot read, is not.

    Args:
        found: the derivative.
        points: random points for autograd, 1 or more.
        seed: of the points.
        digits: of mpmath, at the first point, 30 or more: fewer would be off by more than the bound of themselves; 0 leaves it out.

    Raises:
        InputError: there is no point at which the expression is defined, or there would be too few points or digits for a proof.
    """
    if points < 1:
        raise InputError(f"points={points}: a proof takes 1 or more")
    if digits and digits < _FEWEST_DIGITS:
        raise InputError(f"digits={digits}: {_FEWEST_DIGITS} or more, or 0 for none")
    sizes = lengths(found.reading)
    elements = math.prod(concrete(found.plain.shape, sizes))
    if elements > _MOST_ELEMENTS:
        raise InputError(
            f"the derivative has {elements} elements, more than the {_MOST_ELEMENTS} that are compared"
        )
    program = found.function("numpy")
    worst, exact = 0.0, None
    drawn = draws(found.reading, found.value, seed, sizes)
    generator = np.random.default_rng(seed + 1)
    extra = [one for one in found.inputs if one.name not in found.reading.symbols]
    written = None if found.term is None else _read_back(found, extra)
    for point in range(points):
        values = next(drawn)
        for one in extra:
            values[one.name] = _structured(
                generator.uniform(-1, 1, concrete(one.shape, sizes)), one.structure
            )
        ours = np.asarray(program(*(values[one.name] for one in found.inputs)))
        theirs = _laid(found, autograd(found, values, sizes))
        if ours.shape != theirs.shape:
            return Proof(False, point + 1, float("inf"), None, digits, sizes)
        worst = max(worst, relative(ours, theirs))
        if written is not None:
            worst = max(worst, relative(_value(written, values, sizes).reshape(theirs.shape), theirs))
        if point == 0 and digits:
            exact = _exact(found, values, sizes, digits)
    holds = worst < _TOLERANCE and (exact is None or exact < _EXACT_TOLERANCE)
    return Proof(holds, points, worst, exact, digits, sizes)


def _read_back(found: Derivation, extra: Sequence[Symbol]) -> Reading:
    """The formula as a reader would type it; one that is longer than what is read, as its term."""
    shape = found.reading.symbols[found.wrt]
    symbols = found.reading.declarations | {one.name: declared(shape) for one in extra}
    written = found.formula if len(found.formula) <= MOST_CHARACTERS else found.term
    assert written is not None
    return read(written, symbols)


def _value(written: Reading, values: Mapping[str, Floats], sizes: Mapping[str, int]) -> Floats:
    tensors = {name: torch.from_numpy(np.asarray(one, dtype=np.float64)) for name, one in values.items()}
    return np.asarray(by_syntax(written, tensors, sizes).numpy())


def relative(ours: Any, theirs: Any) -> float:
    """Largest difference, relative to the largest value or 1; infinite where something is not a number."""
    if ours.size == 0:
        return 0.0
    apart, size = (
        np.asarray([abs(value) for value in np.ravel(one)]).max() for one in (ours - theirs, theirs)
    )
    difference = apart / max(1.0, size)
    return float(difference) if np.isfinite(float(difference)) else float("inf")


def autograd(found: Derivation, values: Mapping[str, Floats], sizes: Mapping[str, int]) -> Floats:
    """The derivative by torch.func, in the order of axes of `found.plain`.

    Args:
        found: what was derived.
        values: of all its inputs.
        sizes: number of each named size.
    """
    tensors = {name: torch.from_numpy(np.asarray(one, dtype=np.float64)) for name, one in values.items()}
    x = symbol(found.reading, found.wrt)

    def whole(moved: torch.Tensor) -> Any:
        return by_syntax(found.reading, {**tensors, found.wrt: _onto(moved, x, found.symmetric)}, sizes)

    at = tensors[found.wrt]
    if found.kind == "derivative":
        made = torch.func.jacrev(whole)(at)
    elif found.kind == "hessian":
        made = torch.func.hessian(whole)(at)
    elif found.kind == "hvp":
        made = torch.func.jvp(torch.func.grad(whole), (at,), (tensors[found.inputs[-1].name],))[1]
    else:
        made = torch.func.jvp(whole, (at,), (tensors[found.inputs[-1].name],))[1]
    return np.asarray(made.detach().numpy())


def _onto(moved: torch.Tensor, x: Symbol, convention: str) -> torch.Tensor:
    """The structured matrix that a free one stands for; its value at a structured one is itself."""
    if x.structure == "diagonal":
        return torch.diag(torch.diagonal(moved))
    if x.structure != "symmetric":
        return moved
    if convention == "projected":
        return (moved + moved.T) / 2
    # Each entry with its mirror image: as a function of P, X = P + P' - P∘I - S, with S the constant symmetric value.
    fixed = moved.detach()
    change = moved - fixed
    return fixed + change + change.T - torch.diag(torch.diagonal(change))


def _laid(found: Derivation, plain: Floats) -> Floats:
    """The reference in the layout of the answer."""
    if found.kind != "derivative":
        return plain
    y, x = found.reading.term.shape, found.reading.symbols[found.wrt]
    ranks = len(y.sizes), len(x.sizes)
    if found.layout == "denominator":
        turned = np.transpose(plain, (*range(ranks[0], sum(ranks)), *range(ranks[0])))
        return turned.T if ranks == (2, 0) else turned
    return plain.T if ranks == (0, 2) else plain


def _exact(
    found: Derivation, values: Mapping[str, Floats], sizes: Mapping[str, int], digits: int
) -> float | None:
    """Largest relative error of the tensor against central differences with many digits; of derivatives only."""
    x = symbol(found.reading, found.wrt)
    if found.kind != "derivative" or x.structure in ("symmetric", "diagonal"):
        return None
    with mpmath.workdps(digits):
        step = mpmath.mpf(10) ** (-digits * 3 // 10)
        exact = {name: _objects(one) for name, one in values.items()}
        at = exact[found.wrt]
        columns = []
        for place in np.ndindex(at.shape):
            ends = []
            for sign in (1, -1):
                moved = at.copy()
                moved[place] += sign * step
                ends.append(by_syntax(found.reading, {**exact, found.wrt: moved}, sizes, exact=True))
            columns.append(np.asarray((ends[0] - ends[1]) / (2 * step), dtype=object))
        theirs = np.stack(columns, -1).reshape((*columns[0].shape, *at.shape))
        ours = by_einsum(found.plain, exact, sizes)
        return relative(ours, theirs)


def _objects(values: Any) -> NDArray[Any]:
    found = np.empty(np.shape(values), dtype=object)
    for place in np.ndindex(found.shape):
        found[place] = mpmath.mpf(float(np.asarray(values)[place]))
    return found


def same(one: Node, other: Node, reading: Reading, value: Node, seed: int = 0, points: int = 3) -> float:
    """Largest relative difference of two tensors at random points, in float64.

    Args:
        one: a tensor of the reading's symbols.
        other: another.
        reading: where the symbols are declared.
        value: the expression whose domain the points lie in.
        seed: of the points.
        points: how many.
    """
    sizes = lengths(reading)
    inputs = [symbol(reading, name) for name in reading.symbols]
    program = function({"one": one, "other": other}, inputs)
    worst = 0.0
    drawn = draws(reading, value, seed, sizes)
    for _ in range(points):
        ours, theirs = program(*next(drawn).values())
        worst = max(worst, relative(np.asarray(ours), np.asarray(theirs)))
    return worst
