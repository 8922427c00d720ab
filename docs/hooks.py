"""Makes the navigation, and the tables that a page asks for with a marker on a line of its own:

    <!-- table: papers -->              the packages of this repository
    <!-- table: results -->             every paper's values beside ours
    <!-- table: results conve -->       those of one paper
    <!-- table: benchmarks -->          every package's timings beside its peers
    <!-- table: benchmarks conve -->    those of one package
    <!-- table: details conve survey leakage -->   a table among the details of one package's run of an experiment

Numbers come from packages/*/paper.toml, packages/*/results/ and packages/*/benchmarks/results.json, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority

from offprints.errors import InputError
from offprints.paper import HEADER, Paper, comparison
from offprints.results import read_results

ROOT = Path(__file__).parents[1]
MARKER = re.compile(r"^<!-- table: (\w+)(?: ([\w-]+))?(?: ([\w-]+) ([\w-]+))? -->$", re.MULTILINE)


@event_priority(100)  # before the plugins look at the configuration
def on_config(config: Any) -> Any:
    """Order the pages; those on papers and on shared are found on disk."""
    docs = Path(config.docs_dir)
    nav: list[dict[str, Any]] = [
        {"Start": "index.md"},
        {"Papers": [{page.stem: f"papers/{page.name}"} for page in sorted(docs.glob("papers/*.md"))]},
        {"Results": "results.md"},
        {"Benchmarks": "benchmarks.md"},
        {"Shared": [f"shared/{page.name}" for page in sorted(docs.glob("shared/*.md"))]},
        {"Architecture": "architecture.md"},
        {"Add a paper": "add-a-paper.md"},
    ]
    config.nav = [entry for entry in nav if all(entry.values())]  # a section without pages is no section
    config.watch += [str(path) for path in ROOT.glob("packages/*/results")]
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put a table in the place of each marker."""
    try:
        return fill(markdown, ROOT)
    except (InputError, FileNotFoundError, ValueError) as error:
        raise PluginError(f"{page.file.src_path}: {error}") from error


def fill(markdown: str, root: Path) -> str:
    """Replace every marker of a page.

    Args:
        markdown: the page.
        root: of the repository.

    Raises:
        ValueError: a marker asks for a table or a package that there is not.
        InputError: a paper.toml or results file is wrong.
    """

    def table(match: re.Match[str]) -> str:
        kind, slug, experiment, name = match.groups()
        folders = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
        if slug is not None:
            folders = [folder for folder in folders if folder.name == slug]
        if kind == "details" and name is not None and folders:
            return details(folders[0] / "results" / experiment, name)
        if kind not in TABLES or name is not None or (slug is not None and not folders):
            raise ValueError(
                f"{match.group()}: there is no such table; tables: {', '.join(TABLES)}, of a package or of all; "
                "details of a package, an experiment and a name"
            )
        return TABLES[kind](folders)

    return MARKER.sub(table, markdown)


def papers(folders: Sequence[Path]) -> str:
    """One line for each package."""
    return grid(
        {
            "package": f"[{paper.slug}](papers/{paper.slug}.md)",
            "paper": paper.title,
            "published": f"{paper.venue} {paper.year}",
            "what it shows": paper.claim,
        }
        for paper in (Paper.read(folder / "paper.toml") for folder in folders)
    )


def results(folders: Sequence[Path]) -> str:
    """Each paper's values beside ours, as offprints.paper compares them."""
    rows = []
    for folder in folders:
        for compared in comparison(Paper.read(folder / "paper.toml"), read_results(folder / "results")):
            row = dict(zip(HEADER, compared.cells(), strict=True))
            name = folder.name if len(folders) > 1 else ""
            rows.append(
                {**row, "paper": name, "command": f"`{compared.command}`" if compared.command else ""}
            )
    return grid(rows)


def benchmarks(folders: Sequence[Path]) -> str:
    """Timings beside the peers; a ratio above 1 says how many times faster ours is."""
    rows = []
    for folder in folders:
        path = folder / "benchmarks" / "results.json"
        for entry in json.loads(path.read_text(encoding="utf-8")) if path.exists() else []:
            rows.append(
                {
                    "package": folder.name if len(folders) > 1 else "",
                    "workload": entry["workload"],
                    "size": f"{entry['size']:,}",
                    "threads": str(entry["threads"]),
                    "ours": seconds(entry["ours_seconds"]),
                    "peer": entry["peer"],
                    "its time": seconds(entry.get("peer_seconds")),
                    "ratio": number(
                        entry.get("ratio"), ".2f" if (entry.get("ratio") or 0) < 10 else ".0f", "×"
                    ),
                    "our memory": number(entry.get("ours_peak_mb"), ".0f", " MB"),
                    "its memory": number(entry.get("peer_peak_mb"), ".0f", " MB"),
                    "of bound": number(entry.get("bound_share"), ".0%"),
                }
            )
    return grid(rows)


def details(folder: Path, name: str) -> str:
    """The rows that the first committed run of an experiment keeps under a name in its details."""
    runs = read_results(folder)
    if runs and name not in runs[0].details:
        raise ValueError(
            f"{folder}: its details have no {name!r}, but {', '.join(runs[0].details) or 'nothing'}"
        )
    return grid(
        {key: cell(value) for key, value in row.items()} for run in runs[:1] for row in run.details[name]
    )


TABLES = {"papers": papers, "results": results, "benchmarks": benchmarks}


def grid(rows: Iterable[Mapping[str, str]]) -> str:
    """A Markdown table of rows with the same keys; a column without content is left out."""
    rows = list(rows)
    if not rows:
        return "*Nothing is committed yet.*\n"
    header = [name for name in rows[0] if any(row[name] for row in rows)]
    lines = [
        header,
        ["---"] * len(header),
        *([row[name].replace("|", "\\|") for name in header] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(value: Any) -> str:
    """A count with its thousands apart, a share with three digits, a name as it is."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def seconds(value: float | None) -> str:
    """A duration with a unit that suits it."""
    if value is None:
        return ""
    scale, unit = (1e6, "µs") if value < 1e-3 else (1e3, "ms") if value < 1 else (1.0, "s")
    return f"{value * scale:.3g} {unit}"


def number(value: float | None, form: str, unit: str = "") -> str:
    """A number, or nothing where none was measured."""
    return "" if value is None else f"{value:{form}}{unit}"
