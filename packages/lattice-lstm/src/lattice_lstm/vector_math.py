"""Exponential, logistic function and hyperbolic tangent as arithmetic that a compiler can do for several numbers at once.

The mathematical library's functions are called number by number. Here exp(x) = 2^n exp(r) with n the whole number nearest to x / ln 2, and
exp(r) a polynomial, exact to the last bit or two: |r| is below 0.35.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types

_OPTIONS: Any = {"fastmath": {"contract"}, "error_model": "numpy", "nogil": True}
_F = np.float32
# 1 / ln 2, and ln 2 in two parts of which the first has zeros at its end, so that its products with whole numbers are exact
_INVERSE32, _HIGH32, _LOW32 = _F(1.4426950408889634), _F(0.693359375), _F(-2.12194440e-4)
_INVERSE64, _HIGH64, _LOW64 = 1.4426950408889634, 6.93145751953125e-1, 1.42860682030941723212e-6
# Beyond these the result is taken as at the bound: exp stays a normal number.
_LEAST32, _MOST32, _LEAST64, _MOST64 = _F(-87.0), _F(88.0), -708.0, 709.0
_ONE32, _TWO32 = _F(1.0), _F(2.0)
_P32 = tuple(_F(1 / d) for d in (5040, 720, 120, 24, 6, 2))
_A7, _A6, _A5, _A4, _A3, _A2 = _P32


def _nearest_whole_number(context: Any, x: Any) -> Any:
    """The whole number nearest to a floating point number, as one."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        name = "llvm.rint.f32" if signature.args[0] == types.float32 else "llvm.rint.f64"
        function = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(kind, [kind]))
        return builder.call(function, [arguments[0]])

    return x(x), generate


def _two_to_the(context: Any, n: Any) -> Any:
    """2^n of a whole number that is given as a floating point number: n is put where its exponent stands."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        single = signature.args[0] == types.float32
        whole, bias, place = (ir.IntType(32), 127, 23) if single else (ir.IntType(64), 1023, 52)
        exponent = builder.fptosi(arguments[0], whole)
        bits = builder.shl(builder.add(exponent, ir.Constant(whole, bias)), ir.Constant(whole, place))
        return builder.bitcast(bits, arguments[0].type)

    return n(n), generate


_nearest_whole: Any = extending.intrinsic(_nearest_whole_number)
_power_of_two: Any = extending.intrinsic(_two_to_the)


def exp(x: float) -> float:
    """e^x; of what is not a number, that."""
    return float(np.exp(x))


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)."""
    return 1 / (1 + exp(-x))


def tanh(x: float) -> float:
    """Hyperbolic tangent."""
    return float(np.tanh(x))


@extending.overload(exp, jit_options=_OPTIONS)
def _exp(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            x = _LEAST32 if x < _LEAST32 else x
            x = _MOST32 if x > _MOST32 else x
            n = _nearest_whole(x * _INVERSE32)
            r = x - n * _HIGH32
            r = r - n * _LOW32
            p = _A7
            p = p * r + _A6
            p = p * r + _A5
            p = p * r + _A4
            p = p * r + _A3
            p = p * r + _A2
            return (p * r * r + r + _ONE32) * _power_of_two(n)

        return single
    if x == types.float64:

        def double(x: Any) -> Any:
            x = _LEAST64 if x < _LEAST64 else x
            x = _MOST64 if x > _MOST64 else x
            n = _nearest_whole(x * _INVERSE64)
            r = x - n * _HIGH64
            r = r - n * _LOW64
            p = 1 / 6227020800
            p = p * r + 1 / 479001600
            p = p * r + 1 / 39916800
            p = p * r + 1 / 3628800
            p = p * r + 1 / 362880
            p = p * r + 1 / 40320
            p = p * r + 1 / 5040
            p = p * r + 1 / 720
            p = p * r + 1 / 120
            p = p * r + 1 / 24
            p = p * r + 1 / 6
            p = p * r + 1 / 2
            return (p * r * r + r + 1.0) * _power_of_two(n)

        return double
    return None


@extending.overload(sigmoid, jit_options=_OPTIONS)
def _sigmoid(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            return _ONE32 / (_ONE32 + exp(-x))

        return single

    def double(x: Any) -> Any:
        return 1.0 / (1.0 + exp(-x))

    return double


@extending.overload(tanh, jit_options=_OPTIONS)
def _tanh(x: Any) -> Any:
    if x == types.float32:

        def single(x: Any) -> Any:
            return _ONE32 - _TWO32 / (_ONE32 + exp(_TWO32 * x))

        return single

    def double(x: Any) -> Any:
        return 1.0 - 2.0 / (1.0 + exp(2.0 * x))

    return double
