"""Tables for a person at a terminal, and as files for whatever reads them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.table import Table

from offprints.atomic import write_text
from offprints.logging import console


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table: names to the left, numbers to the right, three digits behind the point."""
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in table.columns:
        number = pd.api.types.is_numeric_dtype(table[column])
        drawn.add_column(str(column), justify="right" if number else "left", overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(_cell(value) for value in row))
    console().print(drawn)


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table without its index, atomically: between tabs into a .tsv file, between commas into any other.

    Raises:
        OSError: the folder cannot be written or the disk is full.
    """
    separator = "\t" if Path(path).suffix == ".tsv" else ","
    write_text(path, table.to_csv(sep=separator, index=False, lineterminator="\n"))


def _cell(value: object) -> str:
    if isinstance(value, float):
        if value != value:
            return "-"
        return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3f}"
    return str(value)
