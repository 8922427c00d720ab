"""The figure of a training on StarCraft II."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def learning_curve(history: Sequence[Mapping[str, float]], random: float, map_name: str) -> Figure:
    """Mean return of the episodes that ended in each epoch, and of those that the epoch was chosen by; random play as a line."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, label in (("train/return", "while learning"), ("valid/return", "to choose the epoch")):
        seen = [row for row in history if name in row]
        if seen:
            axes.plot([row["epoch"] for row in seen], [row[name] for row in seen], label=label)
    axes.axhline(random, color="#9aa5ad", linestyle=":", label="random policy")
    axes.set(xlabel="epoch", ylabel="return of an episode", title=map_name)
    axes.legend(frameon=False)
    return figure
