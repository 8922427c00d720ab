"""results.json and paper.toml, and the table of both."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from offprints.errors import InputError
from offprints.hardware import Hardware
from offprints.paper import Paper, comparison, to_markdown, to_rich
from offprints.results import DatasetRecord, RunRecord, read_result, read_results, write_results

PAPER = """
slug = "demo"
title = "A Demonstration"
authors = ["A. Author"]
venue = "Journal of Examples"
year = 2020
claim = "Examples help."

[[value]]
table = "Table 1"
model = "Line | curve"
experiment = "fast"
dataset = "LINE"
metric = "test/mrr"
value = 0.325
better = [{ value = 0.339, source = "elsewhere" }]

[[value]]
table = "Table 2"
experiment = "huge"
dataset = "HUGE"
metric = "test/mr"
value = 4187

[[not_run]]
experiment = "huge"
reason = "two weeks of a GPU"
"""


def record(seed: int, mrr: float, experiment: str | None = "fast", package: str = "demo") -> RunRecord:
    return RunRecord(
        package=package,
        version="0.1.0",
        experiment=experiment,
        task="train",
        dataset=DatasetRecord("line", {"train.txt": "ab"}),
        seed=seed,
        metrics={"test/mrr": mrr},
        config={"seed": seed},
        commit=None,
        hardware=Hardware("cpu", 2, None),
        seconds=1.5,
        peak_memory_mb=100.0,
        command=f"demo experiment={experiment} seed={seed}",
        versions={"python": "3.11"},
    )


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    (tmp_path / "paper.toml").write_text(PAPER)
    return Paper.read(tmp_path / "paper.toml")


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = dataclasses.replace(
        record(3, 0.1 + 0.2), details={"per relation": {"r": 1}}, peak_gpu_memory_mb=2.0
    )
    write_results(tmp_path / "seed-3.json", written)
    assert read_result(tmp_path / "seed-3.json") == written


def test_undefined_and_infinite_metrics_stay_valid_json(tmp_path: Path) -> None:
    details = {"per relation": [{"mrr": math.nan, "count": 3, "rows": (0.5, -math.inf)}]}
    write_results(tmp_path / "results.json", dataclasses.replace(record(1, math.inf), details=details))
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert content["metrics"] == {"test/mrr": None}
    assert content["details"] == {"per relation": [{"mrr": None, "count": 3, "rows": [0.5, None]}]}
    assert math.isnan(read_result(tmp_path / "results.json").metrics["test/mrr"])


def test_all_results_below_a_folder_are_read_in_order(tmp_path: Path) -> None:
    write_results(tmp_path / "b" / "seed-1.json", record(1, 0.1))
    write_results(tmp_path / "a" / "run" / "results.json", record(2, 0.2))
    (tmp_path / "other.json").write_text("{}")
    assert [run.seed for run in read_results(tmp_path)] == [2, 1]
    assert read_results(tmp_path / "missing") == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"metrics": 3, "dataset": null}'])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "seed-1.json").write_text(text)
    with pytest.raises(InputError, match=r"seed-1\.json is not a results file"):
        read_results(tmp_path)


def test_measured_is_mean_and_sample_deviation_over_the_seeds(paper: Paper) -> None:
    row = comparison(paper, [record(1, 0.30), record(2, 0.32), record(3, 0.37)])[0]
    assert row.mean == pytest.approx(0.33)
    assert row.deviation == pytest.approx(math.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2))
    assert row.seeds == (1, 2, 3)
    assert row.measured == "0.330 ± 0.0361 (n=3)"
    assert row.difference == pytest.approx(0.005)
    assert row.elsewhere == "0.339 (elsewhere)"
    assert row.command == "demo -m experiment=fast seed=1,2,3"


@pytest.mark.parametrize(
    ("second", "shown"),
    [
        ("demo experiment=fast seed=2 device=cuda", "demo -m experiment=fast seed=1,2"),
        ("demo experiment=fast seed=2 width=3 device=cuda", "demo experiment=fast seed=1 threads=1"),
    ],
)
def test_runs_on_different_machines_have_one_command_and_different_runs_the_first_one_s(
    paper: Paper, second: str, shown: str
) -> None:
    first = dataclasses.replace(record(1, 0.3), command="demo experiment=fast seed=1 threads=1")
    other = dataclasses.replace(record(2, 0.3), command=second)
    assert comparison(paper, [first, other])[0].command == shown


def test_one_seed_has_no_deviation(paper: Paper) -> None:
    row = comparison(paper, [record(4, 0.3)])[0]
    assert row.measured == "0.300 (n=1)"
    assert row.command == "demo experiment=fast seed=4"


def test_the_later_run_of_a_seed_counts(paper: Paper) -> None:
    assert comparison(paper, [record(1, 0.1), record(1, 0.2)])[0].measured == "0.200 (n=1)"


def test_runs_of_others_and_of_no_experiment_do_not_count(paper: Paper) -> None:
    runs = [
        record(1, 0.1, package="other"),
        record(2, 0.1, experiment=None),
        record(3, 0.1, experiment="slow"),
    ]
    assert comparison(paper, runs)[0].measured == "not run"


def test_what_was_not_run_says_why(paper: Paper) -> None:
    assert comparison(paper, [])[1].measured == "not run: two weeks of a GPU"


def test_a_metric_that_the_runs_lack_is_said(paper: Paper) -> None:
    run = dataclasses.replace(record(1, 0.1), metrics={"test/mr": 3.0})
    assert comparison(paper, [run])[0].measured == "not measured: the runs report no test/mrr"
    assert "not measured" in comparison(paper, [record(1, math.nan)])[0].measured


def test_the_table_is_whole_in_markdown_and_on_the_console(paper: Paper) -> None:
    rows = comparison(paper, [record(1, 0.3)])
    lines = to_markdown(rows).splitlines()
    assert len(lines) == 4
    assert lines[2] == (
        "| demo | Table 1, Line \\| curve | LINE | test/mrr | 0.325 | 0.339 (elsewhere) | 0.300 (n=1) "
        "| `demo experiment=fast seed=1` |"
    )
    assert lines[3] == "| demo | Table 2 | HUGE | test/mr | 4187 |  | not run: two weeks of a GPU |  |"
    screen = Console(width=200, record=True, quiet=False)
    with screen.capture() as capture:
        screen.print(to_rich(rows))
    assert "0.339 (elsewhere)" in capture.get()


def test_a_target_of_ours_is_not_said_to_be_the_papers(paper: Paper) -> None:
    ours = replace(paper, values=(replace(paper.values[0], own=True),))
    assert comparison(paper, [])[0].paper_value == "0.325"
    assert comparison(ours, [])[0].paper_value == "0.325 (our target)"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('venue = "Journal of Examples"\n', "", "venue is missing"),
        ("year = 2020", 'year = "2020"', "year is '2020', but has to be a whole number"),
        ("value = 0.325", 'value = "0.325"', "value 1: value is '0.325'"),
        ("value = 0.325", "value = true", "value 1: value is True, but has to be a number"),
        ("value = 0.325", "value = 0.325\nown = 1", "value 1: own is 1, but has to be true or false"),
        ("year = 2020", "year = 2020\nshown = [1]", "shown is [1], but has to be a list of strings"),
        (
            "year = 2020",
            'year = 2020\nshown = "fast test/mrr"',
            "shown is 'fast test/mrr', but has to be a list",
        ),
        ('table = "Table 2"', 'tabel = "Table 2"', "value 2: unknown key 'tabel'"),
        ('source = "elsewhere"', 'by = "elsewhere"', "value 1: better 1: unknown key 'by'"),
        ('reason = "two weeks of a GPU"', "", "not_run 1: reason is missing"),
        ("[[not_run]]", "[not_run]", "not_run must be a list of tables"),
        ('slug = "demo"', "slug = demo", "paper.toml"),
    ],
)
def test_a_mistake_in_paper_toml_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in PAPER
    path = tmp_path / "paper.toml"
    path.write_text(PAPER.replace(old, new))
    with pytest.raises(InputError) as caught:
        Paper.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
