"""What the figures of several packages have in common: colours, axes without a frame, the course of a training, one bar a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("Agg")
INK, MODEL, OTHER, GREY = "#22303c", "#2f6f9f", "#d98324", "#9aa5ad"


def single_axes(x: str, y: str, width: float = 6.4, height: float = 3.8) -> tuple[Figure, Axes]:
    """A figure of one plot, without the frame's upper and right side.

    Args:
        x: label of the axis.
        y: label of the axis.
        width: in inches.
        height: in inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def training_curve(history: Sequence[Mapping[str, float]], best_epoch: int, metric: str) -> Figure:
    """Loss and validation metric over the epochs.

    Args:
        history: a row for each epoch, with epoch, train/loss and, where it was validated, the metric.
        best_epoch: whose weights were kept.
        metric: such as "valid/mrr".
    """
    figure, left = single_axes("epoch", "training loss")
    losses = [row["train/loss"] for row in history]
    left.plot([row["epoch"] for row in history], losses, color=GREY, label="training loss")
    left.set_yscale("log")
    seen = [row for row in history if metric in row]
    values = [row[metric] for row in seen]
    right = left.twinx()
    right.plot([row["epoch"] for row in seen], values, color=MODEL, marker=".", label=metric)
    right.axvline(best_epoch, color=OTHER, linewidth=1, label=f"kept: epoch {best_epoch}")
    right.set_ylabel(metric)
    lines = [*left.get_lines(), *right.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], loc="center right", frameon=False)
    return figure


def bars(
    scores: Mapping[str, float], what: str, ours: Callable[[str], bool] = lambda _: True, form: str = "%.3f"
) -> Figure:
    """One bar a model, the first on top.

    Args:
        scores: name of the model -> its score.
        what: the scores are.
        ours: whether a name is one of the paper's; the others are grey.
        form: of the numbers at the bars.
    """
    figure, axes = single_axes(what, "", height=0.9 + 0.4 * len(scores))
    names = list(scores)[::-1]
    colours = [MODEL if ours(name) else GREY for name in names]
    drawn = axes.barh(names, [scores[name] for name in names], color=colours)
    axes.bar_label(drawn, fmt=form, padding=3)
    axes.set_xlim(0, 1.15 * max([*scores.values(), 0.01]))
    return figure
