"""A number in a sentence comes from the files that runs and benchmarks leave behind, or the build fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offprints.hardware import Hardware
from offprints.results import RunRecord, write_results

from values import fill_values

PAPER = """
slug = "one"
title = "One"
authors = ["A"]
venue = "ICML"
year = 2021
claim = "It works."
"""
CELL = """
[[value]]
table = "Table 1"
experiment = "umls"
dataset = "UMLS"
model = "{model}"
metric = "test/mrr"
value = {value}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "packages/one"
    (package / "benchmarks").mkdir(parents=True)
    (package / "pyproject.toml").touch()
    (package / "paper.toml").write_text(PAPER + CELL.format(model="ours", value=0.94))
    timing = {"workload": "train step, fp32", "peer": "pykeen 1.11.1", "threads": 1, "ours_seconds": 0.0123}
    timings = [
        {**timing, "size": 10, "ratio": 40.0},
        {**timing, "size": 20, "ratio": 8.2},
        {**timing, "size": 30, "ratio": None},
        {**timing, "workload": "train", "size": 10, "ratio": 3.0},
    ]
    (package / "benchmarks/results.json").write_text(json.dumps(timings))
    for seed, mrr in ((1, 0.25), (2, 0.75)):
        record(
            package,
            "umls",
            seed,
            {"test/mrr": mrr, "test/facts": 12345.0},
            {"rows": [{"data set": "umls", "facts": 5216}, {"data set": "kin", "facts": 3}], "best": seed},
        )
    return tmp_path


def record(package: Path, experiment: str, seed: int, metrics: dict, details: dict) -> None:
    run = RunRecord(
        package="one",
        version="1",
        experiment=experiment,
        task="train",
        dataset=None,
        seed=seed,
        metrics=metrics,
        config={"training": {"epochs": 70}},
        commit=None,
        hardware=Hardware("a CPU", 1, None),
        seconds=5400.0,
        peak_memory_mb=1.0,
        command="one",
        details=details,
    )
    write_results(package / f"results/{experiment}/seed-{seed}.json", run)


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ("measured one umls test/mrr", "0.500"),
        ("measured one umls test/mrr seed=2", "0.750"),
        ("measured one umls test/mrr as=.0%", "50%"),
        ("measured one umls test/facts", "12,345"),
        ("deviation one umls test/mrr", "0.354"),
        ("seeds one umls", "2"),
        ("paper one umls test/mrr", "0.940"),
        ("recorded one umls config training epochs", "70"),
        ("recorded one umls seconds as=hours", "2"),
        ("recorded one umls seconds as=minutes", "90"),
        ('recorded one umls details rows "data set=umls" facts', "5,216"),
        ("recorded one umls details rows 1 facts", "3"),
        ("recorded one umls details best seed=2", "2"),
        ('benchmark one "train step" ratio size=10', "40×"),
        ('benchmark one "train step" ratio peer=pykeen pick=least', "8.20×"),
        ('benchmark one "train step" ratio pick=most as=.1f', "40.0"),
        ('benchmark one "train step" ours_seconds size=20', "12.3 ms"),
        ("benchmark one train ratio size=10", "3.00×"),
    ],
)
def test_a_marker_becomes_its_number(root: Path, marker: str, text: str) -> None:
    assert fill_values(f"It comes to {{{{ {marker} }}}}.", root) == f"It comes to {text}."


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("meassured one umls test/mrr", "no 'meassured', but measured"),
        ("measured two umls test/mrr", "no package 'two'"),
        ("measured one kinship test/mrr", "no results of 'kinship' are committed"),
        ("measured one umls test/mrr seed=3", "no results of 'umls' seed=3"),
        ("measured one umls test/mr", "no 'test/mr', but test/facts, test/mrr"),
        ("measured one", "missing"),
        ("paper one umls test/mr", "0 cells"),
        ("paper one umls test/mrr model=theirs", "0 cells"),
        ("recorded one umls details best", "the seeds differ"),
        ("recorded one umls details rows", "no single value; further: 2 rows"),
        ("recorded one umls details rows facts=7 facts", "0 rows have 'facts=7'"),
        ("recorded one umls config epochs", "no 'epochs', but training"),
        ('benchmark one "train step" ratio', "2 timings"),
        ('benchmark one "train step" ratio size=30', "0 timings"),
        ('benchmark one "eval" ratio pick=least', "0 timings"),
        ("recorded one umls command as=.2f", "as=.2f is for numbers"),
        ("measured one umls test/mrr as=.2q", "format"),
        ("", "there is no ''"),
    ],
)
def test_a_marker_that_names_nothing_or_too_much_is_an_error(root: Path, marker: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        fill_values(f"It comes to {{{{ {marker} }}}}.", root)
    assert str(raised.value).startswith("{{ " + marker)


def test_one_seed_has_no_deviation(root: Path) -> None:
    record(root / "packages/one", "kinship", 1, {"test/mrr": 0.5}, {})
    with pytest.raises(ValueError, match="one seed has no deviation"):
        fill_values("{{ deviation one kinship test/mrr }}", root)


def test_two_cells_of_the_paper_are_told_apart_by_their_model(root: Path) -> None:
    path = root / "packages/one/paper.toml"
    path.write_text(path.read_text() + CELL.format(model="theirs", value=0.5))
    with pytest.raises(ValueError, match="2 cells"):
        fill_values("{{ paper one umls test/mrr }}", root)
    assert fill_values("{{ paper one umls test/mrr model=theirs }}", root) == "0.500"


def test_a_marker_may_go_over_two_lines_and_stand_in_a_table(root: Path) -> None:
    assert fill_values("| {{ measured one\numls test/mrr }} |", root) == "| 0.500 |"


@pytest.mark.parametrize("text", ["{{ seeds one umls }", "{ seeds one umls }}", "{{ seeds {one} umls }}"])
def test_braces_that_are_no_marker_are_an_error(root: Path, text: str) -> None:
    with pytest.raises(ValueError, match="braces that no marker opens or closes"):
        fill_values(f"It comes to {text}.", root)


@pytest.mark.parametrize("text", ["write `{{ seeds one x }}` there", "```text\n{{ seeds one x }}\n```\n"])
def test_code_is_left_as_it_is(root: Path, text: str) -> None:
    assert fill_values(text, root) == text
