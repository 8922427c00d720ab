"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from m3dm.arrays import Colours, Floats
from m3dm.detector import Prediction
from m3dm.metrics import OverlapCurve
from m3dm.scan import GOOD, Scan

matplotlib.use("Agg")
BAD, FINE, GREY = "#b2452f", "#2f6f9f", "#9aa5ad"
MODES = ("#2f6f9f", "#d98324", "#5f8f4f", "#8a5f9f", "#b2452f", "#4f8f8f")


def heat_colours(values: Floats, low: float, high: float) -> Colours:
    """(H, W, 3) colours of a heat map between two scores."""
    shaded = matplotlib.colormaps["inferno"](Normalize(low, high, clip=True)(values))
    found: Colours = (np.asarray(shaded)[..., :3] * 255).astype(np.uint8)
    return found


def brightest(values: Sequence[float]) -> float:
    """The score that is shown brightest: the highest, or 1 where none is above 0, as when all parts are good."""
    highest = max(values, default=0.0)
    return float(highest) if highest > 0 else 1.0


def depth_colours(scan: Scan) -> Colours:
    """(H, W, 3) grey levels of height; black where there is no point."""
    shown = np.zeros((*scan.size, 3), np.uint8)
    if scan.xyz is not None and scan.points.any():
        valid = scan.points
        depth = scan.xyz[..., 2]
        low, high = np.percentile(depth[valid], (1, 99))
        grey = np.clip((high - depth) / max(high - low, 1e-9), 0, 1) * 215 + 40
        shown[valid] = grey[valid, None].astype(np.uint8)
    return shown


def examples(rows: Sequence[tuple[Scan, Prediction]], highest: float) -> Figure:
    """Image, depth, truth, the map of each bank and the fused one, of a few scans.

    Args:
        rows: scans and what was said of them.
        highest: score that is shown brightest.
    """
    banks = list(rows[0][1].maps)
    titles = ["image", "depth", "truth", *banks, "fused"]
    figure = Figure(figsize=(1.7 * len(titles), 1.75 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    peaks = {bank: brightest([float(said.maps[bank].max()) for _, said in rows]) for bank in banks}
    for axes, (scan, said) in zip(grid, rows, strict=True):
        truth = scan.mask if scan.mask is not None else np.zeros(scan.size, bool)
        shown = [
            scan.rgb if scan.rgb is not None else np.zeros((*scan.size, 3), np.uint8),
            depth_colours(scan),
            truth,
        ]
        for cell, picture in zip(axes, shown, strict=False):
            cell.imshow(picture, cmap="gray", vmin=0, vmax=1 if picture is truth else None)
        for cell, bank in zip(axes[3:], banks, strict=False):
            cell.imshow(said.maps[bank], cmap="inferno", vmin=0, vmax=peaks[bank])
        axes[-1].imshow(said.map, cmap="inferno", vmin=0, vmax=highest)
        axes[0].set_ylabel(scan.defect or "?", fontsize=9)
        for cell in axes:
            cell.set(xticks=[], yticks=[])
    for cell, title in zip(grid[0], titles, strict=True):
        cell.set_title(title, fontsize=9)
    return figure


def overlap_curves(curves: Mapping[str, OverlapCurve], limit: float = 0.3) -> Figure:
    """Per-region overlap against the false-positive rate; the part that AUPRO counts is shaded."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(0, limit, color=GREY, alpha=0.18, linewidth=0)
    for colour, (name, curve) in zip(MODES, curves.items(), strict=False):
        axes.plot(curve.fpr, curve.pro, color=colour, label=f"{name}: {curve.area(limit):.3f}")
    axes.set(
        xlabel="false-positive rate of pixels", ylabel="overlap with defects", xlim=(0, 0.5), ylim=(0, 1.02)
    )
    axes.legend(title=f"AUPRO up to {limit:g}", frameon=False, loc="lower right")
    return figure


def score_histograms(predictions: Sequence[Prediction], kinds: Sequence[str]) -> Figure:
    """Scores of good scans, and of each kind of defect, one row each."""
    names = [GOOD, *sorted(set(kinds) - {GOOD})]
    figure = Figure(figsize=(5.8, 0.8 + 0.36 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    scores = {
        name: [p.score for p, kind in zip(predictions, kinds, strict=True) if kind == name] for name in names
    }
    for row, name in enumerate(names):
        axes.plot(
            scores[name], [row] * len(scores[name]), "|", ms=13, mew=1.6, color=FINE if name == GOOD else BAD
        )
    if scores[GOOD]:
        axes.axvline(max(scores[GOOD]), color=GREY, linestyle=":")
    axes.set_xscale(
        "symlog", linthresh=brightest(scores[GOOD])
    )  # scores of coarse defects are a hundred times as high
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="score (dotted: the highest of a good part)", ylim=(len(names) - 0.5, -0.5))
    return figure


def mode_bars(table: pd.DataFrame, metrics: Sequence[str] = ("i_auroc", "aupro", "aupro_01")) -> Figure:
    """Metrics of each mode, side by side.

    Args:
        table: a row for each mode: column mode and the metrics.
        metrics: which of them.
    """
    figure = Figure(figsize=(1.6 + 1.15 * len(table), 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(metrics)
    for k, metric in enumerate(metrics):
        at = np.arange(len(table)) + (k - (len(metrics) - 1) / 2) * width
        bars = axes.bar(at, table[metric], width, label=metric, color=MODES[k])
        axes.bar_label(bars, [f"{value:.2f}" for value in table[metric]], fontsize=7, padding=1)
    axes.set_xticks(range(len(table)), table["mode"])
    axes.set(
        ylim=(min(0.4, float(table[list(metrics)].min().min()) - 0.05), 1.08), ylabel="mean over categories"
    )
    axes.legend(frameon=False, ncols=len(metrics), loc="upper left", fontsize=8)
    return figure
