"""What the tests of several packages need: recorded reference numbers, and a command line called in this process.

A package's conftest.py imports the fixtures it wants by name, which is how pytest finds them there.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Arrays = dict[str, NDArray[np.generic]]


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
