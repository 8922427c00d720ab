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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import jinja2
from rich.table import Table
from rich.text import Text

from offprints.errors import InputError
from offprints.logging import console
from offprints.paper import ComparisonRow, Paper, comparison
from offprints.results import RunRecord, read_result, read_results

HERE = Path(__file__).parent
NOT_IN_PAPER = "–"


@dataclass(frozen=True)
class Line:
    """One line of a table, as text.

    Attributes:
        paper: slug of the package.
        where: table and row of the paper; "" for data that the paper does not use.
        data: the data set.
        metric: such as "test/mrr".
        reported: the paper's value.
        elsewhere: what others published.
        measured: mean, deviation and number of seeds, or why there is none.
        command: makes the measurement.
        demo: whether it is the main job on embedded data, run just now.
    """

    paper: str
    where: str
    data: str
    metric: str
    reported: str
    elsewhere: str
    measured: str
    command: str
    demo: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture inside the page.

    Attributes:
        name: what it shows.
        uri: the PNG as a data URI.
    """

    name: str
    uri: str


@dataclass(frozen=True)
class Card:
    """All that the page says about one paper.

    Attributes:
        paper: what the paper reports.
        lines: of its table: first those of the demo, then the paper's values in order.
        figures: the paper's own first, then those of the demo.
        demo: the demo's results; None if it has not run.
    """

    paper: Paper
    lines: tuple[Line, ...]
    figures: tuple[Figure, ...]
    demo: RunRecord | None

    @property
    def headlines(self) -> tuple[Line, ...]:
        """The demo's first three lines, and the first measured value of each row of the paper's tables."""
        first: dict[tuple[str, str], Line] = {}
        for line in self.lines:
            if not line.demo and line.command:
                first.setdefault((line.where, line.data), line)
        return (*[line for line in self.lines if line.demo][:3], *first.values())


def main(root: Path, page: Path) -> int:
    """Write the page and print the table.

    Args:
        root: of the repository.
        page: the file to write.

    Returns:
        0, or 2 if a results file or paper.toml is wrong.
    """
    try:
        cards = [
            card(folder, root / ".demo" / folder.name) for folder in sorted((root / "packages").iterdir())
        ]
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
        InputError: paper.toml or a results file is wrong.
    """
    paper = Paper.read(package / "paper.toml")
    run = read_result(demo / "results.json") if (demo / "results.json").exists() else None
    compared = comparison(paper, read_results(package / "results"))
    pictures = [package / paper.figure] if paper.figure else []
    drawn = sorted((demo / "figures").glob("*.png"))
    pictures += [path for path in drawn if path.name != Path(paper.figure).name]
    return Card(
        paper,
        (*(demo_lines(run) if run else ()), *map(compared_line, compared)),
        tuple(figure(path) for path in pictures if path.exists()),
        run,
    )


def demo_lines(run: RunRecord) -> list[Line]:
    """The demo's test metrics, or all of its metrics if it has none of the test split."""
    tested = {name: value for name, value in run.metrics.items() if name.startswith("test/")}
    command = shlex.join(word for word in shlex.split(run.command) if not word.startswith("hydra.run.dir="))
    data = run.dataset.name if run.dataset else ""
    return [
        Line(
            run.package,
            "",
            data,
            name,
            NOT_IN_PAPER,
            "",
            number(value),
            command,
            True,
        )
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
    where = f"{value.table}, {value.model}" if value.model else value.table
    return Line(
        row.slug,
        where,
        value.dataset,
        value.metric,
        row.paper_value,
        row.elsewhere,
        row.measured,
        row.command,
    )


def figure(path: Path) -> Figure:
    """Read a PNG into a data URI; its name is the file's, in words."""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Figure(path.stem.replace("_", " ").replace("-", " "), f"data:image/png;base64,{content}")


def table(cards: Sequence[Card]) -> Table:
    """The headlines of all papers, for the terminal."""
    made = Table(
        "paper",
        "data",
        "metric",
        "paper's value",
        "measured here",
        title="What the papers say, and what we measured",
    )
    for each in cards:
        for line in each.headlines:
            measured = f"{line.measured} (just now)" if line.demo else line.measured
            made.add_row(*map(Text, (line.paper, line.data, line.metric, line.reported, measured)))
        made.add_section()
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
    return environment.get_template("report.html.j2").render(cards=cards, made=made)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One table and one HTML page of what was measured.")
    parser.add_argument("--root", type=Path, default=HERE.parent, help="the repository")
    parser.add_argument(
        "--page", type=Path, help="where the page goes; by default report.html in the repository"
    )
    options = parser.parse_args()
    sys.exit(main(options.root, options.page or options.root / "report.html"))
