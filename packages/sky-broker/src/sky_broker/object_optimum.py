"""The least that copies of objects could have cost, had all reads been known: exact, over all sets of regions that hold a copy.

Between two requests the holders pay storage. A read from a region without a copy pays egress from the cheapest holder and may leave one; after
each request any copy may go, as long as enough remain. With n regions there are 2^n sets, which bounds n and not the trace.

The same rules are those of `objects.replay`, so that no policy can cost less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from offprints.errors import InputError

from sky_broker.objects import MONTH, ObjectStore, Request, check_requests, size_of
from sky_broker.skyplane import Floats

_REGIONS = 10


def least_cost(
    store: ObjectStore,
    requests: Sequence[Request],
    end: float,
    gigabytes: float | Mapping[str, float] = 1.0,
    pin_base: bool = True,
    copies: int = 1,
    residency: Sequence[str] | None = None,
) -> float:
    """The cost of the best replicas, in $.

    Args:
        store: prices; at most ten regions.
        requests: in the order of time; the first one of every object is a put.
        end: until when storage is paid, in seconds.
        gigabytes: size of every object, or by name.
        pin_base: the region of the put keeps its copy; False lets any copy go while `copies` remain.
        copies: regions that have to hold a copy at every moment; those beyond the base are pushed with the put.
        residency: regions where copies may lie and reads may come from; None for all.

    Raises:
        InputError: as `objects.replay`, or there are too many regions, or fewer than `copies`.
    """
    check_requests(store, requests, end, residency)
    allowed = range(len(store.regions)) if residency is None else [store.index(name) for name in residency]
    if len(store.regions) > _REGIONS:
        raise InputError(
            f"the optimum is over all sets of regions; {len(store.regions)} are more than {_REGIONS}"
        )
    if not 1 <= copies <= len(allowed):
        raise InputError(f"copies={copies} must be from 1 to the {len(allowed)} regions that are allowed")
    by_object: dict[str, list[Request]] = {}
    for request in requests:
        by_object.setdefault(request.name, []).append(request)
    total = 0.0
    for name, own in by_object.items():
        starts = [place for place, request in enumerate(own) if request.kind == "put"]
        for start, stop in zip(starts, [*starts[1:], len(own)], strict=True):
            until = own[stop].seconds if stop < len(own) else end
            total += _version(
                _Sets(store, allowed, copies), own[start:stop], until, size_of(gigabytes, name), pin_base
            )
    return total


class _Sets:
    """All sets of regions as bits."""

    def __init__(self, store: ObjectStore, allowed: Sequence[int], copies: int) -> None:
        n = len(store.regions)
        self.store, self.copies = store, copies
        self.members = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
        self.size = self.members.sum(axis=1)
        outside = [region for region in range(n) if region not in allowed]
        self.valid = (self.size >= copies) & ~self.members[:, outside].any(axis=1)
        self.storage = self.members @ store.usd_per_gb_month / MONTH

    def fetch(self, region: int) -> Floats:
        """$/GB for the region to read, by who holds a copy; infinite where nobody does."""
        price = np.where(self.members, self.store.egress[:, region], np.inf)
        least: Floats = price.min(axis=1)
        return least


def _version(sets: _Sets, own: Sequence[Request], end: float, size: float, pin_base: bool) -> float:
    """The cost of one version, from its put to the next."""
    store = sets.store
    base = store.index(own[0].region)
    has_base = sets.members[:, base]
    valid = sets.valid & has_base if pin_base else sets.valid
    pushed = np.where(sets.members, store.egress[base], 0.0).sum(axis=1) * size
    pushed = pushed + store.put_usd * (sets.size - 1)
    # What has to be there beside the base is pushed with the put; more than that waits for a read.
    cost = np.where(sets.valid & has_base & (sets.size <= sets.copies), pushed, np.inf)
    cost = _drop(cost, valid)
    now = own[0].seconds
    for request in own[1:]:
        cost = cost + sets.storage * size * (request.seconds - now)
        now = request.seconds
        region = store.index(request.region)
        cost = cost + store.get_usd + size * sets.fetch(region)
        cost = _leave(cost, region, store.put_usd)
        cost = _drop(cost, valid)
    cost = cost + sets.storage * size * (end - now)
    return float(cost.min())


def _leave(cost: Floats, region: int, put_usd: float) -> Floats:
    """A read may leave a copy in its region."""
    sets = np.arange(len(cost))
    lacking = sets & ~(1 << region)
    left = np.where(sets & (1 << region), cost[lacking] + put_usd, np.inf)
    least: Floats = np.minimum(cost, left)
    return least


def _drop(cost: Floats, valid: np.ndarray) -> Floats:
    """Any copies may go: each set takes the least cost of all sets that contain it."""
    for bit in range(int(np.log2(len(cost)))):
        sets = np.arange(len(cost))
        with_bit = sets | (1 << bit)
        cost = np.minimum(cost, cost[with_bit])
    return np.where(valid, cost, np.inf)
