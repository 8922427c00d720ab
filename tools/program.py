"""A package's command line, started as a fork of this process or as its console script, and killed with SIGKILL.

A fork is as real to kill as any process, and none has to import torch again.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """A program that runs."""

    def ended(self) -> int | None:
        """Its exit status, negative after a signal; None while it runs."""

    def wait(self, seconds: float) -> int | None:
        """Its exit status, waited for up to so many seconds."""

    def kill(self) -> int:
        """Send SIGKILL to it and to all that it has started; returns its exit status."""


@dataclass(frozen=True)
class Program:
    """A command line.

    Attributes:
        name: a console script, or a package with a `__main__` whose module `cli` has a `main`.
        options: what is given to a run that begins. One that is resumed has to know them itself.
        forked: started as a fork of this process.
    """

    name: str
    options: Sequence[str] = ()
    forked: bool = True

    def start(self, directory: Path, output: Path) -> Process:
        """Begin a run in a directory, or go on with the one that it holds; what it prints is added to `output`."""
        # Killed before it stored its options, a directory holds no run yet, and the command is given again.
        begun = (directory / "overrides.yaml").exists()
        arguments = [f"resume={directory}"] if begun else [*self.options, f"hydra.run.dir={directory}"]
        output.parent.mkdir(parents=True, exist_ok=True)
        if self.forked:
            return _Fork(self._main(), [self.name, *arguments], output)
        return _Spawned([*self._words(), *arguments], output)

    def preload(self, output: Path) -> None:
        """Import what the run that wrote `output` had imported at its end, so that forks have it from their start.

        Raises:
            RuntimeError: a library has started a thread of Python's, which a fork would not have.
        """
        self._main()
        for name in json.loads(_modules(output).read_text()):
            # Some have names that cannot be imported, such as those that are made at run time; they are made again.
            with suppress(Exception):
                importlib.import_module(name)
        # Allocators may have threads of their own, which they make again in a fork; Python makes none again.
        if threading.active_count() > 1:
            raise RuntimeError(f"{self.name}: what it imports starts threads, and a fork has none of them")

    def _main(self) -> Callable[[], object]:
        for script in entry_points(group="console_scripts", name=self.name):
            found: Callable[[], object] = script.load()
            return found
        main: Callable[[], object] = importlib.import_module(f"{self.name}.cli").main
        return main

    def _words(self) -> list[str]:
        if entry_points(group="console_scripts", name=self.name):
            return [str(Path(sys.executable).with_name(self.name))]
        return [sys.executable, "-m", self.name]


class _Fork:
    def __init__(self, main: Callable[[], object], words: list[str], output: Path) -> None:
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_run, args=(main, words, output))
        self._process.start()
        assert self._process.pid is not None
        with suppress(PermissionError, ProcessLookupError):  # it has its own group, or has ended, already
            os.setpgid(
                self._process.pid, self._process.pid
            )  # here and in the fork: neither knows who is first

    def ended(self) -> int | None:
        return self._process.exitcode

    def wait(self, seconds: float) -> int | None:
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> int:
        assert self._process.pid is not None
        if self._process.exitcode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


class _Spawned:
    def __init__(self, words: list[str], output: Path) -> None:
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                words, stdout=file, stderr=file, cwd=output.parent, start_new_session=True
            )

    def ended(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def kill(self) -> int:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def _run(main: Callable[[], object], words: list[str], output: Path) -> None:
    os.setpgid(0, 0)
    os.chdir(output.parent)
    with output.open("a", buffering=1) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        sys.stdout = sys.stderr = file
        sys.argv = words
        main()
        _modules(output).write_text(json.dumps(list(sys.modules)))


def _modules(output: Path) -> Path:
    """Where a run that has ended leaves the names of what it imported."""
    return output.with_suffix(".modules.json")
