"""What ours is compared with: SkyPilot's optimizer, its program for CBC on all that a problem may say, and a catalog as pandas reads it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pulp

from sky_broker.problem import Problem, evaluate


def skypilots_program(problem: Problem) -> float:
    """Binary variables for each state and for each pair of states of an edge, without dominance; returns the cost of its plan.

    Source: the integer program of SkyPilot's optimizer, version 0.14.1, which calls CBC through PuLP.
    """
    program = pulp.LpProblem("placement", pulp.LpMinimize)
    chosen, cost = [], []
    for task, states in enumerate(problem.states):
        own = [pulp.LpVariable(f"c_{task}_{state}", cat="Binary") for state in range(len(states))]
        program += pulp.lpSum(own) == 1
        cost += [usd * variable for usd, variable in zip(states.usd.tolist(), own, strict=True)]
        chosen.append(own)
    for number, flow in enumerate(problem.flows):
        u, v = chosen[flow.source], chosen[flow.target]
        places = problem.states[flow.source].location, problem.states[flow.target].location
        usd = flow.gb * problem.usd_per_gb[np.ix_(*places)]
        edge = [
            [pulp.LpVariable(f"e_{number}_{i}_{j}", cat="Binary") for j in range(len(v))]
            for i in range(len(u))
        ]
        program += pulp.lpSum(one for row in edge for one in row) == 1
        for i, row in enumerate(edge):
            program += pulp.lpSum(row) == u[i]
            cost += [price * one for price, one in zip(usd[i].tolist(), row, strict=True)]
        for j in range(len(v)):
            program += pulp.lpSum(row[j] for row in edge) == v[j]
    program += pulp.lpSum(cost)
    program.solve(pulp.PULP_CBC_CMD(msg=False, threads=1))
    plan = [max(range(len(own)), key=lambda state, own=own: own[state].value()) for own in chosen]
    return evaluate(problem, plan).usd


def as_skypilot_sees(problem: Problem) -> Problem:
    """The problem with what SkyPilot can say of data: a price for each cloud that they leave, and one output of a task for all that read from it."""
    n = len(problem.locations)
    leaving = np.where(np.eye(n, dtype=bool), 0.0, problem.usd_per_gb.max(axis=1)[:, None])
    output: dict[int, float] = {}
    for flow in problem.flows:
        output.setdefault(flow.source, flow.gb)
    flows = tuple(replace(flow, gb=output[flow.source]) for flow in problem.flows)
    return replace(problem, usd_per_gb=leaving, flows=flows)


def skypilots_optimizer(problem: Problem) -> Callable[[], float]:
    """SkyPilot's own optimizer, on a sky.Dag with the offers of a problem; returns what its plan costs by the definition.

    Its integer program is called as Optimizer.optimize calls it for graphs that are no chain, with what machines cost already looked up: no catalog is
    read, and no account is asked for.

    Args:
        problem: as_skypilot_sees it.
    """
    os.environ["SKYPILOT_DISABLE_USAGE_COLLECTION"] = "1"
    import sky
    from sky.optimizer import Optimizer

    @dataclass(frozen=True)
    class Cloud:
        place: int

        def is_same_cloud(self, other: Cloud) -> bool:
            return self.place == other.place

        def get_egress_cost(self, num_gigabytes: float) -> float:
            return num_gigabytes * float(problem.usd_per_gb[self.place].max())

    @dataclass(frozen=True)
    class Candidate:
        cloud: Cloud
        state: int

    dag = sky.Dag()
    tasks = [sky.Task(name) for name in problem.tasks]
    for task in tasks:
        dag.add(task)
    for flow in problem.flows:
        tasks[flow.source].set_outputs("s3://output", estimated_size_gigabytes=flow.gb)
        dag.add_edge(tasks[flow.source], tasks[flow.target])
    costs = {
        task: {
            Candidate(Cloud(int(place)), state): float(usd)
            for state, (place, usd) in enumerate(zip(states.location, states.usd, strict=True))
        }
        for task, states in zip(tasks, problem.states, strict=True)
    }

    def plan() -> float:
        chosen, _ = Optimizer._optimize_by_ilp(dag.get_graph(), tasks, costs, minimize_cost=True)
        return evaluate(problem, [chosen[task].state for task in tasks]).usd

    return plan


def pandas_catalog(path: Path) -> pd.DataFrame:
    """The same file in pandas; its ragged rows have to be mended first, or it stops at the first of them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    columns = lines[0].count(",") + 1
    mended = [
        line
        if line.count(",") < columns or '"' in line
        else ",".join(line.split(",")[: columns - 1]) + ',"' + ",".join(line.split(",")[columns - 1 :]) + '"'
        for line in lines
    ]
    return pd.read_csv(io.StringIO("\n".join(mended)))


def pandas_question(table: pd.DataFrame, regions: set[str]) -> pd.DataFrame:
    """Spot offers with one V100 in some regions, the cheapest first."""
    found = table[(table["AcceleratorName"] == "V100") & (table["AcceleratorCount"] == 1)]
    found = found[found["SpotPrice"].notna() & found["Region"].isin(regions)]
    return found.sort_values("SpotPrice")


def enlarged(source: Path, target: Path, times: int) -> None:
    """A catalog so many times as long: the same rows again, in regions of other names; its ragged rows stay ragged."""
    import gzip

    with gzip.open(source, "rt", encoding="utf-8") as file:
        header, *rows = file.read().splitlines()
    place = header.split(",").index("Region")
    assert not any('"' in row for row in rows), "a quoted comma would move the region"
    fields = [row.split(",") for row in rows]
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONE, escapechar="\\")
        writer.writerow(header.split(","))
        for copy in range(times):
            suffix = f"-{copy}" if copy else ""
            for row in fields:
                writer.writerow([*row[:place], row[place] + suffix, *row[place + 1 :]])
