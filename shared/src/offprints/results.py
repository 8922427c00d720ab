"""What a run measured: results.json, written by every run and read for the tables of README, docs and report."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from offprints.atomic import write_text
from offprints.content import parse_json, read_text
from offprints.errors import InputError, MissingFile
from offprints.hardware import Hardware


@dataclass(frozen=True)
class Results:
    """What a task returns.

    Attributes:
        metrics: flat, "<split>/<name>" -> value; fractions, not per cents. NaN stands for undefined.
        details: anything JSON can hold that belongs to the run but is no single number, such as metrics per relation.
    """

    metrics: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetRecord:
    """The data that a run read: its name and the sha256 of each (uncompressed) file."""

    name: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """One results.json: what was measured, from what, by which code and on what.

    Attributes:
        package: slug of the package, such as "ke-gcn".
        version: of the package.
        experiment: the chosen file of conf/experiment; None if the run had none.
        task: the task that ran.
        dataset: the data it read; None if it read none.
        seed: of every random number.
        metrics: "<split>/<name>" -> value.
        config: the resolved config.
        commit: of the code, with "-dirty" for uncommitted code; None outside a checkout.
        hardware: what it ran on.
        seconds: duration, including the parts before a resume.
        peak_memory_mb: largest resident memory of the process, in 10^6 bytes.
        command: repeats the run.
        versions: of python and the libraries used.
        peak_gpu_memory_mb: most that torch took of the CUDA device; None without one.
        details: see `Results`.
    """

    package: str
    version: str
    experiment: str | None
    task: str
    dataset: DatasetRecord | None
    seed: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]
    commit: str | None
    hardware: Hardware
    seconds: float
    peak_memory_mb: float
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    peak_gpu_memory_mb: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def write_results(path: Path | str, record: RunRecord) -> None:
    """Write a results.json atomically.

    Args:
        path: the file.
        record: what to write; metrics may be numpy or torch scalars. NaN and infinity, which JSON has no word for, are written
            as null, in metrics and in details.

    Raises:
        TypeError: details or config hold something that JSON cannot.
        OSError: the folder cannot be written.
    """
    content = asdict(record)
    content["metrics"] = {name: float(value) for name, value in record.metrics.items()}
    if not record.details:
        del content["details"]
    if record.peak_gpu_memory_mb is None:
        del content["peak_gpu_memory_mb"]
    write_text(path, json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_results(folder: Path | str) -> list[RunRecord]:
    """Read every results file below a folder: seed-<n>.json as committed, and results.json as runs leave them.

    Args:
        folder: packages/<slug>/results, a run directory, or a folder of them; may be missing.

    Returns:
        Records in the order of their paths.

    Raises:
        InputError: a file is not a results file; names it and what is wrong.
    """
    files = [
        path
        for path in Path(folder).rglob("*.json")
        if path.name == "results.json" or path.stem.startswith("seed-")
    ]
    return [read_result(path) for path in sorted(files)]


def read_result(path: Path | str) -> RunRecord:
    """Read one results file.

    Raises:
        FileNotFoundError: there is none.
        InputError: it is not one; says what is wrong.
    """
    try:
        content = parse_json(read_text(Path(path)), path)
        dataset = content["dataset"]
        content["metrics"] = {
            str(name): math.nan if value is None else float(value)
            for name, value in content["metrics"].items()
        }
        content["dataset"] = None if dataset is None else DatasetRecord(**dataset)
        content["hardware"] = Hardware(**content["hardware"])
        record = RunRecord(**content)
        _require_kinds(record)
        return record
    except MissingFile:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is not a results file of Offprints: {type(error).__name__}: {error}"
        ) from error


def _require_kinds(record: RunRecord) -> None:
    """What tables are made of: names are text, the seed is a whole number."""
    for name, kind in _KINDS.items():
        value = getattr(record, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
    shlex.split(record.command)  # a ValueError where a quotation has no end


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("package", "version", "task", "command"), str),
    **dict.fromkeys(("experiment", "commit"), (str, type(None))),
    **dict.fromkeys(("config", "versions", "details"), dict),
    **dict.fromkeys(("seconds", "peak_memory_mb"), (int, float)),
    "seed": int,
}


def _finite(value: Any) -> Any:
    """The same with None for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
