"""What the bytes of a board mean, and what colour each is drawn in."""

from __future__ import annotations

import colorsys
from typing import Final

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

FLOOR: Final = 0
WALL: Final = 1
GEM: Final = 2
KEY: Final = 3
"""A key of colour c is KEY + c."""
LOCK: Final = 23
"""A lock on the path to the gem, of colour c, is LOCK + c."""
DISTRACTOR: Final = 43
"""A lock whose opening ends the episode, of colour c, is DISTRACTOR + c."""
COLOURS: Final = 20
NO_KEY: Final = 200
"""The inventory when it is empty: no code lies 20 or 40 above it, so that no lock opens."""
AGENT: Final = 255
"""The agent's entry of a palette; it is no code of a cell."""

UP, DOWN, LEFT, RIGHT = range(4)


def palette(name: str) -> U8:
    """RGB of every code.

    Args:
        name: "authors", whose 20 hues are 18 to 27 steps of one channel apart, or "distinct", with hues far brighter than the
            floor, which is easier to see for people and networks.

    Returns:
        (256, 3) uint8. A key and a lock of one colour look the same; what no code names is black, as an empty inventory is.

    Source: the authors' channels between 350 and 700 of 999; grey 800 for the floor and 500 for the agent.
    """
    table = np.zeros((256, 3), np.uint8)
    table[FLOOR], table[GEM], table[AGENT] = 204, 255, 128
    hues = _authors() if name == "authors" else _distinct()
    for first in (KEY, LOCK, DISTRACTOR):
        table[first : first + COLOURS] = hues
    return table


def _authors() -> U8:
    """Hues around the circle: one channel at 700, one at 350, the third between, as the reference rounds them."""
    hues = np.arange(COLOURS) / COLOURS
    rgb = np.array([colorsys.hsv_to_rgb(hue, 0.5, 0.7) for hue in hues])
    rounded: U8 = np.round(np.trunc(rgb * 1000) * 255 / 999).astype(np.uint8)
    return rounded


def _distinct() -> U8:
    """Two rings of ten hues, a bright and a dark one."""
    rgb = [colorsys.hsv_to_rgb(c / 2 / 10, 1.0, 1.0 if c % 2 == 0 else 0.55) for c in range(COLOURS)]
    rounded: U8 = np.round(np.array(rgb) * 255).astype(np.uint8)
    return rounded
