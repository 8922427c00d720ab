"""A board as a picture, as text, and in a window."""

from __future__ import annotations

from typing import Any

from relational_rl.boxworld.codes import DISTRACTOR, FLOOR, GEM, KEY, LOCK, NO_KEY, U8, WALL

CELL = 24
"""Pixels of a cell's side in pictures."""


def image(frame: U8, cell: int = CELL) -> U8:
    """A frame enlarged, with a thin line between the cells.

    Args:
        frame: (side, side, 3) uint8.
        cell: pixels of a cell's side.

    Returns:
        (side * cell, side * cell, 3) uint8.
    """
    large = frame.repeat(cell, axis=0).repeat(cell, axis=1)
    large[::cell] = large[::cell] - large[::cell] // 12
    large[:, ::cell] = large[:, ::cell] - large[:, ::cell] // 12
    return large


def text(cells: U8, agent: int, held: int) -> str:
    """A board as letters: `@` the agent, `*` the gem, a to t keys, A to T locks with ! behind a distractor's; the key held below.

    Args:
        cells: (side, side) uint8 codes.
        agent: flat cell.
        held: code of the key held, or NO_KEY.
    """

    def shown(code: int) -> str:
        if code in (FLOOR, WALL, GEM):
            return {FLOOR: ". ", WALL: "# ", GEM: "* "}[code]
        if code < LOCK:
            return chr(ord("a") + code - KEY) + " "
        if code < DISTRACTOR:
            return chr(ord("A") + code - LOCK) + " "
        return chr(ord("A") + code - DISTRACTOR) + "!"

    rows = [[shown(int(code)) for code in row] for row in cells]
    row, column = divmod(agent, cells.shape[1])
    rows[row][column] = "@ "
    holding = "nothing" if held == NO_KEY else f"key {shown(held).strip()}"
    return "\n".join("".join(row).rstrip() for row in rows) + f"\nholding {holding}\n"


class Window:
    """A window that shows frames, by pygame.

    Args:
        side: cells of a board's side.
        title: of the window.

    Raises:
        ImportError: pygame is not installed; names the extra that brings it.
    """

    def __init__(self, side: int, title: str) -> None:
        try:
            import pygame
        except ImportError as error:
            raise ImportError(
                "render_mode='human' needs pygame: python -m pip install 'offprints-relational-rl[human]'"
            ) from error
        self._pygame: Any = pygame
        pygame.display.init()
        pygame.display.set_caption(title)
        self._surface = pygame.display.set_mode((side * CELL, side * CELL))
        self._clock = pygame.time.Clock()

    def show(self, frame: U8, fps: float) -> None:
        """Draw a frame, and wait so that no more than `fps` are shown in a second."""
        pygame = self._pygame
        picture = pygame.surfarray.make_surface(image(frame).swapaxes(0, 1))
        self._surface.blit(picture, (0, 0))
        pygame.event.pump()
        pygame.display.flip()
        self._clock.tick(fps)

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
