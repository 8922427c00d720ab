"""Forks in which a test runs a program: as real to kill as any process, and none has to import torch again."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

import torch


class Fork:
    """`python -m module ...` or a console script, started as a fork of this process; to use like a Popen.

    Args:
        words: the command line.
        output: file that what it prints is added to.

    Raises:
        ValueError: the command line is neither.
    """

    def __init__(self, words: Sequence[str], output: Path) -> None:
        _program(list(words))
        for name in ("offprints.gpu", "lightning_fabric", "hydra"):
            importlib.import_module(name)  # here, once, and not in every fork
        # Where torch sees a GPU, what this process has differentiated keeps a fork from doing so: there it is a new process.
        how = "spawn" if torch.cuda.is_available() else "fork"
        context = multiprocessing.get_context(how)
        self._process = context.Process(target=_run, args=(list(words), output))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        with contextlib.suppress(PermissionError):  # a new process that has begun has done it
            os.setpgid(self.pid, self.pid)  # here and in the fork: neither knows who comes first

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The status with which it ended.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return self.returncode


def _program(words: list[str]) -> tuple[Callable[[], object], list[str]]:
    if words[1:2] == ["-m"]:
        return lambda: runpy.run_module(words[2], run_name="__main__", alter_sys=True), words[2:]
    if scripts := entry_points(group="console_scripts", name=words[0]):
        return next(iter(scripts)).load(), words
    raise ValueError(f"{words[0]} is no console script; give one, or python -m module")


def _run(words: list[str], output: Path) -> None:
    os.setpgid(0, 0)
    main, arguments = _program(words)
    with output.open("a", buffering=1) as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        sys.stdout = sys.stderr = file
        sys.argv = arguments
        main()
