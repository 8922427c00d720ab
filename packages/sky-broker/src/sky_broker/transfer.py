"""Moving data between two regions: directly, over one relay, or over the cheapest overlay of paths for the rate that is asked for.

Gigabytes are decimal, rates in gigabits per second. A plan that comes back has been recomputed from its flows and VMs alone; what the solver
says of itself is not believed.

Source: Jain et al. 2023, "Skyplane", NSDI. Caps of a VM, connections and the price of a VM are its of 2022.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.network import NetworkGrid, cloud_of
from sky_broker.overlay import SOURCE, TARGET, Flow, Overlay, cheapest, fastest
from sky_broker.skyplane import Floats

VM_GBPS: Mapping[str, tuple[float, float]] = {"aws": (5.0, 10.0), "gcp": (7.0, 16.0), "azure": (16.0, 16.0)}
"""What a VM of each cloud may send and receive, in Gbps; public limits of 2022 as in Skyplane."""
VM_USD_PER_HOUR = 0.54
"""Of a VM that forwards: m5.8xlarge on spot in 2022."""
_SMALL = 1e-7  # Gbps: less than a flow is


@dataclass(frozen=True)
class Path:
    """A route of a plan.

    Attributes:
        locations: from source to target.
        gbps: what goes along it.
        usd_per_gb: egress along it.
    """

    locations: tuple[str, ...]
    gbps: float
    usd_per_gb: float


@dataclass(frozen=True)
class TransferPlan:
    """How data go from source to target, and what that comes to.

    Attributes:
        source: where they are.
        target: where they shall be.
        gigabytes: how many.
        gbps: rate from end to end.
        paths: the routes; their rates sum to `gbps`.
        vms: location -> virtual machines there.
        egress_usd: of all data.
        vm_usd: of all VMs for the transfer, and for their start if that was counted.
        bound_usd: what no plan at this rate costs less than; NaN for a baseline, which nobody asked to be best.
    """

    source: str
    target: str
    gigabytes: float
    gbps: float
    paths: tuple[Path, ...]
    vms: Mapping[str, int]
    egress_usd: float
    vm_usd: float
    bound_usd: float = math.nan

    @property
    def usd(self) -> float:
        """All costs."""
        return self.egress_usd + self.vm_usd

    @property
    def usd_per_gb(self) -> float:
        """All costs, of a gigabyte."""
        return self.usd / self.gigabytes

    @property
    def hours(self) -> float:
        """How long the transfer takes, without the start of VMs."""
        return 8 * self.gigabytes / self.gbps / 3600

    @property
    def gap(self) -> float:
        """How far the plan may be from the best, as a share of the bound, whose VMs may be fractions."""
        return self.usd / self.bound_usd - 1

    def explain(self) -> str:
        """The plan in a few lines."""
        lines = [
            f"{self.gigabytes:g} GB from {self.source} to {self.target} at {self.gbps:.2f} Gbps: {60 * self.hours:.1f} min, "
            f"${self.usd:.2f} (${self.usd_per_gb:.4f}/GB; egress ${self.egress_usd:.2f}, VMs ${self.vm_usd:.2f})"
        ]
        for path in self.paths:
            lines.append(
                f"  {path.gbps:6.2f} Gbps at ${path.usd_per_gb:.4f}/GB  {' -> '.join(path.locations)}"
            )
        lines.append(f"  VMs: {', '.join(f'{count} in {place}' for place, count in self.vms.items())}")
        return "\n".join(lines)


def plan_transfer(
    grid: NetworkGrid,
    source: str,
    target: str,
    gigabytes: float,
    rate_gbps: float | None = None,
    usd_per_gb: float | None = None,
    vm_limit: int = 1,
    relays: Collection[str] | None = None,
    vm_gbps: Mapping[str, tuple[float, float]] = VM_GBPS,
    vm_usd_per_hour: float = VM_USD_PER_HOUR,
    start_seconds: float = 0.0,
) -> TransferPlan:
    """The cheapest plan at a rate, or the fastest one under a price.

    Args:
        grid: prices and rates of pairs; an edge without either is not taken.
        source: where the data are.
        target: where they shall be.
        gigabytes: how many.
        rate_gbps: the rate to reach.
        usd_per_gb: the price to stay under, egress and VMs together. Of this and `rate_gbps` one is given.
        vm_limit: VMs in a region at most.
        relays: where data may pass through, as residency allows it; None for every location of the grid.
        vm_gbps: cloud -> what a VM may send and receive.
        vm_usd_per_hour: of a VM.
        start_seconds: that VMs are paid for before the transfer; counted at a rate, and not in the price of the fastest plan.

    Raises:
        InputError: a location, cloud or number is wrong, or no plan has the rate or the price; says what would be possible.
    """
    if (rate_gbps is None) == (usd_per_gb is None):
        raise InputError(
            "a transfer has either a rate to reach (rate_gbps) or a price to stay under (usd_per_gb)"
        )
    for name, value in (("gigabytes", gigabytes), ("rate_gbps", rate_gbps), ("usd_per_gb", usd_per_gb)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(f"{name}={value} must be above 0")
    if vm_limit < 1:
        raise InputError(f"vm_limit={vm_limit} must be 1 or more")
    places, overlay = _overlay(grid, source, target, relays, vm_gbps, vm_limit)
    ends = _Ends(grid, source, target, gigabytes, vm_usd_per_hour, start_seconds)
    if usd_per_gb is not None:
        best = fastest(overlay, vm_usd_per_hour, usd_per_gb)
        if best is None:
            raise InputError(
                f"no transfer from {source} to {target} costs {usd_per_gb} $/GB or less with at most {vm_limit} VM(s) in a region"
            )
        rate_gbps = best[0] * (1 - 1e-6)  # so that the solver's tolerance leaves it possible
        ends = _Ends(grid, source, target, gigabytes, vm_usd_per_hour, 0.0)
    assert rate_gbps is not None
    found = cheapest(overlay, rate_gbps, ends.vm_usd(rate_gbps))
    if found is None:
        most = fastest(overlay, vm_usd_per_hour, math.inf)
        raise InputError(
            f"no overlay carries {rate_gbps:g} Gbps from {source} to {target} with at most {vm_limit} VM(s) in a region; the most is "
            f"{most[0] if most else 0:.2f} Gbps"
        )
    flow, bound = found
    return _plan(ends, places, overlay, flow, rate_gbps, bound * gigabytes)


def direct_transfer(
    grid: NetworkGrid,
    source: str,
    target: str,
    gigabytes: float,
    vm_limit: int = 1,
    vm_gbps: Mapping[str, tuple[float, float]] = VM_GBPS,
    vm_usd_per_hour: float = VM_USD_PER_HOUR,
) -> TransferPlan:
    """The direct path at its highest rate.

    Raises:
        InputError: a location or cloud is unknown, or the pair was not measured.
    """
    return _along(grid, (source, target), gigabytes, vm_limit, vm_gbps, vm_usd_per_hour)


def ron_transfer(
    grid: NetworkGrid,
    source: str,
    target: str,
    gigabytes: float,
    vm_limit: int = 1,
    vm_gbps: Mapping[str, tuple[float, float]] = VM_GBPS,
    vm_usd_per_hour: float = VM_USD_PER_HOUR,
) -> TransferPlan:
    """The path over the one relay, or over none, whose slower hop is fastest; prices are not looked at.

    Raises:
        InputError: a location or cloud is unknown, or no path was measured.

    Source: Andersen et al. 2001, "Resilient Overlay Networks", SOSP, as a baseline of Skyplane.
    """
    first, last = grid.index(source), grid.index(target)
    slower = np.minimum(grid.gbps[first], grid.gbps[:, last])
    slower[[first, last]] = grid.gbps[first, last]
    relay = grid.locations[int(np.nanargmax(slower))]
    direct = grid.index(relay) in (first, last)
    route = (source, target) if direct else (source, relay, target)
    return _along(grid, route, gigabytes, vm_limit, vm_gbps, vm_usd_per_hour)


@dataclass(frozen=True)
class _Ends:
    """What a plan is priced with."""

    grid: NetworkGrid
    source: str
    target: str
    gigabytes: float
    vm_usd_per_hour: float
    start_seconds: float

    def vm_usd(self, rate: float) -> float:
        """Of a VM, for each gigabyte."""
        return (8 / rate + self.start_seconds / self.gigabytes) * self.vm_usd_per_hour / 3600

    def priced(self, paths: tuple[Path, ...], vms: Mapping[str, int], bound: float) -> TransferPlan:
        """The plan, whose every figure comes from its paths and VMs."""
        rate = sum(path.gbps for path in paths)
        egress = self.gigabytes * sum(path.gbps * path.usd_per_gb for path in paths) / rate
        vm = self.gigabytes * self.vm_usd(rate) * sum(vms.values())
        return TransferPlan(self.source, self.target, self.gigabytes, rate, paths, vms, egress, vm, bound)

    def path(self, route: tuple[str, ...], gbps: float) -> Path:
        """A route with its price."""
        return Path(route, gbps, sum(self.grid.price(a, b) for a, b in itertools.pairwise(route)))


def _along(
    grid: NetworkGrid,
    route: tuple[str, ...],
    gigabytes: float,
    vm_limit: int,
    vm_gbps: Mapping[str, tuple[float, float]],
    vm_usd_per_hour: float,
) -> TransferPlan:
    """One path at its highest rate, with as few VMs as that takes."""
    ends = _Ends(grid, route[0], route[-1], gigabytes, vm_usd_per_hour, 0.0)
    send, receive = _caps(route, vm_gbps)
    hops = [grid.rate(a, b) for a, b in itertools.pairwise(route)]
    sending = [min(hop, cap) for hop, cap in zip(hops, send, strict=False)]
    receiving = [min(hop, cap) for hop, cap in zip(hops, receive[1:], strict=False)]
    rate = vm_limit * min(*sending, *receiving)
    each = [[out] for out in sending] + [[]]
    for place, into in enumerate(receiving):
        each[place + 1].append(into)
    vms = {place: math.ceil(rate / min(limits) - 1e-9) for place, limits in zip(route, each, strict=True)}
    return ends.priced((ends.path(route, rate),), vms, math.nan)


def _caps(places: tuple[str, ...], vm_gbps: Mapping[str, tuple[float, float]]) -> tuple[Floats, Floats]:
    """(places,) what a VM may send, and what it may receive."""
    for place in places:
        cloud = cloud_of(place)
        if cloud not in vm_gbps:
            raise InputError(f"no limits are known for VMs of {cloud!r}, in vm_gbps{closest(cloud, vm_gbps)}")
    caps = np.array([vm_gbps[cloud_of(place)] for place in places])
    return caps[:, 0], caps[:, 1]


def _overlay(
    grid: NetworkGrid,
    source: str,
    target: str,
    relays: Collection[str] | None,
    vm_gbps: Mapping[str, tuple[float, float]],
    vm_limit: int,
) -> tuple[tuple[str, ...], Overlay]:
    """Source, target and relays with every edge that is known, without those into the source and out of the target."""
    first, last = grid.index(source), grid.index(target)
    if first == last:
        raise InputError(f"{source} and {target} are the same region; nothing has to be moved")
    allowed = (
        range(len(grid.locations)) if relays is None else sorted({grid.index(place) for place in relays})
    )
    between = [
        row
        for row in allowed
        if row not in (first, last) and (relays is not None or cloud_of(grid.locations[row]) in vm_gbps)
    ]
    rows = np.array([first, last, *between])
    places = (source, target, *(grid.locations[row] for row in between))
    send, receive = _caps(places, vm_gbps)
    gbps, usd = grid.gbps[np.ix_(rows, rows)], grid.usd_per_gb[np.ix_(rows, rows)]
    usable = np.isfinite(gbps) & (gbps > 0) & np.isfinite(usd)
    usable[:, SOURCE] = usable[TARGET] = False
    np.fill_diagonal(usable, False)
    tail, head = np.nonzero(usable)
    return places, Overlay(tail, head, gbps[tail, head], usd[tail, head], send, receive, vm_limit)


def _plan(
    ends: _Ends, places: tuple[str, ...], overlay: Overlay, flow: Flow, rate: float, bound: float
) -> TransferPlan:
    """Paths that carry the flow, each checked against the caps it uses."""
    routes = _routes(overlay, flow.flow, rate)
    vms = {place: int(count) for place, count in zip(places, np.round(flow.vms), strict=True) if count > 0.5}
    used = {place for route, _ in routes for place in (places[node] for node in route)}
    vms = {place: count for place, count in vms.items() if place in used}
    paths = tuple(ends.path(tuple(places[node] for node in route), gbps) for route, gbps in routes)
    _check(overlay, places, routes, vms)
    return ends.priced(paths, vms, bound)


def _routes(overlay: Overlay, flow: Floats, rate: float) -> list[tuple[tuple[int, ...], float]]:
    """Take widest paths off the flow until it is gone; what goes in a circle is left."""
    left = {
        (int(a), int(b)): float(f)
        for a, b, f in zip(overlay.tail, overlay.head, flow, strict=True)
        if f > _SMALL
    }
    found: list[tuple[tuple[int, ...], float]] = []
    while (route := _widest(left)) is not None:
        steps = list(itertools.pairwise(route))
        width = min(left[step] for step in steps)
        for step in steps:
            left[step] -= width
            if left[step] <= _SMALL:
                del left[step]
        found.append((route, width))
    # Small leftovers of the tolerance go with the widest path.
    carried = sum(width for _, width in found)
    return [(route, width * rate / carried) for route, width in found]


def _widest(left: Mapping[tuple[int, int], float]) -> tuple[int, ...] | None:
    """The path from source to target whose narrowest edge is widest."""
    width = {SOURCE: math.inf}
    before: dict[int, int] = {}
    settled: set[int] = set()
    while waiting := [node for node in width if node not in settled]:
        node = max(waiting, key=width.__getitem__)
        if node == TARGET:
            route = [TARGET]
            while route[-1] != SOURCE:
                route.append(before[route[-1]])
            return tuple(reversed(route))
        settled.add(node)
        for (tail, head), capacity in left.items():
            if tail == node and min(width[node], capacity) > width.get(head, 0.0):
                width[head], before[head] = min(width[node], capacity), node
    return None


def _check(
    overlay: Overlay,
    places: tuple[str, ...],
    routes: list[tuple[tuple[int, ...], float]],
    vms: Mapping[str, int],
) -> None:
    """Hold the routes against every cap, from the overlay's own figures and not the solver's rows."""
    capacity = {(int(a), int(b)): t for a, b, t in zip(overlay.tail, overlay.head, overlay.gbps, strict=True)}
    n = overlay.nodes
    out, into, out_share, into_share = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for route, gbps in routes:
        for a, b in itertools.pairwise(route):
            out[a] += gbps
            into[b] += gbps
            out_share[a] += gbps / capacity[a, b]
            into_share[b] += gbps / capacity[a, b]
    count = np.array([vms.get(place, 0) for place in places])
    for load, cap in ((out, overlay.send), (into, overlay.receive), (out_share, 1.0), (into_share, 1.0)):
        if (load > cap * count * (1 + 1e-6) + 1e-6).any() or (count > overlay.vm_limit).any():
            raise AssertionError("a plan of the solver breaks a cap of its VMs")
