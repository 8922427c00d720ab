"""Options of the tasks that look at transfers, spot nodes, copies of objects and the market."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SpotConfig:
    """A job with a deadline on spot nodes (task=spot).

    Attributes:
        traces: released traces by name, such as aws-10-26-2022/us-west-2a_v100_1; none takes a file of yours, or a made-up trace.
        file: a trace of your own, JSON or JSON with gzip.
        ones: what a 1 says in your file: available or preempted.
        nodes: that the job needs at once.
        work_hours: computing without restarts.
        deadline_hours: one or several deadlines.
        overhead_minutes: one or several restarts.
        on_demand_usd: of a node for an hour.
        spot_usd: of a node for an hour.
        starts: windows of each trace.
        draw: seed of starts that Python's random module draws; null spreads them evenly over the trace.
        optimum: also find the cheapest schedule of each window, which takes longest.
        up_factor: how often spells with a node end, over the shape of all zones, as the policy "learnt spells" believes at first.
        down_factor: the same of spells without.
        weight: ends that this belief counts for.
        first_age: hours that the spell at hand when a job begins is taken to have lasted.
    """

    traces: list[str] = field(default_factory=list)
    file: str | None = None
    ones: str = "available"
    nodes: int = 1
    work_hours: float = 48.0
    deadline_hours: list[float] = field(default_factory=lambda: [52.0])
    overhead_minutes: list[float] = field(default_factory=lambda: [3.0])
    on_demand_usd: float = 3.06
    spot_usd: float = 0.9731
    starts: int = 60
    draw: int | None = None
    optimum: bool = True
    up_factor: float = 1.7
    down_factor: float = 1.0
    weight: float = 10.0
    first_age: float = 2.0


@dataclass
class TransferConfig:
    """Moving data between two regions (task=transfer), over the network of network.source and network.peering.

    Attributes:
        source: where the data are.
        target: where they shall be.
        gigabytes: how many.
        rate_gbps: the rate to reach; null with a price.
        usd_per_gb: the price to stay under; null with a rate.
        vm_limit: VMs in a region at most.
        pairs: 0 plans the one transfer; else so many pairs of regions, drawn at random, or all if there are fewer.
        dearer: with pairs, what the overlay may cost of the direct path, egress and VMs together.
    """

    source: str = "azure:canadacentral"
    target: str = "gcp:asia-northeast1"
    gigabytes: float = 50.0
    rate_gbps: float | None = 12.0
    usd_per_gb: float | None = None
    vm_limit: int = 1
    pairs: int = 0
    dearer: float = 1.25


@dataclass
class ObjectConfig:
    """Copies of objects across regions (task=objects), with the egress of network.source and network.peering.

    Attributes:
        file: a trace of your own, CSV with the columns seconds, kind (put or get), region, name and gigabytes; null makes one up.
        objects: in a made-up trace.
        days: of a made-up trace.
        reads_per_day: of the most popular object of a made-up trace.
        gigabytes: size of every made-up object.
        pin_base: the region of the put keeps its copy in the optimum too.
    """

    file: str | None = None
    objects: int = 60
    days: float = 365.0
    reads_per_day: float = 2.0
    gigabytes: float = 10.0
    pin_base: bool = True


@dataclass
class MarketConfig:
    """A market of clouds (task=market); prices are the catalog's and the network's, users are made up from the seed.

    Attributes:
        homes: where users live; each has to offer every stage.
        home_shares: what share of the users lives in each home, which is assumed.
        entrant: the location of a specialised cloud, which the catalog has prices of.
        entrant_egress: $ for a gigabyte that leaves it.
        users: how many.
        hours: median hours of the stages: 32 vCPUs, four V100, one T4.
        median_gigabytes: of a user's data.
        sweep_gigabytes: medians for the figure of what a broker saves.
        cost_share: of a list price that computing costs a cloud.
        price_steps: factors of list prices that clouds choose from.
        rounds: most rounds of the price game.
    """

    homes: list[str] = field(default_factory=lambda: ["aws:us-east-1", "azure:eastus", "gcp:us-central1"])
    home_shares: list[float] = field(default_factory=lambda: [0.5, 0.35, 0.15])
    entrant: str = "lambda:us-east-1"
    entrant_egress: float = 0.0
    users: int = 2000
    hours: list[float] = field(default_factory=lambda: [20.0, 60.0, 400.0])
    median_gigabytes: float = 500.0
    sweep_gigabytes: list[float] = field(
        default_factory=lambda: [1.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 100_000.0]
    )
    cost_share: float = 0.6
    price_steps: list[float] = field(default_factory=lambda: [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3])
    rounds: int = 20
