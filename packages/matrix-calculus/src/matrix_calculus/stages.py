"""The steps of what takes more than one derivative, each stage told as the paper tells a first one.

A Hessian is the Jacobian of the gradient; its product with v the gradient of g·v; a differential the derivative applied to a change. By
a symmetric or diagonal matrix, the derivative is found as if the matrix were general, and then put into its structure.
"""

from __future__ import annotations

from collections.abc import Iterator

from offprints.errors import InputError

from matrix_calculus.derive import Derivation, derive
from matrix_calculus.explain import Step, Transcript, apart, stated
from matrix_calculus.inference import as_term, declared, read
from matrix_calculus.lowering import lower
from matrix_calculus.syntax import Term

_STRUCTURED = ("symmetric", "diagonal")


def explain(found: Derivation) -> tuple[Step, ...]:
    """The steps of a derivation of any kind.

    Args:
        found: what was derived.

    Raises:
        InputError: a second derivative of what has a first one that only indices can write.
    """
    return tuple(_steps(found))


def _steps(found: Derivation) -> Iterator[Step]:
    if found.reading.structures.get(found.wrt) in _STRUCTURED and found.kind != "differential":
        yield from _steps(_general(found, found.kind, found.layout))
        yield _structure(found)
    elif found.kind == "derivative":
        yield from Transcript(found).steps()
    elif found.kind == "differential":
        yield from Transcript(_general(found, "derivative", "numerator")).steps()
        yield _conclusion(found, "differential", f"the derivative applied to the change d{found.wrt}")
    elif found.kind == "hessian":
        yield from _hessian(found)
    else:
        yield from _along(found)


def _general(found: Derivation, kind: str, layout: str) -> Derivation:
    """The same by a matrix that may move freely."""
    symbols = found.reading.declarations | {found.wrt: declared(found.reading.symbols[found.wrt])}
    return derive(as_term(found.reading.term), found.wrt, symbols, kind=kind, layout=layout, mode=found.mode)


def _gradient(found: Derivation) -> tuple[Derivation, Term]:
    """The gradient in the shape of its variable, as a term that can be differentiated again."""
    first = _general(found, "derivative", "denominator")
    if first.term is None:
        raise InputError(
            f"the gradient by {found.wrt} has no matrix form, from which a second stage could start"
        )
    return first, first.term


def _hessian(found: Derivation) -> Iterator[Step]:
    first, gradient = _gradient(found)
    yield from Transcript(first).steps()
    yield _again(
        found, first, "g", gradient, f"the Hessian is the Jacobian of the gradient, g by {found.wrt}"
    )
    second = derive(gradient, found.wrt, first.reading.declarations)
    yield from Transcript(second, "v", f"dg/d{found.wrt}").steps()
    yield _conclusion(
        found, "Hessian", "the Jacobian of the gradient; second derivatives do not ask for an order"
    )


def _along(found: Derivation) -> Iterator[Step]:
    first, gradient = _gradient(found)
    yield from Transcript(first).steps()
    direction = found.inputs[-1].name
    v = Term("name", (), direction)
    scalar = found.reading.symbols[found.wrt].kind == "scalar"
    along = Term("*", (gradient, v)) if scalar else Term("call", (Term(".*", (gradient, v)),), "sum")
    symbols = first.reading.declarations | {direction: declared(found.reading.symbols[found.wrt])}
    yield _again(
        found, first, "h", along, f"{direction} does not move: the gradient of g·{direction} is the Hessian times {direction}",
        symbols,
    )  # fmt: skip
    second = derive(along, found.wrt, symbols, layout="denominator")
    yield from Transcript(second, "p", f"dh/d{found.wrt}").steps()
    yield _conclusion(found, "product with the Hessian", f"the slope of the gradient along {direction}")


def _again(
    found: Derivation,
    first: Derivation,
    name: str,
    term: Term,
    reason: str,
    symbols: dict[str, str] | None = None,
) -> Step:
    """What is differentiated next; of a gradient, held to the tensor that was derived."""
    reading = read(term, symbols or first.reading.declarations, (found.wrt,))
    error = apart(lower(reading), first.plain, first) if symbols is None else first.check(1, digits=0).error
    shape = "×".join(str(size) for size in reading.term.shape.sizes) or "1"
    shape = f"{shape}×1" if reading.term.shape.kind in ("column", "scalar") else shape
    kinds = {one: shaped.kind for one, shaped in reading.symbols.items()}
    return stated(
        "again",
        "gradient" if name == "g" else "gradient along v",
        "",
        name,
        term,
        shape,
        reason,
        error,
        kinds,
    )


def _conclusion(found: Derivation, rule: str, reason: str) -> Step:
    error = found.check(2, digits=0).error
    return stated(
        "conclude", rule, "", found.name, found.term or found.formula, found.shape, reason, error, found.kinds
    )


def _structure(found: Derivation) -> Step:
    structure = found.reading.structures[found.wrt]
    reason = next(note for note in found.notes if note.startswith(f"{found.wrt} stays"))
    error = found.check(2, digits=0).error
    return stated(
        "structure", f"{structure} matrix", "", found.name, found.term or found.formula, found.shape, reason, error, found.kinds
    )  # fmt: skip
