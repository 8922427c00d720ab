"""Transfer plans over Skyplane's whole grid, beside its program as cvxpy states it."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from importlib import metadata

import numpy as np

from offprints.benchmark import Entry, compared, in_turn
from offprints.errors import DataError, InputError

from sky_broker.network import NetworkGrid
from sky_broker.transfer import VM_GBPS, direct_transfer, plan_transfer

SIZES = (16, 32, 63)
PAIRS = 20


def transfer(options: argparse.Namespace) -> Iterator[Entry]:
    """Plans at 1.3 times the rate of the direct path with at most two VMs in a region, mean of pairs drawn at random."""
    whole = _grid()
    for size in SIZES:
        if size > len(whole.locations):
            continue
        grid = _part(whole, size)
        cases = _cases(grid)
        works = {"ours": lambda grid=grid, cases=cases: [_ours(grid, *case) for case in cases]}
        peer = ""
        if not options.no_peers:
            peer = f"cvxpy {metadata.version('cvxpy')} with HiGHS"
            for case in cases[:4]:
                found, known = _ours(grid, *case), cvxpy_plan(grid, *case)
                if abs(found / known - 1) > 1e-6:
                    raise AssertionError(f"{case}: ours costs {found} and cvxpy's {known}")
            works["peer"] = lambda grid=grid, cases=cases: [cvxpy_plan(grid, *case) for case in cases]
        timings = in_turn(works, min(options.rounds, 5))
        yield compared(
            f"transfer {len(cases)} plans, mixed integer",
            size,
            1,
            timings["ours"],
            peer,
            timings.get("peer"),
            seconds_per_plan=timings["ours"].median / len(cases),
        )


def _grid() -> NetworkGrid:
    try:
        return NetworkGrid.from_skyplane()
    except DataError:
        return NetworkGrid.embedded()


def _part(grid: NetworkGrid, size: int) -> NetworkGrid:
    chosen = np.sort(np.random.default_rng(0).permutation(len(grid.locations))[:size])
    return NetworkGrid(
        tuple(grid.locations[row] for row in chosen),
        grid.usd_per_gb[np.ix_(chosen, chosen)],
        grid.gbps[np.ix_(chosen, chosen)],
    )


def _cases(grid: NetworkGrid) -> list[tuple[str, str, float]]:
    """Pairs that have a plan at 1.3 times the direct rate."""
    pairs = list(itertools.permutations(grid.locations, 2))
    found: list[tuple[str, str, float]] = []
    for place in np.random.default_rng(1).permutation(len(pairs)):
        case = (*pairs[place], 1.3 * direct_transfer(grid, *pairs[place], 50).gbps)
        try:
            _ours(grid, *case)
        except InputError:
            continue
        found.append(case)
        if len(found) == PAIRS:
            break
    return found


def _ours(grid: NetworkGrid, source: str, target: str, rate: float) -> float:
    return plan_transfer(grid, source, target, 50, rate_gbps=rate, vm_limit=2).usd


def cvxpy_plan(grid: NetworkGrid, source: str, target: str, rate: float) -> float:
    """The cost of Skyplane's program with its own variables: flows, connections and whole VMs of every region."""
    import cvxpy as cp

    n, s, t = len(grid.locations), grid.index(source), grid.index(target)
    speed = np.where(np.isfinite(grid.gbps), grid.gbps, 0.0)
    flow, links, vms = cp.Variable((n, n)), cp.Variable((n, n)), cp.Variable(n, integer=True)
    send, receive = np.array([VM_GBPS[cloud] for cloud in grid.clouds]).T
    rules = [flow >= 0, links >= 0, vms >= 0, vms <= 2, flow <= cp.multiply(speed / 64, links)]
    rules += [cp.sum(links, axis=1) <= 64 * vms, cp.sum(links, axis=0) <= 64 * vms]
    rules += [
        cp.sum(flow, axis=1) <= cp.multiply(send, vms),
        cp.sum(flow, axis=0) <= cp.multiply(receive, vms),
    ]
    out, into = cp.sum(flow, axis=1), cp.sum(flow, axis=0)
    rules += [out[node] == into[node] for node in range(n) if node not in (s, t)]
    rules += [into[s] == 0, out[s] == rate, into[t] == rate]
    seconds = 8 * 50 / rate
    price = np.where(np.isfinite(grid.usd_per_gb), grid.usd_per_gb, 0.0)
    cost = seconds / 8 * cp.sum(cp.multiply(price, flow)) + seconds * 0.54 / 3600 * cp.sum(vms)
    problem = cp.Problem(cp.Minimize(cost), rules)
    problem.solve(solver=cp.HIGHS, highs_options={"mip_rel_gap": 1e-9})
    return float(problem.value)
