"""An episode as a GIF; for a relational agent with what the agent's cell attends to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from offprints.atomic import atomic_write

from relational_rl.boxworld.codes import U8
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.render import CELL, image
from relational_rl.boxworld.rules import Boards, rules_for
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.evaluation import sampled
from relational_rl.nets import Agent


@torch.no_grad()
def film(agent: Agent, spec: BoxWorldSpec, level: Levels, path: Path, seed: int = 0, fps: float = 6.0) -> int:
    """Play one level with sampled actions and write it as a GIF that loops.

    Args:
        agent: that plays.
        spec: rules, palette and step limit.
        level: one level.
        path: of the GIF; its folder is made.
        seed: of the sampled actions.
        fps: frames a second; the last one stays for two seconds.

    Returns:
        The number of steps.
    """
    rules, boards, one = rules_for(spec, compiled=False), Boards.empty(1, level.side), np.zeros(1, np.int64)
    boards.begin(one, level)
    rules.draw(boards, one)
    reward, terminated = np.zeros(1, np.float32), np.zeros(1, np.bool_)
    draws, device = torch.Generator().manual_seed(seed), next(agent.parameters()).device
    pictures, steps = [], 0
    while True:
        frame = boards.frames.reshape(1, level.side, level.side, 3).copy()
        shown = torch.from_numpy(frame).to(device)
        pictures.append(Image.fromarray(_picture(agent, frame, shown, int(boards.agent[0]))))
        if terminated[0] or steps == spec.last_step:
            break
        action = sampled(agent(shown)[0].float().cpu(), draws).numpy()
        rules.step(boards, action, reward, terminated)
        steps += 1
    pause = [round(1000 / fps)] * (len(pictures) - 1) + [2000]
    with atomic_write(path) as file:
        pictures[0].save(
            file, format="GIF", save_all=True, append_images=pictures[1:], duration=pause, loop=0
        )
    return steps


def _picture(agent: Agent, frame: U8, shown: torch.Tensor, at: int) -> U8:
    """The board, and beside it one board for each head with the attention of the agent's cell."""
    board = image(frame[0])
    if agent.options.kind != "relational":
        return board
    weights = agent.attention(shown)[-1, 0].float().cpu().numpy()  # (H, N, N) of the last application
    panels = [board]
    for head in weights:
        panels.append(overlay(frame[0], attended(head, at, frame.shape[1], agent.options.padding)))
    return np.concatenate(panels, axis=1)


def attended(head: NDArray[np.float32], cell: int, side: int, padding: str) -> NDArray[np.float32]:
    """(side, side) attention of one cell of the board.

    Args:
        head: (N, N) attention of one head.
        cell: flat cell of the board that asks.
        side: of the board.
        padding: of the stem; without padding the map lacks two rows and columns, and shows its answer on the middle of the
            3 x 3 pixels that an entity sees.
    """
    if padding == "same":
        whole: NDArray[np.float32] = head[cell].reshape(side, side)
        return whole
    inner = side - 2
    row, column = (min(max(place - 1, 0), inner - 1) for place in divmod(cell, side))
    found = np.zeros((side, side), np.float32)
    found[1:-1, 1:-1] = head[row * inner + column].reshape(inner, inner)
    return found


def overlay(frame: U8, weight: NDArray[np.float32]) -> U8:
    """The board darkened where little attention goes, relative to the most attended cell."""
    share = weight / max(float(weight.max()), 1e-12)
    light = (0.15 + 0.85 * share).repeat(CELL, axis=0).repeat(CELL, axis=1)
    return (image(frame) * light[..., None]).astype(np.uint8)
