"""Job files: YAML that is checked before anything else, every message with file, line, column and the nearest valid key."""

from __future__ import annotations

from typing import Any

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker import units
from sky_broker.job import OBJECTIVES, Constraints, DataItem, Job, Output, Resources, Task, TimeSpec
from sky_broker.places import check_residency
from sky_broker.yaml_places import Place, documents

_JOB = ("name", "defaults", "datasets", "tasks", "constraints", "objective")
_DATASET = ("location", "size", "residency")
_TASK = [
    "run",
    "setup",
    "image",
    "envs",
    "inputs",
    "outputs",
    "nodes",
    "requires",
    "resources",
    "time",
    "checkpoint",
    "deadline",
    "residency",
]
_RESOURCES = ("accelerators", "cpus", "memory", "instance_type", "clouds", "regions", "spot")
_CONSTRAINTS = [
    "budget",
    "deadline",
    "carbon",
    "clouds",
    "forbidden_clouds",
    "residency",
    "quota",
    "apart",
    "apart_clouds",
    "together",
]


def job_of(text: str, file: str = "job.yaml") -> Job:
    """The job that a YAML text describes.

    Args:
        text: of the file.
        file: its name, for messages.

    Raises:
        InputError: the text is no job; says where and what would be right.
    """
    found = list(documents(text, file))
    if len(found) != 1:
        raise InputError(f"{file}: a job is one YAML document, this has {len(found)}")
    root = found[0]
    top = root.mapping(_JOB)
    if "tasks" not in top:
        raise root.wrong("a job needs tasks")
    defaults = top["defaults"].mapping(_TASK) if "defaults" in top else {}
    datasets = {
        name: _dataset(place)
        for name, place in (top["datasets"].mapping() if "datasets" in top else {}).items()
    }
    tasks = tuple(_task(name, place, defaults) for name, place in top["tasks"].mapping().items())
    constraints = _constraints(top["constraints"]) if "constraints" in top else Constraints()
    name = top["name"].text() if "name" in top else file.rpartition("/")[2].partition(".")[0]
    objective = top["objective"].read(_objective) if "objective" in top else "cost"
    return root.made(lambda: Job(name, tasks, datasets, constraints, objective))


def _objective(text: str) -> str:
    if text not in OBJECTIVES:
        raise InputError(f"there is no objective {text!r}{closest(text, OBJECTIVES)}")
    return text


def _dataset(place: Place) -> DataItem:
    keys = place.mapping(_DATASET)
    for needed in ("location", "size"):
        if needed not in keys:
            raise place.wrong(f"a dataset needs its {needed}")
    location = keys["location"].read(_location)
    return DataItem(location, keys["size"].read(units.gigabytes), _residency(keys.get("residency")))


def _location(text: str) -> str:
    cloud, colon, region = text.partition(":")
    if not (cloud and colon and region):
        raise InputError(f"{text!r} is no location; write cloud:region, such as aws:us-east-1")
    return text


def _residency(place: Place | None) -> frozenset[str] | None:
    if place is None:
        return None
    return place.made(lambda: check_residency(place.texts()))


def _task(name: str, place: Place, defaults: dict[str, Place]) -> Task:
    keys = {**defaults, **place.mapping(_TASK)}
    if "time" not in keys:
        raise place.wrong("a task needs its time, such as `time: 4 h`")
    requires = keys["requires"].mapping(["interfaces"]) if "requires" in keys else {}
    texts = {key: keys[key].text() for key in ("run", "setup", "image") if key in keys}
    outputs = keys["outputs"].mapping() if "outputs" in keys else {}
    envs = {key: value.text() for key, value in keys["envs"].mapping().items()} if "envs" in keys else {}
    hours = {key: keys[key].read(units.hours) for key in ("deadline", "checkpoint") if key in keys}
    return place.made(
        lambda: Task(
            name,
            _alternatives(keys.get("resources")),
            _time(keys["time"]),
            inputs=keys["inputs"].texts() if "inputs" in keys else (),
            outputs={key: _output(value) for key, value in outputs.items()},
            nodes=keys["nodes"].whole() if "nodes" in keys else 1,
            interfaces=frozenset(requires["interfaces"].texts()) if requires else frozenset(),
            envs=envs,
            residency=_residency(keys.get("residency")),
            deadline=hours.get("deadline"),
            checkpoint=hours.get("checkpoint"),
            **texts,
        )
    )


def _output(place: Place) -> Output:
    if not place.is_mapping:
        return Output(place.read(units.gigabytes))
    keys = place.mapping(["size", "residency"])
    if "size" not in keys:
        raise place.wrong("an output needs its size")
    return Output(keys["size"].read(units.gigabytes), _residency(keys.get("residency")))


def _alternatives(place: Place | None) -> tuple[Resources, ...]:
    """`resources` is one mapping, or any_of with a list of them; other keys beside any_of hold for each."""
    if place is None:
        return (Resources(),)
    keys = place.mapping([*_RESOURCES, "any_of"])
    shared = {key: value for key, value in keys.items() if key != "any_of"}
    if "any_of" not in keys:
        return (_resources(place, shared),)
    return tuple(_resources(one, {**shared, **one.mapping(_RESOURCES)}) for one in keys["any_of"].items())


def _resources(place: Place, keys: dict[str, Place]) -> Resources:
    given: dict[str, str] = {
        key: keys[key].text() for key in ("cpus", "memory", "instance_type", "spot") if key in keys
    }
    if "accelerators" in keys:
        given["accelerators"] = ", ".join(_accelerators(keys["accelerators"]))
    lists = {key: keys[key].texts() for key in ("clouds", "regions") if key in keys}
    return place.made(lambda: Resources(**given, **lists))  # type: ignore[arg-type]


def _accelerators(place: Place) -> list[str]:
    """A word, a list of words, or name -> number: any of them will do."""
    if place.is_mapping:
        return [f"{name}:{value.number():g}" for name, value in place.mapping().items()]
    return list(place.texts())


def _time(place: Place) -> TimeSpec:
    if not place.is_mapping:
        return place.made(lambda: TimeSpec.fixed(units.hours(place.text())))
    keys = place.mapping()
    if "work" in keys or "rates" in keys:
        return _work(place)
    return place.made(lambda: TimeSpec({name: value.read(units.hours) for name, value in keys.items()}))


def _work(place: Place) -> TimeSpec:
    """Work in some unit, which goes by at a rate of so many units in a second, minute or hour."""
    keys = place.mapping(["work", "unit", "rates"])
    for needed in ("work", "rates"):
        if needed not in keys:
            raise place.wrong(f"work over rates needs its {needed}")
    per = keys["unit"].text().rpartition("/")[2] if "unit" in keys else "h"
    hours = keys.get("unit", place).made(lambda: units.hours(f"1 {per}", "unit"))
    rates = {name: value.number() / hours for name, value in keys["rates"].mapping().items()}
    return place.made(lambda: TimeSpec.from_work(keys["work"].number(), rates))


def _constraints(place: Place) -> Constraints:
    keys = place.mapping(_CONSTRAINTS)
    given: dict[str, Any] = {
        key: keys[key].read(reader)
        for key, reader in (("budget", units.dollars), ("deadline", units.hours), ("carbon", units.kilograms))
        if key in keys
    }
    clouds = keys["clouds"].texts() if "clouds" in keys else None
    forbidden = keys["forbidden_clouds"].texts() if "forbidden_clouds" in keys else ()
    quota = (
        {name: value.whole() for name, value in keys["quota"].mapping().items()} if "quota" in keys else {}
    )
    given |= {key: _pairs(keys[key]) for key in ("apart", "apart_clouds", "together") if key in keys}
    residency = _residency(keys.get("residency"))
    return place.made(
        lambda: Constraints(
            clouds=clouds, forbidden_clouds=forbidden, residency=residency, quota=quota, **given
        )
    )


def _pairs(place: Place) -> tuple[tuple[str, str], ...]:
    """Groups of tasks as pairs: [a, b, c] holds for each two of them."""
    groups = place.items()
    if groups and not groups[0].is_list:
        groups = [place]
    pairs = []
    for group in groups:
        names = group.texts()
        if len(names) < 2:
            raise group.wrong("two tasks or more were expected")
        pairs += [(one, other) for n, one in enumerate(names) for other in names[n + 1 :]]
    return tuple(pairs)
