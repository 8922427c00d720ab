"""The Sky Above The Clouds (Chasins et al. 2022): an intercloud broker that places jobs across clouds, and proves its plans.

from sky_broker import Job, Sky, optimize

plan = optimize(Job.from_yaml("pipeline.yaml"), Sky.embedded())
plan.cost, plan.certificate, plan.explain()
"""

from sky_broker.catalog import Catalog, Offer, Offers
from sky_broker.catalog_diff import CatalogDiff, diff
from sky_broker.clairvoyant import Optimum, clairvoyant
from sky_broker.compatibility import CompatibilitySet
from sky_broker.egress import EgressSchedule, monthly_bill
from sky_broker.explain import Room, RunnerUp, runners_up, sensitivity
from sky_broker.infeasible import conflicting
from sky_broker.job import Constraints, DataItem, Job, Output, Resources, Task, TimeSpec
from sky_broker.market import Demand, Market, Settlement, settle
from sky_broker.model import Sky
from sky_broker.network import NetworkGrid
from sky_broker.object_optimum import least_cost
from sky_broker.objects import BreakEvenTtl, FixedTtl, HistogramTtl, ObjectStore, Request, replay
from sky_broker.optimize import NoPlan, optimize
from sky_broker.pareto import Front, pareto
from sky_broker.plan import Movement, Placement, Plan
from sky_broker.policies import (
    Greedy,
    Guarded,
    KnownSpells,
    LearntSpells,
    OnDemand,
    OnlySpot,
    UniformProgress,
)
from sky_broker.skypilot import from_skypilot, to_skypilot
from sky_broker.solve import Certificate, NoPlanInTime
from sky_broker.spells import EndRates, measured
from sky_broker.spot import SpotJob, SpotOutcome, Step, simulate
from sky_broker.spot_risk import SpotRisk
from sky_broker.tiered_plan import optimize_tiered
from sky_broker.traces import Trace, read_trace, released_trace
from sky_broker.transfer import TransferPlan, direct_transfer, plan_transfer, ron_transfer

__version__ = "0.1.0"

__all__ = [
    "BreakEvenTtl",
    "Catalog",
    "CatalogDiff",
    "Certificate",
    "CompatibilitySet",
    "Constraints",
    "DataItem",
    "Demand",
    "EgressSchedule",
    "EndRates",
    "FixedTtl",
    "Front",
    "Greedy",
    "Guarded",
    "HistogramTtl",
    "Job",
    "KnownSpells",
    "LearntSpells",
    "Market",
    "Movement",
    "NetworkGrid",
    "NoPlan",
    "NoPlanInTime",
    "ObjectStore",
    "Offer",
    "Offers",
    "OnDemand",
    "OnlySpot",
    "Optimum",
    "Output",
    "Placement",
    "Plan",
    "Request",
    "Resources",
    "Room",
    "RunnerUp",
    "Settlement",
    "Sky",
    "SpotJob",
    "SpotOutcome",
    "SpotRisk",
    "Step",
    "Task",
    "TimeSpec",
    "Trace",
    "TransferPlan",
    "UniformProgress",
    "clairvoyant",
    "conflicting",
    "diff",
    "direct_transfer",
    "from_skypilot",
    "least_cost",
    "measured",
    "monthly_bill",
    "optimize",
    "optimize_tiered",
    "pareto",
    "plan_transfer",
    "read_trace",
    "released_trace",
    "replay",
    "ron_transfer",
    "runners_up",
    "sensitivity",
    "settle",
    "simulate",
    "to_skypilot",
]
