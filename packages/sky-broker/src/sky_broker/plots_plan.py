"""Figures of plans: numbers in, matplotlib out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure

from sky_broker.layout import datasets_of, graph_of, layers
from sky_broker.pareto import Front
from sky_broker.plan import Plan

matplotlib.use("Agg")
CLOUDS = {"aws": "#d98324", "azure": "#2f6f9f", "gcp": "#4f8a4b", "lambda": "#7a5195", "vast": "#8a6d3b"}
GREY, RED = "#9aa5ad", "#b3443a"
_UNITS = {"cost": "cost, $", "time": "makespan, h", "carbon": "carbon, kg CO2e"}


def colour(location: str) -> str:
    """Of the cloud of a location."""
    return CLOUDS.get(location.partition(":")[0], GREY)


def dag(plan: Plan) -> Figure:
    """Tasks as boxes at their places, with $ of egress on the arrows between them; only those that cost something are red."""
    place = layers(*graph_of(plan))
    width, height = 1 + max(x for x, _ in place.values()), 1 + max(y for _, y in place.values())
    figure = Figure(figsize=(2.6 * width + 0.6, 1.3 * height + 0.7), layout="constrained")
    axes = figure.add_subplot()
    for move in plan.movements:
        start, end = place[move.what], place[move.task]
        shade = RED if move.usd else GREY
        axes.annotate(
            "", end, start, arrowprops={"arrowstyle": "-|>", "color": shade, "shrinkA": 46, "shrinkB": 46}
        )
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.06
        words = f"{move.gb:g} GB\n${move.usd:,.2f}"
        axes.annotate(words, middle, ha="center", va="bottom", fontsize=7, color=shade)
    for name, location in datasets_of(plan).items():
        box = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": colour(location), "lw": 1.0, "ls": "--"}
        axes.text(*place[name], f"{name}\n{location}", ha="center", va="center", fontsize=7, bbox=box)
    for one in plan.placements:
        text = (
            f"{one.task}\n{one.offer.location}\n{_machine(plan, one.task)}\n${one.usd:,.2f}, {one.hours:g} h"
        )
        box = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": colour(one.offer.location), "lw": 1.8}
        axes.text(*place[one.task], text, ha="center", va="center", fontsize=7, bbox=box)
    axes.set(xlim=(-0.6, width - 0.4), ylim=(height - 0.4, -0.6), title=f"{plan.job.name}: ${plan.cost:,.2f}")
    axes.axis("off")
    return figure


def front(found: Front, chosen: Plan) -> Figure:
    """The points of a front of two objectives, or the first two of three, and the plan that was chosen."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    points = found.points
    axes.plot(
        [p[0] for p in points], [p[1] for p in points], "o-", color=GREY, ms=4, lw=0.8, drawstyle="steps-post"
    )
    for point, plan in zip(points, found.plans, strict=True):
        axes.plot(point[0], point[1], "o", color=colour(plan.placements[-1].offer.location), ms=5)
    mark = points[found.plans.index(chosen)]
    axes.plot(
        mark[0], mark[1], "o", mfc="none", mec=RED, ms=13, label=f"chosen: {mark[0]:,.6g}, {mark[1]:,.6g}"
    )
    axes.set(xlabel=_UNITS[found.objectives[0]], ylabel=_UNITS[found.objectives[1]])
    axes.legend(frameon=False)
    return figure


def peering(gigabytes: Sequence[float], saving: Mapping[str, Sequence[float]]) -> Figure:
    """What a broker saves against each home cloud by how much data there are, as shares, without and with peering."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    x = [max(one, 1.0) for one in gigabytes]
    for name, values in saving.items():
        home, _, way = name.partition(" ")
        style = "--" if way == "peered" else "-"
        axes.plot(
            x, [100 * one for one in values], style, marker=".", color=CLOUDS.get(home, GREY), label=name
        )
    axes.axhline(0, color=GREY, lw=0.6)
    axes.set(
        xscale="log",
        xlabel="data of the job, GB (0 is drawn at 1)",
        ylabel="saved against one's own cloud, %",
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def _machine(plan: Plan, task: str) -> str:
    offer = plan.placement(task).offer
    nodes = plan.placement(task).nodes
    kind = f"{offer.accelerator}:{offer.count:g}" if offer.accelerator else offer.instance_type
    return (
        f"{nodes} x {kind}{', spot' if offer.spot else ''}"
        if nodes > 1
        else f"{kind}{', spot' if offer.spot else ''}"
    )
