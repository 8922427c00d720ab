"""The figures of the command line: matplotlib in, nothing else but numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ufg.filters import Floats

matplotlib.use("Agg")
INK, MODEL, OTHER, GREY = "#22303c", "#2f6f9f", "#d98324", "#9aa5ad"
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


def responses(eigenvalues: Floats, rows: Floats, names: Sequence[str], exact: Floats) -> Figure:
    """Response of each block, and what it would be without a series.

    Args:
        eigenvalues: (M,) in [0, 2].
        rows: (K, M).
        names: of the K blocks.
        exact: (K, M).
    """
    figure, axes = _axes("eigenvalue of the Laplacian", "response")
    for row, wanted, name, colour in zip(rows, exact, names, _COLOURS * 3, strict=False):
        axes.plot(eigenvalues, row, color=colour, label=name)
        axes.plot(eigenvalues, wanted, color=colour, linestyle=":", linewidth=1)
    axes.legend(frameon=False, title="dotted: the filter itself")
    return figure


def _axes(x: str, y: str, width: float = 6.4, height: float = 3.8) -> tuple[Figure, matplotlib.axes.Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
