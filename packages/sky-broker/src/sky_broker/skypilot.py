"""Task files of SkyPilot: a plan written as them, and a chain of them read as a job.

SkyPilot has no field for how long a task runs or how much data it makes. Reading takes the times beside the file, and what is not in a file can
be added to the job afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from offprints.content import read_text
from offprints.errors import InputError, naming

from sky_broker.job import Job, Output, Resources, Task, TimeSpec
from sky_broker.plan import Placement, Plan
from sky_broker.yaml_places import Place, documents

# The keys of a task file in SkyPilot's documentation of its YAML; those that say nothing about where a task can run are read over.
_TASK = [
    "name",
    "workdir",
    "num_nodes",
    "resources",
    "envs",
    "secrets",
    "file_mounts",
    "setup",
    "run",
    "config",
    "volumes",
    "inputs",
    "outputs",
    "service",
    "event_callback",
]
_RESOURCES = [
    "cloud",
    "infra",
    "region",
    "zone",
    "accelerators",
    "accelerator_args",
    "cpus",
    "memory",
    "instance_type",
    "use_spot",
    "disk_size",
    "disk_tier",
    "ports",
    "image_id",
    "labels",
    "any_of",
    "ordered",
    "job_recovery",
    "autostop",
    "network_tier",
    "priority",
]


def to_skypilot(plan: Plan) -> str:
    """A plan as YAML documents, one for each task in the order in which they run, as SkyPilot chains them.

    Args:
        plan: to write.

    Returns:
        YAML. Each task names its cloud, region, zone where one is known, machine and accelerators, so that SkyPilot has nothing to choose.

    Source: the page "SkyPilot YAML" of SkyPilot's documentation, fields of 0.9 and later, where `infra` is cloud/region/zone.
    """
    heading = {"name": plan.job.name, "execution": "serial"}
    documents = [heading, *(task_document(plan.job.by_name[one.task], one) for one in plan.placements)]
    return str(yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True, width=120))


def task_document(task: Task, placement: Placement) -> dict[str, Any]:
    """One task of a plan as SkyPilot's keys and values.

    Args:
        task: of the job.
        placement: where it runs.
    """
    offer = placement.offer
    cloud, _, region = offer.location.partition(":")
    parts = [cloud, region, offer.zone] if offer.zone else [cloud, region]
    resources: dict[str, Any] = {"infra": "/".join(parts), "instance_type": offer.instance_type}
    if offer.accelerator:
        resources["accelerators"] = f"{offer.accelerator}:{offer.count:g}"
    resources["use_spot"] = offer.spot
    if task.image:
        resources["image_id"] = f"docker:{task.image}"
    content: dict[str, Any] = {"name": task.name, "num_nodes": task.nodes, "resources": resources}
    if task.envs:
        content["envs"] = dict(task.envs)
    for key in ("setup", "run"):
        if text := getattr(task, key):
            content[key] = text
    return content


def from_skypilot(
    source: str | Path, hours: Mapping[str, float] | float, outputs: Mapping[str, float] | None = None
) -> Job:
    """A job from a SkyPilot task file, or from a chain of tasks in one file.

    Args:
        source: the path of the file, or its text where it has more than one line.
        hours: how long each task runs, or all of them.
        outputs: task -> decimal GB that it hands to the next; none where it is not there.

    Raises:
        InputError: a key is unknown or a value is wrong, with file, line and column; a task has no time.
    """
    text, file = (str(source), "task.yaml") if "\n" in str(source) else (read_text(Path(source)), str(source))
    places = list(documents(text, file))
    name = file.rpartition("/")[2].partition(".")[0]
    if places and set(places[0].mapping()) <= {"name", "execution"} and len(places) > 1:
        heading = places.pop(0).mapping()
        name = heading["name"].text() if "name" in heading else name
    tasks: list[Task] = []
    for number, place in enumerate(places):
        task = _task(place, number, hours)
        size = (outputs or {}).get(task.name, 0.0)
        task = replace(task, outputs={"output": Output(size)} if number + 1 < len(places) else {})
        if tasks:
            task = replace(task, inputs=(f"{tasks[-1].name}.output",))
        tasks.append(task)
    if not tasks:
        raise InputError(f"{file} has no task")
    if unknown := sorted(set(outputs or {}) - {task.name for task in tasks}):
        raise InputError(f"{file} has no task {unknown[0]!r} to give an output")
    with naming(file):
        return Job(name, tuple(tasks))


def _task(place: Place, number: int, hours: Mapping[str, float] | float) -> Task:
    keys = place.mapping(_TASK)
    name = keys["name"].text() if "name" in keys else f"task-{number}"
    if isinstance(hours, Mapping):
        if name not in hours:
            raise place.wrong(f"SkyPilot's files do not say how long a task runs; give the hours of {name!r}")
        time = hours[name]
    else:
        time = hours
    envs = {key: value.text() for key, value in keys["envs"].mapping().items()} if "envs" in keys else {}
    alternatives = _alternatives(keys["resources"]) if "resources" in keys else (Resources(),)
    return place.made(
        lambda: Task(
            name,
            alternatives,
            TimeSpec.fixed(float(time)),
            nodes=keys["num_nodes"].whole() if "num_nodes" in keys else 1,
            setup=keys["setup"].text() if "setup" in keys else "",
            run=keys["run"].text() if "run" in keys else "",
            envs=envs,
        )
    )


def _alternatives(place: Place) -> tuple[Resources, ...]:
    """`ordered` is a preference, which cost decides here; both are lists of which any will do."""
    keys = place.mapping(_RESOURCES)
    listed = next((keys[name] for name in ("any_of", "ordered") if name in keys), None)
    shared = {name: value for name, value in keys.items() if name not in ("any_of", "ordered")}
    if listed is None:
        return (_resources(place, shared),)
    return tuple(_resources(one, {**shared, **one.mapping(_RESOURCES)}) for one in listed.items())


def _resources(place: Place, keys: dict[str, Place]) -> Resources:
    given: dict[str, Any] = {
        name: keys[name].text() for name in ("cpus", "memory", "instance_type") if name in keys
    }
    for name in ("memory",):  # "64+" and "64GB+" are both written
        if name in given:
            given[name] = given[name].replace("GB", "").replace("gb", "")
    for name in ("cpus", "memory"):
        if given.get(name, "").endswith("x"):
            raise keys[name].wrong("a multiple of the accelerators' size cannot be read; write GiB or vCPUs")
    if "accelerators" in keys:
        listed = keys["accelerators"]
        given["accelerators"] = (
            ", ".join(f"{name}:{value.number():g}" for name, value in listed.mapping().items())
            if listed.is_mapping
            else ", ".join(listed.texts())
        )
    cloud, region = _where(keys)
    if cloud:
        given["clouds"] = (cloud,)
    if region:
        if not cloud:
            raise keys["infra" if "infra" in keys else "region"].wrong("a region needs its cloud")
        given["regions"] = (f"{cloud}:{region}",)
    if "use_spot" in keys and keys["use_spot"].truth():
        given["spot"] = "required"
    return place.made(lambda: Resources(**given))


def _where(keys: dict[str, Place]) -> tuple[str, str]:
    """Cloud and region of `infra: cloud/region/zone`, or of the older keys; "*" is any."""
    if "infra" in keys:
        parts = [*keys["infra"].text().split("/"), "", ""]
        return (*(part if part != "*" else "" for part in (parts[0].lower(), parts[1])),)  # type: ignore[return-value]
    return tuple(keys[name].text() if name in keys else "" for name in ("cloud", "region"))  # type: ignore[return-value]
