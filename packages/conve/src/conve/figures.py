"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from conve.calibration import Reliability

matplotlib.use("Agg")
INK, MODEL, RULE, GREY = "#22303c", "#2f6f9f", "#d98324", "#9aa5ad"


def training_curve(
    history: Sequence[Mapping[str, float]], best_epoch: int, metric: str = "valid/mrr"
) -> Figure:
    """Loss and validation metric over the epochs."""
    figure, left = _axes("epoch", "training loss")
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["train/loss"] for row in history], color=GREY, label="training loss")
    left.set_yscale("log")
    right = left.twinx()
    seen = [row for row in history if metric in row]
    right.plot(
        [row["epoch"] for row in seen], [row[metric] for row in seen], color=MODEL, marker=".", label=metric
    )
    right.axvline(best_epoch, color=RULE, linewidth=1, label=f"kept: epoch {best_epoch}")
    right.set_ylabel(metric)
    right.set_ylim(0, 1)
    lines = [*left.get_lines(), *right.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], loc="center right", frameon=False)
    return figure


def against_baselines(scores: Mapping[str, float], metric: str) -> Figure:
    """One bar a model."""
    figure, axes = _axes(f"test {metric}", "", height=0.6 + 0.45 * len(scores))
    names = list(scores)[::-1]
    colours = [MODEL if name == next(iter(scores)) else GREY for name in names]
    bars = axes.barh(names, [scores[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.3f", padding=3)
    axes.set_xlim(0, max(1.0, *scores.values()) * 1.08)
    return figure


def excess_by_relation(excess: pd.DataFrame, labels: Sequence[str], most: int = 14) -> Figure:
    """MRR of a model and of the inverse rule for each of the most frequent relations."""
    table = excess.head(most).iloc[::-1]
    figure, axes = _axes("test MRR", "", height=1 + 0.36 * len(table))
    place = np.arange(len(table))
    axes.barh(place + 0.2, table["model_mrr"], 0.38, color=MODEL, label="model")
    axes.barh(place - 0.2, table["rule_mrr"], 0.38, color=RULE, label="inverse rule")
    names = [f"{label}  ({count})" for label, count in zip(labels, excess["triples"], strict=True)][:most][
        ::-1
    ]
    axes.set_yticks(place, names)
    axes.set_xlim(0, 1)
    axes.legend(frameon=False, loc="lower right")
    return figure


def reliability_diagram(curves: Mapping[str, Reliability]) -> Figure:
    """Predicted probability against the frequency of true facts; logarithmic, for a fact drawn at random is hardly ever true."""
    figure, axes = _axes("predicted probability", "share of true facts")
    axes.set(xscale="log", yscale="log")
    shown = [value[value > 0] for curve in curves.values() for value in (curve.predicted, curve.observed)]
    axes.axline((1, 1), slope=1, color=GREY, linewidth=1, label="exactly right")
    axes.set_xlim(min(map(np.min, shown)) / 2, 2)
    axes.set_ylim(min(map(np.min, shown)) / 2, 2)
    for (name, curve), colour in zip(curves.items(), (RULE, MODEL, INK), strict=False):
        axes.plot(
            curve.predicted,
            curve.observed,
            marker="o",
            color=colour,
            label=f"{name}: error {curve.error:.3f}",
        )
    axes.legend(frameon=False)
    return figure


def by_in_degree(
    buckets: Mapping[str, Mapping[int, Mapping[str, float]]], edges: NDArray[np.float64]
) -> Figure:
    """Hits@10 of one or more models by the in-degree of the entity asked for."""
    figure, axes = _axes("in-degree of the answer in train", "Hits@10")
    for (name, groups), colour in zip(buckets.items(), (MODEL, RULE, INK), strict=False):
        axes.plot(
            list(groups),
            [group["hits@10"] for group in groups.values()],
            marker="o",
            color=colour,
            label=name,
        )
    axes.set_xticks(range(len(edges) - 1), [f"{low:.0f}+" for low in edges[:-1]])
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)
    return figure


def gain_against_pagerank(names: Sequence[str], pagerank: Sequence[float], gain: Sequence[float]) -> Figure:
    """Error reduction over a baseline against the centrality of the test entities; a point a data set."""
    figure, axes = _axes(
        "mean PageRank of the test entities (x 0.001)", "error of baseline / error of model (Hits@10)"
    )
    axes.scatter(np.asarray(pagerank) * 1e3, gain, color=MODEL)
    for name, x, y in zip(names, pagerank, gain, strict=True):
        axes.annotate(name, (x * 1e3, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.axhline(1, color=GREY, linewidth=1)
    return figure


def _axes(x: str, y: str, width: float = 6.4, height: float = 3.8) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
