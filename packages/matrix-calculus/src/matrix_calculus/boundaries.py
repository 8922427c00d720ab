"""Points on both sides of a condition: where [z > 0] switches, two answers differ that agree almost everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from matrix_calculus.codegen import function
from matrix_calculus.expression import Node, Symbol

Floats = NDArray[np.float64]
Point = Mapping[str, Floats]

_PAIRS = 4  # crossings that are looked for, of each condition
_MOST_CONDITIONS = 8
_HALVINGS = 40
_NEAR, _FAR = -4.0, -1.0  # powers of ten: how far beside the crossing, as a share of the way


def beside(
    conditions: Sequence[Node],
    inputs: Sequence[Symbol],
    points: Sequence[Point],
    generator: np.random.Generator,
) -> Iterator[dict[str, Floats]]:
    """Points shortly before and behind places where a condition's argument is 0.

    Between two points at which an element of the argument has different signs it is 0 somewhere: bisection finds where.

    Args:
        conditions: the arguments z.
        inputs: the symbols that they are made of.
        points: values of all inputs, between which the crossings are looked for.
        generator: of the choices.
    """
    for condition in conditions[:_MOST_CONDITIONS]:
        program = function({"z": condition}, inputs)

        def argument(point: Point, program: object = program) -> Floats:
            with np.errstate(all="ignore"):
                return np.asarray(program(*point.values()), dtype=np.float64).ravel()  # type: ignore[operator]

        values = np.stack([argument(point) for point in points])
        for _ in range(_PAIRS):
            place = int(generator.integers(values.shape[1])) if values.shape[1] else 0
            below, above = (np.flatnonzero(side[:, place]) for side in (values < 0, values > 0))
            if not (len(below) and len(above)):
                continue
            low, high = points[generator.choice(below)], points[generator.choice(above)]
            first, last = 0.0, 1.0
            for _ in range(_HALVINGS):
                middle = (first + last) / 2
                first, last = (
                    (middle, last) if argument(_between(low, high, middle))[place] < 0 else (first, middle)
                )
            for sign in (-1, 1):
                yield _between(low, high, first + sign * 10 ** generator.uniform(_NEAR, _FAR))


def _between(one: Point, other: Point, share: float) -> dict[str, Floats]:
    return {name: np.asarray(one[name] + share * (other[name] - one[name])) for name in one}
