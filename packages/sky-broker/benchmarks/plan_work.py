"""Placement beside SkyPilot's program for CBC, and catalogs beside pandas.

Placement is of random graphs of tasks that read from up to two of the six before them. "20x50" has 50 offers a task in 3 places, as SkyPilot
sees 3 clouds; with "prices by cloud" it is a problem that SkyPilot can say, solved by its own optimizer too. "50x63" has an offer at each of Skyplane's 63 regions and its real prices. The catalog is Azure's with the regions named anew, up to
ten times over; cold reads the CSV and keeps a table, warm maps it into memory, and the question is one V100 on spot in the EU.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pulp
from peers import (
    as_skypilot_sees,
    enlarged,
    pandas_catalog,
    pandas_question,
    skypilots_optimizer,
    skypilots_program,
)

from offprints.benchmark import Entry, compared, in_turn
from offprints.data import data_root

from sky_broker import Catalog, Job, NetworkGrid, Output, Resources, Sky, Task, TimeSpec, optimize
from sky_broker.compatibility import CompatibilitySet
from sky_broker.instances import random_problem
from sky_broker.milp import Weights
from sky_broker.places import allows
from sky_broker.problem import Problem
from sky_broker.solve import solve

COST = Weights(usd=1)
PULP = f"SkyPilot's program, PuLP {pulp.__version__}, CBC"


def placement(options: argparse.Namespace) -> Iterator[Entry]:
    """Exact plans of the least cost, and a job of five tasks from its requirements to its plan."""
    for tasks, offers in ((20, 20), (20, 50), (50, 30)):
        problem = random_problem(1, tasks, offers, 3)
        ours = in_turn({"ours": lambda p=problem: solve(p, COST)}, options.rounds)["ours"]
        if options.no_peers:
            yield compared(f"placement {tasks}x{offers}", tasks * offers, 1, ours)
            continue
        theirs = in_turn({"cbc": lambda p=problem: skypilots_program(p)}, 1)["cbc"]
        cost, its = solve(problem, COST).figures.usd, skypilots_program(problem)
        if not np.isclose(cost, its, rtol=1e-9):
            raise AssertionError(f"placement {tasks}x{offers}: ours costs {cost}, CBC's {its}")
        yield compared(f"placement {tasks}x{offers}", tasks * offers, 1, ours, PULP, theirs)
    yield from _beside_skypilot(options)
    yield from _regions(options)
    yield from _from_requirements(options)


def _beside_skypilot(options: argparse.Namespace) -> Iterator[Entry]:
    """Problems that SkyPilot can say, solved by its own optimizer."""
    for tasks, offers in ((20, 20), (20, 50)):
        problem = as_skypilot_sees(random_problem(1, tasks, offers, 3))
        ours = in_turn({"ours": lambda p=problem: solve(p, COST)}, options.rounds)["ours"]
        name = f"placement {tasks}x{offers}, prices by cloud"
        if options.no_peers:
            yield compared(name, tasks * offers, 1, ours)
            continue
        optimizer = skypilots_optimizer(problem)
        theirs = in_turn({"skypilot": optimizer}, 1)["skypilot"]
        cost, its = solve(problem, COST).figures.usd, optimizer()
        if not np.isclose(cost, its, rtol=1e-9):
            raise AssertionError(f"{name}: ours costs {cost}, SkyPilot's {its}")
        peer = f"optimizer of SkyPilot {metadata.version('skypilot')}"
        yield compared(name, tasks * offers, 1, ours, peer, theirs)


def _regions(options: argparse.Namespace) -> Iterator[Entry]:
    try:
        grid = NetworkGrid.from_skyplane()
    except FileNotFoundError:
        return
    for tasks in (20, 50, 100):
        problem = _everywhere(grid, tasks)
        found = solve(problem, COST)
        by_milp = {"milp": lambda p=problem: solve(p, COST, method="milp", time_limit=600)}
        ours = in_turn({"ours": lambda p=problem: solve(p, COST)}, options.rounds)["ours"]
        its = None if options.no_peers or tasks > 20 else in_turn(by_milp, 1)["milp"]
        peer = "HiGHS on all states" if its else ""
        name = f"placement {tasks}x{len(grid.locations)}"
        yield compared(name, tasks * len(grid.locations), 1, ours, peer, its, gap=found.certificate.gap)


def _everywhere(grid: NetworkGrid, tasks: int) -> Problem:
    """Each task has one offer at each location, and what data cost between them is what it costs."""
    n = len(grid.locations)
    usd = np.where(np.isnan(grid.usd_per_gb), np.inf, grid.usd_per_gb)
    gbps = np.nan_to_num(grid.gbps, nan=1e-9, posinf=1e9)
    problem = random_problem(1, tasks, n, n, usd_per_gb=usd, gbps=gbps, places=grid.locations)
    return problem.with_states([replace(own, location=np.arange(n)) for own in problem.states])


def _from_requirements(options: argparse.Namespace) -> Iterator[Entry]:
    try:
        catalog, grid = Catalog.load("snapshot"), NetworkGrid.from_skyplane()
    except FileNotFoundError:
        return
    sky = Sky(catalog, grid, CompatibilitySet.embedded())
    need, time = (Resources("V100:1, A100:1, T4:1"),), TimeSpec({"V100": 10.0, "A100": 5.0, "T4": 30.0})
    tasks = [
        Task(
            f"t{number}",
            need,
            time,
            inputs=tuple(f"t{before}.out" for before in range(max(0, number - 2), number)),
            outputs={"out": Output(100.0)},
        )
        for number in range(5)
    ]
    job = Job("five", tuple(tasks))
    ours = in_turn({"ours": lambda: optimize(job, sky)}, options.rounds)["ours"]
    yield compared("placement 5 tasks from a job to its plan", len(catalog), 1, ours)


def catalog(options: argparse.Namespace) -> Iterator[Entry]:
    """Cold, warm, and one question."""
    source = data_root() / "sky-catalog" / "azure" / "vms.csv.gz"
    if not source.is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 4, 10):
            path, cache = Path(folder) / f"azure-{times}.csv", Path(folder) / f"cache-{times}"
            enlarged(source, path, times)

            def cold(path: Path = path, cache: Path = cache) -> object:
                shutil.rmtree(cache, ignore_errors=True)
                return Catalog.load({"azure": path}, cache=cache)

            def warm(path: Path = path, cache: Path = cache) -> Catalog:
                return Catalog.load({"azure": path}, cache=cache)

            works = {"cold": cold, "pandas": lambda path=path: pandas_catalog(path)}
            timings = in_turn(works, min(options.rounds, 5))
            table, ours = pandas_catalog(path), warm()
            megabytes = ours.table.nbytes / 1e6
            rows = ours.report.rows
            peer = f"pandas {pd.__version__}"
            yield compared(
                "catalog cold", rows, 1, timings["cold"], peer, timings["pandas"], table_mb=megabytes
            )
            yield compared("catalog warm", rows, 1, in_turn({"warm": warm}, options.rounds)["warm"])
            eu = frozenset({"EU"})
            # A copied region lies where the one does that it is a copy of.
            inside = [name for name in ours.locations if allows(eu, name.rpartition("-")[0] or name)]
            regions = {name.partition(":")[2] for name in inside}

            def asked(catalog: Catalog = ours, inside: list[str] = inside) -> object:
                return catalog.offers("V100:1", spot="required", regions=inside).by_price()

            answer = {"ours": asked, "pandas": lambda t=table, r=regions: pandas_question(t, r)}
            if len(asked()) != len(pandas_question(table, regions)):
                raise AssertionError("ours and pandas give different numbers of offers")
            timings = in_turn(answer, options.rounds)
            yield compared("catalog question", rows, 1, timings["ours"], peer, timings["pandas"])
