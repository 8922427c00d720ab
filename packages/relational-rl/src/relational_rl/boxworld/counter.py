"""Random numbers that are a function of where they are used: a hash of a key and a counter, and no state.

What a level is made of depends on the seed, the environment and the level's number alone; not on how many environments there are,
on what was drawn before, or on the library that computes it.

Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
LEVEL = np.uint64(0xD1B54A32D192ED03)
ATTEMPT = np.uint64(0x8CB92BA72F3D8DD7)
ACTION = np.uint64(0xA0761D6478BD642F)
S27, S30, S31, S32 = (np.uint64(n) for n in (27, 30, 31, 32))
S40 = np.uint64(40)


def mix(x: U64) -> U64:
    """Every bit of the result depends on every bit of x; arrays of any shape."""
    x = (x ^ (x >> S30)) * FIRST
    x = (x ^ (x >> S27)) * SECOND
    return x ^ (x >> S31)


def stream_keys(seed: int | NDArray[Any], index: NDArray[Any]) -> U64:
    """The key of each environment.

    Args:
        seed: one for all environments, or one for each; below 2^64.
        index: (B,) the environments' numbers.
    """
    seeds = np.broadcast_to(np.asarray(seed, np.uint64), np.shape(index))
    return mix(mix(seeds + GAMMA) + (index.astype(np.uint64) + np.uint64(1)) * GAMMA)


def level_keys(streams: U64, number: NDArray[Any]) -> U64:
    """The key of level `number` (B,) of each environment."""
    return mix(streams + (number.astype(np.uint64) + np.uint64(1)) * LEVEL)


def draw(keys: U64, counter: int) -> U64:
    """(B,) numbers of 32 random bits."""
    return mix(keys + np.array(counter, np.uint64) * GAMMA) >> S32


def below(keys: U64, counter: int, bound: NDArray[Any] | int) -> NDArray[np.int64]:
    """(B,) integers from 0 to bound - 1; uneven by less than bound / 2^32."""
    return ((draw(keys, counter) * np.asarray(bound, np.uint64)) >> S32).astype(np.int64)


def uniforms(streams: U64, first: int, count: int) -> NDArray[np.float32]:
    """(count, B) numbers in [0, 1), one for each environment and step, from step `first` on; for draws from a policy."""
    steps = np.arange(first + 1, first + count + 1, dtype=np.uint64)[:, None]
    bits = mix(mix(streams[None] + steps * ACTION)) >> S40  # 24 bits, all that a float32 holds
    return bits.astype(np.float32) * np.float32(2**-24)
