"""The whole loop through pysc2's test environment: the stand-in is learnt, and the command line trains, goes on and evaluates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from offprints.results import read_result
from offprints.testing import Ended, call

from relational_rl.cli import main
from relational_rl.learner import VTraceOptions
from relational_rl.sc2 import (
    Environments,
    SC2Agent,
    SC2Options,
    SC2Training,
    make_environment,
    play,
)
from relational_rl.sc2.beacon import BeaconRules

RULES = BeaconRules(size=8, radius=1, speed=4.0, steps=20)
NET = SC2Options(
    cells=4, stream=16, embedding=4, vector=[32, 16], memory=16, blocks=1, heads=2, head_dim=8, plane=16, hidden=32, head=32,
    function=8, upward=16,
)  # fmt: skip


def beacons(count: int) -> Environments:
    return Environments(
        [make_environment("MoveToBeacon", "beacon", screen=8, minimap=8, rules=RULES) for _ in range(count)]
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["relational", "control"])
def test_an_agent_learns_to_select_and_to_move(kind: str) -> None:
    """More than twice what random calls come to, on episodes that training has not seen: selecting and moving do that, without a look."""
    torch.manual_seed(0)
    environments, trying = beacons(32), beacons(16)
    agent = SC2Agent(environments.interface, SC2Options(**{**vars(NET), "kind": kind}))
    random = play(None, trying, 160, seed=2**33).metrics()["return"]
    before = play(agent, trying, 80, seed=2**33).metrics()["return"]
    told = VTraceOptions(
        epochs=5, environments=32, unroll=10, unrolls=10, minibatches=1, reward_scale=1.0, learning_rate=0.005, optimizer="adam", epsilon=1e-8,
        reduction="mean", max_grad_norm=40.0, baseline_cost=0.5, entropy_cost=0.003, discount=0.8,
    )  # fmt: skip
    SC2Training(agent, environments, told).fit()
    after = play(agent, trying, 160, seed=2**33).metrics()["return"]
    assert after > 2 * max(random, before)


TINY = (
    "task=sc2", "sc2.env=beacon", "sc2.screen=8", "sc2.minimap=8", "sc2.beacon.radius=1", "sc2.beacon.steps=6", "sc2.model.cells=4",
    "sc2.model.stream=4", "sc2.model.memory=4", "sc2.model.blocks=1", "sc2.model.heads=1", "sc2.model.head_dim=4",
    "sc2.model.hidden=8", "sc2.model.head=8", "sc2.model.plane=4", "sc2.model.upward=4", "sc2.training.epochs=2",
    "sc2.training.environments=2", "sc2.training.unroll=4", "sc2.training.unrolls=2", "sc2.episodes=4", "progress=false",
)  # fmt: skip


def run(folder: Path, *options: str) -> Ended:
    return call(main, "relational-rl", folder, *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    ended = run(folder, *TINY, "sc2.training.evaluate_every=1", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    return folder / "run"


def test_a_run_leaves_scores_beside_the_random_policys(trained: Path) -> None:
    found = read_result(trained / "results.json")
    assert found.task == "sc2" and found.metrics["train/steps"] == 2 * 2 * 4 * 2
    assert {f"{who}/{name}" for who in ("test", "random") for name in ("return", "steps")} <= set(
        found.metrics
    )
    assert found.metrics["test/steps"] == 6
    assert sum(found.details["calls"].values()) == 4 * 6
    assert "valid/return" in found.details["history"][0]
    assert {path.name for path in (trained / "figures").iterdir()} == {"learning.png"}
    assert "stand-in" in (trained / "run.log").read_text()


def test_evaluate_reads_the_run_back_to_the_same_numbers(trained: Path) -> None:
    ended = run(
        trained.parent,
        "task=sc2_evaluate",
        f"checkpoint={trained}",
        "sc2.episodes=4",
        "progress=false",
        "hydra.run.dir=again",
    )
    assert ended.code == 0, ended.err
    again = read_result(trained.parent / "again" / "results.json").metrics
    first = read_result(trained / "results.json").metrics
    assert {name: first[name] for name in again} == again


def test_the_same_seed_gives_the_same_numbers_and_a_resumed_run_too(trained: Path) -> None:
    folder = trained.parent
    for directory, seed in (("same", 0), ("other", 1)):
        options = ("sc2.training.evaluate_every=1", f"seed={seed}", f"hydra.run.dir={directory}")
        assert run(folder, *TINY, *options).code == 0
    metrics = {
        name: json.loads((folder / name / "results.json").read_text())["metrics"]
        for name in ("run", "same", "other")
    }
    assert metrics["run"] == metrics["same"] != metrics["other"]
    (folder / "same" / "results.json").unlink()
    assert run(folder, "resume=same").code == 0
    assert json.loads((folder / "same" / "results.json").read_text())["metrics"] == metrics["run"]


def test_the_test_environment_runs_the_loop_and_says_that_it_pays_nothing(tmp_path: Path) -> None:
    given = [option for option in TINY if "env=" not in option]
    ended = run(tmp_path, *given, "sc2.env=test", "sc2.map=BuildMarines", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["test/return"] == found.metrics["random/return"] == 0
    assert found.metrics["test/steps"] == 10
    assert "not StarCraft II" in (tmp_path / "run" / "run.log").read_text()


def test_without_the_game_an_experiment_says_what_to_set(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    ended = run(tmp_path, "experiment=sc2_defeat_roaches")
    assert ended.code == 2
    assert "SC2PATH is not set" in ended.err and "Traceback" not in ended.err
