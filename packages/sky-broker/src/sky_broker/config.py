"""The options of the command line, typed: a misspelt key or a value of the wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from sky_broker.task_options import MarketConfig, ObjectConfig, SpotConfig, TransferConfig


@dataclass
class CatalogConfig:
    """Which offers.

    Attributes:
        source: "embedded", "snapshot" ($OFFPRINTS_DATA/sky-catalog), or a folder with a folder for each cloud.
        other: for task=catalog, a later catalog to compare with, in the same way.
        cache: folder for parsed catalogs; null takes the user's.
        accelerators: for task=catalog, a question such as "V100:1".
        spot: for that question: never, allowed or required.
        clouds: for that question: only these; empty is any.
        residency: for that question: jurisdictions that an offer has to lie in; empty is any.
        interruptions: of a spot machine in an hour, which plans expect; null counts it as if it were never taken away.
        restart_minutes: that plans expect each start on spot to take, with interruptions.
    """

    source: str = "embedded"
    other: str | None = None
    cache: str | None = None
    accelerators: str | None = None
    spot: str = "never"
    clouds: list[str] = field(default_factory=list)
    residency: list[str] = field(default_factory=list)
    interruptions: float | None = None
    restart_minutes: float = 0.0


@dataclass
class NetworkConfig:
    """What moving data costs.

    Attributes:
        source: "embedded", "skyplane" ($OFFPRINTS_DATA/skyplane-profiles) or a folder with cost.csv and throughput.csv.
        peering: clouds that let data go among themselves free of charge.
        kwh_per_gb: electricity of moving a gigabyte between regions; 0 leaves it out of the carbon.
        egress: "flat", or "tiered" (task=optimize): what leaves a cloud grows cheaper with the volume of the month, as clouds list it.
    """

    source: str = "embedded"
    egress: str = "flat"
    peering: list[str] = field(default_factory=list)
    kwh_per_gb: float = 0.0


@dataclass
class JobConfig:
    """Which job, and bounds to put on it.

    Attributes:
        file: of the job: "pipeline" or "specialised" (embedded), or a path.
        budget: most $; null leaves what the file says.
        deadline: most hours; null leaves what the file says.
        carbon: most kg CO2e; null leaves what the file says.
        clouds: only these; empty leaves what the file says.
        residency: of every task; empty leaves what the file says.
    """

    file: str = "pipeline"
    budget: float | None = None
    deadline: float | None = None
    carbon: float | None = None
    clouds: list[str] = field(default_factory=list)
    residency: list[str] = field(default_factory=list)


@dataclass
class SolverConfig:
    """How to solve.

    Attributes:
        objective: cost, time or carbon; null takes the job's.
        method: auto, elimination, messages or milp.
        time_limit: seconds for HiGHS, for each step.
        objectives: of task=pareto, two or three.
        most: points of the front for each two objectives.
        front: points of it on the page of task=optimize at most; 0 leaves it out.
    """

    objective: str | None = None
    method: str = "auto"
    time_limit: float = 60.0
    objectives: list[str] = field(default_factory=lambda: ["cost", "time"])
    most: int = 50
    front: int = 12


@dataclass
class SweepConfig:
    """The peering sweep: one job with more and more data, with and without peering.

    Attributes:
        gigabytes: sizes that every dataset and output is scaled to, as the first dataset has it.
        peers: clouds that agree; empty is all of the grid.
    """

    gigabytes: list[float] = field(default_factory=lambda: [0, 10, 30, 100, 200, 300, 500, 1000, 3000, 10000])
    peers: list[str] = field(default_factory=list)


@dataclass
class BruteConfig:
    """task=placement: random problems, each solved under every objective and limit and held to all of its plans.

    Attributes:
        instances: how many.
        tasks: at most so many in one.
        states: at most so many of a task.
    """

    instances: int = 5000
    tasks: int = 5
    states: int = 4


@dataclass
class ExecutionConfig:
    """task=run: a plan carried out on this machine, a folder and processes for each region.

    Attributes:
        demonstrate: let task=optimize carry an embedded job out as well.
        outage: location whose machines go away when the last task starts; "last" is the place of that task, null is none.
        refusals: so many starts find no machine.
        preemptions: so many machines are taken away while they work.
        patience: so many failures of a place bar it, and what is left is placed anew.
        errors: so many errors of a task's own end the run.
        first_wait: seconds before the second try; twice as long before each one after.
    """

    demonstrate: bool = True
    outage: str | None = "last"
    refusals: int = 0
    preemptions: int = 0
    patience: int = 2
    errors: int = 3
    first_wait: float = 0.05


@dataclass
class LaunchConfig:
    """task=launch: a plan on real clouds, through SkyPilot.

    Attributes:
        pay: $ that you agree to spend; null is a dry run, which spends nothing. A plan that comes to more is not launched.
        idle_minutes: after so long without work a cluster takes itself down.
        wait_seconds: between two looks at what runs.
    """

    pay: float | None = None
    idle_minutes: int = 10
    wait_seconds: float = 20.0


@dataclass
class KillConfig:
    """task=kills: brokers killed at random points.

    Attributes:
        kills: at least so many.
        longest: seconds until the first kill of a run, at most.
    """

    kills: int = 50
    longest: float = 0.8


@dataclass
class Config(RunConfig):
    """All options of `sky-broker`."""

    task: str = "optimize"
    job: JobConfig = field(default_factory=JobConfig)
    catalog: CatalogConfig = field(default_factory=CatalogConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    solver: SolverConfig = field(default_factory=SolverConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    brute: BruteConfig = field(default_factory=BruteConfig)
    kills: KillConfig = field(default_factory=KillConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    spot: SpotConfig = field(default_factory=SpotConfig)
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    market: MarketConfig = field(default_factory=MarketConfig)
