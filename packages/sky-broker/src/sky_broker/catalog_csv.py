"""SkyPilot's catalog files: one CSV of machines and prices for each cloud, read in blocks, with what is wrong in them counted.

Rows may be ragged: where the last column is text, "V1,V2" without quotes makes a field too many. Such a row is repaired only if every part
of the surplus stands alone in the last column of other rows; anything else ends with the number of the line. A file is never held in
memory as a whole, so that a catalog of half a million rows takes little more than its table does.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv

from offprints.content import decoded, unpacking
from offprints.errors import InputError, MalformedLine
from offprints.user_errors import closest

COLUMNS = {
    "InstanceType": pa.dictionary(pa.int32(), pa.string()),
    "AcceleratorName": pa.dictionary(pa.int32(), pa.string()),
    "AcceleratorCount": pa.float32(),
    "vCPUs": pa.float32(),
    "MemoryGiB": pa.float32(),
    "Price": pa.float64(),
    "SpotPrice": pa.float64(),
    "Region": pa.dictionary(pa.int32(), pa.string()),
}
_ZONE = "AvailabilityZone"
_BLOCK = 1 << 22
_PATTERNS = 100  # so many different surpluses are an odd file, and not one column without quotes


@dataclass
class CsvFile:
    """What was read from one file.

    Attributes:
        path: of the file.
        table: the columns of COLUMNS, AvailabilityZone where there is one.
        sha256: of its uncompressed content.
        rows: without the header.
        repaired: rows whose last column had lost its quotes.
    """

    path: Path
    table: pa.Table
    sha256: str
    rows: int
    repaired: int


def read_csv(path: Path) -> CsvFile:
    """Read one catalog file, plain or gzip.

    Args:
        path: of the file; a name that ends in .gz is unpacked.

    Returns:
        The table and what was mended.

    Raises:
        MalformedLine: a row has too few fields, or too many that cannot be told apart; a number does not read.
        InputError: a column is missing, or the file is empty.
        FileNotFoundError: there is no such file.
        CorruptFile: a gzip file is truncated or damaged.
    """
    with unpacking(path), _opened(path) as stream:
        reader = _Reader(path, stream)
        table = reader.table()
    return CsvFile(path, table, reader.digest.hexdigest(), table.num_rows, reader.repaired)


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


@dataclass
class _Reader:
    path: Path
    stream: BinaryIO
    repaired: int = 0
    tails: dict[bytes, int] = field(default_factory=dict)  # surplus -> the line that it was first seen in
    parsed: int = 0  # bytes before the block at hand

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()
        header = self.stream.readline()
        self.digest.update(header)
        self.parsed = len(header)
        self.carriage = header.endswith(b"\r\n")
        names = decoded(header, self.path).removeprefix("\ufeff").split(",")
        self.header = [name.strip().strip('"') for name in names]
        if header.strip() == b"":
            raise InputError(f"{self.path} is empty; its first line has to name the columns")
        absent = [name for name in COLUMNS if name not in self.header]
        if absent:
            raise InputError(f"{self.path}: no column {absent[0]}{closest(absent[0], self.header)}")
        if len(set(self.header)) != len(self.header):
            raise InputError(f"{self.path}: a column stands twice in {', '.join(self.header)}")

    def table(self) -> pa.Table:
        tables = [self._parsed(block) for block in self._blocks()]
        if not tables:
            raise InputError(f"{self.path} has no rows")
        table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        self._check_tails(table)
        kept = [name for name in (*COLUMNS, _ZONE) if name in table.column_names]
        return table.select(kept)

    def _blocks(self) -> Iterator[bytes]:
        rest = b""
        while chunk := self.stream.read(_BLOCK):
            self.digest.update(chunk)
            end = chunk.rfind(b"\n") + 1
            if end:
                block = rest + chunk[:end]
                yield block.replace(b"\r\n", b"\n") if self.carriage else block
                self.parsed += len(block)
                rest = chunk[end:]
            else:
                rest += chunk
        if rest.strip():
            yield rest + b"\n"

    def _parsed(self, block: bytes) -> pa.Table:
        whole = block
        while True:
            block, repaired = whole, 0
            for tail in self.tails:
                ending = b"," + tail + b"\n"
                quoted = block.replace(ending, b',"' + tail + b'"\n')
                repaired += (len(quoted) - len(block)) // 2  # two quotes each
                block = quoted
            odd: list[tuple[int, str, int]] = []
            try:
                table = pa_csv.read_csv(
                    pa.BufferReader(block), self._read(block), self._parse(odd), self._convert()
                )
                self.repaired += repaired
                return table
            except pa.ArrowInvalid as error:
                if not odd:
                    raise self._malformed(error) from None
                self._learn(*odd[0])

    def _read(self, block: bytes) -> pa_csv.ReadOptions:
        # One thread and one block: rows are then numbered, and the result is the same on every machine.
        return pa_csv.ReadOptions(column_names=self.header, use_threads=False, block_size=len(block) + 1)

    def _parse(self, odd: list[tuple[int, str, int]]) -> pa_csv.ParseOptions:
        def keep(row: pa_csv.InvalidRow) -> str:
            odd.append((row.number or 0, row.text, row.actual_columns))
            return "error"

        return pa_csv.ParseOptions(invalid_row_handler=keep)

    def _convert(self) -> pa_csv.ConvertOptions:
        types: dict[str, pa.DataType] = dict(COLUMNS)
        last = self.header[-1]
        for name in {_ZONE, last} & set(self.header):
            types.setdefault(name, pa.dictionary(pa.int32(), pa.string()))
        return pa_csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=["", "nan", "NaN", "None"],
        )

    def _learn(self, number: int, text: str, fields: int) -> None:
        """Take the surplus of a row to belong to the last column, and say so if it cannot."""
        place = self._line() + number - 1
        surplus = fields - len(self.header)
        if surplus < 0:
            raise MalformedLine(
                self.path, place, f"{fields} fields, the header has {len(self.header)}: {text[:120]!r}"
            )
        tail = ",".join(text.rstrip("\r\n").rsplit(",", surplus + 1)[1:])
        known = self.header[-1] in COLUMNS or len(self.tails) >= _PATTERNS
        if known or '"' in tail or tail.encode() in self.tails:
            raise MalformedLine(
                self.path, place, f"{surplus} field(s) more than the header has columns: {text[:120]!r}"
            )
        self.tails[tail.encode()] = place

    def _check_tails(self, table: pa.Table) -> None:
        """A part that the last column never has by itself may belong to a column before it."""
        if not self.tails:
            return
        alone = {value for value in table[self.header[-1]].chunk(0).dictionary.to_pylist() if value}
        for tail, line in self.tails.items():
            for part in tail.decode().split(","):
                if part not in alone:
                    raise MalformedLine(
                        self.path,
                        line,
                        f"too many fields, and {part!r} is no value of {self.header[-1]} elsewhere in the file",
                    )

    def _line(self) -> int:
        """Number of the first line of the block at hand: counted in the file only where a line has to be named."""
        with _opened(self.path) as file:
            return 1 + file.read(self.parsed).count(b"\n")

    def _malformed(self, error: pa.ArrowInvalid) -> MalformedLine | InputError:
        line = self._line()
        found = re.search(r"Row #(\d+): (.*)", str(error))
        if found is None:
            return InputError(f"{self.path}, from line {line} on: {str(error).splitlines()[0]}")
        return MalformedLine(self.path, line + int(found[1]) - 1, found[2])
