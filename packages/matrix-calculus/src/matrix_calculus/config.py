"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig
from offprints.serving import ServeConfig

from matrix_calculus.neuron import TrainingOptions


@dataclass
class Config(RunConfig):
    """The options of matrix-calculus.

    Attributes:
        task: what to do.
        expression: what to differentiate, such as "x'*A*x"; for task=derive, explain, check and grade.
        wrt: the symbol that it is differentiated by.
        symbols: what symbols are, such as "X: matrix(N, n); y: vector; S: symmetric matrix"; null declares those of the paper's loss,
            where it is the expression, and else none.
        kind: derivative (gradient or Jacobian), hessian, hvp (its product with a direction v), or differential.
        layout: numerator (the paper's) or denominator.
        mode: reverse, forward or cross-country.
        symmetric: convention for symmetric matrices, projected or independent.
        backend: of the code that is written: numpy, torch or jax.
        points: random points of a proof, 1 or more.
        digits: of the high-precision part of a proof, 30 or more; 0 leaves it out.
        answer: a learner's, for grade and practice.
        exercise: number of an exercise of practice; null takes the first that is not solved.
        practice_file: where the progress of practice is kept.
        training: of the neuron.
        serve: of the page.
    """

    task: str = "train"
    expression: str = "sum((y - max(0, X*w + b))^2)/N"
    wrt: str = "w"
    symbols: str | None = None
    kind: str = "derivative"
    layout: str = "numerator"
    mode: str = "reverse"
    symmetric: str = "projected"
    backend: str = "numpy"
    points: int = 3
    digits: int = 50
    answer: str | None = None
    exercise: int | None = None
    practice_file: str = "matrix-calculus-practice.json"
    training: TrainingOptions = field(default_factory=TrainingOptions)
    serve: ServeConfig = field(default_factory=ServeConfig)
