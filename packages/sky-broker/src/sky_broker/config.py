"""The options of the command line; a misspelt key or a wrong type is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from offprints.app import RunConfig

from sky_broker.task_options import MarketConfig, ObjectConfig, SpotConfig, TransferConfig


@dataclass
class NetworkConfig:
    """What moving data costs.

    Attributes:
        source: "embedded", "skyplane" ($OFFPRINTS_DATA/skyplane-profiles) or a folder with cost.csv and throughput.csv.
        peering: clouds that let data go among themselves free of charge.
    """

    source: str = "embedded"
    peering: list[str] = field(default_factory=list)


@dataclass
class Config(RunConfig):
    """The options of sky-broker."""

    task: str = "transfer"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    spot: SpotConfig = field(default_factory=SpotConfig)
    objects: ObjectConfig = field(default_factory=ObjectConfig)
    market: MarketConfig = field(default_factory=MarketConfig)
