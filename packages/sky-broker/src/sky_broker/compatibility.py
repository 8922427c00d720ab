"""The compatibility set: interfaces that more than one cloud offers, and where a job that uses some of them can run.

A task needs a set N of interfaces; a cloud offers a set S. The task can run where N is a subset of S. A task that needs what only one cloud has
is pinned to it, and its neighbours still move.

Source: Sections 3 and 4 of the paper; the sets are written as data in embedded/compatibility.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from offprints.content import csv_rows, read_text
from offprints.errors import InputError, naming
from offprints.user_errors import closest


@dataclass(frozen=True)
class Service:
    """How one cloud offers one interface.

    Attributes:
        interface: such as "kubernetes".
        kind: compute, store, stream, sql, ml or hardware.
        cloud: that offers it.
        service: the cloud's name for it.
        how: native, hosted (open-source software that the provider runs) or gateway (software that the user runs).
    """

    interface: str
    kind: str
    cloud: str
    service: str
    how: str


@dataclass(frozen=True)
class Fit:
    """Where one task can run.

    Attributes:
        needs: its interfaces.
        locations: those that offer them all.
        blocking: interface -> how many locations would open if the task did without it; the most first.
    """

    needs: frozenset[str]
    locations: tuple[str, ...]
    blocking: Mapping[str, int]

    def __str__(self) -> str:
        if not self.needs:
            return f"needs no service; {len(self.locations)} locations"
        said = f"needs {', '.join(sorted(self.needs))}; {len(self.locations)} locations offer all"
        opening = next(((name, more) for name, more in self.blocking.items() if more), None)
        return f"{said}; without {opening[0]} {opening[1]} more would" if opening else said


class CompatibilitySet:
    """Which cloud offers which interface.

    Args:
        services: all of them.

    Raises:
        InputError: a cloud offers an interface twice.
    """

    def __init__(self, services: Iterable[Service]) -> None:
        self.services = tuple(services)
        self._offered: dict[str, set[str]] = {}
        for service in self.services:
            offered = self._offered.setdefault(service.cloud, set())
            if service.interface in offered:
                raise InputError(f"compatibility: {service.cloud} offers {service.interface} twice")
            offered.add(service.interface)

    @classmethod
    def embedded(cls) -> CompatibilitySet:
        """The dated table that comes with the package."""
        return cls(
            _read((resources.files("sky_broker") / "embedded" / "compatibility.csv").read_text("utf-8"))
        )

    @classmethod
    def from_csv(cls, path: str | Path) -> CompatibilitySet:
        """A table of your own: interface, kind, cloud, service, how; lines that begin with # are comments.

        Raises:
            InputError: a column is missing or a field is empty.
        """
        with naming(path):
            return cls(_read(read_text(Path(path)), str(path)))

    @property
    def interfaces(self) -> list[str]:
        """All of them, by name."""
        return sorted({service.interface for service in self.services})

    def offered(self, cloud: str) -> frozenset[str]:
        """The interfaces of a cloud; none of one that the table does not know."""
        return frozenset(self._offered.get(cloud, ()))

    def require(self, interfaces: Iterable[str]) -> frozenset[str]:
        """The same interfaces, if each is known.

        Raises:
            InputError: one is not; names the nearest.
        """
        needs = frozenset(interfaces)
        for wrong in sorted(needs - set(self.interfaces)):
            raise InputError(f"interfaces: there is no {wrong!r}{closest(wrong, self.interfaces)}")
        return needs

    def fits(self, needs: Iterable[str], location: str) -> bool:
        """Whether a location offers all of some interfaces."""
        return frozenset(needs) <= self.offered(location.partition(":")[0])

    def check(self, needs: Iterable[str], locations: Iterable[str]) -> Fit:
        """Where a task can run, and which of its interfaces keeps it from the most other places.

        Args:
            needs: interfaces of the task.
            locations: to choose from.

        Raises:
            InputError: an interface is unknown.
        """
        wanted, places = self.require(needs), tuple(locations)
        inside = tuple(place for place in places if self.fits(wanted, place))
        blocking = {
            name: sum(self.fits(wanted - {name}, place) for place in places) - len(inside)
            for name in sorted(wanted)
        }
        ordered = dict(sorted(blocking.items(), key=lambda pair: -pair[1]))
        return Fit(wanted, inside, ordered)

    def coverage(self, locations: Iterable[str]) -> dict[str, float]:
        """Interface -> share of some locations that offer it."""
        places = tuple(locations)
        return {
            name: sum(self.fits({name}, place) for place in places) / max(len(places), 1)
            for name in self.interfaces
        }

    def with_service(self, interface: str, cloud: str, service: str = "planned") -> CompatibilitySet:
        """The same set after a cloud has begun to offer an interface, for asking what that would save."""
        kind = next((one.kind for one in self.services if one.interface == interface), "compute")
        return CompatibilitySet([*self.services, Service(interface, kind, cloud, service, "hosted")])


def _read(text: str, name: str = "compatibility.csv") -> list[Service]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    columns = ("interface", "kind", "cloud", "service", "how")
    if not lines or tuple(lines[0].split(",")) != columns:
        raise InputError(f"{name}: the columns have to be {', '.join(columns)}")
    services = []
    for _, row in csv_rows("\n".join(lines[1:]), name):
        if len(row) != len(columns) or not all(row):
            raise InputError(f"{name}: {row} does not fill its {len(columns)} columns")
        services.append(Service(*row))
    return services
