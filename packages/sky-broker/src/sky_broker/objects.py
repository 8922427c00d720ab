"""Where copies of an object should lie: replicas that are left behind by reads and dropped again, and what that costs.

An object is written in a region, its base, which keeps it. A read elsewhere pays egress from the cheapest place that has a copy, and may leave
a replica, which costs storage until it is dropped. How long it pays to keep one is the question of renting skis: after T_even = egress /
storage a replica has cost what it would take to fetch it again, and keeping it so long costs at most twice what the best did, whatever comes.
Policies know the past alone. Every later write makes a new version, whose base is where it was written; older copies are gone with it.

Source: Liu et al. 2025, "SkyStore: Cost-Optimized Object Storage Across Regions and Clouds", VLDB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.network import NetworkGrid
from sky_broker.skyplane import Floats

MONTH = 2_592_000.0
"""Seconds in a month of storage: thirty days."""


@dataclass(frozen=True, eq=False)
class ObjectStore:
    """What storage and movement cost in some regions.

    Attributes:
        regions: n of them.
        usd_per_gb_month: (n,) storage.
        egress: (n, n) $/GB from row to column, 0 on the diagonal.
        get_usd: of a read request, wherever.
        put_usd: of a request that leaves a copy, the first one apart.

    Raises:
        InputError: shapes differ, a price is negative or unknown, or a region is there twice.
    """

    regions: tuple[str, ...]
    usd_per_gb_month: Floats
    egress: Floats
    get_usd: float = 0.0
    put_usd: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.regions)
        if len(set(self.regions)) < n or self.usd_per_gb_month.shape != (n,) or self.egress.shape != (n, n):
            raise InputError(
                f"an object store has each of {n} regions once, with a price of storage and of egress"
            )
        prices = np.concatenate([self.usd_per_gb_month, self.egress.ravel(), [self.get_usd, self.put_usd]])
        if not (np.isfinite(prices) & (prices >= 0)).all():
            raise InputError("a price of the object store is negative or unknown")

    @classmethod
    def on(cls, grid: NetworkGrid, storage: Mapping[str, float], **requests: float) -> ObjectStore:
        """A store in some regions of a network.

        Args:
            grid: prices of egress.
            storage: region -> $ for a gigabyte and month.
            requests: get_usd and put_usd.

        Raises:
            InputError: a region or pair is not in the grid.
        """
        usd, _ = grid.submatrices(list(storage), need="price")
        return cls(tuple(storage), np.array(list(storage.values()), dtype=np.float64), usd, **requests)

    def index(self, region: str) -> int:
        """The number of a region.

        Raises:
            InputError: the store is not there.
        """
        if region not in self.regions:
            raise InputError(f"the object store has no region {region!r}{closest(region, self.regions)}")
        return self.regions.index(region)

    def break_even(self, base: int, region: int) -> float:
        """T_even in seconds: after so long a replica has cost what fetching it from the base does; infinite where storage is free."""
        storage = self.usd_per_gb_month[region] / MONTH
        return float(self.egress[base, region] / storage) if storage > 0 else math.inf


@dataclass(frozen=True)
class Request:
    """A line of a trace.

    Attributes:
        seconds: when, from the start of the trace.
        kind: "put" or "get".
        region: where from.
        name: of the object.
    """

    seconds: float
    kind: str
    region: str
    name: str = "object"


@dataclass(frozen=True)
class Access:
    """What a policy sees when a region has just read an object.

    Attributes:
        name: of the object.
        base: number of the region that keeps it.
        region: number of the region that read it.
        seconds: when.
        gap: seconds since that region last read this version; None if it had not.
    """

    name: str
    base: int
    region: int
    seconds: float
    gap: float | None


Keep = Callable[[Access], float]
"""How many seconds a replica is kept after a read; 0 for not at all."""


class TtlPolicy(Protocol):
    """How long to keep what a read leaves behind."""

    @property
    def name(self) -> str:
        """As tables show it."""
        ...

    def begin(self, store: ObjectStore) -> Keep:
        """Start on a trace; what is learnt lives in what comes back."""
        ...


@dataclass(frozen=True)
class FixedTtl:
    """The same time for all: 0 never leaves a replica, infinity never drops one.

    Attributes:
        seconds: how long.
        name: as tables show it.
    """

    seconds: float
    name: str = "fixed TTL"

    def begin(self, store: ObjectStore) -> Keep:
        return lambda access: self.seconds


ALWAYS_EVICT = FixedTtl(0.0, "always evict")
ALWAYS_STORE = FixedTtl(math.inf, "always store")


@dataclass(frozen=True)
class BreakEvenTtl:
    """T_even of the pair of base and region."""

    name: str = "break-even TTL"

    def begin(self, store: ObjectStore) -> Keep:
        return lambda access: store.break_even(access.base, access.region)


@dataclass(frozen=True)
class HistogramTtl:
    """The time that would have been cheapest for the gaps between reads seen so far, for each pair of base and region.

    A gap that has not ended yet counts with its length so far and no fetch. Until enough gaps are known it is T_even.

    Attributes:
        least: gaps that are enough.
        name: as tables show it.
    """

    least: int = 10
    name: str = "histogram TTL"

    def begin(self, store: ObjectStore) -> Keep:
        pairs: dict[tuple[int, int], _Gaps] = {}

        def keep(access: Access) -> float:
            pair = access.base, access.region
            gaps = pairs.setdefault(pair, _Gaps())
            gaps.see(access)
            even = store.break_even(*pair)
            if len(gaps.ended) < self.least:
                return even
            storage = float(store.usd_per_gb_month[access.region] / MONTH)
            return gaps.cheapest(access.seconds, storage, float(store.egress[pair]))

        return keep


@dataclass
class _Gaps:
    """Gaps between reads of a pair of base and region."""

    ended: list[float] = field(default_factory=list)
    last: dict[str, float] = field(default_factory=dict)
    _known: int = 0
    _best: float = 0.0

    def see(self, access: Access) -> None:
        if access.gap is not None:
            self.ended.append(access.gap)
        self.last[access.name] = access.seconds

    def cheapest(self, now: float, storage: float, egress: float) -> float:
        """The TTL of least cost, found anew whenever a tenth more gaps are known."""
        if len(self.ended) > 1.1 * self._known:
            gaps = np.sort(self.ended)
            ages = np.sort(now - np.array(list(self.last.values())))
            ttl = np.concatenate([[0.0], gaps])
            hits = np.searchsorted(gaps, ttl, side="right")
            kept = np.concatenate([[0.0], np.cumsum(gaps)])[hits] + (len(gaps) - hits) * ttl
            older = np.searchsorted(ages, ttl, side="right")
            kept += np.concatenate([[0.0], np.cumsum(ages)])[older] + (len(ages) - older) * ttl
            cost = kept * storage + (len(gaps) - hits) * egress
            self._best, self._known = float(ttl[cost.argmin()]), len(self.ended)
        return self._best


@dataclass(frozen=True)
class Bill:
    """What a trace cost.

    Attributes:
        storage_usd: of base copies and replicas.
        egress_usd: of reads from afar, and of copies that were pushed.
        request_usd: of reads, and of copies left or pushed.
        gets: reads.
        hits: reads that found a copy in their own region.
    """

    storage_usd: float
    egress_usd: float
    request_usd: float
    gets: int
    hits: int

    @property
    def usd(self) -> float:
        """All of it."""
        return self.storage_usd + self.egress_usd + self.request_usd


def replay(
    policy: TtlPolicy,
    store: ObjectStore,
    requests: Sequence[Request],
    end: float,
    gigabytes: float | Mapping[str, float] = 1.0,
    pinned: Sequence[str] = (),
    residency: Sequence[str] | None = None,
) -> Bill:
    """Serve a trace.

    Args:
        policy: how long replicas are kept.
        store: prices.
        requests: in the order of time; the first one of every object is a put.
        end: until when storage is paid, in seconds.
        gigabytes: size of every object, or by name.
        pinned: regions to which each put is pushed at once, and which keep their copy as the base does.
        residency: regions where copies may lie and reads may come from; None for all.

    Raises:
        InputError: the trace is out of order or reads what was not written, a region is unknown or forbidden, or a size is missing.
    """
    check_requests(store, requests, end, residency)
    forced = [store.index(region) for region in pinned]
    if residency is not None and (outside := set(pinned) - set(residency)):
        raise InputError(f"copies are pushed to {sorted(outside)[0]}, which residency forbids")
    keep = policy.begin(store)
    books = _Books(store)
    versions: dict[str, _Version] = {}
    for request in requests:
        region = store.index(request.region)
        if request.kind == "put":
            if request.name in versions:
                books.close(versions[request.name], request.seconds)
            size = size_of(gigabytes, request.name)
            versions[request.name] = books.open(region, forced, request.seconds, size)
        else:
            books.read(versions[request.name], region, request, keep)
    for version in versions.values():
        books.close(version, end)
    return Bill(books.storage, books.egress, books.requests, books.gets, books.hits)


@dataclass
class _Version:
    """Copies of one version of an object: region -> since when and until when."""

    base: int
    size: float
    since: dict[int, float]
    until: dict[int, float]
    last: dict[int, float] = field(default_factory=dict)


@dataclass
class _Books:
    store: ObjectStore
    storage: float = 0.0
    egress: float = 0.0
    requests: float = 0.0
    gets: int = 0
    hits: int = 0

    def open(self, base: int, forced: Sequence[int], now: float, size: float) -> _Version:
        others = [region for region in dict.fromkeys(forced) if region != base]
        self.egress += size * sum(float(self.store.egress[base, region]) for region in others)
        self.requests += self.store.put_usd * len(others)
        places = [base, *others]
        return _Version(base, size, dict.fromkeys(places, now), dict.fromkeys(places, math.inf))

    def read(self, version: _Version, region: int, request: Request, keep: Keep) -> None:
        now = request.seconds
        for place in [place for place, until in version.until.items() if until < now]:
            self._drop(version, place, version.until[place])
        self.gets += 1
        self.requests += self.store.get_usd
        held = region in version.since
        self.hits += held
        if not held:
            self.egress += version.size * min(float(self.store.egress[a, region]) for a in version.since)
        gap = now - version.last[region] if region in version.last else None
        version.last[region] = now
        if version.until.get(region) == math.inf:
            return  # the base, or a copy that is kept for good
        ttl = keep(Access(request.name, version.base, region, now, gap))
        if ttl > 0:
            self.requests += 0.0 if held else self.store.put_usd
            version.since.setdefault(region, now)
            version.until[region] = now + ttl
        elif held:
            self._drop(version, region, now)

    def close(self, version: _Version, now: float) -> None:
        for place in list(version.since):
            self._drop(version, place, min(version.until[place], now))

    def _drop(self, version: _Version, place: int, now: float) -> None:
        hours = (now - version.since.pop(place)) / MONTH
        self.storage += version.size * hours * float(self.store.usd_per_gb_month[place])
        del version.until[place]


def check_requests(
    store: ObjectStore, requests: Sequence[Request], end: float, residency: Sequence[str] | None
) -> None:
    """Raise an InputError, naming the line, where a trace cannot be served."""
    written: set[str] = set()
    before = 0.0
    for number, request in enumerate(requests, 1):
        where = f"request {number} ({request.kind} of {request.name!r} from {request.region})"
        if request.kind not in ("put", "get"):
            raise InputError(f"{where}: a request is put or get")
        store.index(request.region)
        if not before <= request.seconds <= end:
            raise InputError(
                f"{where}: at {request.seconds} s, after one at {before} s and with the end at {end} s"
            )
        if request.kind == "get" and request.name not in written:
            raise InputError(f"{where}: it was not written before")
        if residency is not None and request.region not in residency:
            raise InputError(f"{where}: residency allows no copy there; it allows {', '.join(residency)}")
        written.add(request.name)
        before = request.seconds


def size_of(gigabytes: float | Mapping[str, float], name: str) -> float:
    """The size of an object.

    Raises:
        InputError: it is missing or not positive.
    """
    size = gigabytes.get(name, math.nan) if isinstance(gigabytes, Mapping) else gigabytes
    if not 0 < size < math.inf:
        raise InputError(f"object {name!r} has a size of {size} GB; sizes are above 0")
    return float(size)
