"""The report shows what results.json and paper.toml hold, in one file that needs no other."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from rich.console import Console

from offprints.errors import InputError
from offprints.hardware import Hardware
from offprints.results import DatasetRecord, RunRecord, write_results

from report import WIDE, card, main, number, render, table

PAPER = """
slug = "one"
title = "One <Paper> & Its Title"
authors = ["A. Author", "B. Author"]
venue = "ICML"
year = 2021
arxiv = "2101.00001"
claim = "Numbers are < numerals."
figure = "results/curve.png"

[[value]]
table = "Table 1"
experiment = "umls"
dataset = "UMLS"
metric = "test/mrr"
value = 0.94
model = "Net"
better = [{value = 0.957, source = "Others 2020"}]

[[value]]
table = "Table 1"
experiment = "umls"
dataset = "UMLS"
metric = "test/hits@10"
value = 0.99
model = "Net"

[[value]]
table = "Table 2"
experiment = "fb15k"
dataset = "FB15k"
metric = "test/mrr"
value = 0.657

[[not_run]]
experiment = "fb15k"
reason = "the data is not public"
"""
CAPTIONS = ["MRR, epoch by epoch (committed runs)", "Loss & error by step (main job)"]
RUN = RunRecord(
    package="one",
    version="0.1.0",
    experiment="umls",
    task="train",
    dataset=DatasetRecord("umls", {}),
    seed=1,
    metrics={"test/mrr": 0.9, "test/hits@10": 0.98},
    config={},
    commit=None,
    hardware=Hardware(cpu="a CPU", threads=2, gpu=None),
    seconds=41.0,
    peak_memory_mb=800.0,
    command="one experiment=umls seed=1",
)


def draw(path: Path, caption: str = "", width: int = 1) -> None:
    """Write a white PNG, with a caption as `Run.figure` writes it."""
    said = PngImagePlugin.PngInfo()
    if caption:
        said.add_text("Description", caption)
    Image.new("RGB", (width, 1), "white").save(path, pnginfo=said)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one package: two committed seeds, a figure, and a demo that has run."""
    package, demo = tmp_path / "packages/one", tmp_path / ".demo/one"
    (package / "results/umls").mkdir(parents=True)
    (demo / "figures").mkdir(parents=True)
    (package / "paper.toml").write_text(PAPER)
    draw(package / "results/curve.png", "MRR, epoch by epoch")
    draw(demo / "figures/loss_by_step.png", "Loss & error by step")
    write_results(package / "results/umls/seed-1.json", RUN)
    second = replace(
        RUN, seed=2, metrics={"test/mrr": 0.92, "test/hits@10": 0.98}, command="one experiment=umls seed=2"
    )
    write_results(package / "results/umls/seed-2.json", second)
    shown = replace(
        RUN,
        experiment=None,
        dataset=DatasetRecord("cldr", {}),
        metrics={"test/mrr": 0.4567, "valid/mrr": 0.5},
        command="one 'hydra.run.dir=/some/where'",
    )
    write_results(demo / "results.json", shown)
    return tmp_path


def test_a_value_of_the_paper_stands_beside_the_mean_over_seeds(root: Path) -> None:
    lines = card(root / "packages/one", root / ".demo/one").lines
    umls = next(line for line in lines if line.data == "UMLS" and line.metric == "test/mrr")
    assert umls.reported == "0.940"
    assert umls.measured.startswith("0.910 ± 0.0141")
    assert "(n=2)" in umls.measured
    assert umls.elsewhere == "0.957 (Others 2020)"
    assert (umls.difference, umls.outcome) == ("−3.2 %", "close")
    assert umls.command == "one -m experiment=umls seed=1,2"


def test_what_was_not_run_says_why(root: Path) -> None:
    lines = card(root / "packages/one", root / ".demo/one").lines
    (missing,) = [line for line in lines if line.data == "FB15k"]
    assert missing.measured == "not run: the data is not public"
    assert missing.command == ""


def test_the_demo_shows_its_test_metrics_and_the_command_without_our_run_directory(root: Path) -> None:
    (line,) = card(root / "packages/one", root / ".demo/one").demo_lines
    assert (line.metric, line.measured, line.data, line.command) == ("test/mrr", "0.457", "cldr", "one")


def test_the_card_says_how_many_values_came_out_and_what_was_not_run(root: Path) -> None:
    found = card(root / "packages/one", root / ".demo/one")
    assert str(found.tally) == "2 of 3 values within 5%; 0 further off; 1 not run"
    assert found.missing == ["1 value not run: the data is not public"]
    page = " ".join(render([found]).split())
    above, figures, _ = page.partition('<div class="figures">')
    assert figures
    assert "2 of 3 values within 5%; 0 further off; 1 not run." in above
    assert "not run: the data is not public" in above
    assert "<b>Table 2</b>: 0 of 1 values within 5%; 0 further off; 1 not run" in page


@pytest.mark.parametrize(("paper", "outcome"), [(0.95, "close"), (0.86, "off"), (0.97, "off")])
def test_a_value_is_off_to_either_side(root: Path, paper: float, outcome: str) -> None:
    (root / "packages/one/paper.toml").write_text(PAPER.replace("value = 0.94\n", f"value = {paper}\n"))
    lines = card(root / "packages/one", root / ".demo/one").lines
    umls = next(line for line in lines if line.data == "UMLS" and line.metric == "test/mrr")
    assert umls.outcome == outcome  # measured: 0.910
    assert umls.difference.startswith("+" if paper < 0.91 else "−")


def test_committed_runs_that_the_paper_has_no_value_for_are_shown(root: Path) -> None:
    (root / "packages/one/results/own").mkdir()
    own = replace(
        RUN, experiment="own", metrics={"test/f1": 0.5, "train/loss": 0.1}, command="one experiment=own"
    )
    write_results(root / "packages/one/results/own/seed-1.json", own)
    found = card(root / "packages/one", root / ".demo/one")
    (line,) = found.more_lines
    assert (line.row, line.metric, line.measured) == ("own", "test/f1", "0.500 (n=1)")
    assert found.tally.all == 3
    assert "1 experiment</summary>" in render([found])


def test_a_paper_may_name_the_value_to_show_of_its_main_job(root: Path) -> None:
    demo = root / ".demo/one"
    shown = replace(RUN, experiment=None, metrics={"test/mrr": 0.4, "test/hits@10": 0.5})
    write_results(demo / "results.json", shown)
    assert card(root / "packages/one", demo).headline.metric == "test/mrr"
    (root / "packages/one/paper.toml").write_text('headline = "test/hits@10"\n' + PAPER)
    assert card(root / "packages/one", demo).headline.metric == "test/hits@10"


def test_a_phone_needs_no_sideways_scrolling(root: Path) -> None:
    page = render([card(root / "packages/one", root / ".demo/one")])
    assert "width=device-width" in page
    assert page.count("<table>") == page.count(
        '<div class="box"><table>'
    )  # a wide table scrolls in its own box
    assert "overflow-x: auto" in page
    body = page.partition("</style>")[2]
    cells = re.findall(r"<td[^>]*>", body)
    assert len(cells) > 20
    assert all(
        "data-name=" in cell for cell in cells
    )  # which stands before it where there is no head of the table
    assert "white-space: nowrap" not in page.partition("<body>")[2]


def test_the_page_is_self_contained(root: Path) -> None:
    page = render([card(root / "packages/one", root / ".demo/one")])
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len([source for source in sources if source.startswith("data:image/png;base64,")]) == 2
    outside = [source for source in sources if not source.startswith(("data:", "#"))]
    assert outside == ["https://arxiv.org/abs/2101.00001"]  # a link to follow, nothing to load
    assert "url(" not in page
    assert "<script" not in page


def test_text_of_a_paper_is_escaped(root: Path) -> None:
    page = render([card(root / "packages/one", root / ".demo/one")])
    assert "One &lt;Paper&gt; &amp; Its Title" in page
    assert "Numbers are &lt; numerals." in page


def test_the_figure_of_the_paper_comes_first(root: Path) -> None:
    figures = card(root / "packages/one", root / ".demo/one").figures
    assert [figure.caption for figure in figures] == CAPTIONS


def test_the_figure_of_the_paper_is_not_shown_once_more_from_the_demo(root: Path) -> None:
    draw(root / ".demo/one/figures/curve.png", "MRR, epoch by epoch")
    figures = card(root / "packages/one", root / ".demo/one").figures
    assert [figure.caption for figure in figures] == CAPTIONS


def test_a_figure_with_several_parts_takes_the_width_of_the_page(root: Path) -> None:
    draw(root / ".demo/one/figures/loss_by_step.png", "Loss & error by step", width=WIDE)
    found = card(root / "packages/one", root / ".demo/one")
    assert [figure.wide for figure in found.figures] == [False, True]
    assert 'alt="Loss &amp; error by step (main job)"' in render([found])


def test_targets_of_ours_are_no_values_of_the_paper(root: Path) -> None:
    paper = root / "packages/one/paper.toml"
    paper.write_text(PAPER.replace('table = "Table 2"', 'table = "theorems"\nown = true'))
    found = card(root / "packages/one", root / ".demo/one")
    assert str(found.tally) == "2 of 2 values within 5%; 0 further off; 0 not run"
    page = " ".join(render([found]).split())
    assert "<b>theorems</b>: 0 of 1 targets of ours within 5%; 0 further off; 1 not run" in page
    assert "0.657 (our target)" in page


@pytest.mark.parametrize("broken", ["no caption", "no PNG"])
def test_a_figure_that_says_nothing_is_named(root: Path, broken: str) -> None:
    path = root / ".demo/one/figures/loss_by_step.png"
    if broken == "no caption":
        draw(path)
    else:
        path.write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="loss_by_step.png: .*(does not say|no PNG)"):
        card(root / "packages/one", root / ".demo/one")


def test_a_paper_without_demo_names_the_command_that_runs_it(root: Path) -> None:
    found = card(root / "packages/one", root / "nowhere")
    assert found.demo is None
    assert "demo(one)" in render([found])


def test_the_terminal_table_has_a_line_for_each_paper(root: Path) -> None:
    screen = Console(file=io.StringIO(), width=160)
    screen.print(table([card(root / "packages/one", root / ".demo/one")]))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(
        r"paper\W+main job, just now\W+the paper's values\W+within 5%\W+further off\W+not run", text
    )
    assert re.search(r"one\W+test/mrr 0.457\W+3\W+2\W+0\W+1\W", text)


def test_main_writes_the_page_and_tells_where(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = root / "report.html"
    assert main(root, page) == 0
    assert f"report: {page}" in capsys.readouterr().out
    assert page.read_text().startswith("<!doctype html>")


def test_what_another_branch_has_left_in_packages_is_no_paper(root: Path) -> None:
    (root / "packages/gone/src/gone/__pycache__").mkdir(parents=True)
    (root / "packages/note.txt").touch()
    assert main(root, root / "report.html") == 0


def test_a_broken_paper_toml_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "packages/one/paper.toml").write_text("slug = 3")
    assert main(root, root / "report.html") == 2
    assert "paper.toml" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4567, "0.457"),
        (1.0, "1.000"),
        (1897.0, "1,897"),
        (4187.25, "4,187.2"),
        (float("nan"), "undefined"),
    ],
)
def test_counts_are_shown_in_full_mean_ranks_to_one_place_and_fractions_to_three(
    value: float, text: str
) -> None:
    assert number(value) == text
