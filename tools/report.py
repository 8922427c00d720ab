"""What the demos and the committed runs measured: one table in the terminal, and one HTML page with a card for each paper.

    python tools/report.py                   reads .demo/ and packages/*/results, writes report.html

The page needs no other file and no network: figures and styles are inside.
"""

from __future__ import annotations

import argparse
import base64
import math
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import jinja2
from PIL import Image, UnidentifiedImageError
from rich.table import Table
from rich.text import Text

from offprints.errors import InputError
from offprints.logging import console
from offprints.paper import ComparisonRow, Paper, PaperValue, comparison
from offprints.results import RunRecord, read_result, read_results

HERE = Path(__file__).parent
NOT_IN_PAPER = "–"


CLOSE = 0.05
"""A measured value is close to the paper's if it differs by at most this share of it."""


WIDE = 1200
"""Pixels from which a figure takes the width of the page."""
SHOWN = 3
"""Metrics of an experiment that the paper has no value for; its results.json has all."""


@dataclass(frozen=True)
class Line:
    """One line of a table, as text.

    Attributes:
        table: of the paper; "" for data that the paper does not use.
        row: of that table; "" if it has no name.
        data: the data set.
        metric: such as "test/mrr".
        reported: the paper's value.
        elsewhere: what others published.
        measured: mean, deviation and number of seeds, or why there is none.
        difference: of the mean from the paper's value, in per cent of that.
        command: makes the measurement.
        outcome: "close", "off" or "missing"; "demo" for the main job on embedded data, run just now; "more" for a committed run that
            no value of the paper belongs to.
        own: whether the value is a target of ours.
    """

    table: str
    row: str
    data: str
    metric: str
    reported: str
    elsewhere: str
    measured: str
    difference: str
    command: str
    outcome: str
    own: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture inside the page.

    Attributes:
        caption: what it shows, and what drew it.
        uri: the PNG as a data URI.
        wide: whether it has several parts and needs the width of the page.
    """

    caption: str
    uri: str
    wide: bool


@dataclass(frozen=True)
class Tally:
    """How many values were measured, and how they came out.

    Attributes:
        close: within `CLOSE` of the value.
        off: further off, to either side.
        missing: not run or not measured.
        what: they are: "values" of the paper, or "targets" of ours.
    """

    close: int
    off: int
    missing: int
    what: str = "values"

    @property
    def all(self) -> int:
        return self.close + self.off + self.missing

    def __str__(self) -> str:
        if not self.all:
            return "No value of the paper to compare with"
        return f"{self.close} of {self.all} {self.what} within {CLOSE:.0%}; {self.off} further off; {self.missing} not run"


@dataclass(frozen=True)
class Card:
    """All that the page says about one paper.

    Attributes:
        paper: what the paper reports.
        lines: of its tables: first those of the demo, then the paper's values in order, then other committed runs.
        figures: the paper's own first, then those of the demo.
        demo: the demo's results; None if it has not run.
    """

    paper: Paper
    lines: tuple[Line, ...]
    figures: tuple[Figure, ...]
    demo: RunRecord | None

    @property
    def demo_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.outcome == "demo")

    @property
    def headline(self) -> Line | None:
        """The demo's value that paper.toml names, or else its first."""
        named = (line for line in self.demo_lines if line.metric == self.paper.headline)
        return next(named, next(iter(self.demo_lines), None))

    @property
    def more_lines(self) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.outcome == "more")

    @property
    def tables(self) -> dict[str, tuple[Line, ...]]:
        """The paper's tables in order, each with its lines."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            if line.table:
                found.setdefault(line.table, []).append(line)
        return {table: tuple(lines) for table, lines in found.items()}

    @property
    def tally(self) -> Tally:
        """Of the paper's values; targets of ours do not count."""
        return tally(line for line in self.lines if not line.own)

    @property
    def missing(self) -> list[str]:
        """What was not run and why: values of the paper's tables by their number, experiments without one by name."""
        values = Counter(line.measured for line in self.lines if line.outcome == "missing")
        found = [f"{count} value{'s' * (count > 1)} {reason}" for reason, count in values.items()]
        known = {value.experiment for value in self.paper.values}
        others: dict[str, list[str]] = {}
        for entry in self.paper.not_run:
            if entry.experiment not in known:
                others.setdefault(entry.reason, []).append(entry.experiment)
        return found + [f"{', '.join(names)} not run: {reason}" for reason, names in others.items()]


def tally(lines: Iterable[Line]) -> Tally:
    """Count how values came out; lines of the demo are passed over.

    Args:
        lines: of one table or of several.
    """
    counted = list(lines)
    count = Counter(line.outcome for line in counted)
    what = "targets of ours" if counted and all(line.own for line in counted) else "values"
    return Tally(count["close"], count["off"], count["missing"], what)


def main(root: Path, page: Path) -> int:
    """Write the page and print the table.

    Args:
        root: of the repository.
        page: the file to write.

    Returns:
        0, or 2 if a results file, a figure or paper.toml is wrong.
    """
    try:
        folders = sorted(path.parent for path in root.glob("packages/*/paper.toml"))
        cards = [card(folder, root / ".demo" / folder.name) for folder in folders]
    except InputError as error:
        console(stderr=True).print(f"[bold red]error[/] {error}", highlight=False, soft_wrap=True)
        return 2
    page.write_text(render(cards), encoding="utf-8")
    screen = console()
    screen.print(table(cards))
    screen.print(Text(f"report: {page}"), soft_wrap=True)
    return 0


def card(package: Path, demo: Path) -> Card:
    """Gather what there is about one paper.

    Args:
        package: its folder.
        demo: run directory of its demo; may be missing.

    Raises:
        InputError: paper.toml, a results file or a figure is wrong.
    """
    paper = Paper.read(package / "paper.toml")
    run = read_result(demo / "results.json") if (demo / "results.json").exists() else None
    runs = read_results(package / "results")
    compared = map(compared_line, comparison(paper, runs))
    others = (more_line(row) for row in comparison(replace(paper, values=unlisted(paper, runs)), runs))
    pictures = [(package / paper.figure, "committed runs")] if paper.figure else []
    drawn = sorted((demo / "figures").glob("*.png"))
    pictures += [(path, "main job") for path in drawn if path.name != Path(paper.figure).name]
    return Card(
        paper,
        (*(demo_lines(run) if run else ()), *compared, *others),
        tuple(figure(path, source) for path, source in pictures if path.exists()),
        run,
    )


def demo_lines(run: RunRecord) -> list[Line]:
    """The demo's test metrics, or all of its metrics if it has none of the test split."""
    tested = {name: value for name, value in run.metrics.items() if name.startswith("test/")}
    command = shlex.join(word for word in shlex.split(run.command) if not word.startswith("hydra.run.dir="))
    data = run.dataset.name if run.dataset else ""
    return [
        Line("", "", data, name, NOT_IN_PAPER, "", number(value), "", command, "demo")
        for name, value in (tested or run.metrics).items()
    ]


def number(value: float) -> str:
    """A measured value: counts in full, mean ranks and the like to one place, fractions to three."""
    if math.isnan(value):
        return "undefined"
    if value.is_integer() and abs(value) > 1:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"


def compared_line(row: ComparisonRow) -> Line:
    """A value of the paper beside what was measured."""
    value = row.reported
    if not row.seeds:
        outcome = "missing"
    else:
        outcome = "close" if abs(row.difference) <= CLOSE * abs(value.value) else "off"
    relative = row.difference / abs(value.value) if row.seeds and value.value else math.nan
    return Line(
        value.table,
        value.model,
        value.dataset,
        value.metric,
        row.paper_value,
        row.elsewhere,
        row.measured,
        "" if math.isnan(relative) else f"{relative:+.1%}".replace("-", "−").replace("%", " %"),
        row.command,
        outcome,
        value.own,
    )


def unlisted(paper: Paper, runs: Sequence[RunRecord]) -> tuple[PaperValue, ...]:
    """The first `SHOWN` test metrics, or else metrics, of the experiments that the paper's values do not name; as values without a number.

    Args:
        paper: whose values are known.
        runs: of its package.
    """
    known = {value.experiment for value in paper.values}
    first = {run.experiment: run for run in reversed(runs) if run.experiment not in (None, *known)}
    found = []
    for experiment, run in sorted(first.items(), key=lambda item: str(item[0])):
        tested = [name for name in run.metrics if name.startswith("test/")]
        data = run.dataset.name if run.dataset else ""
        for name in (tested or list(run.metrics))[:SHOWN]:
            found.append(PaperValue("", str(experiment), data, name, math.nan, model=str(experiment)))
    return tuple(found)


def more_line(row: ComparisonRow) -> Line:
    """What was measured where the paper has no value."""
    value = row.reported
    return Line(
        "", value.model, value.dataset, value.metric, NOT_IN_PAPER, "", row.measured, "", row.command, "more"
    )


def figure(path: Path, source: str) -> Figure:
    """Read a PNG into a data URI, and the caption that `Run.figure` gave it.

    Args:
        path: of the PNG.
        source: what drew it.

    Raises:
        InputError: it is no PNG, or has no caption.
    """
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            width, caption = opened.width, opened.info.get("Description")
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: this is no PNG") from error
    if not caption:
        raise InputError(f"{path}: it does not say what it shows; Run.figure writes that into it")
    uri = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    return Figure(f"{caption} ({source})", uri, width >= WIDE)


def table(cards: Sequence[Card]) -> Table:
    """One line for each paper, for the terminal."""
    made = Table(
        "paper",
        "main job, just now",
        "the paper's values",
        f"within {CLOSE:.0%}",
        "further off",
        "not run",
        title="What the papers say, and what we measured",
    )
    for each in cards:
        first = each.headline
        said = f"{first.metric} {first.measured}" if first else "not run"
        count = each.tally
        numbers = (count.all, count.close, count.off, count.missing)
        made.add_row(*map(Text, (each.paper.slug, said, *map(str, numbers))))
    return made


def render(cards: Sequence[Card]) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = datetime.now(tz=timezone.utc).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    return environment.get_template("report.html.j2").render(
        cards=cards, made=made, tally=tally, close=f"{CLOSE:.0%}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One table and one HTML page of what was measured.")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="the repository")
    parser.add_argument(
        "--page", type=Path, help="where the page goes; by default report.html in the repository"
    )
    options = parser.parse_args()
    sys.exit(main(options.root, options.page or options.root / "report.html"))
