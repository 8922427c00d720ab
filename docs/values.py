"""The numbers that a sentence asks for, by a marker in its midst:

    {{ measured conve umls test/mrr }}                       the mean over the committed seeds of an experiment
    {{ deviation conve umls test/mrr }}                      their standard deviation
    {{ seeds conve umls }}                                   how many there are
    {{ paper conve umls test/mrr }}                          what paper.toml reports; model=, dataset=, table= tell cells apart
    {{ recorded conve umls config training epochs }}         a value of the results.json files, by the keys that lead to it
    {{ recorded conve survey details leakage "data set=umls" train }}    a row of a list is known by one of its values
    {{ benchmark conve "train fp32" ratio size=14541 threads=1 peer=pykeen }}    a value of benchmarks/results.json

`measured` and `recorded` take seed=N; without it all seeds count, and what is recorded has to be the same for all. `benchmark` is of one
timing, or with pick=least or pick=most of several. The last word may be a format: as=.2f and what else Python has, or as=minutes and as=hours
for seconds. Without one a number looks as it does in the tables.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import shlex
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offprints.paper import Paper
from offprints.results import RunRecord, read_results

from forms import BENCHMARK, plain

# Code is matched first, and left as it is; braces that are no marker come last, and are an error.
MARKER = re.compile(r"(^```.*?^```|`[^`\n]+`)|\{\{\s*([^{}]*?)\s*\}\}|\{\{|\}\}", re.MULTILINE | re.DOTALL)
TIMES = {"minutes": 60, "hours": 3600}


def fill_values(markdown: str, root: Path) -> str:
    """Put a number in the place of each marker.

    Args:
        markdown: the page.
        root: of the repository.

    Raises:
        ValueError: a marker names nothing, or more than one value; the message begins with the marker.
        InputError: a paper.toml or results file is wrong.
    """

    def number(match: re.Match[str]) -> str:
        if match.group(1) is not None:
            return match.group(1)
        if match.group(2) is None:
            rest = markdown[match.start() :].split("\n")[0]
            raise ValueError(f"{rest}: braces that no marker opens or closes")
        try:
            return value(match.group(2), root)
        except ValueError as error:
            raise ValueError(f"{' '.join(match.group().split())}: {error}") from error

    return MARKER.sub(number, markdown)


def value(words: str, root: Path) -> str:
    """The text of one marker, given what stands between its braces."""
    kind, *names = shlex.split(words) or [""]
    if kind not in KINDS:
        raise ValueError(f"there is no {kind!r}, but {', '.join(KINDS)}")
    slug = names.pop(0) if names else ""
    folder = root / "packages" / slug
    if not (folder / "pyproject.toml").exists():
        raise ValueError(f"there is no package {slug!r}")
    form = names.pop()[3:] if names and names[-1].startswith("as=") else ""
    try:
        inspect.signature(KINDS[kind]).bind(folder, *names)
    except TypeError as error:
        raise ValueError(error) from error
    found, text = KINDS[kind](folder, *names)
    if not form:
        return text
    if not isinstance(found, (int, float)):
        raise ValueError(f"as={form} is for numbers, and this is {found!r}")
    return f"{found / TIMES[form]:.0f}" if form in TIMES else f"{found:{form}}"


def measured(folder: Path, experiment: str, metric: str, seed: str = "") -> tuple[float, str]:
    """The mean of a metric over seeds."""
    numbers = _metric(_runs(folder, experiment, seed), metric)
    mean = statistics.fmean(numbers)
    return mean, plain(mean)


def deviation(folder: Path, experiment: str, metric: str) -> tuple[float, str]:
    """The sample standard deviation of a metric over seeds."""
    numbers = _metric(_runs(folder, experiment), metric)
    if len(numbers) < 2:
        raise ValueError("one seed has no deviation")
    spread = statistics.stdev(numbers)
    return spread, plain(spread)


def seeds(folder: Path, experiment: str) -> tuple[int, str]:
    """How many seeds of an experiment are committed."""
    count = len(_runs(folder, experiment))
    return count, plain(count)


def paper(folder: Path, experiment: str, metric: str, *which: str) -> tuple[float, str]:
    """A cell of the paper's tables."""
    cells = [
        cell
        for cell in Paper.read(folder / "paper.toml").values
        if (cell.experiment, cell.metric) == (experiment, metric)
        and all(str(getattr(cell, key, None)) == wanted for key, wanted in _pairs(which))
    ]
    if len(cells) != 1:
        raise ValueError(f"{len(cells)} cells of paper.toml have this name")
    return cells[0].value, plain(float(cells[0].value))


def recorded(folder: Path, experiment: str, *steps: str) -> tuple[Any, str]:
    """A value of results.json; the same for all seeds, or of one."""
    seed = steps[-1] if steps and steps[-1].startswith("seed=") else ""
    steps = steps[:-1] if seed else steps
    found = [_walk(vars(run), steps) for run in _runs(folder, experiment, seed)]
    if any(other != found[0] for other in found):
        raise ValueError(f"the seeds differ: {found}; say of which, seed=N")
    if isinstance(found[0], (Mapping, list)):
        raise ValueError(f"this is no single value; further: {_names(found[0])}")
    return found[0], plain(found[0])


def benchmark(folder: Path, workload: str, key: str, *which: str) -> tuple[Any, str]:
    """A value of one timing, known by its workload or a part of it, a part of its peer, size and threads."""
    entries = json.loads((folder / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    entries = [entry for entry in entries if entry["workload"] == workload] or entries
    wanted = dict(_pairs(which))
    pick = wanted.pop("pick", "")
    matching = [
        entry
        for entry in entries
        if workload in entry["workload"]
        and all(
            part in str(entry.get(name)) if name == "peer" else part == str(entry.get(name))
            for name, part in wanted.items()
        )
        and entry.get(key) is not None
    ]
    if not matching or (len(matching) > 1 and pick not in ("least", "most")):
        raise ValueError(f"{len(matching)} timings have this name and a value for {key!r}")
    found = (max if pick == "most" else min)(entry[key] for entry in matching)
    return found, BENCHMARK.get(key, plain)(found)


KINDS = {
    "measured": measured,
    "deviation": deviation,
    "seeds": seeds,
    "paper": paper,
    "recorded": recorded,
    "benchmark": benchmark,
}


def _runs(folder: Path, experiment: str, seed: str = "") -> list[RunRecord]:
    runs = read_results(folder / "results" / experiment)
    if seed:
        runs = [run for run in runs if f"seed={run.seed}" == seed]
    if not runs:
        raise ValueError(f"no results of {experiment!r} {seed}".rstrip() + " are committed")
    return runs


def _metric(runs: list[RunRecord], name: str) -> list[float]:
    for run in runs:
        if math.isnan(run.metrics.get(name, math.nan)):
            raise ValueError(f"seed {run.seed} has no {name!r}, but {', '.join(sorted(run.metrics))}")
    return [run.metrics[name] for run in runs]


def _pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    for word in words:
        if "=" not in word:
            raise ValueError(f"{word!r} is no key=value")
    return [(word.split("=", 1)[0], word.split("=", 1)[1]) for word in words]


def _walk(found: Any, steps: tuple[str, ...]) -> Any:
    """From one value to another inside it: a key, a place in a list, or key=value for the one row that has it."""
    for step in steps:
        if isinstance(found, list) and step.lstrip("-").isdigit() and -len(found) <= int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, list) and "=" in step:
            key, wanted = step.split("=", 1)
            rows = [row for row in found if isinstance(row, Mapping) and str(row.get(key)) == wanted]
            if len(rows) != 1:
                raise ValueError(f"{len(rows)} rows have {step!r}")
            found = rows[0]
        elif isinstance(found, Mapping) and step in found:
            found = found[step]
        elif hasattr(found, "__dataclass_fields__") and step in vars(found):
            found = vars(found)[step]
        else:
            raise ValueError(f"there is no {step!r}, but {_names(found)}")
    return found


def _names(found: Any) -> str:
    """What a value has inside, for a message."""
    if isinstance(found, Mapping):
        return ", ".join(found)
    return f"{len(found)} rows" if isinstance(found, list) else repr(found)
