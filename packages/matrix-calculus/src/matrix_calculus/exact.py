"""Arithmetic of the numbers in an expression: exact fractions, and bounded, for what is typed may be hostile."""

from __future__ import annotations

from fractions import Fraction

from offprints.errors import InputError

_MOST_BITS = 2_000  # of an exact number
_FOLDED: dict[str, dict[Fraction | int, Fraction | int]] = {
    "exp": {0: 1}, "log": {1: 0}, "sin": {0: 0}, "cos": {0: 1}, "tan": {0: 0}, "tanh": {0: 0}, "sinh": {0: 0},
    "cosh": {0: 1}, "arctan": {0: 0}, "arcsin": {0: 0}, "sigmoid": {0: Fraction(1, 2)}, "arccos": {1: 0},
}  # fmt: skip


def exact(value: Fraction) -> Fraction:
    """The number itself, refused if it has grown beyond 2,000 binary digits."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MOST_BITS:
        raise InputError(f"a number in the expression has more than {_MOST_BITS} binary digits")
    return value


def folded(function: str, value: Fraction, power: Fraction | None) -> Fraction | int | None:
    """A function of a number where that is an exact number again; None where it is none."""
    if function == "pow":
        assert power is not None
        return (
            raised(value, power)
            if power.denominator == 1
            else value
            if value in (0, 1) and power > 0
            else None
        )
    if function in ("relu", "abs", "sign", "step"):
        sign = (value > 0) - (value < 0)
        found: dict[str, Fraction | int] = {"relu": max(value, Fraction(0)), "abs": abs(value), "sign": sign}
        return found.get(function, int(value > 0))
    if function == "log" and value <= 0:
        raise InputError(f"the logarithm of {value} is not defined")
    return _FOLDED.get(function, {}).get(value)


def raised(value: Fraction, power: Fraction) -> Fraction:
    """A number to a whole power, refused before it fills the memory."""
    if value == 0 and power < 0:
        raise InputError("the expression divides by 0")
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if value not in (0, 1, -1) and bits * abs(power) > _MOST_BITS:
        raise InputError(f"a number to the power {float(power):.4g} has more than {_MOST_BITS} binary digits")
    return exact(value ** int(power))
