"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from offprints.figures import GREY, INK, MODEL, OTHER, single_axes

from supcon_simplex.geometry import CollapseReport, angular_similarity
from supcon_simplex.timetofit import FitTimes

SC, CE, FIXED = MODEL, OTHER, "#5a8f5a"
COLOURS = {"sc": SC, "ce": CE, "ce_fixed": FIXED, "ce_sphere": "#8a5aa0", "ce_norm": "#b04a5a"}
LABELS = {
    "sc": "SC",
    "ce": "CE",
    "ce_fixed": "CE, fixed simplex",
    "ce_sphere": "CE on the sphere",
    "ce_norm": "CE, weights of one norm",
}


def fit_times(times: FitTimes) -> Figure:
    """Steps to an exact fit against the noise level: a dot for each seed, hollow where censored, a line through the medians."""
    figure, axes = single_axes("share of noisy labels p", f"steps to training error 0 ({times.grid.noise})")
    shares = np.array(times.grid.shares)
    width = 0.012
    for number, loss in enumerate(times.grid.losses):
        colour = COLOURS[loss]
        shift = width * (number - (len(times.grid.losses) - 1) / 2)
        x = np.repeat(shares + shift, times.grid.seeds)
        y, censored = times.steps[loss].ravel(), times.censored[loss].ravel()
        axes.scatter(x[~censored], y[~censored], s=12, color=colour, alpha=0.6, linewidths=0)
        axes.scatter(x[censored], y[censored], s=20, facecolors="none", edgecolors=colour, marker="^")
        medians = times.medians(loss)
        seen = np.isfinite(medians)
        axes.plot(shares[seen], medians[seen], color=colour, label=LABELS[loss])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def cosine_boxes(reports: Mapping[str, CollapseReport], angular: bool = False) -> Figure:
    """Box plots of cosines across class means, across weights and of rows to their class mean, with the simplex's values.

    Args:
        reports: name of the loss -> geometry of its training rows.
        angular: draw 1 - arccos(cosine)/pi instead.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    classes = next(iter(reports.values())).cosine_across_means
    pairs = len(classes)
    count = (1 + math.isqrt(1 + 8 * pairs)) // 2  # K of K(K-1)/2 pairs
    panels = (
        ("across class means", [r.cosine_across_means for r in reports.values()], -1 / (count - 1)),
        ("across weights", [r.cosine_across_weights for r in reports.values()], -1 / (count - 1)),
        ("of a row to its class mean", [r.cosine_to_mean for r in reports.values()], 1.0),
    )
    for axes, (title, values, goal) in zip(figure.subplots(1, 3), panels, strict=True):
        shown = [_shown(value, angular) for value in values]
        boxes = axes.boxplot(shown, showfliers=False, patch_artist=True, medianprops={"color": INK})
        for box, name in zip(boxes["boxes"], reports, strict=True):
            box.set_facecolor(COLOURS[name])
        line = float(np.arccos(np.clip(goal, -1, 1)))
        axes.axhline(1 - line / math.pi if angular else goal, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xticks(range(1, len(reports) + 1), [name.replace("_", "\n") for name in reports])
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("1 - arccos(cosine)/π" if angular else "cosine", fontsize=10)
    return figure


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], metric: str, batches: int) -> Figure:
    """One metric of several runs over the steps, on a logarithmic axis.

    Args:
        histories: name of the loss -> rows of its epochs.
        metric: a key of these rows.
        batches: of an epoch.
    """
    figure, axes = single_axes("step", metric)
    for name, history in histories.items():
        seen = [row for row in history if metric in row]
        steps = [row["epoch"] * batches for row in seen]
        # Close to the optimum the estimate of SC's gap may fall below 0, which a logarithm cannot show.
        values = [max(row[metric], 1e-8) for row in seen]
        axes.plot(steps, values, color=COLOURS[name], label=LABELS[name], marker=".")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return figure


def class_cosines(reports: Mapping[str, CollapseReport]) -> Figure:
    """Heat maps of the cosines of all pairs of class means."""
    figure = Figure(figsize=(2.6 * len(reports) + 0.8, 2.9), layout="constrained")
    drawn = None
    for axes, (name, report) in zip(
        np.atleast_1d(figure.subplots(1, len(reports))), reports.items(), strict=True
    ):
        values = report.cosine_across_means.cpu().numpy()
        classes = (1 + math.isqrt(1 + 8 * len(values))) // 2
        square = np.eye(classes)
        square[np.triu_indices(classes, 1)] = values
        drawn = axes.imshow(np.triu(square) + np.triu(square, 1).T, vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_title(LABELS.get(name, name), fontsize=9)
    if drawn is not None:
        figure.colorbar(drawn, ax=figure.axes, label="cosine of class means", shrink=0.8)
    return figure


def points(z: Tensor, labels: Tensor, title: str) -> Figure:
    """Points on the circle or the 2-sphere, coloured by class.

    Args:
        z: (N, 2) or (N, 3).
        labels: (N,).
        title: above the figure.
    """
    found, classes = z.detach().cpu().numpy(), labels.cpu().numpy()
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    if found.shape[1] == 2:
        axes = figure.add_subplot()
        _circle(axes, found, classes)
    else:
        axes = figure.add_subplot(projection="3d")
        u, v = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
        axes.plot_wireframe(
            np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v), color=GREY, linewidth=0.3
        )
        axes.scatter(found[:, 0], found[:, 1], found[:, 2], c=classes, cmap="tab10", s=40)
        axes.set_box_aspect((1, 1, 1))
    axes.set_title(title, fontsize=10)
    return figure


def minimisers(found: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """The best points on the circle for single batches, one panel a composition.

    Args:
        found: title -> points (b, 2) and labels (b,).
    """
    columns = 4
    rows = math.ceil(len(found) / columns)
    figure = Figure(figsize=(2.3 * columns, 2.5 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    for axes, (title, (z, labels)) in zip(panels, found.items(), strict=False):
        _circle(axes, z.detach().cpu().numpy(), labels.cpu().numpy())
        axes.set_title(title, fontsize=9)
    return figure


def compositions(names: Sequence[str], shares: NDArray[np.float64], values: NDArray[np.float64]) -> Figure:
    """What a batch of each label composition costs at the simplex, and how often such a batch is drawn.

    Args:
        names: such as "4 3 2".
        shares: of all batches.
        values: loss of such a batch.
    """
    figure, left = single_axes(
        "label composition of the batch", "loss of the batch at the simplex", width=7.2
    )
    order = np.argsort(values)
    left.bar(range(len(names)), values[order], color=SC)
    left.set_xticks(range(len(names)), [names[i] for i in order], rotation=60)
    right = left.twinx()
    right.plot(range(len(names)), shares[order], color=CE, marker="o", linewidth=0, label="share of batches")
    right.set_ylabel("share of all batches")
    right.set_ylim(bottom=0)
    right.legend(frameon=False, loc="upper left")
    return figure


def _shown(values: Tensor, angular: bool) -> NDArray[np.float64]:
    if len(values) == 0:
        return np.array([np.nan])
    return (angular_similarity(values) if angular else values).cpu().numpy()


def _circle(axes: Axes, z: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=GREY, linewidth=0.6)
    axes.scatter(z[:, 0], z[:, 1], c=labels, cmap="tab10", vmax=9, s=36, alpha=0.8)
    axes.set_aspect("equal")
    axes.set_axis_off()
