"""What ours is compared with: placement as a program for CBC the way SkyPilot writes it, and a catalog as pandas reads it."""

from __future__ import annotations

import csv
import io
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
