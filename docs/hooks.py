"""Makes the navigation, and what a page asks for with a marker on a line of its own:

    <!-- table: papers -->              the packages of this repository
    <!-- table: results -->             every paper's values beside ours
    <!-- table: results conve -->       those of one paper
    <!-- table: runs sky-broker -->     the experiments of a package: which runs are committed, or why there is none
    <!-- table: benchmarks -->          every package's timings beside its peers
    <!-- table: benchmarks conve -->    those of one package
    <!-- table: kills -->               what `nox -s kills` did to every package's main job
    <!-- table: details conve survey leakage -->   a table among the details of one package's run of an experiment
    <!-- table: details conve survey leakage: data set, train -->    some of its columns
    <!-- table: cldr -->                the facts of the embedded knowledge graph
    <!-- cite: conve -->                the BibTeX entries of a paper and of its package

Numbers inside a sentence have markers of their own, see values.py. All come from packages/*/paper.toml, packages/*/results/ and
packages/*/benchmarks/results.json, those of kills from docs/kills.json. Figures lie in packages/*/figures/, and pages link to them there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

from offprints import cldr
from offprints.errors import InputError
from offprints.paper import HEADER, Paper, comparison
from offprints.results import RunRecord, read_results

from citing import citation
from forms import BENCHMARK, seconds
from values import fill_values

ROOT = Path(__file__).parents[1]
MARKER = re.compile(
    r"^<!-- table: (\w+)(?: ([\w-]+))?(?: ([\w-]+) ([\w-]+)(?:: ([^>]+))?)? -->$", re.MULTILINE
)
CITE = re.compile(r"^<!-- cite: ([\w-]+) -->$", re.MULTILINE)
UNKNOWN = re.compile(
    r"^<!-- [\w-]+:(?! (?:begin|end) -->).*-->$", re.MULTILINE
)  # what a tool writes stands between begin and end
FIGURE = re.compile(r"\((?:\.\./)+packages/([\w-]+)/figures/([\w.-]+)\)")


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
        {"What is read from outside": "trust.md"},
        {"Add a paper": "add-a-paper.md"},
        {"Contributing": "contributing.md"},
        {"Licences": "licences.md"},
    ]
    config.nav = [entry for entry in nav if all(entry.values())]  # a section without pages is no section
    config.watch += [str(path) for path in ROOT.glob("packages/*/results")]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Take the packages' figures into the site."""
    for path in sorted(ROOT.glob("packages/*/figures/*.*")):
        target = f"figures/{path.parents[1].name}/{path.name}"
        files.append(File.generated(config, target, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put a table or a number in the place of each marker, and have links to figures point into the site."""
    try:
        up = "../" * page.file.src_uri.count("/")
        return FIGURE.sub(rf"({up}figures/\1/\2)", fill(markdown, ROOT))
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
        kind, slug, experiment, name, columns = match.groups()
        folders = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
        if slug is not None:
            folders = [folder for folder in folders if folder.name == slug]
        if kind == "details" and name is not None and folders:
            return details(folders[0] / "results" / experiment, name, columns)
        if kind not in TABLES or name is not None or (slug is not None and not folders):
            raise ValueError(
                f"{match.group()}: there is no such table; tables: {', '.join(TABLES)}, of a package or of all; "
                "details of a package, an experiment and a name"
            )
        return TABLES[kind](folders)

    def cited(match: re.Match[str]) -> str:
        return citation(root, match.group(1))

    filled = CITE.sub(cited, MARKER.sub(table, markdown))
    if left := UNKNOWN.search(filled):
        raise ValueError(f"{left.group()}: there is no such marker; table and cite are")
    return fill_values(filled, root)


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


def runs(folders: Sequence[Path]) -> str:
    """The experiments whose runs are committed, with the command of the first; then those without, with the reason."""
    rows = []
    for folder in folders:
        name = folder.name if len(folders) > 1 else ""
        by_experiment: dict[str, list[RunRecord]] = {}
        for run in read_results(folder / "results"):
            by_experiment.setdefault(run.experiment or run.task, []).append(run)
        for experiment, found in by_experiment.items():
            first = found[0]
            rows.append((name, experiment, str(len(found)), seconds(first.seconds), f"`{first.command}`", ""))
        for entry in Paper.read(folder / "paper.toml").not_run:
            if entry.experiment not in by_experiment:
                rows.append((name, entry.experiment, "", "", "", entry.reason))
    header = ("package", "experiment", "seeds", "time of the first", "its command", "why not")
    return grid(dict(zip(header, row, strict=True)) for row in rows)


def benchmarks(folders: Sequence[Path]) -> str:
    """Timings beside the peers; a ratio above 1 says how many times faster ours is."""
    rows = []
    for folder in folders:
        path = folder / "benchmarks" / "results.json"
        for entry in json.loads(path.read_text(encoding="utf-8")) if path.exists() else []:
            said = partial(_said, entry)
            rows.append(
                {
                    "package": folder.name if len(folders) > 1 else "",
                    "workload": entry["workload"],
                    "size": f"{entry['size']:,}",
                    "threads": str(entry["threads"]),
                    "ours": said("ours_seconds"),
                    "peer": entry["peer"],
                    "its time": said("peer_seconds"),
                    "ratio": said("ratio"),
                    "our memory": said("ours_peak_mb"),
                    "its memory": said("peer_peak_mb"),
                    "of bound": said("bound_share"),
                }
            )
    return grid(rows)


def _said(entry: Mapping[str, Any], key: str) -> str:
    return BENCHMARK[key](entry.get(key))


def kills(folders: Sequence[Path]) -> str:
    """Runs that were killed with SIGKILL and resumed, by package and by how they were started, and all together."""
    path = folders[0].parents[1] / "docs" / "kills.json" if folders else None
    recorded = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else {}
    ways = {"fork": "fork", "script": "console script"}
    found = [
        (folder.name, way, recorded[folder.name][key])
        for folder in folders
        for key, way in ways.items()
        if key in recorded.get(folder.name, {})
    ]
    figures = {
        "kills": "kills",
        "in_a_write": "in the middle of a write",
        "checked": "directories read",
        "chains": "runs resumed to their end",
        "failures": "failures",
    }
    rows = [
        {"package": name, "started as": way} | {title: f"{told[key]:,}" for key, title in figures.items()}
        for name, way, told in found
    ]
    total = {title: f"{sum(told[key] for _, _, told in found):,}" for key, title in figures.items()}
    return grid([*rows, {"package": "all", "started as": ""} | total] if rows else [])


def details(folder: Path, name: str, columns: str | None = None) -> str:
    """The rows that the first committed run of an experiment keeps under a name in its details, or some of their columns."""
    runs = read_results(folder)
    if runs and name not in runs[0].details:
        raise ValueError(
            f"{folder}: its details have no {name!r}, but {', '.join(runs[0].details) or 'nothing'}"
        )
    rows = [row for run in runs[:1] for row in _rows(run.details[name])]
    wanted = columns.split(", ") if columns else list(rows[0]) if rows else []
    for column in wanted if rows else []:
        if column not in rows[0]:
            raise ValueError(f"{folder}: {name} has no column {column!r}, but {', '.join(rows[0])}")
    return grid({column: cell(row[column]) for column in wanted} for row in rows)


def _rows(table: Any) -> list[Mapping[str, Any]]:
    """A table that was kept row by row, or column by column."""
    if isinstance(table, Mapping):
        return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    return list(table)


def cldr_facts(folders: Sequence[Path]) -> str:
    """The facts of the embedded graph, relation by relation, with the kinds of entities that each joins."""
    graph, counts = cldr.knowledge_graph(), cldr.counts()
    triples = graph.all_triples

    def kinds(entities: Any) -> str:
        return " or ".join(sorted({graph.entities.names[entity].split(":")[0] for entity in entities}))

    rows = []
    for name in counts["all"]:
        own = triples[triples.relation == graph.relations.id(name)]
        parts = {part: counts[part][name] for part in counts}
        rows.append({"head": kinds(own.head), "relation": name, "tail": kinds(own.tail), **parts})
    rows.append(
        {"head": "", "relation": "together", "tail": ""} | {part: counts[part].total() for part in counts}
    )
    return grid({key: cell(value) for key, value in row.items()} for row in rows)


TABLES = {
    "papers": papers,
    "results": results,
    "runs": runs,
    "benchmarks": benchmarks,
    "cldr": cldr_facts,
    "kills": kills,
}


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
    """A count or a large number with its thousands apart, another one with three digits, a name as it is."""
    if value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, float) and abs(value) >= 1000):
        return f"{value:,.0f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
