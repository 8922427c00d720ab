"""What a paper reports (paper.toml), set beside what our runs measured.

From the two kinds of files to a table:

    paper = Paper.read("packages/conve/paper.toml")
    rows = comparison(paper, read_results("packages/conve/results"))
    text = to_markdown(rows)
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table
from rich.text import Text

from offprints.errors import InputError
from offprints.results import RunRecord

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True)
class Elsewhere:
    """A value that others published for the same model and data.

    Attributes:
        value: what they report.
        source: who, such as "LibKGE".
    """

    value: float
    source: str


@dataclass(frozen=True)
class PaperValue:
    """One cell of one table of the paper.

    Attributes:
        table: such as "Table 3".
        experiment: the file of conf/experiment that repeats it.
        dataset: as the paper names it.
        metric: as our runs name it, "test/mrr".
        value: what the paper reports, a fraction and not per cent.
        model: the row of the table.
        source: where the value was read, if not in the paper itself.
        better: what others published for the same cell.
        own: whether the value is no cell of the paper but what follows from it, computed by us as a target.
    """

    table: str
    experiment: str
    dataset: str
    metric: str
    value: float
    model: str = ""
    source: str = ""
    better: tuple[Elsewhere, ...] = ()
    own: bool = False


@dataclass(frozen=True)
class NotRun:
    """Why an experiment has no results."""

    experiment: str
    reason: str


@dataclass(frozen=True)
class Paper:
    """A paper and what its tables say: the content of a package's paper.toml.

    Attributes:
        slug: of the package.
        title: of the paper.
        authors: in the paper's order.
        venue: where it was published.
        year: when.
        claim: what it shows, in one sentence.
        arxiv: its number there; "" if it has none.
        figure: the figure to show for it, relative to the package; "" if none.
        headline: the metric of the main job to show where there is room for one; "" for its first.
        shown: what the README shows of the results, each an experiment and a metric: "umls test/mrr".
        values: the cells of its tables.
        not_run: experiments without results, with the reason.
    """

    slug: str
    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    claim: str
    arxiv: str = ""
    figure: str = ""
    headline: str = ""
    shown: tuple[str, ...] = ()
    values: tuple[PaperValue, ...] = ()
    not_run: tuple[NotRun, ...] = ()

    @classmethod
    def read(cls, path: Path | str) -> Paper:
        """Read a paper.toml: the attributes at the top, [[value]] and [[not_run]] tables below.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: it is no TOML, or a key is missing, unknown or of the wrong type; names the place.
        """
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (
            ValueError,
            RecursionError,
        ) as error:  # no TOML, no UTF-8, a number too long, or nested too deep
            raise InputError(f"{path}: {error}") from error
        values = []
        for number, entry in enumerate(_tables(content, "value", str(path)), 1):
            place = f"{path}: value {number}"
            better = _records(Elsewhere, entry, "better", place)
            values.append(_record(PaperValue, {**entry, "better": better}, place))
        not_run = _records(NotRun, content, "not_run", str(path))
        top = {key: item for key, item in content.items() if key not in ("value", "not_run")}
        return _record(cls, {**top, "values": tuple(values), "not_run": not_run}, str(path))


@dataclass(frozen=True)
class ComparisonRow:
    """A paper's value and what our runs give for it, for a table of any form.

    Attributes:
        paper: title.
        slug: of the package.
        reported: the cell of the paper's table.
        mean: of the measured values over the seeds; NaN if nothing was measured.
        deviation: their sample standard deviation; NaN with fewer than two seeds.
        seeds: the seeds that were measured.
        command: repeats the measurement; "" if nothing was measured.
        note: why there is no measurement; "" if there is one.
    """

    paper: str
    slug: str
    reported: PaperValue
    mean: float
    deviation: float
    seeds: tuple[int, ...]
    command: str
    note: str

    @property
    def paper_value(self) -> str:
        """The paper's value as text, or our target, which says so."""
        return number_text(self.reported.value) + (" (our target)" if self.reported.own else "")

    @property
    def elsewhere(self) -> str:
        """What others published, as text: "0.339 (LibKGE)"."""
        return ", ".join(f"{number_text(item.value)} ({item.source})" for item in self.reported.better)

    @property
    def measured(self) -> str:
        """What we measured as text: mean, deviation and number of seeds, or why there is none."""
        if not self.seeds:
            return self.note
        if math.isnan(self.deviation):
            return f"{number_text(self.mean)} (n=1)"
        return f"{number_text(self.mean)} ± {number_text(self.deviation)} (n={len(self.seeds)})"

    @property
    def difference(self) -> float:
        """Measured minus reported; NaN if nothing was measured."""
        return self.mean - self.reported.value

    def cells(self) -> tuple[str, ...]:
        """The row as text, under `HEADER`."""
        reported = self.reported
        where = f"{reported.table}, {reported.model}" if reported.model else reported.table
        return (
            self.slug,
            where,
            reported.dataset,
            reported.metric,
            self.paper_value,
            self.elsewhere,
            self.measured,
            self.command,
        )


HEADER = (
    "paper",
    "table, row",
    "data",
    "metric",
    "paper's value",
    "published elsewhere",
    "measured here",
    "command",
)


def comparison(paper: Paper, runs: Iterable[RunRecord]) -> list[ComparisonRow]:
    """Set each value of a paper beside the mean over the seeds of the runs of its experiment.

    Args:
        paper: what is reported.
        runs: what was measured; those of other packages and experiments are passed over. Of two runs with one seed the later
            counts.

    Returns:
        One row for each value of the paper, in its order.
    """
    by_experiment: dict[str, dict[int, RunRecord]] = {}
    for run in runs:
        if run.package == paper.slug and run.experiment is not None:
            by_experiment.setdefault(run.experiment, {})[run.seed] = run
    reasons = {entry.experiment: entry.reason for entry in paper.not_run}
    return [
        _row(paper, value, by_experiment.get(value.experiment, {}), reasons.get(value.experiment, ""))
        for value in paper.values
    ]


def number_text(value: float) -> str:
    """A number as the tables print it: 0.325, 0.0021, 4187."""
    return (
        f"{value:.3f}" if 0.1 <= abs(value) < 100 else f"{value:.4f}" if abs(value) < 0.1 else f"{value:.0f}"
    )


def to_markdown(rows: Sequence[ComparisonRow]) -> str:
    """The rows as a Markdown table; commands as code."""
    lines = [_markdown_line(HEADER), _markdown_line(["---"] * len(HEADER))]
    for row in rows:
        *cells, command = (cell.replace("|", "\\|") for cell in row.cells())
        lines.append(_markdown_line([*cells, f"`{command}`" if command else ""]))
    return "\n".join(lines) + "\n"


def to_rich(rows: Sequence[ComparisonRow], title: str = "") -> Table:
    """The rows as a table for the console."""
    table = Table(*HEADER, title=title or None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.cells()))
    return table


def _row(paper: Paper, value: PaperValue, runs: Mapping[int, RunRecord], reason: str) -> ComparisonRow:
    found = {
        seed: run.metrics[value.metric]
        for seed, run in sorted(runs.items())
        if not math.isnan(run.metrics.get(value.metric, math.nan))
    }
    numbers = list(found.values())
    if runs and not numbers:
        note = f"not measured: the runs report no {value.metric}"
    elif not numbers:
        note = f"not run: {reason}" if reason else "not run"
    else:
        note = ""
    return ComparisonRow(
        paper=paper.title,
        slug=paper.slug,
        reported=value,
        mean=statistics.fmean(numbers) if numbers else math.nan,
        deviation=statistics.stdev(numbers) if len(numbers) > 1 else math.nan,
        seeds=tuple(found),
        command=_command([runs[seed] for seed in found]),
        note=note,
    )


_MACHINE = ("device=", "threads=", "progress=")
"""Options that say where and how a run went, not what it was."""


def _command(runs: Sequence[RunRecord]) -> str:
    """The command of one run, or the sweep over the seeds of several that differ in nothing else, or in their machines alone."""
    if len(runs) < 2:
        return runs[0].command if runs else ""
    for left_out in (("seed=",), ("seed=", *_MACHINE)):
        told = {
            tuple(word for word in shlex.split(run.command) if not word.startswith(left_out)) for run in runs
        }
        if len(told) == 1:
            break
    else:
        return runs[0].command
    script, *options = told.pop()
    if script == "torchrun":
        return runs[0].command  # a sweep starts its jobs in one process
    return shlex.join([script, "-m", *options, "seed=" + ",".join(str(run.seed) for run in runs)])


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _tables(content: Mapping[str, Any], key: str, place: str) -> list[dict[str, Any]]:
    entries = content.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{place}: {key} must be a list of tables")
    return entries


def _records(kind: type[T], content: Mapping[str, Any], key: str, place: str) -> tuple[T, ...]:
    return tuple(
        _record(kind, entry, f"{place}: {key} {number}")
        for number, entry in enumerate(_tables(content, key, place), 1)
    )


_TYPES: dict[str, tuple[tuple[type[Any], ...], str]] = {
    "str": ((str,), "a string"),
    "int": ((int,), "a whole number"),
    "float": ((float, int), "a number"),
    "bool": ((bool,), "true or false"),
    "tuple[str, ...]": ((list,), "a list of strings"),
}


def _record(kind: type[T], content: Mapping[str, Any], place: str) -> T:
    """Make a data class of a TOML table, with every key checked."""
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in content:
        if key not in fields:
            raise InputError(f"{place}: unknown key {key!r}; valid: {', '.join(fields)}")
    for name, field in fields.items():
        if name not in content:
            if field.default is dataclasses.MISSING:
                raise InputError(f"{place}: {name} is missing")
            continue
        value = content[name]
        types, words = _TYPES.get(str(field.type), ((type(value),), ""))
        # By the type itself, as TOML has it: to isinstance a truth would be a number.
        if type(value) not in types or (
            types == (list,) and not all(isinstance(item, str) for item in value)
        ):
            raise InputError(f"{place}: {name} is {value!r}, but has to be {words}")
        if isinstance(content[name], float) and not math.isfinite(content[name]):
            raise InputError(f"{place}: {name} is {content[name]}, which is no number of a table")
    return kind(**{key: tuple(item) if isinstance(item, list) else item for key, item in content.items()})
