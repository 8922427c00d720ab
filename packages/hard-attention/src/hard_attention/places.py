"""Places as digits: how a head finds a position whose number it knows, in any format.

The textbook way is one quadratic, -(j - a)^2: largest at j = a, and as large as n^2, which ends formats with few digits at once (bfloat16
knows the whole numbers up to 256). Four digits in a base of the format's own make four small quadratics of it. The score is
`64 (2 sum T_k J_k - sum J_k^2)`, which is 64 (sum T_k^2 - distance^2) for digits T of the place looked for and J of the key: the key at the
place looked for is ahead of every other by 64 or more, whatever the length.
"""

from __future__ import annotations

import math

import torch

from hard_attention.precision import Precision

DIGITS = 4
APART = 64.0
"""By how much the key at the place looked for is ahead of any other: exp(-64) is below the last digit of float64."""
HALF = {"float64": 512, "float32": 512, "float16": 15, "bfloat16": 8}
"""Largest digit, to either side of 0: four squares are a whole number of the format, and 64 times that is finite."""


def last_place(precision: Precision) -> int:
    """The largest place that four digits reach; beyond it the highest digit grows, and the format no longer holds its square."""
    return int((2 * HALF[precision.name] + 1) ** DIGITS) - 1


def digits(place: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Digits between -h and h of place - last_place / 2, the lowest first; beyond the last place the highest one grows.

    Args:
        place: int64 of any shape, 0 or more.
        precision: the format whose base is taken.

    Returns:
        int64 of the same shape and four more entries at the end.
    """
    half = HALF[precision.name]
    base = 2 * half + 1
    rest = place - last_place(precision) // 2
    found = []
    for _ in range(DIGITS - 1):
        digit = (rest + half) % base - half
        found.append(digit)
        rest = (rest - digit) // base
    return torch.stack([*found, rest], -1)


def read_digits(found: torch.Tensor, precision: Precision) -> torch.Tensor:
    """The place that digits stand for.

    Args:
        found: (..., 4) int64.
        precision: the format whose base was taken.
    """
    base = 2 * HALF[precision.name] + 1
    place = torch.zeros_like(found[..., 0])
    for k in reversed(range(DIGITS)):
        place = place * base + found[..., k]
    return place + last_place(precision) // 2


def wanted(place: torch.Tensor, n: torch.Tensor, numbers: tuple[int, int, int]) -> torch.Tensor:
    """The place c + k i + m n that position i looks for; 0, the sink's, where the string has no such position.

    Args:
        place: int64 positions i.
        n: int64 lengths, broadcast against the positions.
        numbers: c, k and m.
    """
    constant, of_place, of_length = numbers
    found = constant + of_place * place + of_length * n
    return torch.where((found >= 1) & (found <= n), found, torch.zeros_like(found))


def largest_squares(precision: Precision) -> int:
    """The largest sum of four squares of digits, up to the last place."""
    return DIGITS * HALF[precision.name] ** 2


def off_target(n: int) -> float:
    """The mass that softmax gives to other keys than the one looked for, at most."""
    return (n + 1) * math.exp(-APART)
