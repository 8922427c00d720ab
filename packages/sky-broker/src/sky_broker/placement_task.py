"""The task `placement`: thousands of small problems, each solved under every objective and limit and held to all of its plans."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from offprints.app import Results, Run
from offprints.atomic import write_text
from offprints.errors import InputError

from sky_broker.config import Config
from sky_broker.verify import GOALS, check_instance

_DONE = "checked.json"
_EVERY = 25


def placement_task(config: Config, run: Run) -> Results:
    """Hold the solvers to every plan of thousands of small problems."""
    options, start = config.brute, 0
    for name, least in (("instances", 1), ("tasks", 1), ("states", 2)):
        if getattr(options, name) < least:
            raise InputError(f"brute.{name}={getattr(options, name)} must be {least} or more")
    state: dict[str, Any] = {"solved": 0, "infeasible": 0, "largest_gap": 0.0, "failures": [], "kinds": {}}
    path = run.directory / _DONE
    if run.resuming and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        start, state = kept["next"], kept["state"]
    kinds: Counter[str] = Counter(state["kinds"])
    with run.progress(options.instances, "placement", done=start) as bar:
        for number in range(start, options.instances):
            found = check_instance(config.seed * 1_000_000 + number, options.tasks, options.states)
            state["solved"] += found.solved
            state["infeasible"] += found.infeasible
            state["largest_gap"] = max(state["largest_gap"], found.largest_gap)
            state["failures"] += found.failures
            kinds[found.kind] += 1
            bar.advance(1, {"wrong": float(len(state["failures"]))})
            if (number + 1) % _EVERY == 0:
                state["kinds"] = dict(kinds)
                with run.uninterrupted():
                    write_text(path, json.dumps({"next": number + 1, "state": state}))
    for failure in state["failures"]:
        run.log.error("%s", failure)
    wrong = len(state["failures"])
    return Results(
        {
            "test/optimal": 1 - wrong / state["solved"],
            "test/solved": state["solved"],
            "test/wrong": wrong,
            "test/infeasible_found_out": state["infeasible"],
            "test/largest_gap": state["largest_gap"],
        },
        {"limits": dict(kinds), "objectives": list(GOALS), "failures": state["failures"]},
    )
