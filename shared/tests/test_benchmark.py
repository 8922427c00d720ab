"""Timings in turn, and the file of a benchmark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from offprints.benchmark import Entry, Timing, compared, in_turn, run


def test_works_take_turns_after_a_warm_up_and_a_look_at_the_memory() -> None:
    calls: list[str] = []
    timings = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    assert calls == ["a", "a", "b", "b", *["a", "b"] * 3]
    assert all(0 <= timing.best <= timing.median for timing in timings.values())


def test_a_repeated_work_follows_itself_and_its_time_is_that_of_one_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    clock = [0.0]
    monkeypatch.setattr("offprints.benchmark.time.perf_counter", lambda: clock[0])

    def work(name: str, seconds: float) -> None:
        calls.append(name)
        clock[0] += seconds

    works = {"slow": lambda: work("slow", 2), "quick": lambda: work("quick", 1)}
    timings = in_turn(works, rounds=2, repeat=3)
    assert calls[-6:] == ["slow"] * 3 + ["quick"] * 3
    assert (timings["slow"].median, timings["quick"].best) == (2, 1)


def test_the_peak_is_what_the_work_takes_and_not_what_stays() -> None:
    stays: list[bytearray] = []

    def work() -> None:
        if not stays:
            stays.append(bytearray(200_000_000))
        bytearray(50_000_000)

    peak = in_turn({"work": work}, rounds=1)["work"].peak_mb
    if peak is None:
        pytest.skip("this system does not tell a peak of memory")
    assert 40 < peak < 150


def test_a_line_has_the_ratio_only_beside_a_peer() -> None:
    ours, its = Timing(0.1, 0.09, 5.0), Timing(0.3, 0.2, None)
    assert compared("train", 10, 1, ours, "peer 1", its, bound_share=0.5)["ratio"] == pytest.approx(3)
    assert compared("train", 10, 1, ours)["ratio"] is None


def test_parts_that_are_not_asked_for_stay_and_lines_are_kept_as_they_come(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    timing = Timing(0.1, 0.1, None)

    def train(options: argparse.Namespace) -> Iterator[Entry]:
        yield compared("train step", 1, options.threads[0], timing)

    def fail(options: argparse.Namespace) -> Iterator[Entry]:
        yield compared("eval", 2, 1, timing)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        run({"train": train, "eval": fail}, None, file, ["--threads", "3"])
    assert [(entry["workload"], entry["threads"]) for entry in json.loads(file.read_text())] == [
        ("train step", 3),
        ("eval", 1),
    ]
    run({"train": train, "eval": fail}, None, file, ["--only", "train", "--threads", "4"])
    assert [(entry["workload"], entry["threads"]) for entry in json.loads(file.read_text())] == [
        ("eval", 1),
        ("train step", 4),
    ]


def test_a_part_that_measures_nothing_here_leaves_the_lines_that_are_there(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    line = compared("gpu epoch", 10, 1, Timing(0.1, 0.1, None))
    run({"gpu": lambda options: iter([line])}, "", file, [])
    before = file.read_text()
    run({"gpu": lambda options: iter(())}, "", file, [])
    assert file.read_text() == before
