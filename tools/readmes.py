"""The table of results in every package's README: what the paper reports, and what was measured here.

    python tools/readmes.py           writes them; the tests of tools/ hold them to paper.toml and to results/

paper.toml names the rows, as `shown = ["EXPERIMENT METRIC", ...]`. A README is read where no marker is filled in, on GitHub and on the
package index, so that the table has to stand in it.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offprints.errors import InputError
from offprints.paper import ComparisonRow, Paper, PaperValue, comparison
from offprints.results import RunRecord, read_results

from marks import between

HEADER = "| what | metric | paper | measured here | command |\n| --- | --- | --- | --- | --- |\n"
MEANING = re.compile(r"# @package _global_\n# (.+)")


def main(root: Path) -> None:
    """Write the table of every package that names rows."""
    for paper in sorted(root.glob("packages/*/paper.toml")):
        path = paper.parent / "README.md"
        path.write_text(filled(paper.parent), encoding="utf-8")


def filled(package: Path) -> str:
    """The README of a package with its table as it has to be; unchanged if paper.toml names no rows.

    Args:
        package: its folder.

    Raises:
        InputError: paper.toml or a results file is wrong, or a row names what was not measured.
        SystemExit: the README has no place for a table.
    """
    paper, text = Paper.read(package / "paper.toml"), (package / "README.md").read_text(encoding="utf-8")
    if not paper.shown:
        return text
    runs = read_results(package / "results")
    rows = [row_of(name, paper, runs, package) for name in paper.shown]
    return between(text, "measured", HEADER + "".join(rows))


def row_of(name: str, paper: Paper, runs: Sequence[RunRecord], package: Path) -> str:
    """One line of the table.

    Args:
        name: experiment and metric.
        paper: what is reported.
        runs: what was measured.
        package: whose presets say what an experiment is.

    Raises:
        InputError: nothing was measured under this name.
    """
    experiment, _, metric = name.partition(" ")
    reported = [value for value in paper.values if (value.experiment, value.metric) == (experiment, metric)]
    wanted = reported[:1] or [PaperValue("", experiment, "", metric, math.nan)]
    (row,) = comparison(replace(paper, values=tuple(wanted)), runs)
    if not row.seeds:
        raise InputError(
            f"{package / 'paper.toml'}: shown: no committed run of {experiment} reports {metric!r}"
        )
    cells = (
        _what(row, package),
        f"`{metric}`",
        row.paper_value if reported else "–",
        row.measured,
        f"`{row.command}`",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _what(row: ComparisonRow, package: Path) -> str:
    """Model and data, as the paper names them; without a paper's value, the first line of the preset."""
    if row.reported.dataset:
        return ", ".join(filter(None, (row.reported.model, row.reported.dataset)))
    preset = next(package.glob(f"src/*/conf/experiment/{row.reported.experiment}.yaml"))
    found = MEANING.match(preset.read_text(encoding="utf-8"))
    return found[1] if found else row.reported.experiment


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
