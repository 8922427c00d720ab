"""What the tests of several packages need: recorded numbers, a command line called in this process, presets that are read.

A package's conftest.py imports the fixtures it wants by name, which is how pytest finds them there.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Config = TypeVar("Config")
Arrays = dict[str, NDArray[np.generic]]
PATIENCE = 30.0
"""Seconds that a test waits for a thread or an answer that never comes."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """torch on one thread: tests run side by side."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def cuda() -> torch.device:
    """The GPU; skips the test where there is none."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return torch.device("cuda", 0)


def recorded_file(slug: str, name: str) -> Path:
    """$OFFPRINTS_PARITY/<slug>/<name>; skips the test, naming it, where it is not there: reference numbers are not part of a checkout.

    Args:
        slug: of the package.
        name: of the file, with its ending.
    """
    path = Path(os.environ.get("OFFPRINTS_PARITY", "$OFFPRINTS_PARITY")) / slug / name
    if not path.is_file():
        pytest.skip(f"no recorded reference numbers at {path}")
    return path


def recorded(slug: str, name: str) -> Arrays:
    """The arrays of a recorded case; see `recorded_file`.

    Args:
        slug: of the package.
        name: of the file, with its ending.
    """
    with np.load(recorded_file(slug, name), allow_pickle=False) as found:
        return dict(found)


def recorded_cases(slug: str, ending: str = "") -> Any:
    """A fixture `parity`: name -> the arrays of a recorded case of this package; see `recorded_file`.

    Args:
        slug: of the package.
        ending: of all names.
    """

    @pytest.fixture
    def parity() -> Callable[[str], Arrays]:
        return lambda name: recorded(slug, f"{name}{ending}")

    return parity


@pytest.fixture
def data_root() -> Path:
    """The folder of real data; skips the test where there is none."""
    root = os.environ.get("OFFPRINTS_DATA")
    if not root:
        pytest.skip("OFFPRINTS_DATA is not set: no real data to look at")
    return Path(root)


def data_folder(name: str) -> Path:
    """The folder $OFFPRINTS_DATA/<name>; skips the test, naming it, where it is not there: real data are not part of a checkout.

    Args:
        name: of the data set.
    """
    folder = Path(os.environ.get("OFFPRINTS_DATA", "$OFFPRINTS_DATA")) / name
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


class Ended(NamedTuple):
    """How a command line ended.

    Attributes:
        code: exit status.
        out: what it printed.
        err: what it said on standard error.
    """

    code: int
    out: str
    err: str


def call(main: Callable[[], object], script: str, folder: Path, *options: str) -> Ended:
    """Call a console script in a folder, in this process: a new one would spend its time on importing torch.

    Args:
        main: what the script calls.
        script: its name.
        folder: where it is called.
        options: its arguments.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(err),
        contextlib.redirect_stdout(out),
    ):
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", [script, *options])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def metrics_of(run: Path) -> dict[str, float]:
    """What a run measured, by its results.json.

    Args:
        run: its directory.
    """
    found: dict[str, float] = json.loads((run / "results.json").read_text(encoding="utf-8"))["metrics"]
    return found


@contextlib.contextmanager
def listening(server: ThreadingHTTPServer) -> Iterator[int]:
    """Run a server in a thread, and close it; gives its port."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def request(
    port: int, method: str, path: str, body: object = None, raw: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and JSON that a server of this machine answers.

    Args:
        port: its port.
        method: GET or POST.
        path: of the request.
        body: sent as JSON.
        raw: sent as it is, in place of `body`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        sent = raw if raw is not None else None if body is None else json.dumps(body)
        connection.request(method, path, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def until(true: Callable[[], bool]) -> None:
    """Wait for other threads.

    Args:
        true: what they bring about.
    """
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "the other threads never came"
        time.sleep(0.001)


def presets(package: str, config: type[Config]) -> dict[str, Config]:
    """Every experiment of a package as the command composes it, by name; a preset of the paper must not fail at its first use.

    Asserts that each begins with the two lines that Hydra and --help need, that every choice of the other groups can be composed too,
    and that there is an experiment for all that paper.toml and results/ name.

    Args:
        package: import name, of a package that lies in its checkout.
        config: its typed config.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    from offprints.conf_files import conf_folder, config_groups
    from offprints.paper import Paper

    conf = conf_folder(package)
    groups = config_groups(package)
    experiments = groups.pop("experiment")
    ConfigStore.instance().store(name="schema", node=config, provider=package)

    def composed(group: str, choice: str) -> Config:
        made = OmegaConf.to_object(compose("config", overrides=[f"{group}={choice}"]))
        assert isinstance(made, config), f"{group}={choice}"
        return made

    with initialize_config_dir(str(conf), version_base="1.3"):
        for group, choices in groups.items():
            for choice in choices:
                composed(group, choice)
        found = {name: composed("experiment", name) for name in experiments}
    for name in experiments:
        text = (conf / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
        assert text.startswith("# @package _global_\n# "), (
            f"{name}.yaml: a line for Hydra, and one that --help shows"
        )
    root = conf.parents[2]
    paper = Paper.read(root / "paper.toml")
    named = {value.experiment for value in paper.values} | {entry.experiment for entry in paper.not_run}
    named |= {folder.name for folder in root.glob("results/*/")}
    assert named <= found.keys(), f"no experiment is called {', '.join(sorted(named - found.keys()))}"
    return found
