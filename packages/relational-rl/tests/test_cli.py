"""The command line, in this process, on the smallest board."""

from __future__ import annotations

from pathlib import Path

import pytest

from offprints.results import read_result
from offprints.testing import Ended, call

from relational_rl import load_levels
from relational_rl.cli import main

TINY = (
    "agents=[relational]",
    "world.size=6",
    "world.solution_lengths=[1]",
    "world.forward=[0]",
    "world.max_steps=20",
    "model.hidden=16",
    "training.epochs=1",
    "training.environments=16",
    "training.rollout=4",
    "training.batch_size=32",
    "evaluation.levels=8",
    "evaluation.choose_levels=4",
    "evaluation.longer=[]",
    "throughput_steps=0",
    "progress=false",
)


def run(folder: Path, *options: str) -> Ended:
    return call(main, "relational-rl", folder, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    ended = run(folder, *TINY, "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    return folder / "run"


def test_the_main_job_leaves_results_and_figures(trained: Path) -> None:
    found = read_result(trained / "results.json")
    assert found.metrics["test/oracle_solved"] == 1
    assert (
        0
        <= found.metrics["test/solved_low"]
        <= found.metrics["test/solved"]
        <= found.metrics["test/solved_high"]
    )
    figures = {path.name for path in (trained / "figures").iterdir()}
    assert figures == {"attention.png", "episode_relational.gif", "learning.png", "levels.png"}


def test_evaluate_reads_the_run_back_to_the_same_numbers(trained: Path) -> None:
    ended = run(trained.parent, "task=evaluate", f"checkpoint={trained}", *TINY, "hydra.run.dir=again")
    assert ended.code == 0, ended.err
    again = read_result(trained.parent / "again" / "results.json").metrics
    assert again["test/solved"] == read_result(trained / "results.json").metrics["test/solved"]


def test_levels_go_into_a_file_that_evaluate_plays(trained: Path) -> None:
    folder = trained.parent
    assert run(folder, "task=levels", *TINY, "levels.count=5", "levels.file=five.npz").code == 0
    assert len(load_levels(folder / "five.npz")) == 5
    ended = run(
        folder,
        "task=evaluate",
        f"checkpoint={trained}",
        *TINY,
        "evaluation.files=[five.npz]",
        "hydra.run.dir=files",
    )
    assert ended.code == 0, ended.err
    found = read_result(folder / "files" / "results.json")
    assert "five/solved" in found.metrics and found.dataset is not None


@pytest.mark.parametrize(
    "options, match",
    [
        (("world.size=5",), "size=5"),
        (("agents=[]",), "agents is empty"),
        (("model.kind=lstm",), "kind='lstm'"),
        (("task=evaluate",), "checkpoint=<run directory>"),
        (("world.sise=8",), "sise"),
        (("task=evaluate", "checkpoint=nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_ends_with_status_2_and_a_message(
    tmp_path: Path, options: tuple[str, ...], match: str
) -> None:
    ended = run(tmp_path, *options)
    assert ended.code == 2
    assert match in ended.err and "Traceback" not in ended.err
