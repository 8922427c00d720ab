"""The tasks of the `sky-broker` command; each lies in a module of its own, which turns the config into plain arguments and calls the API."""

from __future__ import annotations

from offprints.app import command

from sky_broker.catalog_task import catalog_task
from sky_broker.config import Config
from sky_broker.kill_task import kills_task
from sky_broker.launch_task import launch_task
from sky_broker.market_task import market_task
from sky_broker.objects_task import objects_task
from sky_broker.placement_task import placement_task
from sky_broker.plan_task import optimize_task, pareto_task, peering_task
from sky_broker.run_task import run_task
from sky_broker.spot_task import spot_task
from sky_broker.transfer_task import transfer_task

TASKS = {
    "optimize": optimize_task,
    "pareto": pareto_task,
    "peering": peering_task,
    "run": run_task,
    "launch": launch_task,
    "kills": kills_task,
    "catalog": catalog_task,
    "placement": placement_task,
    "transfer": transfer_task,
    "spot": spot_task,
    "objects": objects_task,
    "market": market_task,
}

main = command("sky_broker", Config, TASKS, "The Sky Above The Clouds: an intercloud broker")
