"""The jobs that come with the package, and a job with more or less data."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

from offprints.errors import InputError
from offprints.user_errors import closest

from sky_broker.job import Job
from sky_broker.job_yaml import job_of


def embedded_jobs() -> list[str]:
    """Their names."""
    folder = resources.files("sky_broker") / "embedded" / "jobs"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def embedded_job(name: str) -> Job:
    """One of them.

    Raises:
        InputError: there is no such job.
    """
    if name not in embedded_jobs():
        raise InputError(f"there is no job {name!r}{closest(name, embedded_jobs())}")
    text = (resources.files("sky_broker") / "embedded" / "jobs" / f"{name}.yaml").read_text(encoding="utf-8")
    return job_of(text, f"{name}.yaml")


def load_job(name: str) -> Job:
    """A job by the name of an embedded one, or by the path of its file.

    Raises:
        InputError: there is neither, or the file is wrong.
    """
    if name in embedded_jobs():
        return embedded_job(name)
    if not Path(name).is_file():
        raise InputError(
            f"job.file={name}: there is no such file, and the embedded jobs are {', '.join(embedded_jobs())}"
        )
    return Job.from_yaml(name)


def scaled(job: Job, gb: float) -> Job:
    """The same job with all data larger or smaller by one factor, so that its first dataset has so many decimal GB.

    Raises:
        InputError: the job has no dataset with data to go by.
    """
    first = next((item.gb for item in job.datasets.values() if item.gb > 0), None)
    if first is None:
        raise InputError(f"job {job.name}: no dataset with data to scale by")
    factor = gb / first
    tasks = tuple(
        replace(task, outputs={name: replace(out, gb=out.gb * factor) for name, out in task.outputs.items()})
        for task in job.tasks
    )
    return replace(
        job,
        tasks=tasks,
        datasets={name: replace(item, gb=item.gb * factor) for name, item in job.datasets.items()},
    )
