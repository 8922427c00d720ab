"""The tasks on StarCraft II where neither the game nor pysc2 is there; tests_sc2/ has them with pysc2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from offprints.results import read_result
from offprints.testing import Ended, call

from relational_rl.cli import main
from relational_rl.sc2 import MINI_GAMES, Interface, StarCraftUnavailable, load_pysc2, tasks
from relational_rl.sc2.config import SC2Config

EXPERIMENTS = Path(__file__).parents[1] / "src" / "relational_rl" / "conf" / "experiment"


def run(folder: Path, *options: str) -> Ended:
    return call(main, "relational-rl", folder, *options)


@pytest.fixture
def without_pysc2(monkeypatch: pytest.MonkeyPatch):
    """As where the extra is not installed."""
    load_pysc2.cache_clear()
    monkeypatch.setitem(sys.modules, "s2clientprotocol", None)
    monkeypatch.setitem(sys.modules, "pysc2", None)
    yield
    load_pysc2.cache_clear()


def test_without_pysc2_the_message_names_the_extra(tmp_path: Path, without_pysc2) -> None:
    with pytest.raises(StarCraftUnavailable, match=r"offprints-relational-rl\[sc2\]"):
        load_pysc2()
    for options in (("experiment=sc2_move_to_beacon",), ("task=sc2", "sc2.env=test")):
        ended = run(tmp_path, *options)
        assert ended.code == 2
        assert "offprints-relational-rl[sc2]" in ended.err and "Traceback" not in ended.err


def test_a_protobuf_that_refuses_the_protocol_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise TypeError("Descriptors cannot be created directly.")

    load_pysc2.cache_clear()
    monkeypatch.setattr("relational_rl.sc2.library.build_protocol_modules", refused)
    with pytest.raises(StarCraftUnavailable, match=r"Descriptors cannot.*offprints-relational-rl\[sc2\]"):
        load_pysc2()
    load_pysc2.cache_clear()


@pytest.mark.parametrize("options, match", [
    (("sc2.map=Simple64",), "Simple64.*MoveToBeacon"),
    (("sc2.env=mock",), "mock.*game, test, beacon"),
    (("sc2.model.kind=plain",), "kind='plain'"),
    (("sc2.training.unroll=0",), "unroll=0"),
    (("sc2.env=beacon", "sc2.screen=8"), "no room"),
    (("sc2.episode=3",), "sc2.episodes"),
])  # fmt: skip
def test_what_cannot_be_ends_with_status_2_and_a_message(tmp_path: Path, options, match: str) -> None:
    import re

    ended = run(tmp_path, "task=sc2", *options)
    assert ended.code == 2 and "Traceback" not in ended.err
    assert re.search(match, ended.err, re.DOTALL), ended.err


def test_evaluating_nothing_says_so(tmp_path: Path) -> None:
    ended = run(tmp_path, "task=sc2_evaluate")
    assert ended.code == 2 and "checkpoint=<run directory>" in ended.err


def test_there_is_an_experiment_for_both_agents_on_every_map(tmp_path: Path) -> None:
    text = {path.stem: path.read_text() for path in EXPERIMENTS.glob("sc2_*.yaml")}
    for kind in ("relational", "control"):
        named = [stem for stem, content in text.items() if f"the {kind} agent (needs the game)" in content]
        maps = {line.split(": ")[1] for stem in named for line in text[stem].splitlines() if "  map:" in line}
        assert maps == set(MINI_GAMES)
        assert all(("kind: control" in text[stem]) == (kind == "control") for stem in named)


def test_the_reported_scores_are_shown_and_kept(tmp_path: Path) -> None:
    ended = run(tmp_path, "experiment=sc2_published", "hydra.run.dir=run")
    assert ended.code == 0, ended.err
    assert "4906 ?" in ended.out and "736" in ended.out
    found = read_result(tmp_path / "run" / "results.json")
    assert found.metrics["published/cells"] == 55
    assert 0 < found.metrics["published/verified"] < 55
    assert {row["agent"] for row in found.details["scores"]} >= {"relational", "control", "random policy"}


def test_games_end_together_with_the_threads_that_wait_for_them(
    monkeypatch: pytest.MonkeyPatch, sc2_interface: Interface
) -> None:
    closed = []

    class Game:
        interface = sc2_interface

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(tasks, "make_environment", lambda *what, **how: Game())
    with tasks._environments(SC2Config(env="game"), 2, seed=0) as games:
        waiting = games._pool
    assert len(closed) == 2 and waiting is not None
    with pytest.raises(RuntimeError, match="shutdown"):
        waiting.submit(len, ())
