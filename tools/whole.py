"""Whether everything in a run directory is whole, as it has to be at every instant of a run and after a kill."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import yaml
from PIL import Image

from offprints.errors import InputError
from offprints.metrics import read_metrics
from offprints.results import read_result, read_results

APPENDED = (
    "run.log",
    "events.out.tfevents.*",
    "*.part",
    "*.lock",
    "*.sqlite-wal",
    "*.sqlite-shm",
    "*.sqlite-journal",
)
"""Files that only grow, whose readers pass over a last line or record without its end, locks, which are empty, and what SQLite
keeps beside a database that is being written, with which the database is read."""
WORKPLACES = ("regions",)
"""Folders of a run directory in which commands of the user's own run and write as they like."""


def faults(directory: Path, unbroken: Path | None = None) -> list[str]:
    """What is not whole in a run directory, or would be taken for what it is not: one message for each.

    Args:
        directory: of a run that was killed or has ended; may be missing.
        unbroken: of the run that was not killed; a file that nothing here can read has to be as it is there.
    """
    found = []
    for path in files(directory):
        if (
            any(path.match(pattern) for pattern in APPENDED)
            or path.relative_to(directory).parts[0] in WORKPLACES
        ):
            continue
        reader = READERS.get(path.name) or READERS.get(path.suffix)
        if reader is None:
            twin = None if unbroken is None else unbroken / path.relative_to(directory)
            if twin is not None and not (twin.exists() and twin.read_bytes() == path.read_bytes()):
                found.append(f"{path} is not as {twin}, and there is no reader for such a file")
            continue
        try:
            reader(path)
        except (
            ValueError,
            KeyError,
            OSError,
            SyntaxError,
            EOFError,
            yaml.YAMLError,
            sqlite3.Error,
            BadZipFile,
        ) as error:
            found.append(f"{path} is not whole: {type(error).__name__}: {error}")
    if (directory / "overrides.yaml").exists() and not (directory / "config.yaml").exists():
        found.append(f"{directory} has options but no config")
    try:
        if len(read_results(directory)) > 1:
            found.append(f"{directory} holds the results of several runs")
    except InputError as error:
        found.append(str(error))
    return found


def kept_files(directory: Path) -> Iterator[Path]:
    """From the run directory, every file that a run leaves under a name that does not hold the time or number of a start."""
    for path in files(directory):
        relative = path.relative_to(directory)
        if relative.parts[0] not in WORKPLACES and not path.match("events.out.tfevents.*"):
            yield relative


def files(directory: Path) -> Iterator[Path]:
    """Every file of a run directory but the temporary ones of a write."""
    yield from (path for path in sorted(directory.rglob("*")) if path.is_file() and not is_temporary(path))


def temporary(directory: Path) -> list[Path]:
    """What writes that were cut short have left."""
    return [path for path in directory.rglob("*") if is_temporary(path)]


def is_temporary(path: Path) -> bool:
    """Whether it is named as offprints.atomic names a file that is being written."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _results(path: Path) -> None:
    if not read_result(path).metrics:
        raise ValueError("there are no metrics in it")


def _metrics(path: Path) -> None:
    names, rows = read_metrics(path)
    text = path.read_text(encoding="utf-8")
    if not text.startswith("step,seconds") or "\n" not in text:
        raise ValueError("its header is not there, or not whole")
    steps = [int(row["step"]) for row in rows]
    if steps != sorted(set(steps)):
        raise ValueError(f"a step twice or out of order: {steps}")
    for row in rows:
        float(row["seconds"])
        for name in names:
            if row[name] is None:
                raise ValueError(f"step {row['step']} has no cell for {name}")
            float(row[name] or "nan")


def _table(path: Path, separator: str) -> None:
    text = path.read_text(encoding="utf-8")
    widths = {len(row) for row in csv.reader(io.StringIO(text), delimiter=separator)}
    if len(widths) != 1 or not text.endswith("\n"):
        raise ValueError(f"rows of {sorted(widths)} cells, its end {text[-20:]!r}")


def _options(path: Path) -> None:
    if not path.read_text(encoding="utf-8").endswith("\n"):
        raise ValueError("it ends in the middle of a line")
    list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _checkpoint(path: Path) -> None:
    from offprints.checkpoint import load

    load(path, kind=None)


def _picture(path: Path) -> None:
    with Image.open(path) as picture:
        for frame in range(getattr(picture, "n_frames", 1)):
            picture.seek(frame)
            picture.load()


def _database(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # to open it where it is would mend it
        for part in path.parent.glob(f"{path.name}*"):
            shutil.copy(part, folder)
        with closing(sqlite3.connect(Path(folder) / path.name)) as database:
            told = database.execute("PRAGMA integrity_check").fetchall()
    if told != [("ok",)]:
        raise ValueError(f"{told}")


def _page(path: Path) -> None:
    text = path.read_text(encoding="utf-8").rstrip()
    if not text.endswith(">"):
        raise ValueError(f"it ends in {text[-20:]!r}")


def _arrays(path: Path) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            arrays[name]


def _text(path: Path) -> None:
    if not path.read_text(encoding="utf-8").endswith("\n"):
        raise ValueError("it ends in the middle of a line")


READERS: dict[str, Callable[[Path], None]] = {
    "results.json": _results,
    "metrics.csv": _metrics,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".yaml": _options,
    ".csv": lambda path: _table(path, ","),
    ".tsv": lambda path: _table(path, "\t"),
    ".ckpt": _checkpoint,
    ".png": _picture,
    ".gif": _picture,
    ".sqlite": _database,
    ".html": _page,
    ".npz": _arrays,
    ".txt": _text,
}
"""Name or ending of a file -> what reads all of it, and fails if it is not whole."""
