"""Transfers over relays: caps, bounds, and Skyplane's own example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from offprints.errors import InputError
from offprints.testing import data_folder, recorded

from sky_broker.network import NetworkGrid
from sky_broker.transfer import VM_GBPS, TransferPlan, direct_transfer, plan_transfer, ron_transfer

GRID = NetworkGrid.embedded()
CANADA, TOKYO = "azure:canadacentral", "gcp:asia-northeast1-a"


def audit(plan: TransferPlan, grid: NetworkGrid, vm_limit: int) -> None:
    """Hold a plan against the rules, from its paths, its VMs and the grid alone."""
    edges: dict[tuple[str, str], float] = {}
    for path in plan.paths:
        assert path.locations[0] == plan.source and path.locations[-1] == plan.target
        assert len(set(path.locations)) == len(path.locations)
        hops = list(itertools.pairwise(path.locations))
        assert path.usd_per_gb == pytest.approx(sum(grid.price(a, b) for a, b in hops))
        for hop in hops:
            edges[hop] = edges.get(hop, 0.0) + path.gbps
    assert sum(path.gbps for path in plan.paths) == pytest.approx(plan.gbps)
    for place in {place for edge in edges for place in edge}:
        count, (send, receive) = plan.vms[place], VM_GBPS[place.split(":")[0]]
        out = {edge: flow for edge, flow in edges.items() if edge[0] == place}
        into = {edge: flow for edge, flow in edges.items() if edge[1] == place}
        assert 1 <= count <= vm_limit
        assert sum(out.values()) <= send * count * (1 + 1e-6) and sum(into.values()) <= receive * count * (
            1 + 1e-6
        )
        for side in (out, into):
            assert sum(flow / grid.rate(*edge) for edge, flow in side.items()) <= count * (1 + 1e-6)
    egress = plan.gigabytes / plan.gbps * sum(flow * grid.price(*edge) for edge, flow in edges.items())
    assert plan.egress_usd == pytest.approx(egress)
    seconds = 8 * plan.gigabytes / plan.gbps
    assert plan.hours == pytest.approx(seconds / 3600)
    assert plan.vm_usd == pytest.approx(seconds / 3600 * 0.54 * sum(plan.vms.values()))


def skyplanes_program(
    grid: NetworkGrid, source: str, target: str, rate: float, vm_limit: int
) -> float | None:
    """The relaxed cost in $/GB by Skyplane's own variables, connections among them, over every edge at once."""
    names = list(grid.locations)
    n, s, t = len(names), grid.index(source), grid.index(target)
    price, speed = grid.usd_per_gb, np.where(np.isfinite(grid.gbps), grid.gbps, 0.0)
    flow = lambda i, j: i * n + j  # noqa: E731
    links = lambda i, j: n * n + i * n + j  # noqa: E731
    size = 2 * n * n + n
    cost = np.concatenate([price.ravel() / rate, np.zeros(n * n), np.full(n, 8 / rate * 0.54 / 3600)])
    below, equal, right = [], [], []
    for i, j in itertools.product(range(n), repeat=2):
        row = np.zeros(size)
        row[flow(i, j)], row[links(i, j)] = 1, -speed[i, j] / 64
        below.append(row)
    for i in range(n):
        send, receive = VM_GBPS[names[i].split(":")[0]]
        for kind, factor, cap in ((links, 64, 64), (flow, send, receive)):
            out, into = np.zeros(size), np.zeros(size)
            for j in range(n):
                out[kind(i, j)] = into[kind(j, i)] = 1
            out[2 * n * n + i], into[2 * n * n + i] = -factor, -cap
            below += [out, into]
        row = np.zeros(size)
        for j in range(n):
            row[flow(i, j)] += 1
            row[flow(j, i)] -= 1
        equal.append(row)
        right.append(rate if i == s else -rate if i == t else 0.0)
    for forbidden in ([flow(j, s) for j in range(n)], [flow(i, i) for i in range(n)]):
        row = np.zeros(size)
        row[forbidden] = 1
        equal.append(row)
        right.append(0.0)
    limits = [(0, None)] * (2 * n * n) + [(0, vm_limit)] * n
    answer = linprog(cost, np.array(below), np.zeros(len(below)), np.array(equal), right, limits)
    return float(answer.fun) if answer.status == 0 else None


def test_skyplanes_example() -> None:
    plan = plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=12)
    audit(plan, GRID, 1)
    relayed = next(path for path in plan.paths if len(path.locations) == 3)
    assert relayed.locations[1] == "azure:westus2"
    assert relayed.gbps == pytest.approx(10.7175, abs=1e-3)
    assert plan.usd == pytest.approx(5.2831, abs=1e-4)
    assert plan.usd_per_gb == pytest.approx(0.1057, abs=5e-5)
    direct = direct_transfer(GRID, CANADA, TOKYO, 50)
    assert plan.gbps / direct.gbps == pytest.approx(1.81, abs=0.01)
    assert plan.usd_per_gb / 0.0875 == pytest.approx(1.21, abs=0.01)
    assert "azure:westus2" in plan.explain() and "$5.28" in plan.explain()


def test_with_two_vms_the_direct_path_is_enough() -> None:
    plan = plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=12, vm_limit=2)
    assert [path.locations for path in plan.paths] == [(CANADA, TOKYO)]
    assert plan.usd == pytest.approx(4.395, abs=1e-6)


@pytest.mark.parity
def test_recorded_transfers(recorded_json) -> None:
    known = recorded("sky-broker", "skyplane_grid.npz")
    gbps = np.where(known["gbps"] > 0, known["gbps"], np.nan)
    grid = NetworkGrid(tuple(str(name) for name in known["regions"]), known["usd_per_gb"], gbps)
    for case in recorded_json("transfer.json"):
        ends = grid, case["src"], case["dst"], case["gbyte"]
        limit = case["instance_limit"]
        direct = direct_transfer(*ends)
        assert grid.rate(*ends[1:3]) == pytest.approx(case["direct_gbps_one_vm"], abs=1e-4)
        assert direct.egress_usd / direct.gigabytes == pytest.approx(case["direct_usd_per_gb"])
        if not case["feasible"]:
            with pytest.raises(InputError, match="no overlay carries"):
                plan_transfer(*ends, rate_gbps=case["required_gbps"], vm_limit=limit)
            continue
        plan = plan_transfer(*ends, rate_gbps=case["required_gbps"], vm_limit=limit)
        audit(plan, grid, limit)
        assert plan.usd == pytest.approx(case["milp_total"], rel=1e-6)
        assert plan.bound_usd == pytest.approx(case["lp_total"], rel=1e-6)
        assert plan.egress_usd == pytest.approx(case["milp_egress"], rel=1e-6)


@settings(max_examples=12)
@given(st.permutations(range(16)), st.floats(0.5, 15.0), st.integers(1, 3))
def test_columns_that_were_left_out_would_not_have_helped(order: list[int], rate: float, limit: int) -> None:
    few = [GRID.locations[row] for row in order[:8]]
    usd, gbps = GRID.submatrices(few)
    grid = NetworkGrid(tuple(few), usd, gbps)
    known = skyplanes_program(grid, few[0], few[1], rate, limit)
    if known is None:
        with pytest.raises(InputError, match="no overlay carries"):
            plan_transfer(grid, few[0], few[1], 1.0, rate_gbps=rate, vm_limit=limit)
        return
    plan = plan_transfer(grid, few[0], few[1], 1.0, rate_gbps=rate, vm_limit=limit)
    audit(plan, grid, limit)
    assert plan.bound_usd == pytest.approx(known, rel=1e-6)
    assert plan.usd >= known * (1 - 1e-9)


@given(st.integers(0, 10**6), st.floats(0.3, 1.0), st.integers(1, 2))
@settings(max_examples=25)
def test_whole_vms_are_chosen_as_trying_all_of_them_would(seed: int, share: float, limit: int) -> None:
    random = np.random.default_rng(seed)
    names = ("aws:a-1", "azure:b", "gcp:c-1", "aws:d-1")
    usd, gbps = random.choice([0.0, 0.02, 0.05, 0.09, 0.12], (4, 4)), random.uniform(0.5, 12.0, (4, 4))
    grid = NetworkGrid(names, usd, gbps)
    most = plan_transfer(grid, names[0], names[1], 10.0, usd_per_gb=1e6, vm_limit=limit).gbps
    rate = share * most * 0.999
    plan = plan_transfer(grid, names[0], names[1], 10.0, rate_gbps=rate, vm_limit=limit, vm_usd_per_hour=40.0)
    best = math.inf
    for vms in itertools.product(range(limit + 1), repeat=4):
        best = min(best, _cheapest_flow(grid, rate, vms) + 10 * (8 / rate) * 40.0 / 3600 * sum(vms))
    assert plan.usd == pytest.approx(best, rel=1e-6)
    assert plan.bound_usd <= plan.usd * (1 + 1e-9)


def _cheapest_flow(grid: NetworkGrid, rate: float, vms: tuple[int, ...]) -> float:
    """Egress of 10 GB with the VMs given; infinite where they do not carry the rate."""
    n = len(grid.locations)
    edges = [(i, j) for i in range(n) for j in range(n) if i != j and i != 1 and j != 0]
    rows, caps, equal, right = [], [], [], []
    for i in range(n):
        send, receive = VM_GBPS[grid.clouds[i]]
        out, into = [edge[0] == i for edge in edges], [edge[1] == i for edge in edges]
        inverse = [1 / grid.gbps[edge] for edge in edges]
        rows += [out, into, np.multiply(out, inverse), np.multiply(into, inverse)]
        caps += [send * vms[i], receive * vms[i], vms[i], vms[i]]
        equal.append(np.array(out, dtype=float) - np.array(into, dtype=float))
        right.append({0: rate, 1: -rate}.get(i, 0.0))
    cost = [10 / rate * grid.usd_per_gb[edge] for edge in edges]
    answer = linprog(cost, np.array(rows, dtype=float), caps, np.array(equal), right)
    return float(answer.fun) if answer.status == 0 else math.inf


def test_a_higher_rate_never_costs_less_egress_and_peering_never_costs_more() -> None:
    egress = [
        plan_transfer(GRID, CANADA, TOKYO, 100, rate_gbps=rate).egress_usd for rate in (2, 5, 8, 11, 13)
    ]
    assert egress == sorted(egress) and egress[0] < egress[-1]
    peered = plan_transfer(GRID.with_peering({"azure", "gcp"}), CANADA, TOKYO, 100, rate_gbps=11)
    assert peered.egress_usd == 0
    audit(peered, GRID.with_peering({"azure", "gcp"}), 1)


def test_no_plan_is_dearer_than_the_baselines_at_their_rate() -> None:
    for source, target in itertools.permutations(GRID.locations[::3], 2):
        for baseline in (direct_transfer, ron_transfer):
            simple = baseline(GRID, source, target, 10)
            audit(simple, GRID, 1)
            plan = plan_transfer(GRID, source, target, 10, rate_gbps=simple.gbps * (1 - 1e-9))
            assert plan.usd <= simple.usd * (1 + 1e-6)


def test_under_a_price_the_rate_is_the_highest() -> None:
    ceiling = 0.1
    plan = plan_transfer(GRID, CANADA, TOKYO, 50, usd_per_gb=ceiling)
    audit(plan, GRID, 1)
    assert plan.usd_per_gb <= ceiling * (1 + 1e-6)
    assert 6.63 < plan.gbps < 12
    for faster in np.linspace(plan.gbps * 1.001, 13, 12):
        assert plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=float(faster)).usd_per_gb > ceiling
    with pytest.raises(InputError, match="or less"):
        plan_transfer(GRID, CANADA, TOKYO, 50, usd_per_gb=0.05)


def test_relays_are_those_that_residency_allows() -> None:
    plan = plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=12, relays=["azure:japaneast", "gcp:us-west1"])
    assert {place for path in plan.paths for place in path.locations[1:-1]} <= {
        "azure:japaneast",
        "gcp:us-west1-a",
    }
    with pytest.raises(InputError, match=r"the most is 6\.63"):
        plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=12, relays=[])


def test_the_relay_with_the_faster_slow_hop_is_rons() -> None:
    plan = ron_transfer(GRID, CANADA, TOKYO, 50)
    relay = plan.paths[0].locations[1]
    hops = {
        r: min(GRID.rate(CANADA, r), GRID.rate(r, TOKYO)) for r in GRID.locations if r not in (CANADA, TOKYO)
    }
    assert relay == max(hops, key=hops.__getitem__)


def test_starting_vms_is_paid_for() -> None:
    plain, slow = (
        plan_transfer(GRID, CANADA, TOKYO, 50, rate_gbps=5, start_seconds=seconds) for seconds in (0, 3600)
    )
    assert slow.vm_usd - plain.vm_usd == pytest.approx(0.54 * sum(plain.vms.values()))


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "either a rate"),
        ({"rate_gbps": 5, "usd_per_gb": 0.1}, "either a rate"),
        ({"rate_gbps": -5}, "rate_gbps=-5"),
        ({"rate_gbps": math.nan}, "rate_gbps=nan"),
        ({"rate_gbps": 5, "vm_limit": 0}, "vm_limit=0"),
        ({"rate_gbps": 500}, "no overlay carries 500 Gbps"),
        ({"rate_gbps": 5, "vm_gbps": {"azure": (16, 16)}}, "VMs of 'gcp'"),
    ],
)
def test_wrong_requests_say_what_is_wrong(options: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_transfer(GRID, CANADA, TOKYO, 50, **options)
    with pytest.raises(InputError, match="same region"):
        plan_transfer(GRID, CANADA, CANADA, 50, rate_gbps=5)
    with pytest.raises(InputError, match="did you mean"):
        plan_transfer(GRID, "azure:canadacentra", TOKYO, 50, rate_gbps=5)


@pytest.mark.real_data
def test_most_pairs_of_the_whole_grid_gain_little_by_a_relay_and_some_much() -> None:
    grid = NetworkGrid.from_skyplane(data_folder("skyplane-profiles"))
    gains = []
    for source, target in itertools.permutations(grid.locations[::6], 2):
        gains.append(
            ron_transfer(grid, source, target, 1).gbps / direct_transfer(grid, source, target, 1).gbps
        )
    assert min(gains) >= 1 - 1e-9
    assert np.median(gains) < 1.2 and max(gains) > 2
