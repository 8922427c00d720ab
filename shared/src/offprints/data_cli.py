"""The command `offprints-data`: list, fetch, verify and find data sets."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from offprints.content import find
from offprints.data import Dataset, data_root, dataset, datasets
from offprints.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, or 2 with one message on stderr when the user can mend it."""
    options = _parser().parse_args(arguments)
    console, errors = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)
    logging.getLogger("offprints").setLevel(
        logging.ERROR
    )  # what goes wrong is said once, by the message below
    try:
        if options.command == "list":
            console.print(_overview(options.root))
            return 0
        one = dataset(options.name)
        if options.command == "path":
            for path in one.locate(options.root).values():
                sys.stdout.write(f"{path}\n")  # for scripts: neither wrapped nor coloured
            return 0
        if options.command == "fetch":
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            with Progress(
                *columns, console=errors, transient=True, disable=not errors.is_terminal
            ) as progress:
                one.fetch(options.root, archive=options.archive, progress=_Bar(progress, one.name))
        console.print(_contents(one, options.root))
        return 0
    except (InputError, OSError) as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        errors.print("stopped; nothing half done was left in place", style="red")
        return 130


def _parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument(
        "--root", type=Path, help="folder of all data sets; default $OFFPRINTS_DATA, else the user cache"
    )
    parser = argparse.ArgumentParser(prog="offprints-data", description="List, fetch and verify data sets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", parents=[root], help="every data set that the installed packages know")
    for name, text in (
        ("fetch", "download what is missing or wrong from the official source"),
        ("verify", "check the content of every file"),
        ("path", "where the files lie, one a line"),
    ):
        command = commands.add_parser(name, parents=[root], help=text)
        command.add_argument("name", metavar="NAME", help="a name that `list` shows")
        if name == "fetch":
            command.add_argument(
                "--from", dest="archive", type=Path, help="an archive or file that you already have"
            )
    return parser


def _overview(root: Path | None) -> Table:
    table = Table(title=f"data sets in {root or data_root()}", title_justify="left")
    for column in ("name", "what", "files", "licence", "here"):
        table.add_column(column)
    for name, one in sorted(datasets().items()):
        here = sum(find(one.directory(root), file.name) is not None for file in one.files)
        state = (
            "yes" if here == len(one.files) else "no" if here == 0 else f"{here} of {len(one.files)} files"
        )
        table.add_row(name, one.title, str(len(one.files)), one.licence, state)
    return table


def _contents(one: Dataset, root: Path | None) -> Table:
    paths, checksums = one.locate(root), one.verify(root)
    table = Table(title=f"{one.name}: every file is as declared", title_justify="left")
    for column in ("file", "sha256 of the content", "checked against", "path"):
        table.add_column(column, overflow="fold")
    for file in one.files:
        table.add_row(file.name, checksums[file.name], file.pinning, str(paths[file.name]))
    return table


class _Bar:
    """A task of a rich progress display with the attributes that pooch's downloaders expect."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None)
        self.total = 0  # pooch sets it when the server has said how long the file is

    def update(self, size: int) -> None:
        self._progress.update(self._task, advance=size, total=self.total or None)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to do: the display ends with the command."""


if __name__ == "__main__":
    raise SystemExit(main())
