"""Runs are killed and resumed; one that is not resumed to the same end, or leaves half a file, is found."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from kills import Broken, difference, main, require_kept, require_same

ROOT = Path(__file__).parents[2]
DEMO = ["--", "device=cpu", "precision=fp32", "threads=1", "steps=12", "pause=0.05", "ballast=200000"]


@pytest.fixture(autouse=True)
def demo_app(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = str(ROOT / "shared" / "tests")
    monkeypatch.setenv("PYTHONPATH", tests, prepend=":")
    monkeypatch.setattr(sys, "path", [tests, *sys.path])
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):  # the command sets them
        monkeypatch.setenv(name, "")


@pytest.mark.slow
def test_a_run_killed_at_random_moments_comes_to_the_same_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record = tmp_path / "kills.json"
    record.write_text('{"zebra": {}}')
    status = main(["demo_app", "--kills", "5", "--by-script", "1", "--record", str(record), *DEMO])
    assert status == 0, caplog.text
    found = json.loads(record.read_text())
    assert list(found) == ["demo_app", "zebra"]
    assert found["demo_app"]["options"] == DEMO[1:]
    for way, kills in {"fork": 5, "script": 1}.items():
        figures = found["demo_app"][way]
        assert figures["kills"] == sum(figures["during"].values()) == kills
        assert figures["failures"] == 0
        assert figures["checked"] == figures["kills"] + figures["chains"] > kills


@pytest.mark.slow
def test_a_run_that_forgets_its_random_state_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("offprints.checkpoint.set_rng_state", lambda *_: None)  # forks take it over
    # So many that some come after the first checkpoint.
    assert main(["demo_app", "--kills", "12", *DEMO]) == 1
    assert "in the unbroken run" in caplog.text


@pytest.mark.slow
def test_a_run_that_cannot_be_resumed_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise ZeroDivisionError("nothing goes on here")

    monkeypatch.setattr("offprints.checkpoint.Checkpoints.load_last", refuse)
    assert main(["demo_app", "--kills", "12", *DEMO]) == 1
    assert "the run ended with status 1" in caplog.text
    assert "nothing goes on here" in caplog.text


def finished(directory: Path, metrics: dict[str, float], rows: str = "1,0.5,0.25\n") -> Path:
    directory.mkdir()
    (directory / "results.json").write_text(json.dumps({"metrics": metrics, "details": {}, "dataset": None}))
    (directory / "metrics.csv").write_text(f"step,seconds,loss\n{rows}")
    return directory


def test_only_times_may_differ_from_the_unbroken_run(tmp_path: Path) -> None:
    unbroken = finished(tmp_path / "unbroken", {"test/mrr": 0.5, "train/seconds": 7})
    same = finished(tmp_path / "same", {"test/mrr": 0.5, "train/seconds": 9}, "1,0.7,0.25\n")
    require_same(same, unbroken)
    (same / ".last.ckpt.tmp").touch()
    with pytest.raises(Broken, match="a write that was cut short left"):
        require_same(same, unbroken)
    worse = finished(tmp_path / "worse", {"test/mrr": 0.4, "train/seconds": 7})
    with pytest.raises(Broken, match=r"metrics\[test/mrr\] is 0.4, and 0.5 in the unbroken run"):
        require_same(worse, unbroken)
    other = finished(tmp_path / "other", {"test/mrr": 0.5, "train/seconds": 7}, "1,0.5,0.3\n")
    with pytest.raises(Broken, match=r"metrics.csv\[0\]\[loss\]"):
        require_same(other, unbroken)
    more = finished(tmp_path / "more", {"test/mrr": 0.5, "train/seconds": 7})
    (more / "curve.png").touch()
    with pytest.raises(Broken, match=r"its files differ .* \['curve.png'\]"):
        require_same(more, unbroken)


def test_the_first_difference_is_named() -> None:
    ours = {"a": [1, {"cpu_seconds": 1, "b": None}]}
    assert difference(ours, {"a": [1, {"cpu_seconds": 2, "b": None}]}, "x") == ""
    assert difference(ours, {"a": [1, {"b": 3}]}, "x") == "x[a][1][b] is None, and 3"
    assert difference(ours, {"a": [1]}, "x").startswith("x[a] is ")
    assert difference({"a": 1}, {}, "x") == "x[a] is 1, and None"


def test_saved_work_that_is_done_again_is_found(tmp_path: Path) -> None:
    directory = finished(tmp_path / "run", {}, "1,0.5,0.25\n2,0.9,0.2\n")
    require_kept(directory, [{"step": "1", "seconds": "0.5", "loss": "0.25"}])
    with pytest.raises(Broken, match="step 2 was saved and then done again"):
        require_kept(directory, [{"step": "2", "seconds": "0.8", "loss": "0.2"}])
    with pytest.raises(Broken, match="step 3 was saved"):
        require_kept(directory, [{"step": "3", "seconds": "1.0", "loss": "0.1"}])
