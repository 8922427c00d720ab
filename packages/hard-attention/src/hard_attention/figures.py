"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hard_attention import single_heads
from hard_attention.certificate import Certificate

matplotlib.use("Agg")
MODEL, SECOND, GREY = "#2f6f9f", "#d98324", "#9aa5ad"
Floats = NDArray[np.float64]


def least_temperature() -> Figure:
    """The inverse temperature that a head needs, by length: the bounded embedding, flat scores, and the bounds."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    lengths = [2**k for k in range(2, 17)]
    axes.plot(
        lengths,
        [single_heads.least_beta(n) for n in lengths],
        "o",
        color=MODEL,
        label="needed: scores chi + j/n",
    )
    axes.plot(lengths, [n * math.log(4) for n in lengths], color=MODEL, label="n ln 4, the theorem")
    generic = [n * math.log(3 * (n - 1)) for n in lengths]
    axes.plot(lengths, generic, "--", color=SECOND, label="n ln(3(n - 1)), from the gap alone")
    axes.plot(
        lengths, [single_heads.flat_beta(n) for n in lengths], color=GREY, label="needed: flat scores, gap 1"
    )
    axes.set(xscale="log", yscale="log", xlabel="length n", ylabel="inverse temperature")
    axes.legend(frameon=False)
    return figure


def fixed_temperature(betas: Sequence[float] = (10, 30, 100, 300, 1000)) -> Figure:
    """The error of a head with a bounded embedding and a temperature that does not follow the length."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    lengths = np.unique(np.geomspace(2, 2000, 120).astype(int))
    for beta in betas:
        errors = [single_heads.worst_error(int(n), beta / n) for n in lengths]
        axes.plot(lengths, errors, label=f"beta = {beta:g}")
    axes.axhline(0.25, color=GREY, linewidth=1)
    axes.text(2, 0.26, "rounding fails above", color=GREY)
    scaled = [single_heads.worst_error(int(n), 2.0) for n in lengths]
    axes.plot(lengths, scaled, color="black", label="beta = 2n")
    axes.set(xscale="log", xlabel="length n", ylabel="largest error of a head", ylim=(0, 1))
    axes.legend(frameon=False)
    return figure


def depth_errors(with_rounding: Sequence[float], without: Sequence[float]) -> Figure:
    """The error of nested Since by depth, with the feed-forward rounding and without."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    depths = np.arange(1, len(without) + 1)
    axes.plot(depths, without, "o-", color=SECOND, label="without rounding")
    axes.plot(depths, with_rounding, "o-", color=MODEL, label="with rounding")
    axes.axhline(0.5, color=GREY, linewidth=1)
    axes.set(xlabel="depth of S in S", ylabel="largest error of the readout", xticks=depths)
    axes.legend(frameon=False)
    return figure


def certified_lengths(certificates: Mapping[str, Sequence[Certificate]]) -> Figure:
    """How long strings may be, by formula and format."""
    figure = Figure(figsize=(7, 0.8 + 0.45 * len(certificates)), layout="constrained")
    axes = figure.add_subplot()
    names = list(certificates)
    marks = {"bfloat16": "v", "float16": "^", "float32": "s", "float64": "o"}
    for precision, mark in marks.items():
        found = [
            (certificate.length, row)
            for row, name in enumerate(names)
            for certificate in certificates[name]
            if certificate.precision == precision
        ]
        axes.plot([x for x, _ in found], [y for _, y in found], mark, label=precision)
    axes.set(xscale="log", xlabel="certified length, dense kernel", yticks=range(len(names)))
    axes.set_yticklabels(names)
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def attention_maps(soft: Floats, hard: Floats, string: str, title: str) -> Figure:
    """The weights of a head, soft beside hard; rows are queries, "^" is the beginning-of-string sign."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    letters = ["^", *string]
    for axes, weights, name in zip(figure.subplots(1, 2), (soft, hard), ("softmax", "hard"), strict=True):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=name, xticks=range(len(letters)), yticks=range(len(letters)))
        axes.set_xticklabels(letters)
        axes.set_yticklabels(letters)
    return figure
