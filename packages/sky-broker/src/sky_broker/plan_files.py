"""What a run leaves of a plan: its page, its values, and its task files for SkyPilot."""

from __future__ import annotations

import json
from pathlib import Path

from offprints.atomic import write_text

from sky_broker.page import page
from sky_broker.plan import Plan


def write_plan(plan: Plan, directory: Path, html: str | None = None) -> None:
    """Write plan.html, plan.json and skypilot.yaml.

    Args:
        plan: to write.
        directory: of the run.
        html: the page, where it shows more than the plan.
    """
    write_text(directory / "plan.html", page(plan) if html is None else html)
    write_text(directory / "plan.json", json.dumps(plan.to_dict(), indent=2) + "\n")
    write_text(directory / "skypilot.yaml", plan.to_skypilot())
