"""Tables of the documentation come from the files that runs and benchmarks leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from offprints import cldr
from offprints.hardware import Hardware
from offprints.results import RunRecord, write_results

from forms import seconds
from hooks import fill, on_page_markdown

PAPER = """
slug = "one"
title = "One | Two"
authors = ["A"]
venue = "ICML"
year = 2021
claim = "It works."

[[value]]
table = "Table 1"
experiment = "umls"
dataset = "UMLS"
metric = "test/mrr"
value = 0.94
"""
BENCHMARK = {
    "workload": "train step",
    "size": 14541,
    "threads": 1,
    "ours_seconds": 0.09,
    "peer": "pykeen 1.11.1",
    "peer_seconds": 3.6,
    "ratio": 40.0,
    "ours_peak_mb": 210,
    "peer_peak_mb": 900,
    "bound_share": 0.4,
    "hardware": "a CPU",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "packages/one"
    (package / "benchmarks").mkdir(parents=True)
    (package / "pyproject.toml").touch()
    (package / "paper.toml").write_text(PAPER)
    (package / "benchmarks/results.json").write_text(json.dumps([BENCHMARK]))
    return tmp_path


def recorded_run(experiment: str, details: dict) -> RunRecord:
    return RunRecord(
        package="one",
        version="1",
        experiment=experiment,
        task=experiment,
        dataset=None,
        seed=1,
        metrics={},
        config={},
        commit=None,
        hardware=Hardware("a CPU", 1, None),
        seconds=1.0,
        peak_memory_mb=1.0,
        command=f"one experiment={experiment}",
        details=details,
    )


def test_a_marker_becomes_the_papers_values(root: Path) -> None:
    page = fill("before\n\n<!-- table: results one -->\n\nafter", root)
    assert page.startswith("before\n")
    assert page.endswith("\nafter")
    assert "| Table 1 | UMLS | test/mrr | 0.940 | not run |" in page


def test_tables_of_several_packages_name_them(root: Path) -> None:
    other = root / "packages/two"
    other.mkdir()
    (other / "pyproject.toml").touch()
    (other / "paper.toml").write_text(PAPER.replace('"one"', '"two"'))
    assert "| two | Table 1 | UMLS | test/mrr | 0.940 | not run |" in fill("<!-- table: results -->", root)
    assert "| two |" not in fill("<!-- table: results one -->", root)


def test_a_benchmark_is_shown_with_units_ratio_and_share_of_the_bound(root: Path) -> None:
    page = fill("<!-- table: benchmarks -->", root)
    row = "| train step | 14,541 | 1 | 90 ms | pykeen 1.11.1 | 3.6 s | 40× | 210 MB | 900 MB | 40% |"
    assert row in page


def test_kills_are_shown_by_package_and_together(root: Path) -> None:
    assert fill("<!-- table: kills -->", root) == "*Nothing is committed yet.*\n"
    figures = {"kills": 1000, "in_a_write": 4, "checked": 1007, "chains": 7, "failures": 0}
    recorded = {
        "one": {"seed": 0, "fork": figures, "script": figures | {"kills": 10}},
        "demo_app": {"fork": figures},
    }
    (root / "docs").mkdir()
    (root / "docs" / "kills.json").write_text(json.dumps(recorded))
    lines = fill("<!-- table: kills -->", root).splitlines()
    assert lines[2:] == [
        "| one | fork | 1,000 | 4 | 1,007 | 7 | 0 |",
        "| one | console script | 10 | 4 | 1,007 | 7 | 0 |",
        "| all |  | 1,010 | 8 | 2,014 | 14 | 0 |",
    ]


def test_a_table_among_the_details_of_a_run(root: Path) -> None:
    marker = "<!-- table: details one survey leakage -->"
    assert "Nothing is committed" in fill(marker, root)
    rows = [
        {"data set": "umls", "facts": 5216, "leaked": 0.6369},
        {"data set": "s1", "facts": 0, "leaked": None},
    ]
    run = recorded_run("survey", {"leakage": rows})
    write_results(root / "packages/one/results/survey/seed-1.json", run)
    lines = fill(marker, root).splitlines()
    assert lines[0] == "| data set | facts | leaked |"
    assert lines[2:] == ["| umls | 5,216 | 0.637 |", "| s1 | 0 |  |"]
    with pytest.raises(ValueError, match="no 'sizes', but leakage"):
        fill("<!-- table: details one survey sizes -->", root)


def test_a_bar_in_a_title_does_not_break_the_table(root: Path) -> None:
    assert "| One \\| Two |" in fill("<!-- table: papers -->", root)


def test_a_package_without_numbers_says_so(root: Path) -> None:
    (root / "packages/one/benchmarks/results.json").unlink()
    assert fill("<!-- table: benchmarks one -->", root) == "*Nothing is committed yet.*\n"


@pytest.mark.parametrize("marker", ["<!-- table: result one -->", "<!-- table: results two -->"])
def test_a_marker_that_names_nothing_is_an_error(root: Path, marker: str) -> None:
    with pytest.raises(ValueError, match="there is no such table"):
        fill(marker, root)


@pytest.mark.parametrize(
    "marker", ["<!-- tabel: results one -->", "<!-- table:results one -->", "<!-- cite: -->"]
)
def test_a_misspelt_marker_is_an_error(root: Path, marker: str) -> None:
    with pytest.raises(ValueError, match="there is no such marker"):
        fill(f"Text.\n\n{marker}\n", root)


def test_a_marker_inside_a_sentence_is_text(root: Path) -> None:
    text = "write `<!-- table: results one -->` on a line of its own"
    assert fill(text, root) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (2.5e-5, "25 µs"), (0.0123, "12.3 ms"), (75.0, "75 s")]
)
def test_durations_have_units(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_the_columns_of_a_table_among_details_can_be_chosen(root: Path) -> None:
    path = root / "packages/one/results/sweep/seed-1.json"
    run = recorded_run("sweep", {"sweep": {"size": [1, 2], "cost": [0.5, 0.25], "home": ["a", "b"]}})
    write_results(path, run)
    page = fill("<!-- table: details one sweep sweep: size, cost -->", root)
    assert page.splitlines() == ["| size | cost |", "| --- | --- |", "| 1 | 0.500 |", "| 2 | 0.250 |"]
    with pytest.raises(ValueError, match="no column 'prize', but size, cost, home"):
        fill("<!-- table: details one sweep sweep: size, prize -->", root)


def test_numbers_in_sentences_are_filled_too(root: Path) -> None:
    assert fill("It is {{ benchmark one train ratio }} faster.", root) == "It is 40× faster."


def test_paper_and_package_are_cited(root: Path) -> None:
    (root / "packages/one/pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (root / "CITATION.cff").write_text('title: "All"\nauthors:\n  - name: "The authors"\n')
    page = fill("<!-- cite: one -->", root)
    assert (
        "@inproceedings{a2021one,\n  title = {{One | Two}},\n  author = {A},\n  booktitle = {ICML}," in page
    )
    assert "  note = {package offprints-one, version 0.2.0}," in page
    assert "arXiv" not in page
    path = root / "packages/one/paper.toml"
    path.write_text(path.read_text().replace("year = 2021", 'year = 2021\narxiv = "1707.01476"'))
    page = fill("<!-- cite: one -->", root)
    assert page.startswith("[arXiv:1707.01476](https://arxiv.org/abs/1707.01476)\n\n```bibtex\n")
    assert "  eprint = {1707.01476}," in page
    with pytest.raises(ValueError, match="no package 'two'"):
        fill("<!-- cite: two -->", root)


@pytest.mark.parametrize(
    ("source", "link"), [("papers/one.md", "../figures/one/it.png"), ("index.md", "figures/one/it.png")]
)
def test_a_link_to_a_figure_of_a_package_points_into_the_site(source: str, link: str) -> None:
    up = "../" * (source.count("/") + 1)
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source, src_path=source))
    assert on_page_markdown(f"![it]({up}packages/one/figures/it.png)", page) == f"![it]({link})"


def test_the_facts_of_the_embedded_graph_are_counted(root: Path) -> None:
    lines = fill("<!-- table: cldr -->", root).splitlines()
    assert lines[0] == "| head | relation | tail | all | train | valid | test |"
    assert lines[-1].startswith(f"|  | together |  | {len(cldr.knowledge_graph().all_triples):,} |")
    assert any(line.startswith("| language | is_written_in | script |") for line in lines)


def test_committed_runs_and_reasons_for_others_are_listed(root: Path) -> None:
    path = root / "packages/one/paper.toml"
    reasons = '[[not_run]]\nexperiment = "{}"\nreason = "it is large"\n'
    path.write_text(path.read_text() + reasons.format("umls") + reasons.format("wn18"))
    write_results(root / "packages/one/results/umls/seed-1.json", recorded_run("umls", {}))
    write_results(root / "packages/one/results/umls/seed-2.json", recorded_run("umls", {}))
    lines = fill("<!-- table: runs one -->", root).splitlines()
    assert lines[0] == "| experiment | seeds | time of the first | its command | why not |"
    assert lines[2:] == ["| umls | 2 | 1 s | `one experiment=umls` |  |", "| wn18 |  |  |  | it is large |"]
