"""The figures of the command line: numbers in, matplotlib out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from offprints.figures import GREY, MODEL, OTHER

from hard_attention import single_heads
from hard_attention.beyond import Curve
from hard_attention.certificate import Certificate
from hard_attention.surveys import Survey, finite

FORMATS = {
    "float64": ("#444444", "o-"),
    "float32": (MODEL, "s-"),
    "float16": (OTHER, "^-"),
    "bfloat16": ("#8a4fa3", "v-"),
}
"""Colour and mark of each format, the same in every figure."""
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
    axes.plot(lengths, generic, "--", color=OTHER, label="n ln(3(n - 1)), from the gap alone")
    axes.plot(
        lengths, [single_heads.flat_beta(n) for n in lengths], color=GREY, label="needed: flat scores, gap 1"
    )
    axes.set(xscale="log", yscale="log", xlabel="length n", ylabel="inverse temperature")
    axes.legend(frameon=False)
    return figure


def fixed_temperature(betas: Sequence[float] = (10, 30, 100, 300, 1000)) -> Figure:
    """The error of a head with a bounded embedding and a temperature that does not follow the length."""
    figure = Figure(figsize=(7.4, 4), layout="constrained")
    axes = figure.add_subplot()
    lengths = np.unique(np.geomspace(2, 2000, 120).astype(int))
    for beta in betas:
        errors = [single_heads.worst_error(int(n), beta / n) for n in lengths]
        axes.plot(lengths, errors, label=f"beta = {beta:g}")
    scaled = [single_heads.worst_error(int(n), 2.0) for n in lengths]
    axes.plot(lengths, scaled, color="black", label="beta = 2n")
    axes.axhline(0.25, color=GREY, linewidth=1, label="1/4: rounding\nfails above")
    axes.set(xscale="log", xlabel="length n", ylabel="largest error of a head", ylim=(0, 1))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def depth_errors(with_rounding: Sequence[float], without: Sequence[float]) -> Figure:
    """The error of nested Since by depth, with the feed-forward rounding and without."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    depths = np.arange(1, len(without) + 1)
    axes.plot(depths, without, "o-", color=OTHER, label="without rounding")
    axes.plot(depths, with_rounding, "o-", color=MODEL, label="with rounding")
    axes.axhline(0.5, color=GREY, linewidth=1, label="1/2: the answer is wrong above")
    axes.set(xlabel="depth of S in S", ylabel="largest error of the readout", xticks=depths)
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.27))
    return figure


def certified_lengths(certificates: Mapping[str, Sequence[Certificate]]) -> Figure:
    """How long strings may be, by formula and format."""
    figure = Figure(figsize=(7, 0.8 + 0.45 * len(certificates)), layout="constrained")
    axes = figure.add_subplot()
    names = list(certificates)
    for precision, (color, mark) in reversed(FORMATS.items()):
        found = [
            (certificate.length, row)
            for row, name in enumerate(names)
            for certificate in certificates[name]
            if certificate.precision == precision
        ]
        axes.plot([x for x, _ in found], [y for _, y in found], mark[0], color=color, label=precision)
    axes.set(xscale="log", xlabel="certified length, dense kernel", yticks=range(len(names)))
    axes.set_yticklabels(names)
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def error_curves(curves: Sequence[Curve]) -> Figure:
    """The error of heads by length and format; dotted lines are certified lengths, before which no error may reach 1/4."""
    names = list(dict.fromkeys(curve.name for curve in curves))
    figure = Figure(figsize=(4.2 * len(names), 4.4), layout="constrained")
    longest = max(n for curve in curves for n in curve.lengths)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names), sharey=True)), names, strict=True):
        for curve in (c for c in curves if c.name == name):
            color, mark = FORMATS[curve.precision]
            shown = np.maximum(curve.errors, 1e-9)
            axes.plot(
                curve.lengths, shown, mark, color=color, label=curve.precision, markersize=4, linewidth=1
            )
            if curve.certified <= longest:
                label = f"certified: {curve.certified:,}"
                axes.axvline(curve.certified, color=color, linestyle=":", linewidth=1.2, label=label)
        axes.axhline(0.25, color="black", linewidth=0.8, label="1/4, where rounding ends")
        if name == "since":
            axes.axhline(math.exp(-2), color=GREY, linestyle="--", linewidth=0.8, label="exp(-b), b = 2")
        axes.set(xscale="log", yscale="log", xlabel="length n", title=name, ylim=(5e-10, 3))
        axes.legend(frameon=False, fontsize=7, loc="lower left")
    figure.axes[0].set_ylabel("largest raw error at the last position")
    return figure


def shares_right(shares: pd.DataFrame) -> Figure:
    """The share of right positions by length, a panel for each format; languages that are right everywhere are one line."""
    formats = list(dict.fromkeys(shares["format"]))
    figure = Figure(figsize=(4.6 * len(formats), 3.8), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(formats), sharey=True)), formats, strict=True):
        mine = shares[shares["format"] == name].pivot(index="length", columns="language", values="right")
        wrong = [language for language in mine if float(mine[language].min()) < 1]
        for number, language in enumerate(wrong):
            axes.plot(
                mine.index, mine[language], "o-", markersize=3, linewidth=1, label=language, zorder=2 + number
            )
        all_right = mine.shape[1] - len(wrong)
        axes.plot(mine.index, np.ones(len(mine)), color="black", label=f"{all_right} languages", zorder=1)
        axes.set(xscale="log", xlabel="length n", title=name)
        axes.set_xticks(list(mine.index), [str(n) for n in mine.index])
        axes.minorticks_off()
        axes.set_ylim(min(0.9, float(shares["right"].min()) - 0.02), 1.01)
        axes.legend(frameon=False, fontsize=7, loc="lower left")
    figure.axes[0].set_ylabel("share of right positions")
    return figure


def error_by_step(errors: Mapping[str, Sequence[float]], steps: Sequence[float], n: int) -> Figure:
    """The largest raw error of a Since head by the step of its scores, in each format; a step of b is an inverse temperature of b."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    fine = np.linspace(min(steps), max(steps), 100)
    axes.plot(fine, np.exp(-fine), color=GREY, linewidth=1, label="exp(-b), the theorem")
    for precision, found in errors.items():
        color, mark = FORMATS[precision]
        axes.plot(steps, np.maximum(found, 1e-9), mark[0], color=color, label=precision, fillstyle="none")
    axes.axhline(0.25, color="black", linewidth=0.8)
    axes.text(max(steps), 0.28, "1/4: rounding ends", fontsize=8, ha="right")
    axes.set(yscale="log", xlabel="step b, the inverse temperature", ylabel=f"largest raw error, length {n}")
    axes.legend(frameon=False)
    return figure


def gaps(survey: Survey) -> Figure:
    """The gaps of random average-hard networks' heads."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    bins = np.geomspace(survey.gaps.min() * 0.99, survey.gaps.max() * 1.01, 24).tolist()
    axes.hist(survey.gaps, bins=bins, color=MODEL)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xscale="log", xlabel="gap: largest score less the next, the least of a head", ylabel="heads")
    return figure


def bounds_and_errors(survey: Survey) -> Figure:
    """Errors of softened random networks and their bounds, by inverse temperature times gap: both fall like its exponential."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (measured, bound) in enumerate(zip(survey.measured, survey.bounds, strict=True)):
        first = number == 0
        axes.plot(
            survey.sharpness,
            finite(bound),
            color=OTHER,
            alpha=0.4,
            linewidth=1,
            label="bound" if first else None,
        )
        shown = np.where(measured > 1e-13, measured, np.nan)  # below lies the rounding of float64
        axes.plot(
            survey.sharpness, shown, color=MODEL, alpha=0.6, linewidth=1, label="measured" if first else None
        )
    axes.plot(
        survey.sharpness, np.exp(-survey.sharpness), color="black", linestyle="--", label="exp(-beta gap)"
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="inverse temperature beta, times the least gap",
        ylabel="largest error of an output",
        ylim=(1e-14, 1e4),
    )
    axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, loc="lower left")
    return figure


def training_curve(history: Sequence[Mapping[str, float]], start: str, length: int, longest: int) -> Figure:
    """The share of right validation positions, of strings as long as those trained on and of long ones, and the loss, by epoch."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = [row for row in history if "valid/right" in row]
    for name, n, style in (("right", length, "o-"), ("right_longest", longest, "s--")):
        color = MODEL if name == "right" else OTHER
        shares = [row[f"valid/{name}"] for row in rows]
        left.plot([row["epoch"] for row in rows], shares, style, color=color, label=f"{n} letters")
    lowest = min(row[f"valid/{name}"] for row in rows for name in ("right", "right_longest"))
    left.set(xlabel="epoch", ylabel="share of right positions", ylim=(min(0.9, lowest - 0.02), 1.01))
    left.legend(frameon=False)
    right.plot([row["epoch"] for row in history], [row["train/loss"] for row in history], color=GREY)
    right.set(xlabel="epoch", ylabel="training loss", yscale="log")
    figure.suptitle(f"trained on from {start} weights")
    return figure


def attention_maps(soft: Floats, hard: Floats, string: str, title: str) -> Figure:
    """The weights of a head, soft beside hard; rows are queries, "^" is the beginning-of-string sign."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    letters = ["^", *string]
    for axes, weights, name in zip(figure.subplots(1, 2), (soft, hard), ("softmax", "hard"), strict=True):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=name, xticks=range(len(letters)), yticks=range(len(letters)))
        axes.set(xlabel="key", ylabel="query")
        axes.set_xticklabels(letters)
        axes.set_yticklabels(letters)
    return figure
