"""Packages register data sets; the command lists, fetches, verifies and locates them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from toy_data import TEST, TOY, TRAIN, WHOLE, lay

from offprints import data, data_cli
from offprints.data import (
    DataError,
)

OTHER = replace(TOY, title="another toy")
DECLARED = {"one": (TOY, replace(TOY, name="tools")), "two": {"toy": TOY}, "zed": [OTHER]}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:DECLARED", data.ENTRY_POINTS) for name in DECLARED]
    entries.append(EntryPoint("broken", "no_such_module:DATASETS", data.ENTRY_POINTS))
    load = EntryPoint.load
    monkeypatch.setattr(
        EntryPoint, "load", lambda self: load(self) if self.name == "broken" else DECLARED[self.name]
    )
    monkeypatch.setattr(data, "entry_points", lambda group: entries if group == "offprints.datasets" else [])


@pytest.mark.usefixtures("registered")
def test_packages_register_datasets_and_a_broken_package_hides_none() -> None:
    assert data.datasets() == {"toy": TOY, "tools": replace(TOY, name="tools"), "zed:toy": OTHER}
    assert data.dataset("toy") is TOY
    with pytest.raises(DataError, match="no data set is called 'tol'; nearest: to"):
        data.dataset("tol")


@pytest.mark.usefixtures("registered")
def test_command_lists_fetches_verifies_and_locates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]
    assert data_cli.main(["list", *root]) == 0
    assert "Toy facts" in capsys.readouterr().out
    (tmp_path / "mine.tgz").write_bytes(WHOLE)
    assert data_cli.main(["fetch", "toy", "--from", str(tmp_path / "mine.tgz"), *root]) == 0
    assert data_cli.main(["verify", "toy", *root]) == 0
    assert "every file is as declared" in capsys.readouterr().out
    assert data_cli.main(["path", "toy", *root]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/toy/train.txt\n{tmp_path}/toy/test.txt\n"


@pytest.mark.usefixtures("registered")
def test_command_exits_2_with_one_message_for_the_users_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]
    lay(tmp_path, {"train.txt": TRAIN[:-1], "test.txt": TEST})
    (tmp_path / "bad.tgz").write_bytes(WHOLE[:999])
    for arguments, message in (
        (["verify", "toy"], "size of the content of train.txt"),
        (["path", "tools"], "tools: train.txt, test.txt not found"),
        (["verify", "tol"], "no data set is called 'tol'"),
        (["fetch", "toy", "--from", str(tmp_path / "bad.tgz")], "truncated or damaged archive"),
    ):
        assert data_cli.main([*arguments, *root]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert message in err
    with pytest.raises(SystemExit) as caught:
        data_cli.main(["nonsense"])
    assert caught.value.code == 2


def test_command_also_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "offprints.data_cli", "verify", "no such set"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: no data set is called 'no such set'")
