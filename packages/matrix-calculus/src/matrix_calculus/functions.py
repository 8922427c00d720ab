"""Functions of one number, which work element by element: values, slopes, and where they have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from matrix_calculus.expression import Node
from matrix_calculus.products import add, elementwise, number, times

Slope = Callable[[Node], Node]


@dataclass(frozen=True)
class Function:
    """A function of one number.

    Attributes:
        slope: node of the argument to node of the derivative there.
        numpy: source with {} for the argument.
        torch: the same.
        jax: the same; "" is numpy's, with jnp.
        latex: source with {} for the argument.
        kink: what the answer says of the point without a slope; "" where there is none.
        low: the argument lies above it; None has no bound.
        high: the argument lies below it.
    """

    slope: Slope
    numpy: str
    torch: str
    jax: str = ""
    latex: str = ""
    kink: str = ""
    low: float | None = None
    high: float | None = None


def _with(function: str) -> Slope:
    return lambda x: elementwise(function, x)


def _one(x: Node) -> Node:
    return number(1, x.shape)


def _minus(x: Node) -> Node:
    return add([(-1, x)], x.shape)


def _square(x: Node) -> Node:
    return elementwise("pow", x, Fraction(2))


def _zero(x: Node) -> Node:
    return number(0, x.shape)


def _sigmoid(x: Node) -> Node:
    s = elementwise("sigmoid", x)
    return times(s, add([(1, _one(x)), (-1, s)], x.shape))


def _below_one(x: Node) -> Node:
    """1 / sqrt(1 - x²)."""
    return elementwise("pow", add([(1, _one(x)), (-1, _square(x))], x.shape), Fraction(-1, 2))


_FLAT = "0 is taken for its slope there, where it jumps"
ELEMENTWISE: dict[str, Function] = {
    "exp": Function(_with("exp"), "np.exp({})", "torch.exp({})", latex=r"\exp({})"),
    "log": Function(
        lambda x: elementwise("pow", x, Fraction(-1)), "np.log({})", "torch.log({})", latex=r"\ln({})", low=0
    ),
    "sin": Function(_with("cos"), "np.sin({})", "torch.sin({})", latex=r"\sin({})"),
    "cos": Function(
        lambda x: _minus(elementwise("sin", x)), "np.cos({})", "torch.cos({})", latex=r"\cos({})"
    ),
    "tan": Function(
        lambda x: add([(1, _one(x)), (1, _square(elementwise("tan", x)))], x.shape),
        "np.tan({})", "torch.tan({})", latex=r"\tan({})", low=-1.5, high=1.5,
    ),
    "sinh": Function(_with("cosh"), "np.sinh({})", "torch.sinh({})", latex=r"\sinh({})"),
    "cosh": Function(_with("sinh"), "np.cosh({})", "torch.cosh({})", latex=r"\cosh({})"),
    "tanh": Function(
        lambda x: add([(1, _one(x)), (-1, _square(elementwise("tanh", x)))], x.shape),
        "np.tanh({})", "torch.tanh({})", latex=r"\tanh({})",
    ),
    "arcsin": Function(_below_one, "np.arcsin({})", "torch.arcsin({})", latex=r"\arcsin({})", low=-1, high=1),
    "arccos": Function(
        lambda x: _minus(_below_one(x)), "np.arccos({})", "torch.arccos({})", latex=r"\arccos({})", low=-1, high=1
    ),
    "arctan": Function(
        lambda x: elementwise("pow", add([(1, _one(x)), (1, _square(x))], x.shape), Fraction(-1)),
        "np.arctan({})", "torch.arctan({})", latex=r"\arctan({})",
    ),
    "sigmoid": Function(
        _sigmoid, "0.5 * (1 + np.tanh(0.5 * {}))", "torch.sigmoid({})", "jax.nn.sigmoid({})", r"\sigma({})"
    ),
    "softplus": Function(
        _with("sigmoid"), "np.logaddexp(0, {})", "torch.logaddexp(torch.zeros_like({0}), {0})", "jax.nn.softplus({})",
        r"\operatorname{{softplus}}({})",
    ),
    "relu": Function(
        _with("step"), "np.maximum({}, 0)", "torch.relu({})", latex=r"\max(0, {})",
        kink="max(0, z) has no derivative at z = 0; the paper's convention gives it slope 0 there",
    ),
    "abs": Function(
        _with("sign"), "np.abs({})", "torch.abs({})", latex=r"\left|{}\right|",
        kink="|z| has no derivative at z = 0; sign(0) = 0 is taken as its slope there",
    ),
    "sign": Function(
        _zero, "np.sign({})", "torch.sign({})", latex=r"\operatorname{{sign}}({})", kink=f"sign(z) at z = 0: {_FLAT}"
    ),
    "step": Function(
        _zero, "np.where({} > 0, 1.0, 0.0)", "({0} > 0).to({0}.dtype)", "jnp.where({} > 0, 1.0, 0.0)", r"[{} > 0]",
        kink=f"[z > 0] at z = 0: {_FLAT}",
    ),
}  # fmt: skip

ALIASES = {"ln": "log", "logistic": "sigmoid", "asin": "arcsin", "acos": "arccos", "atan": "arctan"}
"""Other names of the same."""


def slope(function: str, argument: Node, power: Fraction | None) -> Node:
    """The derivative of an element-wise function at its argument.

    Args:
        function: its name; "pow" has an exponent.
        argument: where.
        power: the exponent of "pow".
    """
    if function == "pow":
        assert power is not None
        return add([(power, elementwise("pow", argument, power - 1))], argument.shape)
    return ELEMENTWISE[function].slope(argument)


def kink(function: str, power: Fraction | None) -> str:
    """What an answer says of a function's point without a derivative; "" where there is none."""
    if function == "pow":
        assert power is not None
        if power.denominator == 1:
            return "" if power > 0 else f"z^({power}) is defined where z is not 0"
        return f"z^({power}) has a derivative where z > 0"
    if function == "log":
        return "log(z) is defined where z > 0"
    return ELEMENTWISE[function].kink
