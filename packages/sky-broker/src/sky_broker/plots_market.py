"""Figures of a market: who computes, what a broker saves, and what prices come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sky_broker.skyplane import Floats

matplotlib.use("Agg")
_COLOURS = ("#d98324", "#2f6f9f", "#5a8f5a", "#22303c", "#9aa5ad")


def shares(clouds: Sequence[str], found: Mapping[str, Floats]) -> Figure:
    """The share of each cloud in all that is paid for computing.

    Args:
        clouds: c names.
        found: how users buy -> (c,) shares.
    """
    figure = Figure(figsize=(7.5, 1.4 + 0.5 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    names = list(found)
    left = np.zeros(len(names))
    for number, cloud in enumerate(clouds):
        width = np.array([100 * share[number] for share in found.values()])
        axes.barh(names, width, left=left, color=_COLOURS[number % len(_COLOURS)], label=cloud)
        left += width
    axes.invert_yaxis()
    axes.set_xlabel("share of what is paid for computing, %")
    axes.legend(frameon=False, ncols=len(clouds), loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def sweep(table: pd.DataFrame) -> Figure:
    """What users save by a broker, and the specialised cloud's share, by the size of their data.

    Args:
        table: columns gigabytes, and "saving ..." and "entrant ..." for each way of buying.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, what, label in zip(
        figure.subplots(1, 2),
        ("saving", "entrant"),
        ("saved against staying at home, %", "specialised cloud's share, %"),
        strict=True,
    ):
        for column, colour in zip(
            [name for name in table if name.startswith(what)], _COLOURS[1:], strict=False
        ):
            name = column.removeprefix(f"{what} ")
            axes.plot(table["gigabytes"], 100 * table[column], marker=".", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("median of a user's data, GB")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def prices(clouds: Sequence[str], found: Mapping[str, Floats]) -> Figure:
    """How clouds change their prices, round after round.

    Args:
        clouds: c names.
        found: how users buy -> (rounds + 1, c) factors of list prices.
    """
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (way, factors) in zip(
        np.atleast_1d(figure.subplots(1, len(found), sharey=True)), found.items(), strict=True
    ):
        for number, cloud in enumerate(clouds):
            axes.plot(factors[:, number], marker=".", color=_COLOURS[number % len(_COLOURS)], label=cloud)
        axes.set_title(way, fontsize=10)
        axes.set_xlabel("round")
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("")
    figure.axes[0].set_ylabel("price over list price")
    figure.axes[-1].legend(frameon=False, fontsize=8)
    return figure
