"""Figures of jobs on spot nodes: what ran when, and what policies cost."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sky_broker.spot import NONE, ON_DEMAND, SPOT, Bools, SpotJob, SpotOutcome

matplotlib.use("Agg")
_COLOUR = {SPOT: "#5a8f5a", ON_DEMAND: "#d98324"}
_LINES = ("#9aa5ad", "#2f6f9f", "#22303c", "#d98324", "#5a8f5a")


def timeline(available: Bools, outcomes: Mapping[str, SpotOutcome], job: SpotJob) -> Figure:
    """What ran in a window under each policy, and how the work went on.

    Args:
        available: (ticks,) whether a spot node could be had.
        outcomes: policy -> the outcome of that window, with its schedule.
        job: what was to be done.
    """
    figure = Figure(figsize=(8, 2.6 + 0.4 * len(outcomes)), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1 + len(outcomes), 5])
    hours = job.gap_seconds / 3600
    for level, (name, outcome) in enumerate(outcomes.items()):
        assert outcome.schedule is not None
        modes = outcome.schedule[0]
        for mode, colour in _COLOUR.items():
            upper.broken_barh(_spans(modes == mode, hours), (-level - 0.4, 0.8), color=colour)
        elapsed = np.arange(len(modes) + 1) * hours
        work = np.concatenate([[0], np.cumsum(_worked(modes, job))]) / 3600
        lower.plot(
            elapsed,
            work - elapsed * job.work_hours / job.deadline_hours,
            color=_LINES[level % len(_LINES)],
            label=f"{name}: ${outcome.cost[0]:.2f}",
        )
    upper.broken_barh(_spans(available, hours), (0.6, 0.4), color="#c9d6c9")
    upper.set_yticks([0.8, *(-level for level in range(len(outcomes)))], ["spot to be had", *outcomes])
    upper.legend(
        handles=[
            Patch(color=_COLOUR[SPOT], label="spot"),
            Patch(color=_COLOUR[ON_DEMAND], label="on-demand"),
        ],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
    )
    lower.axhline(0, color="#9aa5ad", linestyle=":")
    lower.set_xlabel("hours")
    lower.set_ylabel("hours of work ahead\nof uniform progress")
    lower.legend(frameon=False)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def costs(table: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Mean cost of each policy, a group of bars for each cell.

    Args:
        table: a row for each cell, with its name in "cell".
        titles: column of the table -> name of the policy.
    """
    figure = Figure(figsize=(8, 1.2 + 0.16 * len(titles) * len(table)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(titles)
    colours = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.95, len(titles)))
    for number, (column, title) in enumerate(titles.items()):
        axes.barh(
            np.arange(len(table)) + number * height, table[column], height, label=title, color=colours[number]
        )
    axes.set_yticks(np.arange(len(table)) + 0.4 - height / 2, table["cell"])
    axes.invert_yaxis()
    axes.set_xlabel("mean cost, $")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _spans(where: Bools, hours: float) -> list[tuple[float, float]]:
    """(start, length) of each run of True, in hours."""
    edges = np.diff(np.concatenate([[0], where.astype(np.int8), [0]]))
    starts, stops = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0]
    return [(start * hours, (stop - start) * hours) for start, stop in zip(starts, stops, strict=True)]


def _worked(modes: np.ndarray, job: SpotJob) -> list[float]:
    """Seconds of work in each tick."""
    found, overhead, before = [], 0.0, NONE
    for mode in modes:
        overhead = job.overhead if mode != before else overhead
        found.append(max(job.gap_seconds - overhead, 0.0) if mode != NONE else 0.0)
        overhead = max(overhead - job.gap_seconds, 0.0)
        before = mode
    return found
