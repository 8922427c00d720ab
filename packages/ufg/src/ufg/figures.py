"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from offprints.figures import GREY, INK, MODEL, OTHER, single_axes

from ufg.filters import Floats

_COLOURS = (MODEL, OTHER, "#5a8f5a", INK, "#a04a6c", "#7a6fb0", GREY)


def frame_defect(eigenvalues: Floats, totals: Mapping[int, Floats], title: str = "") -> Figure:
    """Sum of the squared responses of all blocks, which is 1 for a tight frame, for several numbers of terms.

    Args:
        eigenvalues: (M,) in [0, 2].
        totals: n -> (M,).
        title: of the left axes.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (terms, total), colour in zip(totals.items(), _COLOURS * 3, strict=False):
        left.plot(eigenvalues, total, color=colour, label=f"n = {terms}")
    left.axhline(1, color=GREY, linewidth=0.8)
    left.set(xlabel="eigenvalue of the Laplacian", ylabel="sum of squared responses", title=title)
    left.legend(frameon=False, ncols=2)
    defects = [float(np.abs(total - 1).max()) for total in totals.values()]
    right.semilogy(list(totals), defects, marker="o", color=MODEL)
    right.axhline(2**-23, color=GREY, linewidth=0.8, label="rounding of float32")
    right.set(xlabel="Chebyshev terms n", ylabel="largest distance from 1")
    right.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def responses(eigenvalues: Floats, rows: Floats, names: Sequence[str], exact: Floats | None = None) -> Figure:
    """Response of each block or layer, and what it would be without a series.

    Args:
        eigenvalues: (M,) in [0, 2].
        rows: (K, M).
        names: of the K blocks.
        exact: (K, M); None draws the response alone.
    """
    figure, axes = single_axes("eigenvalue of the Laplacian", "response")
    for row, name, colour in zip(rows, names, _COLOURS * 3, strict=False):
        axes.plot(eigenvalues, row, color=colour, label=name)
    for wanted, colour in zip([] if exact is None else exact, _COLOURS * 3, strict=False):
        axes.plot(eigenvalues, wanted, color=colour, linestyle=":", linewidth=1)
    axes.legend(frameon=False, title=None if exact is None else "dotted: the filter itself")
    return figure


def grouped_bars(groups: Sequence[str], bars: Mapping[str, Sequence[float]], y_label: str) -> Figure:
    """For each group one bar of every kind.

    Args:
        groups: names under the axis.
        bars: name of a kind -> its height in each group.
        y_label: of the axis.
    """
    figure, axes = single_axes("", y_label, width=1.4 * len(groups) + 2)
    places, width = np.arange(len(groups)), 0.8 / len(bars)
    for number, ((name, heights), colour) in enumerate(zip(bars.items(), _COLOURS, strict=False)):
        axes.bar(places + (number - (len(bars) - 1) / 2) * width, heights, width, color=colour, label=name)
    axes.set_xticks(places, groups)
    axes.legend(frameon=False)
    return figure


def pictures(rows: Mapping[str, Floats], side: int) -> Figure:
    """Square pictures, a row of them for each name.

    Args:
        rows: name -> (M, side * side).
        side: pixels.
    """
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(0.8 * count + 1, 0.95 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 1, squeeze=False)
    for axes, (name, several) in zip(grid[:, 0], rows.items(), strict=True):
        framed = np.pad(several.reshape(-1, side, side), ((0, 0), (0, 0), (0, 1)), constant_values=0.5)
        axes.imshow(np.concatenate(list(framed), 1), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def curves(x: Sequence[float], lines: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> Figure:
    """Several lines over the same points."""
    figure, axes = single_axes(x_label, y_label)
    for (name, values), colour in zip(lines.items(), _COLOURS * 3, strict=False):
        axes.plot(x, values, marker="o", color=colour, label=name)
    axes.legend(frameon=False)
    return figure


def panels(
    parts: Mapping[str, tuple[Sequence[float], Mapping[str, Sequence[float]]]], y_label: str
) -> Figure:
    """Several axes side by side, each with its own points.

    Args:
        parts: label of the axis -> its points, and the lines over them.
        y_label: of all axes.
    """
    figure = Figure(figsize=(2.7 * len(parts) + 0.8, 3.2), layout="constrained")
    for axes, (name, (x, lines)) in zip(
        figure.subplots(1, len(parts), squeeze=False)[0], parts.items(), strict=True
    ):
        for (label, values), colour in zip(lines.items(), _COLOURS, strict=False):
            axes.plot(x, values, marker="o", color=colour, label=label)
        axes.set_xlabel(name)
        axes.set_ylim(0, 1.02)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False)
    figure.axes[0].set_ylabel(y_label)
    return figure
