"""Spot windows: all at once, beside one after the other in plain Python."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import numpy as np

from offprints.benchmark import Entry, Timing, compared, in_turn

from sky_broker.policies import UniformProgress
from sky_broker.spot import SpotJob, simulate
from sky_broker.traces import made_up_trace

SIZES = (100, 1_000, 10_000)


def spot(options: argparse.Namespace) -> Iterator[Entry]:
    """Uniform Progress on windows of 52 h in ticks of 10 minutes."""
    trace = made_up_trace(0, 27 * 24)
    job = SpotJob(48, 52, 0.05, trace.gap_seconds)
    for size in SIZES:
        starts = np.random.default_rng(0).integers(0, len(trace.nodes) - job.ticks, size)
        windows = trace.windows(starts, job.ticks)
        few = windows[:100]  # the loop takes as long for each window, whatever their number
        ours = simulate(UniformProgress(), few, job).cost
        plain = [plain_uniform_progress(window.tolist(), job) for window in few]
        if not np.allclose(ours, plain):
            raise AssertionError("ours and the plain loop differ")
        timings = in_turn(
            {
                "ours": lambda windows=windows: simulate(UniformProgress(), windows, job),
                "plain": lambda few=few: [plain_uniform_progress(window.tolist(), job) for window in few],
            },
            min(options.rounds, 9),
        )
        plain_time = timings["plain"]
        scale = size / len(few)
        whole = Timing(plain_time.median * scale, plain_time.best * scale, plain_time.peak_mb)
        yield compared(
            "spot windows, Uniform Progress",
            size,
            1,
            timings["ours"],
            "plain Python, scaled from 100 windows",
            whole,
            windows_per_second=size / timings["ours"].median,
        )


def plain_uniform_progress(available: list[bool], job: SpotJob) -> float:
    """The cost of one window."""
    gap, overhead, work = job.gap_seconds, job.overhead, job.work
    pace = work / (job.deadline_hours * 3600)
    progress, paying, running, cost = 0.0, 0.0, "", 0.0
    prices = {"spot": job.spot_usd * gap / 3600, "demand": job.on_demand_usd * gap / 3600}
    for tick, there in enumerate(available):
        if progress >= work - 1e-6:
            break
        left = job.ticks - tick
        if running == "spot" and not there:
            running = ""
        if not running:
            paying = 0.0
        paid = "spot" if (running == "spot" and paying == 0) or (there and overhead == 0) else "demand"
        if math.ceil((work - progress + overhead) / gap - 1e-9) >= left or (
            running != "spot" and math.ceil((work - progress + 2 * overhead) / gap - 1e-9) >= left
        ):
            chosen = paid
        elif running == "demand":
            ahead = progress > (tick * gap + 2 * overhead) * pace
            chosen = "spot" if there and ahead else "demand"
        elif there:
            chosen = "spot"
        else:
            chosen = "demand" if progress < tick * gap * pace else ""
        if chosen and chosen != running:
            paying = overhead
        if chosen:
            progress += max(gap - paying, 0.0)
            paying = max(paying - gap, 0.0)
            cost += prices[chosen]
        running = chosen
    return cost
