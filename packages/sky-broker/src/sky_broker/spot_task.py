"""The task `spot`: policies for a job with a deadline, side by side on the same windows of the same traces."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from offprints.app import Results, Run
from offprints.atomic import write_text
from offprints.errors import InputError
from offprints.tables import show

from sky_broker import plots_spot
from sky_broker.clairvoyant import clairvoyant
from sky_broker.config import Config
from sky_broker.policies import Greedy, KnownSpells, LearntSpells, OnDemand, UniformProgress
from sky_broker.spells import measured
from sky_broker.spot import Bools, Policy, SpotJob, simulate
from sky_broker.task_options import SpotConfig
from sky_broker.traces import SPOT_TRACES, Trace, made_up_trace, read_trace, released_trace

OWN = "learnt_spells"
_CELLS = "cells.json"


@dataclass(frozen=True)
class Cell:
    """A trace, a deadline and a restart."""

    trace: Trace
    job: SpotJob

    @property
    def name(self) -> str:
        """As the metrics call it."""
        return f"{self.trace.name}, {self.job.deadline_hours:g} h, {60 * self.job.overhead_hours:g} min"


def spot_task(config: Config, run: Run) -> Results:
    """Run a job with a deadline on spot nodes under each policy, beside the least that it could have cost."""
    options = config.spot
    cells = [
        Cell(trace, _job(options, trace, deadline, minutes / 60))
        for trace in _traces(options, config.seed, run)
        for deadline in options.deadline_hours
        for minutes in options.overhead_minutes
    ]
    if not cells:
        raise InputError("spot.deadline_hours and spot.overhead_minutes need one number or more each")
    rows = _finished(run)
    with run.progress(len(cells), "spot", done=len(rows)) as bar:
        for cell in cells[len(rows) :]:
            with run.uninterrupted():
                rows.append(_measure(cell, options))
                write_text(run.directory / _CELLS, json.dumps(rows))
            bar.advance(1, {f"cost_{OWN}": rows[-1][f"cost_{OWN}"]})
    table = pd.DataFrame(rows)
    show(_shown(table), f"mean cost of {options.work_hours:g} h of work over {options.starts} starts, $")
    costs = [column for column in table.columns if column.startswith("cost_")]
    run.figure(
        "costs",
        plots_spot.costs(table, {name: _title(name) for name in costs}),
        "Mean cost of a job under each policy",
    )
    _timeline(cells[0], options, run)
    metrics = {f"test/{name}": float(table[name].mean()) for name in costs}
    metrics["test/deadline_misses"] = float(table["deadline_misses"].sum())
    metrics["test/cells"] = float(len(table))
    metrics |= _against_uniform_progress(table)
    return Results(metrics, {"cells": rows})


def _job(options: SpotConfig, trace: Trace, deadline: float, overhead: float) -> SpotJob:
    prices = options.on_demand_usd, options.spot_usd
    return SpotJob(options.work_hours, deadline, overhead, trace.gap_seconds, *prices)


def _traces(options: SpotConfig, seed: int, run: Run) -> list[Trace]:
    if options.file is not None and options.traces:
        raise InputError("spot.file and spot.traces cannot both be given")
    if options.file is not None:
        return [read_trace(options.file, options.ones)]
    if not options.traces:
        return [made_up_trace(seed, 24 * 28)]
    found = [released_trace(name) for name in options.traces]
    checksums = SPOT_TRACES.verify()
    run.dataset(
        SPOT_TRACES.name,
        {
            file: digest
            for file, digest in checksums.items()
            if any(file.endswith(f"/{name}.json") for name in options.traces)
        },
    )
    return found


def _finished(run: Run) -> list[dict[str, Any]]:
    """What an interrupted run has measured."""
    path = run.directory / _CELLS
    return list(json.loads(path.read_text(encoding="utf-8"))) if run.resuming and path.exists() else []


def _policies(cell: Cell, options: SpotConfig) -> dict[str, Policy]:
    available = cell.trace.available(options.nodes)
    return {
        "on_demand": OnDemand(),
        "greedy": Greedy(),
        "uniform_progress": UniformProgress(),
        "uniform_progress_no_hysteresis": UniformProgress(hysteresis=False),
        OWN: LearntSpells(options.up_factor, options.down_factor, options.weight, options.first_age),
        "known_spells": KnownSpells(measured([(available, cell.trace.gap_seconds)]), options.first_age),
    }


def _windows(cell: Cell, options: SpotConfig) -> Bools:
    last = len(cell.trace.nodes) - cell.job.ticks
    if options.starts < 1 or last < 0:
        raise InputError(
            f"spot.starts={options.starts} windows of {cell.job.ticks} ticks in {cell.trace.name}, which has {len(cell.trace.nodes)}"
        )
    if options.draw is None:
        starts = np.linspace(0, last, options.starts).astype(np.int64)
    else:
        drawn = random.Random(options.draw)
        starts = np.array([drawn.randrange(last + 1) for _ in range(options.starts)])
    return cell.trace.windows(starts, cell.job.ticks, options.nodes)


def _measure(cell: Cell, options: SpotConfig) -> dict[str, Any]:
    """Mean costs and misses of a cell."""
    windows = _windows(cell, options)
    row: dict[str, Any] = {"cell": cell.name, "available": float(windows.mean())}
    misses = 0
    for name, policy in _policies(cell, options).items():
        outcome = simulate(policy, windows, cell.job)
        row[f"cost_{name}"] = float(outcome.cost.mean())
        misses += int(outcome.late.sum())
    if options.optimum:
        row["cost_optimum"] = float(clairvoyant(windows, cell.job).cost.mean())
    return row | {"deadline_misses": misses}


def _against_uniform_progress(table: pd.DataFrame) -> dict[str, float]:
    """How much cheaper our policy is, and in how many cells; with the optimum, the part of greedy's gap that each closes."""
    ours, published = table[f"cost_{OWN}"], table["cost_uniform_progress"]
    found = {
        "test/saving_against_uniform_progress": float(1 - ours.mean() / published.mean()),
        "test/cells_cheaper_than_uniform_progress": float((ours < published).sum()),
    }
    if "cost_optimum" in table:
        gap = (table["cost_greedy"] - table["cost_optimum"]).sum()
        for name, cost in (("uniform_progress", published), (OWN, ours)):
            closed = (table["cost_greedy"] - cost).sum()
            found[f"test/gap_closed_{name}"] = float(closed / gap) if gap > 0 else float("nan")
    return found


def _timeline(cell: Cell, options: SpotConfig, run: Run) -> None:
    """Draw the window in which policies differ most."""
    windows = _windows(cell, options)
    policies = {
        policy.name: policy
        for name, policy in _policies(cell, options).items()
        if name in ("greedy", "uniform_progress", OWN)
    }
    costs = np.array([simulate(policy, windows, cell.job).cost for policy in policies.values()])
    window = windows[[int(costs.std(axis=0).argmax())]]
    kept = {name: simulate(policy, window, cell.job, keep_schedule=True) for name, policy in policies.items()}
    run.figure(
        "timeline",
        plots_spot.timeline(window[0], kept, cell.job),
        "What ran in one window under each policy, and how the work went on",
    )


def _title(name: str) -> str:
    return name.removeprefix("cost_").replace("_", " ").replace("uniform progress no", "uniform progress, no")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    names = {column: _title(column) for column in table.columns if column.startswith("cost_")}
    return table.rename(columns=names | {"deadline_misses": "misses"})
