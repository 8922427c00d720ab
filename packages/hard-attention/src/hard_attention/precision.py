"""Floating-point formats, and the ladder: the position embedding that keeps positions apart in any of them.

A head that looks for the nearest position needs one number for each position, and neighbouring numbers a fixed step apart. Written
as `step * j`, they end where the format's whole numbers end: at 256 for bfloat16. But a float has exponents too. The ladder climbs by
the step while it can and then from each float to the next, whose distance only grows; bfloat16 has 15,345 such rungs in place of 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from offprints.errors import InputError

START = 15
"""The first rung is step * (START + 1): far above the score 0 of the sink, so that n positions together weigh little beside it."""


@dataclass(frozen=True)
class Precision:
    """A binary floating-point format.

    Attributes:
        name: such as bfloat16.
        dtype: torch's.
        bits: of the significand, with the hidden one.
        top: exponent of the largest power of two.
        accumulator: dtype in which the attention kernels add up.
        accumulator_bits: of its significand.
    """

    name: str
    dtype: torch.dtype
    bits: int
    top: int
    accumulator: torch.dtype
    accumulator_bits: int

    @property
    def unit(self) -> float:
        """The largest relative error of rounding to nearest."""
        return 2.0**-self.bits

    @property
    def accumulator_unit(self) -> float:
        """The same of the accumulator."""
        return 2.0**-self.accumulator_bits

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return math.ldexp(2 - 2.0 ** (1 - self.bits), self.top)

    def holds(self, value: float) -> bool:
        """Whether a number is a float of this format, ignoring underflow."""
        if value == 0:
            return True
        mantissa, exponent = math.frexp(value)
        return exponent - 1 <= self.top and math.ldexp(mantissa, self.bits).is_integer()


PRECISIONS = {
    "float64": Precision("float64", torch.float64, 53, 1023, torch.float64, 53),
    "float32": Precision("float32", torch.float32, 24, 127, torch.float32, 24),
    "float16": Precision("float16", torch.float16, 11, 15, torch.float32, 24),
    "bfloat16": Precision("bfloat16", torch.bfloat16, 8, 127, torch.float32, 24),
}


def precision_of(dtype: torch.dtype | str) -> Precision:
    """The format of a torch dtype or of its name.

    Raises:
        InputError: it is none of float64, float32, float16 and bfloat16.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in PRECISIONS:
        raise InputError(f"precision {name} is unknown: one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def is_power_of_two(step: float) -> bool:
    """Whether multiplying by it is exact in every format."""
    return step > 0 and math.isfinite(step) and math.frexp(step)[0] == 0.5


def rungs(precision: Precision, step: float) -> int:
    """How many positions the ladder keeps a step apart.

    Args:
        precision: the format.
        step: the least distance; a power of two.
    """
    # In units of the step: every whole number up to 2**bits, then 2**(bits - 1) floats for each doubling. One doubling below the
    # top stays free, so that twice a rung is finite; float16, which has few, gives none away.
    spare = 1 if precision.top > 15 else 0
    doublings = precision.top - spare - (int(math.log2(step)) + precision.bits - 1)
    half = 1 << (precision.bits - 1)
    return 2 * half + max(doublings, 0) * half - START - 1


def ladder(place: torch.Tensor, precision: Precision, step: float) -> torch.Tensor:
    """The rung of each position.

    Args:
        place: int64 positions of any shape; 0 has the rung 0, and beyond the last rung all have the last one.
        precision: the format whose floats the rungs are.
        step: the least distance of two rungs.

    Returns:
        float64 of the same shape. Where whole numbers suffice it is step * (place + 15): an affine function of the position.
    """
    if not is_power_of_two(step):  # no promise is made for such a step, see certificate.py
        return torch.where(place > 0, step * (place + START).double(), 0.0)
    whole = place.clamp(max=rungs(precision, step)) + START
    half = 2 ** (precision.bits - 1)
    beyond = (whole - 2 * half).clamp(min=0)
    doubling = torch.where(whole > 2 * half, 1 + beyond // half, 0)
    climbed = (half + beyond % half).double() * power_of_two(doubling)
    units = torch.where(whole > 2 * half, climbed, whole.double())
    return torch.where(place > 0, units * step, 0.0)


def steepness(place: torch.Tensor, precision: Precision) -> torch.Tensor:
    """The least float of a format that is at least (n + 1) ln(16 (n + 1)): what a sign's quotient is multiplied by.

    Args:
        place: int64 lengths n of any shape.
        precision: the format.

    Returns:
        float64 of the same shape; beyond the format's range its largest power of two.
    """
    wanted = (place + 1) * torch.log(16.0 * (place + 1).double())
    exponent = exponent_of(wanted)
    spacing = power_of_two((exponent + 1 - precision.bits).clamp(min=-1022))
    found = torch.ceil(wanted / spacing) * spacing
    return torch.where(exponent < precision.top, found, power_of_two(torch.tensor(precision.top)))


def power_of_two(exponent: torch.Tensor) -> torch.Tensor:
    """2**exponent as float64, exactly: torch's own exp2 and pow may be off by a unit in the last place.

    Args:
        exponent: int64 between -1022 and 1023.
    """
    bits: torch.Tensor = (exponent + 1023) << 52
    return bits.view(torch.float64)


def exponent_of(value: torch.Tensor) -> torch.Tensor:
    """floor(log2(value)) of positive normal float64, exactly."""
    return (value.view(torch.int64) >> 52) - 1023
