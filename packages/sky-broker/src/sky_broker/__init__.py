"""The Sky Above The Clouds (Chasins et al. 2022): an intercloud broker that places jobs across clouds, and proves its plans.

from sky_broker import Job, Sky, optimize

plan = optimize(Job.from_yaml("pipeline.yaml"), Sky.embedded())
plan.cost, plan.certificate, plan.explain()
"""

from sky_broker.catalog import Catalog, Offer, Offers
from sky_broker.catalog_diff import CatalogDiff, diff
from sky_broker.compatibility import CompatibilitySet
from sky_broker.explain import Room, RunnerUp, runners_up, sensitivity
from sky_broker.infeasible import conflicting
from sky_broker.job import Constraints, DataItem, Job, Output, Resources, Task, TimeSpec
from sky_broker.model import Sky
from sky_broker.network import NetworkGrid
from sky_broker.optimize import NoPlan, optimize
from sky_broker.pareto import Front, pareto
from sky_broker.plan import Movement, Placement, Plan
from sky_broker.skypilot import from_skypilot, to_skypilot
from sky_broker.solve import Certificate, NoPlanInTime

__version__ = "0.1.0"

__all__ = [
    "Catalog",
    "CatalogDiff",
    "Certificate",
    "CompatibilitySet",
    "Constraints",
    "DataItem",
    "Front",
    "Job",
    "Movement",
    "NetworkGrid",
    "NoPlan",
    "NoPlanInTime",
    "Offer",
    "Offers",
    "Output",
    "Placement",
    "Plan",
    "Resources",
    "Room",
    "RunnerUp",
    "Sky",
    "Task",
    "TimeSpec",
    "conflicting",
    "diff",
    "from_skypilot",
    "optimize",
    "pareto",
    "runners_up",
    "sensitivity",
    "to_skypilot",
]
