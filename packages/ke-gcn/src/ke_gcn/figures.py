"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from offprints.figures import GREY, MODEL, OTHER

from ke_gcn.pattern import Array


def training_curve(history: Sequence[Mapping[str, float]]) -> Figure:
    """Training loss by CPU seconds, and Hits@1, accuracy or P@5 of what validates, where there is something."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    left = figure.add_subplot()
    seconds = [row["cpu_seconds"] for row in history]
    lines = left.plot(seconds, [row["train/loss"] for row in history], color=GREY, label="training loss")
    left.set(xlabel="CPU seconds of training", ylabel="training loss", yscale="log")
    for metric in ("valid/hits@1", "valid/accuracy", "valid/p@5"):
        seen = [row for row in history if metric in row]
        if seen:
            right = left.twinx()
            values = [row[metric] for row in seen]
            times = [row["cpu_seconds"] for row in seen]
            lines += right.plot(times, values, color=MODEL, marker=".", label=metric)
            right.set(ylabel=metric, ylim=(0, 1))
    left.legend(lines, [str(line.get_label()) for line in lines], loc="center right", frameon=False)
    return figure


def hits_by_degree(degree: Array, hit: Array) -> Figure:
    """Hits@1 of test entities by how many triples they are in."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    bucket = np.minimum(np.log2(np.maximum(degree, 1)).astype(int), 8)
    present = np.unique(bucket)
    bars = axes.bar(
        [_range(int(b), last=b == present[-1]) for b in present],
        [hit[bucket == b].mean() for b in present],
        color=MODEL,
    )
    axes.bar_label(bars, [f"{(bucket == b).sum():,}" for b in present], padding=2, color=GREY)
    axes.set(
        xlabel="triples of the entity (above the bars: how many entities)", ylabel="Hits@1", ylim=(0, 1.08)
    )
    return figure


def relation_distances(left: Sequence[str], right: Sequence[str], distance: Array) -> Figure:
    """Distances of relations of two graphs; the nearest of each row is marked."""
    figure = Figure(figsize=(1.8 + 0.42 * len(right), 1.6 + 0.34 * len(left)), layout="constrained")
    axes = figure.add_subplot()
    shades = axes.imshow(distance, cmap="Blues_r", aspect="auto")
    axes.plot(distance.argmin(1), range(len(left)), "o", color=OTHER, label="nearest")
    # Names in letters that matplotlib's own font lacks are replaced by numbers, which the table explains.
    axes.set_yticks(range(len(left)), [_printable(name, i) for i, name in enumerate(left)])
    axes.set_xticks(range(len(right)), [_printable(name, i) for i, name in enumerate(right)], rotation=90)
    axes.set(xlabel="relations of the second graph", ylabel="relations of the first graph")
    figure.colorbar(shades, label="L1 distance")
    return figure


def _range(bucket: int, last: bool) -> str:
    first, end = 2**bucket, 2 ** (bucket + 1) - 1
    if last:
        return f"{first}+"
    return str(first) if first == end else f"{first}–{end}"


def _printable(name: str, number: int) -> str:
    return name if name.isascii() else f"no. {number + 1}"
