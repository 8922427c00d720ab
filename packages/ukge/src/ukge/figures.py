"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure

from ukge.calibration import Reliability
from ukge.facts import Floats

matplotlib.use("Agg")
INK, MODEL, OTHER, GREY = "#22303c", "#2f6f9f", "#d98324", "#9aa5ad"
_COLOURS = (MODEL, OTHER, INK, "#5a8f5a")


def training_curve(history: Sequence[Mapping[str, float]], best_epoch: int, metric: str) -> Figure:
    """Loss and validation metric over the epochs."""
    figure, left = _axes("epoch", "training loss")
    left.plot(
        [row["epoch"] for row in history],
        [row["train/loss"] for row in history],
        color=GREY,
        label="training loss",
    )
    left.set_yscale("log")
    seen = [row for row in history if metric in row]
    right = left.twinx()
    right.plot(
        [row["epoch"] for row in seen], [row[metric] for row in seen], color=MODEL, marker=".", label=metric
    )
    right.axvline(best_epoch, color=OTHER, linewidth=1, label=f"kept: epoch {best_epoch}")
    right.set_ylabel(metric)
    lines = [*left.get_lines(), *right.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], loc="upper right", frameon=False)
    return figure


def reliability_diagram(curves: Mapping[str, Reliability]) -> Figure:
    """Predicted against observed confidence."""
    figure, axes = _axes("predicted confidence", "mean confidence of such facts")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
        axes.plot(
            curve.predicted, curve.observed, marker="o", color=colour, label=f"{name}: gap {curve.error:.3f}"
        )
    axes.legend(frameon=False)
    return figure


def against_baselines(scores: Mapping[str, float], what: str) -> Figure:
    """One bar a model; the learnt ones coloured."""
    figure, axes = _axes(what, "", height=0.8 + 0.38 * len(scores))
    names = list(scores)[::-1]
    learnt = [MODEL if name.startswith("UKGE") else GREY for name in names]
    bars = axes.barh(names, [scores[name] for name in names], color=learnt)
    axes.bar_label(bars, fmt="%.4f", padding=3)
    axes.set_xlim(0, 1.15 * max(scores.values()))
    return figure


def predicted_and_true(predicted: Floats, confidence: Floats, false: Floats) -> Figure:
    """How predictions of true and of false facts are spread.

    Args:
        predicted: (n,) of true facts.
        confidence: (n,) theirs.
        false: (m,) predictions of false facts.
    """
    figure, axes = _axes("confidence", "facts")
    bins = [step / 40 for step in range(41)]
    axes.hist(false, bins, color=GREY, alpha=0.7, label="predicted, false facts")
    axes.hist(predicted, bins, color=MODEL, alpha=0.7, label="predicted, true facts")
    axes.hist(confidence, bins, histtype="step", color=OTHER, label="true facts' own")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return figure


def _axes(x: str, y: str, width: float = 6.4, height: float = 3.8) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
