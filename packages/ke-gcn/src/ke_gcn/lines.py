"""Lines of UTF-8 text: what ends in a newline, and not in one of the other breaks that str.splitlines sees inside names."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from offprints.content import decoded
from offprints.errors import DataError, MalformedLine

from ke_gcn.pattern import Array


def utf8_lines(raw: bytes, path: str | Path) -> list[str]:
    r"""The lines of a file's content, which end in \n or \r\n.

    Args:
        raw: the content.
        path: of the file, for the message.

    Raises:
        MalformedLine: a line is not UTF-8.
    """
    text = decoded(raw, path).replace("\r\n", "\n").removesuffix("\n")
    return text.split("\n") if text else []


def integer_rows(raw: bytes, path: str | Path, columns: int) -> Array:
    r"""(rows, columns) int64 of lines of whole numbers from 0 on, with tabs between them.

    Args:
        raw: the content.
        path: of the file, for the message.
        columns: how many a line has.

    Raises:
        DataError: a line is no such row.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy's, of a file without rows
            found: Array = np.loadtxt(io.BytesIO(raw), np.int64, delimiter="\t", ndmin=2, comments=None)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: {error}") from error
    if not len(found):
        return np.zeros((0, columns), np.int64)
    if found.shape[1] != columns:
        raise DataError(f"{path}: {found.shape[1]} columns, expected {columns}")
    if found.min() < 0:
        raise DataError(f"{path}: the id {found.min()} is below 0")
    return found


def numbered_names(raw: bytes, path: str | Path) -> dict[int, str]:
    r"""Id -> name of lines of an id, a tab and a name.

    Args:
        raw: the content.
        path: of the file, for the message.

    Raises:
        MalformedLine: a line is not UTF-8, or has no id or no name.
    """
    found: dict[int, str] = {}
    for number, line in enumerate(utf8_lines(raw, path), 1):
        text, tab, name = line.partition("\t")
        if not tab or not text.isascii() or not text.isdecimal() or len(text) > 18:
            raise MalformedLine(path, number, f"expected id<TAB>name, found {line[:80]!r}")
        found[int(text)] = name
    return found
