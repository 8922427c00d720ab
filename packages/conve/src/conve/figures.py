"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from offprints.figures import GREY, INK, MODEL, OTHER, single_axes

from conve.calibration import Reliability


def excess_by_relation(excess: pd.DataFrame, labels: Sequence[str], most: int = 14) -> Figure:
    """MRR of a model and of the inverse rule for each of the most frequent relations."""
    table = excess.head(most).iloc[::-1]
    figure, axes = single_axes("test MRR", "", height=1 + 0.36 * len(table))
    place = np.arange(len(table))
    axes.barh(place + 0.2, table["model_mrr"], 0.38, color=MODEL, label="model")
    axes.barh(place - 0.2, table["rule_mrr"], 0.38, color=OTHER, label="inverse rule")
    names = [f"{label}  ({count})" for label, count in zip(labels, excess["triples"], strict=True)][:most][
        ::-1
    ]
    axes.set_yticks(place, names)
    axes.set_xlim(0, 1)
    axes.legend(frameon=False, loc="lower right")
    return figure


def reliability_diagram(curves: Mapping[str, Reliability]) -> Figure:
    """Predicted probability against the frequency of true facts; logarithmic, for a fact drawn at random is hardly ever true."""
    figure, axes = single_axes("predicted probability", "share of true facts")
    axes.set(xscale="log", yscale="log")
    drawn = np.concatenate(
        [values for curve in curves.values() for values in (curve.predicted, curve.observed)]
    )
    least = float(drawn[drawn > 0].min(initial=1)) / 2
    axes.plot([least, 1], [least, 1], color=GREY, linewidth=1, label="exactly right")
    axes.set(xlim=(least, 1.5), ylim=(least, 1.5))
    for (name, curve), colour in zip(curves.items(), (OTHER, MODEL, INK), strict=False):
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
    figure, axes = single_axes("in-degree of the answer in train", "Hits@10")
    for (name, groups), colour in zip(buckets.items(), (MODEL, OTHER, INK), strict=False):
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
    figure, axes = single_axes(
        "mean PageRank of the test entities (x 0.001)", "error of baseline / error of model (Hits@10)"
    )
    axes.scatter(np.asarray(pagerank) * 1e3, gain, color=MODEL)
    for name, x, y in zip(names, pagerank, gain, strict=True):
        axes.annotate(name, (x * 1e3, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.axhline(1, color=GREY, linewidth=1)
    return figure
