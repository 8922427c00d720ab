"""Copies of objects: what policies cost beside the best that could have been done."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import InputError

from sky_broker.network import NetworkGrid
from sky_broker.object_optimum import least_cost
from sky_broker.objects import (
    ALWAYS_EVICT,
    ALWAYS_STORE,
    MONTH,
    Access,
    BreakEvenTtl,
    FixedTtl,
    HistogramTtl,
    ObjectStore,
    Request,
    replay,
)

A, B, C = "aws:a-1", "gcp:b-1", "azure:c"
DAY = 86_400.0


def store(get_usd: float = 0.0, put_usd: float = 0.0) -> ObjectStore:
    egress = np.array([[0.0, 0.09, 0.02], [0.12, 0.0, 0.12], [0.05, 0.0875, 0.0]])
    return ObjectStore((A, B, C), np.array([0.023, 0.02, 0.018]), egress, get_usd, put_usd)


def trace(gaps: list[float], regions: list[str]) -> tuple[list[Request], float]:
    requests = [Request(0.0, "put", A)]
    for gap, region in zip(gaps, regions, strict=True):
        requests.append(Request(requests[-1].seconds + gap, "get", region))
    return requests, requests[-1].seconds + DAY


POLICIES = [ALWAYS_EVICT, ALWAYS_STORE, BreakEvenTtl(), HistogramTtl(least=2), FixedTtl(5 * DAY)]
gaps_and_regions = st.lists(
    st.tuples(st.floats(0.0, 400 * DAY), st.sampled_from([A, B, C])), min_size=1, max_size=12
)


@pytest.mark.parity
def test_recorded_objects(recorded_json) -> None:
    for case in recorded_json("object_placement.json"):
        names = case["regions"]
        storage = np.array([case["storage_usd_per_gb_month"][name] for name in names])
        egress = np.array([[case["egress"][a][b] for b in names] for a in names])
        assert case["month_s"] == MONTH
        given_store = ObjectStore(tuple(names), storage, egress)
        requests = [Request(*operation) for operation in case["ops"]]
        rest = given_store, requests, case["end"], case["size_gb"]
        known = case["result"]
        assert least_cost(*rest) == pytest.approx(known["optimum_base_pinned"], rel=1e-9)
        assert least_cost(*rest, pin_base=False) == pytest.approx(known["optimum_free"], rel=1e-9)
        for name, policy in (
            ("always_evict", ALWAYS_EVICT),
            ("always_store", ALWAYS_STORE),
            ("ttl_even", BreakEvenTtl()),
        ):
            assert replay(policy, *rest).usd == pytest.approx(known[name], rel=1e-9), name


@given(gaps_and_regions, st.sampled_from([0.0, 0.001]))
def test_nothing_costs_less_than_the_optimum(reads: list[tuple[float, str]], fee: float) -> None:
    requests, end = trace([gap for gap, _ in reads], [region for _, region in reads])
    prices = store(fee, 2 * fee)
    pinned, free = (least_cost(prices, requests, end, 3.0, pin_base=pin) for pin in (True, False))
    assert free <= pinned + 1e-9
    for policy in POLICIES:
        bill = replay(policy, prices, requests, end, 3.0)
        assert bill.usd >= pinned - 1e-9
        assert bill.gets == len(reads)
    everywhere = replay(ALWAYS_EVICT, prices, requests, end, 3.0, pinned=[B, C])
    assert everywhere.usd >= pinned - 1e-9
    assert everywhere.hits == everywhere.gets


@given(st.lists(st.floats(0.0, 900 * DAY), min_size=1, max_size=15))
def test_break_even_costs_at_most_twice_the_best_for_one_replica(gaps: list[float]) -> None:
    """Ski rental, for a region beside the base: the base copy is paid by both."""
    requests, end = trace(gaps, [B] * len(gaps))
    base = replay(ALWAYS_EVICT, store(), requests[:1], end).usd
    ours = replay(BreakEvenTtl(), store(), requests, end).usd - base
    best = least_cost(store(), requests, end) - base
    assert ours <= 2 * best + 1e-9


def test_twice_is_reached() -> None:
    even = store().break_even(0, 1)
    requests, _ = trace([1.0] + [even * 1.0001] * 50, [B] * 51)
    end = requests[-1].seconds + 2 * even
    base = replay(ALWAYS_EVICT, store(), requests[:1], end).usd
    ours = replay(BreakEvenTtl(), store(), requests, end).usd - base
    assert ours / (least_cost(store(), requests, end) - base) == pytest.approx(2.0, rel=1e-2)


@given(gaps_and_regions)
def test_no_time_is_always_evict_and_all_time_is_always_store(reads: list[tuple[float, str]]) -> None:
    requests, end = trace([gap for gap, _ in reads], [region for _, region in reads])
    evicted = replay(ALWAYS_EVICT, store(), requests, end)
    assert evicted == replay(FixedTtl(0.0), store(), requests, end)
    assert evicted.egress_usd == pytest.approx(sum(store().egress[0, store().index(r)] for _, r in reads))
    stored = replay(ALWAYS_STORE, store(), requests, end)
    assert stored == replay(FixedTtl(1e12), store(), requests, end)
    assert stored.gets - stored.hits == len({region for _, region in reads} - {A})


def test_the_bill_of_one_replica_by_hand() -> None:
    requests, _ = trace([10 * DAY, 4 * DAY, 20 * DAY], [B, B, B])
    bill = replay(FixedTtl(5 * DAY), store(0.01, 0.1), requests, 40 * DAY, 2.0)
    kept = (
        (4 + 5 + 5) * DAY / MONTH
    )  # from the first read to five days after the second, and again after the third
    assert bill.storage_usd == pytest.approx(2 * (40 * DAY / MONTH * 0.023 + kept * 0.02))
    assert bill.egress_usd == pytest.approx(2 * 2 * 0.09)
    assert bill.request_usd == pytest.approx(3 * 0.01 + 2 * 0.1)
    assert (bill.gets, bill.hits) == (3, 1)


def test_reads_come_from_the_cheapest_copy() -> None:
    requests, end = trace([DAY, DAY], [C, B])
    assert replay(ALWAYS_STORE, store(), requests, end).egress_usd == pytest.approx(0.02 + 0.0875)
    assert replay(ALWAYS_EVICT, store(), requests, end).egress_usd == pytest.approx(0.02 + 0.09)


def test_histograms_learn_what_pays() -> None:
    """Reads come twice a day and then not for a year: a replica should live for a day, neither T_even nor for ever."""
    requests = [Request(0.0, "put", A, f"o{number}") for number in range(60)]
    for number in range(60):
        start = DAY * (1 + 5 * number)
        requests += [Request(start + k * DAY / 2, "get", B, f"o{number}") for k in range(4)]
    requests.sort(key=lambda request: request.seconds)
    end = requests[-1].seconds + 400 * DAY
    bills = {policy.name: replay(policy, store(), requests, end).usd for policy in POLICIES}
    assert bills["histogram TTL"] < min(cost for name, cost in bills.items() if name != "histogram TTL")


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0.1 * DAY, 300 * DAY)), min_size=1, max_size=9))
def test_a_histogram_keeps_for_what_would_have_been_cheapest_so_far(reads: list[tuple[str, float]]) -> None:
    """Gaps that ended cost storage until the read or the drop, and a fetch after a drop; those that have not ended yet, storage so far."""
    place = store()
    keep, last, ended, now = HistogramTtl(least=1).begin(place), {}, [], 0.0
    for name, wait in reads:
        now += wait
        gap = now - last[name] if name in last else None
        ended += [] if gap is None else [gap]
        last[name] = now
        ttl = keep(Access(name, 0, 1, now, gap))
        if not ended:
            assert ttl == place.break_even(0, 1)
        if gap is not None:  # with up to nine of them each one makes it think again
            running = [now - one for one in last.values()]
            costs = {one: _cost_of_gaps(ended, running, one) for one in (0.0, *ended, ttl)}
            assert costs[ttl] == pytest.approx(min(costs.values()))


def _cost_of_gaps(ended: list[float], running: list[float], ttl: float) -> float:
    kept = sum(min(gap, ttl) for gap in [*ended, *running])
    return kept * 0.02 / MONTH + 0.09 * sum(gap > ttl for gap in ended)


def test_copies_that_are_pushed_are_paid_for_by_request_and_by_byte() -> None:
    bill = replay(ALWAYS_EVICT, store(0.01, 0.1), [Request(0.0, "put", A)], MONTH, 2.0, pinned=[A, B, C])
    assert bill.request_usd == pytest.approx(2 * 0.1)  # the first copy is the put itself
    assert bill.egress_usd == pytest.approx(2 * (0.09 + 0.02))
    assert bill.storage_usd == pytest.approx(2 * (0.023 + 0.02 + 0.018))


def test_more_copies_never_cost_less_and_a_new_version_starts_anew() -> None:
    requests, end = trace([DAY, 9 * DAY], [B, C])
    costs = [least_cost(store(), requests, end, copies=copies) for copies in (1, 2, 3)]
    assert costs == sorted(costs) and costs[0] < costs[2]
    again = [*requests, Request(requests[-1].seconds, "put", B)]
    first = least_cost(store(), requests, requests[-1].seconds)
    second = DAY / MONTH * 0.02
    assert least_cost(store(), again, end) == pytest.approx(first + second)
    evicted = replay(ALWAYS_EVICT, store(), again, end)
    assert evicted.storage_usd == pytest.approx(10 * DAY / MONTH * 0.023 + second)


def test_objects_are_paid_apart() -> None:
    one, end = trace([DAY, 60 * DAY], [B, C])
    other = [Request(r.seconds, r.kind, {A: C, B: A, C: B}[r.region], "other") for r in one]
    both = sorted([*one, *other], key=lambda request: request.seconds)
    sizes = {"object": 2.0, "other": 5.0}
    for cost in (least_cost, lambda *rest: replay(BreakEvenTtl(), *rest).usd):
        apart = cost(store(), one, end, sizes) + cost(store(), other, end, sizes)
        assert cost(store(), both, end, sizes) == pytest.approx(apart)


@given(st.lists(st.tuples(st.floats(0.0, 300 * DAY), st.sampled_from([A, B, C])), min_size=1, max_size=4))
def test_the_optimum_is_that_of_all_choices(reads: list[tuple[float, str]]) -> None:
    """Every set of copies after every request, tried one by one."""
    requests, end = trace([gap for gap, _ in reads], [region for _, region in reads])
    prices = store()
    subsets = [set(s) for size in (1, 2, 3) for s in itertools.combinations(range(3), size)]
    best = {frozenset([0]): 0.0}
    times = [request.seconds for request in requests] + [end]
    for number, request in enumerate(requests):
        after: dict[frozenset[int], float] = {}
        for held, cost in best.items():
            if request.kind == "get":
                region = prices.index(request.region)
                cost += 0.0 if region in held else min(prices.egress[h, region] for h in held)
                reach = held | {region}
            else:
                reach = held
            for kept in subsets:
                if kept <= reach:
                    seconds = times[number + 1] - times[number]
                    paid = cost + sum(prices.usd_per_gb_month[k] for k in kept) * seconds / MONTH
                    after[frozenset(kept)] = min(after.get(frozenset(kept), math.inf), paid)
        best = after
    assert least_cost(prices, requests, end, pin_base=False) == pytest.approx(min(best.values()))


@pytest.mark.parametrize(
    "requests, said",
    [
        ([Request(0, "get", A)], "not written before"),
        ([Request(5, "put", A), Request(1, "get", B)], "request 2"),
        ([Request(0, "move", A)], "put or get"),
        ([Request(0, "put", "aws:a-2")], "did you mean aws:a-1"),
        ([Request(0, "put", A), Request(2 * DAY, "get", B)], "with the end"),
    ],
)
def test_traces_that_cannot_be_served_name_the_line(requests: list[Request], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replay(ALWAYS_STORE, store(), requests, DAY)
    with pytest.raises(InputError, match=said):
        least_cost(store(), requests, DAY)


def test_residency_holds_for_copies_and_for_readers() -> None:
    requests, end = trace([DAY, DAY], [C, B])
    with pytest.raises(InputError, match="residency allows no copy there"):
        replay(ALWAYS_EVICT, store(), requests, end, residency=[A, C])
    with pytest.raises(InputError, match="residency forbids"):
        replay(ALWAYS_EVICT, store(), requests[:2], end, pinned=[B], residency=[A, C])
    allowed = least_cost(store(), requests[:2], end, copies=2, residency=[A, C])
    assert allowed > least_cost(store(), requests[:2], end, residency=[A, C])
    with pytest.raises(InputError, match="copies=3"):
        least_cost(store(), requests[:2], end, copies=3, residency=[A, C])


def test_prices_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="negative or unknown"):
        ObjectStore((A,), np.array([-1.0]), np.zeros((1, 1)))
    with pytest.raises(InputError, match="once"):
        ObjectStore((A, A), np.ones(2), np.zeros((2, 2)))
    with pytest.raises(InputError, match="size of nan GB"):
        replay(ALWAYS_STORE, store(), [Request(0, "put", A)], DAY, {"other": 1.0})
    for size in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="sizes are above 0"):
            replay(ALWAYS_STORE, store(), [Request(0, "put", A)], DAY, size)
    grid = NetworkGrid.embedded()
    on_grid = ObjectStore.on(grid, {"aws:us-east-1": 0.023, "azure:eastus": 0.0208}, get_usd=4e-7)
    assert on_grid.egress[0, 1] == 0.09 and on_grid.get_usd == 4e-7
    assert on_grid.break_even(0, 1) == pytest.approx(0.09 / 0.0208 * MONTH)
