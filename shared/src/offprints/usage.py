"""The --help of a package: tasks, experiments, config groups and options with their defaults, read from the package itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from offprints.conf_files import conf_folder, config_groups

_NAMES = 44  # characters for the names of tasks, experiments and options


def show(
    package: str,
    slug: str,
    version: str,
    config: type,
    tasks: Mapping[str, Callable[..., Any]],
    summary: str,
    screen: Console,
) -> None:
    """Print the help.

    Args:
        package: import name.
        slug: name of the console script.
        version: of the package.
        config: its typed config.
        tasks: name -> function.
        summary: one line about the package.
        screen: where to print.
    """
    screen.print(Text.assemble((f"{slug} {version}", "bold"), f"  {summary}"))
    screen.print(f"\nUsage: {slug} [option=value ...]      {slug} -m seed=1,2,3 runs a sweep", markup=False)
    for title, rows in sections(package, config, tasks).items():
        _section(screen, title, rows)
    screen.print(
        "\nresume=<run directory> goes on with an interrupted run; --cfg job shows the config that options make; "
        "--hydra-help tells of Hydra's own options.",
        markup=False,
        highlight=False,
    )


def sections(
    package: str, config: type, tasks: Mapping[str, Callable[..., Any]]
) -> dict[str, dict[str, str]]:
    """What the help lists: title -> name -> meaning, "" where nobody wrote one.

    Args:
        package: import name.
        config: its typed config.
        tasks: name -> function.
    """
    groups = config_groups(package)
    return {
        "Tasks (task=...)": {name: _first_line(function) for name, function in tasks.items()},
        "Experiments (experiment=...)": groups.pop("experiment", {}),
        "Config groups": {f"{group}=": ", ".join(choices) for group, choices in groups.items()},
        "Options": dict(_options(package, config)),
    }


def _section(screen: Console, title: str, rows: Mapping[str, str]) -> None:
    if rows:
        screen.print(Text(f"\n{title}", "bold"))
        screen.print(table(rows))


def table(rows: Mapping[str, str]) -> Table:
    """Names and meanings side by side; a long name, such as a rule as a default, goes on in the next line.

    Args:
        rows: name -> meaning, one or more.
    """
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    width = min(_NAMES, max(map(len, rows)) + 2)
    made.add_column(overflow="fold", min_width=width, max_width=width)
    made.add_column()
    for name, meaning in rows.items():
        made.add_row(Padding(Text(name, overflow="fold"), (0, 0, 0, 2)), Text(meaning))
    return made


def _options(package: str, config: type) -> Iterator[tuple[str, str]]:
    """Each option with its default value, and what its class's docstring says about it."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(conf_folder(package)), version_base="1.3"):
        defaults = OmegaConf.to_container(compose("config"), throw_on_missing=False)
    assert isinstance(defaults, dict)
    yield from _rows(defaults, OmegaConf.structured(config), "", _attributes(config))


def _rows(
    node: dict[Any, Any], schema: Any, prefix: str, meanings: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        child = schema._get_node(key) if schema is not None and key in schema else None
        typed = OmegaConf.get_type(child) if child is not None else None
        if isinstance(value, dict) and value:
            inner = _attributes(typed) if inspect.isclass(typed) else {}
            yield from _rows(value, child if OmegaConf.is_dict(child) else None, f"{prefix}{key}.", inner)
        else:
            shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            yield f"{prefix}{key}={shown}", meanings.get(str(key), "")


def _attributes(config: type) -> dict[str, str]:
    """The Attributes section of a class's docstring and of its bases': name -> first sentence or line."""
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
        # An attribute begins at four spaces; deeper lines go on with it.
        for match in re.finditer(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*)*)", section, re.MULTILINE):
            found[match.group(1)] = " ".join(match.group(2).split()).rstrip(".")
    return found


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0].rstrip(".")
