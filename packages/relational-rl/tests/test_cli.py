"""The command line, in this process, on the smallest board."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from offprints.results import read_result
from offprints.testing import Ended, call, presets

from relational_rl import Agent, BoxWorldSpec, Evaluation, evaluate, load_levels, sample_levels, save_levels
from relational_rl.cli import main
from relational_rl.runs import load_agent

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
    "training.evaluate_every=1",
    "reinforcement.epochs=2",
    "reinforcement.environments=8",
    "reinforcement.unroll=5",
    "reinforcement.unrolls=2",
    "reinforcement.evaluate_every=1",
    "reinforcement.value_first=1",
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
    assert found.metrics["test/solved"] == found.metrics["test/solved_after_vtrace"]
    assert found.metrics["check/steps_compared"] > 8
    figures = {path.name for path in (trained / "figures").iterdir()}
    assert figures == {"attention.png", "episode_relational.gif", "learning.png", "levels.png"}


def test_epochs_and_seconds_go_on_from_the_planners_lessons_to_vtrace(trained: Path) -> None:
    history = read_result(trained / "results.json").details["relational"]["history"]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert ["train/entropy" in row for row in history] == [False, True, True]
    seconds = [row["cpu_seconds"] for row in history]
    assert seconds == sorted(seconds)
    with (trained / "metrics.csv").open(encoding="utf-8") as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [1, 2, 3]


def test_evaluate_reads_the_run_back_to_the_same_numbers(trained: Path) -> None:
    ended = run(trained.parent, "task=evaluate", f"checkpoint={trained}", *TINY, "hydra.run.dir=again")
    assert ended.code == 0, ended.err
    again = read_result(trained.parent / "again" / "results.json")
    assert again.metrics["test/solved"] == read_result(trained / "results.json").metrics["test/solved"]
    assert sum(again.details["test"]["solution_lengths"].values()) == 8


def test_a_run_that_was_killed_in_its_second_stage_goes_on_to_the_same_numbers(trained: Path) -> None:
    folder = trained.parent
    shutil.copytree(trained, folder / "killed")
    (folder / "killed" / "results.json").unlink()
    shutil.rmtree(folder / "killed" / "checkpoints" / "relational" / "vtrace")
    ended = run(folder, "resume=killed")
    assert ended.code == 0, ended.err
    for name in ("test/solved", "test/return", "test/solved_after_imitation"):
        metrics = [read_result(folder / which / "results.json").metrics for which in ("run", "killed")]
        assert metrics[0][name] == metrics[1][name]
    old, new = (load_agent(folder / which).agent.state_dict() for which in ("run", "killed"))
    assert all(bool((old[name] == new[name]).all()) for name in old)


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


def test_levels_of_a_file_are_played_in_the_colours_that_are_asked_for(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_levels(
        tmp_path / "mine.npz", sample_levels(BoxWorldSpec(size=6, solution_lengths=(1,), forward=(0,)), 2)
    )
    seen = []

    def noted(agent: Agent, spec: BoxWorldSpec, *rest: object, **options: object) -> Evaluation:
        seen.append(spec.palette)
        return evaluate(agent, spec, *rest, **options)

    monkeypatch.setattr("relational_rl.cli.evaluate", noted)
    asked = (
        "task=evaluate",
        f"checkpoint={trained}",
        "evaluation.files=[mine.npz]",
        "world.palette=distinct",
    )
    ended = run(tmp_path, *asked, "progress=false")
    assert ended.code == 0, ended.err
    assert seen == ["distinct"]


@pytest.mark.real_data
def test_an_agent_of_any_room_is_tried_on_fixed_levels(trained: Path, fixed_levels: Path) -> None:
    ended = run(
        trained.parent, "experiment=fixed_levels", f"checkpoint={trained}", "evaluation.fixed=[length10]",
        "evaluation.at_most=4",
        "hydra.run.dir=fixed", "progress=false",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    found = read_result(trained.parent / "fixed" / "results.json")
    assert found.dataset is not None and found.dataset.name == "length10"
    assert found.details["length10"]["max_steps"] == 300
    assert found.details["length10"]["solution_lengths"]["10"] == 4
    assert 0 <= found.metrics["length10/solved"] <= 1


def test_every_preset_is_one_that_the_command_reads() -> None:
    from relational_rl.config import Config

    assert presets("relational_rl", Config)


@pytest.mark.parametrize("length, steps", [(6, 180), (8, 240), (10, 300)])
def test_longer_solutions_have_a_preset_each(trained: Path, length: int, steps: int) -> None:
    ended = run(
        trained.parent, f"experiment=generalize_{length}", f"checkpoint={trained}", "evaluation.levels=6",
        f"hydra.run.dir=longer{length}", "progress=false",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    found = read_result(trained.parent / f"longer{length}" / "results.json")
    assert found.details["test"]["max_steps"] == steps
    assert found.details["test"]["solution_lengths"][str(length)] == 6
    assert "test/solved" in found.metrics


@pytest.mark.parametrize(
    "name",
    ["boxworld_short", "boxworld_long", "boxworld_backward", "boxworld_withheld", "boxworld_published"],
)
def test_runs_for_a_gpu_start_and_go_on_at_small_scale(tmp_path: Path, name: str) -> None:
    small = (
        "model.hidden=8", "model.head_dim=4", "reinforcement.environments=16", "reinforcement.unroll=3",
        "reinforcement.unrolls=1", "evaluation.levels=2", "evaluation.choose_levels=2", "world.max_steps=10",
        "reinforcement.evaluate_every=2", "evaluation.longer=[]", "progress=false",
    )  # fmt: skip
    ended = run(tmp_path, f"experiment={name}", *small, "reinforcement.epochs=2", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.details["relational"]["best_epoch"] == {"vtrace": 2}
    told = found.config["reinforcement"]  # what suits a trained policy does not suit one that begins
    assert (told["value_first"], told["baseline_cost"]) == (0, 0.5)
    (tmp_path / "run" / "results.json").unlink()
    ended = run(tmp_path, "resume=run", "reinforcement.epochs=4")
    assert ended.code == 0, ended.err
    history = read_result(tmp_path / "run" / "results.json").details["relational"]["history"]
    assert [row["train/steps"] for row in history] == [48, 96, 144, 192]


@pytest.mark.parametrize(
    "options, match",
    [
        (("world.size=5",), "size=5"),
        (("agents=[]",), "agents is empty"),
        (("model.kind=lstm",), "kind='lstm'"),
        (("task=evaluate",), "checkpoint=<run directory>"),
        (("world.sise=8",), "sise"),
        (("task=evaluate", "checkpoint=nowhere"), "nowhere"),
        (("learn=[]",), "learn="),
        (("learn=[imitation,ppo]",), "imitation, vtrace"),
        (("reinforcement.unroll=200", "learn=[vtrace]"), "longer than an episode"),
        (("reinforcement.minibatches=7",), "a divisor of environments"),
        (("precision=fp16", "learn=[vtrace]"), "fp16"),
        (("precision=fp64", "learn=[vtrace]"), "precision=fp64"),
        (("precision=bf16", "learn=[imitation]"), "only V-trace"),
        (("task=levels", "device=cuda"), "computes on the CPU"),
        (("evaluation.levels=0",), "1 or more can be drawn"),
        (("task=levels", "levels.count=0"), "1 or more can be drawn"),
    ],
)
def test_what_cannot_be_ends_with_status_2_and_a_message(
    tmp_path: Path, options: tuple[str, ...], match: str
) -> None:
    small = ("evaluation.levels=2", "throughput_steps=0", "progress=false")
    ended = run(tmp_path, *small, *options)
    assert ended.code == 2
    assert match in ended.err and "Traceback" not in ended.err


def test_fixed_levels_that_are_none_end_with_a_message(trained: Path) -> None:
    ended = run(
        trained.parent,
        "task=evaluate",
        f"checkpoint={trained}",
        "evaluation.fixed=[branch2]",
        "hydra.run.dir=none",
    )
    assert ended.code == 2 and "branch1, branch3" in ended.err
