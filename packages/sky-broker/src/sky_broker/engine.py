"""Where tasks run: an engine that has a folder for each region and a process for each attempt, with faults that can be ordered.

An engine never runs a key twice. A worker first claims its key by a link that holds its process number, which only one can make; a broker that
comes back after a kill looks for the claim, the process and the exit code that the worker left, and takes a living process over.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from offprints.atomic import write_text

_WORKER = """\
ln -s $$ claim 2>/dev/null || exit 0
sh ./script > stdout 2> stderr
echo $? > exit.new && mv exit.new exit
"""


class CapacityRefused(Exception):
    """A place has no machine now."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong on purpose.

    Attributes:
        kind: "refused" (no machine), "preempted" (the process is killed while it runs) or "outage" (a region has no machines any more, and
            those that run are killed; its store still answers).
        location: where; "" for anywhere.
        task: of which task; "" for any.
        times: how often; an outage lasts.
        after: for an outage, the task whose start brings it about; "" from the beginning.
    """

    kind: str
    location: str = ""
    task: str = ""
    times: int = 1
    after: str = ""


@dataclass(frozen=True)
class Report:
    """How an attempt stands.

    Attributes:
        status: running, exited, lost (no process and no exit code) or unstarted (nothing ever claimed it, and nothing can any more).
        code: exit code of one that exited.
        error: the end of what it said on standard error.
    """

    status: str
    code: int = 0
    error: str = ""


class Engine(Protocol):
    """What a broker needs of a place to run tasks."""

    def start(self, key: str, task: str, location: str, script: str, environment: Mapping[str, str]) -> None:
        """Get a machine and start a script on it; raises CapacityRefused."""

    def report(self, key: str) -> Report:
        """How an attempt stands, also of one that an earlier broker started."""

    def stop(self, key: str) -> None:
        """End an attempt, if it runs."""

    def folder(self, key: str) -> Path:
        """Where an attempt's files lie."""


class LocalEngine:
    """Regions as folders, machines as processes.

    Args:
        root: folder for all regions.
        faults: to bring about.
    """

    def __init__(self, root: Path | str, faults: tuple[Fault, ...] = ()) -> None:
        self.root = Path(root).absolute()  # a stage runs in a folder of its own, and reads these paths there
        self.faults = list(faults)
        self._used = dict.fromkeys(range(len(faults)), 0)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._location: dict[str, str] = {}
        self._started: set[str] = set()

    def folder(self, key: str) -> Path:
        return self.root / "attempts" / key

    def start(self, key: str, task: str, location: str, script: str, environment: Mapping[str, str]) -> None:
        self._started.add(task)
        if self._out(location) or self._strikes("refused", location, task):
            raise CapacityRefused(f"{location} has no machine for {task}")
        folder = self.folder(key)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "script", script or ":")
        command = ["sh", "-c", f"cd {shlex.quote(str(folder))}\n{_WORKER}"]
        self._processes[key] = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # it outlives a broker that is killed, and is ended with all that it started
        )
        self._location[key] = location
        if self._strikes("preempted", location, task):
            self.stop(key)

    def report(self, key: str) -> Report:
        folder = self.folder(key)
        process = self._processes.get(key)
        if key in self._location and self._out(self._location[key]):
            self.stop(key)
        if process is not None:
            process.poll()
        code = _number(folder / "exit")
        if code is not None:
            return Report("exited", code, _tail(folder / "stderr"))
        if process is not None and process.returncode is None:
            return Report("running")
        if process is None and not _claimed_by_other(folder):
            return Report("unstarted")
        if process is None and _alive(folder):
            return Report("running")
        code = _number(folder / "exit")  # it may have ended between the two looks
        return Report("lost") if code is None else Report("exited", code, _tail(folder / "stderr"))

    def stop(self, key: str) -> None:
        pid = _owner(self.folder(key))
        process = self._processes.get(key)
        group = process.pid if process is not None else pid
        if group is not None and (process is not None or _alive(self.folder(key))):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if process is not None:
            process.wait()

    def _out(self, location: str) -> bool:
        return any(
            fault.kind == "outage"
            and fault.location == location
            and (not fault.after or fault.after in self._started)
            for fault in self.faults
        )

    def _strikes(self, kind: str, location: str, task: str) -> bool:
        for number, fault in enumerate(self.faults):
            fits = fault.kind == kind and fault.location in ("", location) and fault.task in ("", task)
            if fits and self._used[number] < fault.times:
                self._used[number] += 1
                return True
        return False


def _claimed_by_other(folder: Path) -> bool:
    """Whether a worker has this key; if none has, it is claimed here, so that one that comes late does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "claim").symlink_to("broker")
    except FileExistsError:
        return True
    return False


def _owner(folder: Path) -> int | None:
    """The process that claimed a key; None if no worker did."""
    try:
        return int(os.readlink(folder / "claim"))  # noqa: PTH115 - the number is not a path
    except (OSError, ValueError):
        return None


def _alive(folder: Path) -> bool:
    """Whether the process that claimed a key still runs, and is not another one that got its number."""
    pid = _owner(folder)
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        return str(folder) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-500:].strip()
    except OSError:
        return ""
