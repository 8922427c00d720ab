"""The paper's reference card as questions: every formula of its text, by name. The answers are derived, never stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrix_calculus.derive import Derivation, derive


@dataclass(frozen=True)
class Rule:
    """A formula of the paper.

    Attributes:
        name: of it.
        section: of the paper.
        expression: what is differentiated.
        wrt: by what.
        symbols: name -> declaration.
        reason: why it holds, in a sentence.
    """

    name: str
    section: str
    expression: str
    wrt: str
    symbols: Mapping[str, str]
    reason: str

    def derive(self) -> Derivation:
        """Its answer."""
        return derive(self.expression, self.wrt, self.symbols)


_SCALAR = "Review: scalar derivative rules"
_PARTIAL = "Vector calculus and partial derivatives"
_JACOBIAN = "Generalization of the Jacobian"
_ELEMENT = "Element-wise binary operators"
_EXPANSION = "Scalar expansion"
_REDUCTION = "Vector sum reduction"
_SINGLE = "Single-variable chain rule"
_TOTAL = "Single-variable total-derivative chain rule"
_VECTOR = "Vector chain rule"
_NEURON = "The gradient of neuron activation"
_LOSS = "The gradient of the neural network loss function"

_X = {"x": "scalar"}
_XY = {"x": "scalar", "y": "scalar"}
_V = {"w": "vector(n)", "x": "vector(n)"}
_VZ = {"x": "vector(n)", "z": "scalar"}
_UNIT = {"w": "vector(n)", "x": "vector(n)", "b": "scalar"}
_DATA = {"X": "matrix(N, n)", "y": "vector(N)", "w": "vector(n)", "b": "scalar"}
_DIAGONAL = "element i of the result depends on element i alone, so that the Jacobian is diagonal"
_OUTSIDE = "the derivative of the outer function at the inner one, times the derivative of the inner one"
_PATHS = "x reaches the result by several paths, and their contributions are added"

RULES: tuple[Rule, ...] = (
    Rule("constant", _SCALAR, "c", "x", {**_X, "c": "scalar"}, "a constant does not change"),
    Rule(
        "multiplication by a constant", _SCALAR, "c*x", "x", {**_X, "c": "scalar"}, "constants are pulled out"
    ),
    Rule("power", _SCALAR, "x^3", "x", _X, "n x^(n-1)"),
    Rule("power with any exponent", _SCALAR, "x^2.5", "x", _X, "n x^(n-1)"),
    Rule("sum", _SCALAR, "x^2 + sin(x)", "x", _X, "d/dx goes into a sum"),
    Rule("difference", _SCALAR, "x^2 - sin(x)", "x", _X, "d/dx goes into a difference"),
    Rule("product", _SCALAR, "x^2*sin(x)", "x", _X, "f g' + f' g"),
    Rule("quotient", _SCALAR, "sin(x)/x", "x", _X, "a quotient is a product with a power"),
    Rule("exponential", _SCALAR, "exp(x)", "x", _X, "it is its own derivative"),
    Rule("logarithm", _SCALAR, "ln(x)", "x", _X, "1/x"),
    Rule("polynomial", _SCALAR, "9*(x + x^2)", "x", _X, "constants are pulled out, d/dx goes into a sum"),
    Rule("partial derivative by x", _PARTIAL, "3*x^2*y", "x", _XY, "y counts as a constant"),
    Rule("partial derivative by y", _PARTIAL, "3*x^2*y", "y", _XY, "x counts as a constant"),
    Rule("second function by x", _PARTIAL, "2*x + y^8", "x", _XY, "y counts as a constant"),
    Rule("second function by y", _PARTIAL, "2*x + y^8", "y", _XY, "x counts as a constant"),
    Rule(
        "gradient",
        _PARTIAL,
        "x'*x",
        "x",
        {"x": "vector(n)"},
        "the partial derivatives, side by side in a row",
    ),
    Rule("identity", _JACOBIAN, "x", "x", {"x": "vector(n)"}, "∂x_i/∂x_j is 1 for i = j and otherwise 0"),
    Rule("scalar by scalar", _JACOBIAN, "x^2", "x", _X, "1×1"),
    Rule("scalar by vector", _JACOBIAN, "sum(x.^2)", "x", {"x": "vector(n)"}, "1×n"),
    Rule("vector by scalar", _JACOBIAN, "x*z.^2", "z", _VZ, "m×1"),
    Rule("vector by vector", _JACOBIAN, "A*x", "x", {"A": "matrix(m, n)", "x": "vector(n)"}, "m×n"),
    Rule("w + x by w", _ELEMENT, "w + x", "w", _V, _DIAGONAL),
    Rule("w + x by x", _ELEMENT, "w + x", "x", _V, _DIAGONAL),
    Rule("w - x by w", _ELEMENT, "w - x", "w", _V, _DIAGONAL),
    Rule("w - x by x", _ELEMENT, "w - x", "x", _V, _DIAGONAL),
    Rule("w ⊗ x by w", _ELEMENT, "w ⊗ x", "w", _V, _DIAGONAL),
    Rule("w ⊗ x by x", _ELEMENT, "w ⊗ x", "x", _V, _DIAGONAL),
    Rule("w ⊘ x by w", _ELEMENT, "w ⊘ x", "w", _V, _DIAGONAL),
    Rule("w ⊘ x by x", _ELEMENT, "w ⊘ x", "x", _V, _DIAGONAL),
    Rule("max(w, x) by w", _ELEMENT, "max(w, x)", "w", _V, _DIAGONAL),
    Rule("max(w, x) by x", _ELEMENT, "max(w, x)", "x", _V, _DIAGONAL),
    Rule("min(w, x) by w", _ELEMENT, "min(w, x)", "w", _V, _DIAGONAL),
    Rule("min(w, x) by x", _ELEMENT, "min(w, x)", "x", _V, _DIAGONAL),
    Rule("w > x by w", _ELEMENT, "w > x", "w", _V, "a jump has slope 0 wherever it has one"),
    Rule("w > x by x", _ELEMENT, "w > x", "x", _V, "a jump has slope 0 wherever it has one"),
    Rule("power of a vector", _ELEMENT, "x.^3", "x", {"x": "vector(n)"}, _DIAGONAL),
    Rule("w to the x by w", _ELEMENT, "w.^x", "w", _V, _DIAGONAL),
    Rule("w to the x by x", _ELEMENT, "w.^x", "x", _V, _DIAGONAL),
    Rule("x + z by x", _EXPANSION, "x + z", "x", _VZ, "z is expanded to a vector of z: " + _DIAGONAL),
    Rule("x + z by z", _EXPANSION, "x + z", "z", _VZ, "every element of 1 z moves with z"),
    Rule("x z by x", _EXPANSION, "x*z", "x", _VZ, "z is expanded to a vector of z: " + _DIAGONAL),
    Rule("x z by z", _EXPANSION, "x*z", "z", _VZ, "element i of the result is x_i z"),
    Rule("x - z by z", _EXPANSION, "x - z", "z", _VZ, "every element of 1 z moves with z"),
    Rule("x / z by z", _EXPANSION, "x/z", "z", _VZ, "element i of the result is x_i / z"),
    Rule("sum(x)", _REDUCTION, "sum(x)", "x", {"x": "vector(n)"}, "each element adds itself"),
    Rule("sum(x z) by x", _REDUCTION, "sum(x*z)", "x", _VZ, "each element adds itself z times"),
    Rule("sum(x z) by z", _REDUCTION, "sum(x*z)", "z", _VZ, "z multiplies each element"),
    Rule("sum(w ⊗ x) by w", _REDUCTION, "sum(w ⊗ x)", "w", _V, "each w_i is multiplied by x_i"),
    Rule("sum(w ⊗ x) by x", _REDUCTION, "sum(w ⊗ x)", "x", _V, "each x_i is multiplied by w_i"),
    Rule("sum(f(x))", _REDUCTION, "sum(sin(x))", "x", {"x": "vector(n)"}, "the derivative goes into the sum"),
    Rule("sin(x²)", _SINGLE, "sin(x^2)", "x", _X, _OUTSIDE),
    Rule("ln(sin(x³)²)", _SINGLE, "ln(sin(x^3)^2)", "x", _X, _OUTSIDE),
    Rule("exp(-x²)", _SINGLE, "exp(-x^2)", "x", _X, _OUTSIDE),
    Rule("x + x² by two paths", _TOTAL, "x + x^2", "x", _X, _PATHS),
    Rule("x x² by two paths", _TOTAL, "x*x^2", "x", _X, _PATHS),
    Rule("sin(x + x²)", _TOTAL, "sin(x + x^2)", "x", _X, _PATHS),
    Rule("vector of scalar functions", _VECTOR, "sin(x*z.^2)", "z", _VZ, "∂f/∂g times ∂g/∂z, as matrices"),
    Rule(
        "f(g(x)) of vectors",
        _VECTOR,
        "tanh(A*x)",
        "x",
        {"A": "matrix(m, n)", "x": "vector(n)"},
        "∂f/∂g times ∂g/∂x, as matrices",
    ),
    Rule(
        "f(g(x)) with diagonal Jacobians",
        _VECTOR,
        "sin(x.^2)",
        "x",
        {"x": "vector(n)"},
        "a product of diagonal matrices is diagonal",
    ),
    Rule("w·x by w", _NEURON, "w·x", "w", _V, "with u = w ⊗ x and y = sum(u)"),
    Rule("w·x + b by w", _NEURON, "w·x + b", "w", _UNIT, "b is a constant"),
    Rule("w·x + b by b", _NEURON, "w·x + b", "b", _UNIT, "w·x is a constant"),
    Rule("max(0, z)", _NEURON, "max(0, z)", "z", {"z": "scalar"}, "0 up to z = 0 and 1 beyond"),
    Rule(
        "activation by w",
        _NEURON,
        "max(0, w·x + b)",
        "w",
        _UNIT,
        "0^T where the neuron is off, x^T where it is on",
    ),
    Rule(
        "activation by b",
        _NEURON,
        "max(0, w·x + b)",
        "b",
        _UNIT,
        "0 where the neuron is off, 1 where it is on",
    ),
    Rule(
        "loss by w",
        _LOSS,
        "sum((y - max(0, X*w + b))^2)/N",
        "w",
        _DATA,
        "the mean of 2 e_i x_i^T over the active inputs",
    ),
    Rule(
        "loss by b",
        _LOSS,
        "sum((y - max(0, X*w + b))^2)/N",
        "b",
        _DATA,
        "the mean of 2 e_i over the active inputs",
    ),
)
"""Every formula of the paper's text."""

LOSS = {rule.wrt: rule for rule in RULES if rule.section == _LOSS}
"""The paper's final results: the gradient of the loss by w and by b."""
