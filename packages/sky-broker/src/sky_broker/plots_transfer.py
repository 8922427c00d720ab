"""Figures of transfers: the paths of a plan, price against rate, and what relays gain over many pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sky_broker.skyplane import Floats
from sky_broker.transfer import TransferPlan

matplotlib.use("Agg")
_CLOUDS = {"aws": "#d98324", "azure": "#2f6f9f", "gcp": "#5a8f5a"}
_GREY = "#9aa5ad"


def paths(plan: TransferPlan) -> Figure:
    """The routes of a plan from left to right; width is the rate, colour the cloud.

    Args:
        plan: with at least one path.
    """
    figure = Figure(figsize=(8, 1.6 + 0.7 * len(plan.paths)), layout="constrained")
    axes = figure.add_subplot()
    widest = max(path.gbps for path in plan.paths)
    middle = (len(plan.paths) - 1) / 2
    for level, path in enumerate(plan.paths):
        # A direct path bends through the middle, so that paths do not lie on one another.
        between = max(len(path.locations) - 2, 1)
        x = np.linspace(0, 1, between + 2)
        y = np.array([-middle, *[-level] * between, -middle])
        axes.plot(x, y, color=_GREY, linewidth=1 + 7 * path.gbps / widest, zorder=1, solid_capstyle="round")
        label = f"{path.gbps:.2f} Gbps, ${path.usd_per_gb:.4f}/GB"
        below = len(path.locations) == 2 and level > middle
        axes.annotate(
            label, (x[1], -level), (0, -16 if below else 10), textcoords="offset points", ha="center"
        )
        for relay, across in zip(path.locations[1:-1], x[1:-1], strict=False):
            _place(axes, relay, across, -level, plan.vms.get(relay, 0))
    for location, across in ((plan.source, 0.0), (plan.target, 1.0)):
        _place(axes, location, across, -middle, plan.vms.get(location, 0))
    axes.set_xlim(-0.2, 1.2)
    axes.set_ylim(-len(plan.paths) + 0.2, 0.8)
    axes.set_axis_off()
    axes.set_title(
        f"{plan.gigabytes:g} GB at {plan.gbps:.2f} Gbps: {60 * plan.hours:.1f} min, ${plan.usd_per_gb:.4f}/GB",
        loc="left",
    )
    return figure


def rates(curve: Sequence[TransferPlan], plans: Mapping[str, TransferPlan]) -> Figure:
    """What the cheapest plan costs at each rate, and where some plans lie.

    Args:
        curve: cheapest plans by rising rate.
        plans: name -> a plan to mark.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    x = [plan.gbps for plan in curve]
    axes.plot(
        x, [plan.usd_per_gb for plan in curve], color=_CLOUDS["azure"], label="cheapest plan at this rate"
    )
    axes.plot(
        x,
        [plan.bound_usd / plan.gigabytes for plan in curve],
        color=_GREY,
        linestyle=":",
        label="bound: any fraction of a VM",
    )
    for (name, plan), marker in zip(plans.items(), "osD^v", strict=False):
        axes.plot(plan.gbps, plan.usd_per_gb, marker, color="#22303c", label=name)
    axes.set_xlabel("Gbps")
    axes.set_ylabel("$/GB, egress and VMs")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def gains(found: Mapping[str, Floats]) -> Figure:
    """How many pairs gain how much over the direct path.

    Args:
        found: name -> rate over the direct path's, of each pair.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for (name, gain), colour in zip(found.items(), (_CLOUDS["aws"], _CLOUDS["azure"]), strict=False):
        axes.plot(np.sort(gain), np.linspace(1, 0, len(gain)), color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("rate over the direct path's")
    axes.set_ylabel("share of pairs above")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _place(axes: Axes, location: str, x: float, y: float, vms: int) -> None:
    cloud = location.partition(":")[0]
    axes.plot(x, y, "o", color=_CLOUDS.get(cloud, "#22303c"), markersize=14, zorder=2)
    text = f"{location}\n{vms} VM" + ("s" if vms > 1 else "")
    axes.annotate(text, (x, y), (0, -14), textcoords="offset points", ha="center", va="top", fontsize=8)
