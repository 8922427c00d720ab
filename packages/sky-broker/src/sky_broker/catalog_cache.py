"""Parsed catalogs as Arrow files that are mapped into memory, one for each content.

A cached table is found by the sha256 of the files that it is of. A file whose path, size, time and inode are those of a file that was read
before has its checksum; any other is read again, which gives its checksum on the way.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import pyarrow as pa
import pyarrow.compute as pc

from offprints.atomic import atomic_write, write_text

from sky_broker.catalog_build import NAMES, NUMBERS, build_table, report_of
from sky_broker.catalog_csv import read_csv

_FORMAT = 1  # counts up when a table is built differently
log = logging.getLogger(__name__)


def cached(files: Mapping[str, Path], as_of: Mapping[str, str], folder: Path | None = None) -> pa.Table:
    """The table of some catalog files, from the cache where it has them.

    Args:
        files: cloud -> file.
        as_of: cloud -> the day of its prices; part of what a table holds.
        folder: of the cache; None takes the user's.

    Returns:
        As `build_table` makes it; read from the cache, its columns lie in the mapped file.

    Raises:
        FileNotFoundError: a file is not there.
        InputError: a file does not read.
    """
    folder = default_folder() if folder is None else folder
    marks = {cloud: _mark(path) for cloud, path in files.items()}
    seen = {cloud: _seen(folder, mark) for cloud, mark in marks.items()}
    if all(seen.values()):
        table = _mapped(folder / _name({cloud: str(sha) for cloud, sha in seen.items()}, as_of))
        if table is not None:
            return table
    parsed = {cloud: read_csv(path) for cloud, path in files.items()}
    table = build_table(parsed, dict(as_of))
    checksums = {cloud: file.sha256 for cloud, file in parsed.items()}
    try:
        with (
            atomic_write(folder / _name(checksums, as_of)) as out,
            pa.ipc.new_file(out, table.schema) as writer,
        ):
            writer.write_table(table)
        for cloud, mark in marks.items():
            write_text(folder / f"{mark}.sha256", checksums[cloud])
    except OSError as error:
        log.warning("the catalog is not kept for the next time: %s", error)
    return table


def default_folder() -> Path:
    """The user's cache folder, below which parsed catalogs lie."""
    return platformdirs.user_cache_path("offprints") / "sky-broker"


def _mark(path: Path) -> str:
    state = path.stat()
    text = json.dumps([str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ino])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _seen(folder: Path, mark: str) -> str | None:
    try:
        return (folder / f"{mark}.sha256").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None


def _name(checksums: Mapping[str, str], as_of: Mapping[str, str]) -> str:
    text = json.dumps([_FORMAT, sorted(checksums.items()), sorted(as_of.items())])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.arrow"


def _mapped(path: Path) -> pa.Table | None:
    if not os.path.exists(path):  # noqa: PTH110 - pathlib asks the system twice
        return None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if tuple(table.column_names) != NAMES + NUMBERS:
            raise pa.ArrowInvalid(f"its columns are {', '.join(table.column_names)}")
        table.validate()
        for name in NAMES:
            _check_codes(name, table[name])
        report_of(table)
        return table
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s is damaged and is made anew: %s", path, error)
        return None


def _check_codes(name: str, column: pa.ChunkedArray) -> None:
    """That every code has its word: one outside the dictionary would be read from other memory.

    Raises:
        ArrowInvalid: the column has no dictionary, a word does not read, or a code has none.
    """
    for chunk in column.chunks:
        if not isinstance(chunk, pa.DictionaryArray) or chunk.null_count:
            raise pa.ArrowInvalid(f"{name} is no column of codes")
        chunk.dictionary.validate(full=True)
        ends = pc.min_max(chunk.indices).as_py()  # a hundredth of what Arrow's full validation takes
        if len(chunk) and not 0 <= ends["min"] <= ends["max"] < len(chunk.dictionary):
            raise pa.ArrowInvalid(f"{name} has a code without a word")
