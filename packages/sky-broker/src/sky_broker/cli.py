"""The tasks of the command line: they turn the config into plain arguments and call the API."""

from __future__ import annotations

from offprints.app import command

from sky_broker.config import Config
from sky_broker.objects_task import objects
from sky_broker.spot_task import spot
from sky_broker.transfer_task import transfer

main = command(
    "sky_broker",
    Config,
    {"transfer": transfer, "spot": spot, "objects": objects},
    "The Sky Above The Clouds",
)
