"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from relational_rl.boxworld.codes import U8
from relational_rl.boxworld.levels import Levels
from relational_rl.boxworld.render import image
from relational_rl.boxworld.rules import Boards, rules_for
from relational_rl.boxworld.spec import BoxWorldSpec
from relational_rl.film import attended, overlay
from relational_rl.nets import Agent

matplotlib.use("Agg")
COLOURS = {"relational": "#2f6f9f", "control": "#d98324", "plain": "#6a994e"}
GREY = "#9aa5ad"


def learning_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], random: float) -> Figure:
    """Share of held-out levels solved, by CPU seconds of training; what V-trace adds is dashed, random moves a line."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    both = False
    for kind, history in histories.items():
        seen = [row for row in history if "valid/solved" in row]
        taught = [row for row in seen if "train/entropy" not in row]
        played = seen[max(0, len(taught) - 1) :]  # from the last lesson on
        for rows, style, label in ((taught, "-", kind), (played, "--", None if taught else kind)):
            seconds, solved = [row["cpu_seconds"] for row in rows], [row["valid/solved"] for row in rows]
            axes.plot(seconds, solved, style, marker=".", color=COLOURS.get(kind), label=label)
        both = both or (len(taught) > 0 and len(played) > 1)
    if both:
        axes.plot([], [], "--", color=GREY, label="from here on by V-trace")
    axes.axhline(random, color=GREY, linestyle=":", label="random moves")
    axes.set(xlabel="CPU seconds of training", ylabel="levels solved (to choose the epoch)", ylim=(0, 1))
    axes.legend(
        frameon=False, loc="lower right", bbox_to_anchor=(1, 0.08)
    )  # above the dotted line of random moves
    return figure


def gallery(levels: Levels, spec: BoxWorldSpec) -> Figure:
    """Levels as an agent sees them, each with its solution length and its distractor boxes."""
    columns = min(4, len(levels))
    rows = -(-len(levels) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.45 * rows), layout="constrained")
    for place, frame in enumerate(frames_of(levels, spec)):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(image(frame))
        boxes = int(levels.num_distractor_boxes[place])
        axes.set_title(f"length {int(levels.solution_length[place])}, distractors {boxes}", fontsize=8)
        axes.axis("off")
    return figure


def attention_maps(agent: Agent, spec: BoxWorldSpec, level: Levels) -> Figure:
    """What the agent's cell and each content and lock attend to, one row for each head of the last application."""
    frame = frames_of(level, spec)
    device = next(agent.parameters()).device
    weights = agent.attention(torch.from_numpy(frame).to(device))[-1, 0].float().cpu().numpy()
    board = level.objects[0].reshape(-1)
    asking = [int(level.agent[0]), *np.flatnonzero(board > 1).tolist()][:7]
    names = [
        "agent",
        *("lock" if board[cell] >= 23 else "gem" if board[cell] == 2 else "key" for cell in asking[1:]),
    ]
    figure = Figure(figsize=(1.9 * (len(asking) + 1), 2.1 * len(weights)), layout="constrained")
    for h, head in enumerate(weights):
        axes = figure.add_subplot(len(weights), len(asking) + 1, h * (len(asking) + 1) + 1)
        axes.imshow(image(frame[0]))
        axes.set_title(f"the level (head {h + 1}: right)", fontsize=7)
        axes.axis("off")
        for column, (cell, name) in enumerate(zip(asking, names, strict=True)):
            axes = figure.add_subplot(len(weights), len(asking) + 1, h * (len(asking) + 1) + column + 2)
            axes.imshow(overlay(frame[0], attended(head, cell, level.side, agent.options.padding)))
            y, x = divmod(cell, level.side)
            axes.plot(
                (x + 0.5) * 24, (y + 0.5) * 24, marker="s", markersize=6, fillstyle="none", color="#ff2d2d"
            )
            axes.set_title(f"{name} at ({y}, {x})", fontsize=7)
            axes.axis("off")
    return figure


def frames_of(levels: Levels, spec: BoxWorldSpec) -> U8:
    """(M, side, side, 3) the first frame of each level."""
    boards, everyone = Boards.empty(len(levels), levels.side), np.arange(len(levels))
    boards.begin(everyone, levels)
    rules_for(spec, compiled=False).draw(boards, everyone)
    return boards.frames.reshape(len(levels), levels.side, levels.side, 3)
