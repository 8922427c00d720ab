"""From the options of the command line to a sky and a job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from offprints.app import Run

from sky_broker.catalog import Catalog
from sky_broker.compatibility import CompatibilitySet
from sky_broker.config import Config, JobConfig
from sky_broker.job import Job
from sky_broker.jobs import load_job
from sky_broker.model import Sky
from sky_broker.places import check_residency
from sky_broker.spot_risk import SpotRisk
from sky_broker.transfer_task import network_of


def sky_of_options(config: Config, run: Run) -> Sky:
    """The sky that the options ask for, recorded in the run."""
    catalog = Catalog.load(config.catalog.source, cache=config.catalog.cache)
    run.dataset(f"catalog {config.catalog.source}", catalog.report.sha256)
    grid = network_of(config.network, run, tiers=config.task == "optimize")
    spot = config.catalog
    risk = None if spot.interruptions is None else SpotRisk(spot.interruptions, spot.restart_minutes / 60)
    return Sky(catalog, grid, CompatibilitySet.embedded(), config.network.kwh_per_gb, risk)


def job_of_options(options: JobConfig) -> Job:
    """The job that the options ask for, with the bounds that they put on it."""
    job = load_job(options.file)
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("budget", "deadline", "carbon")
        if getattr(options, name) is not None
    }
    if options.clouds:
        given["clouds"] = tuple(options.clouds)
    if options.residency:
        given["residency"] = check_residency(options.residency)
    return replace(job, constraints=replace(job.constraints, **given))
