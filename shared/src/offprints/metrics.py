"""Metrics over the steps of a run: metrics.csv, one row a step, and the same values for TensorBoard.

Our own small writer, because Lightning Fabric's CSV and TensorBoard loggers import torch, which packages without it must not
need, and because they only start files: a resumed run needs its file cut back to the checkpoint and continued.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from offprints.atomic import write_text
from offprints.errors import InputError

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,18}(\.[0-9]+)?")


class MetricsLog:
    """Writes metrics.csv (columns step, seconds, then one per metric as they first appear) and TensorBoard events.

    Values logged for one step in several calls make one row. Rows are flushed as they come, so a kill loses none.

    Args:
        directory: where metrics.csv and the event files go.
        resuming: go on with the metrics.csv that is there.
        write: False keeps everything off the disk (ranks other than 0).

    Attributes:
        latest: the last value of each metric.
    """

    def __init__(self, directory: Path, resuming: bool = False, write: bool = True) -> None:
        self.directory = directory
        self.path = directory / "metrics.csv"
        self.latest: dict[str, float] = {}
        self._write = write
        self._columns: list[str] = []
        self._row: dict[str, str] = {}
        self._row_start = 0
        self._last_step: int | None = None
        self._file: BinaryIO | None = None
        self._board: SummaryWriter | None = None
        self._purge_step: int | None = None
        self._earlier_seconds = 0.0
        self._start = time.monotonic()
        self._unsettled = resuming and self.path.exists()
        if self._unsettled:
            _, rows = read_metrics(self.path)
            self._earlier_seconds = float(rows[-1]["seconds"]) if rows else 0.0

    @property
    def seconds(self) -> float:
        """Duration of the run so far, with the parts before a resume that were kept."""
        return self._earlier_seconds + time.monotonic() - self._start

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Record values at a step.

        The first call of a resumed run drops what an earlier process wrote for this and later steps: that work was lost with
        its state and is being done again.

        Args:
            step: epoch or update; never smaller than in the call before.
            values: metric -> number (python, numpy or torch scalar).

        Raises:
            ValueError: the step goes back, or a metric has the name of a column that every row has.
        """
        step = int(step)
        if taken := {"step", "seconds"} & values.keys():
            raise ValueError(
                f"metrics.csv has a column {min(taken)!r} of its own; give the metric another name"
            )
        if self._unsettled:
            self.rewind(step - 1)
        if self._last_step is not None and step < self._last_step:
            raise ValueError(
                f"metrics for step {step} after step {self._last_step}; call rewind first to go back"
            )
        numbers = {name: float(value) for name, value in values.items()}
        self.latest.update(numbers)
        if not self._write:
            self._last_step = step
            return
        self._append(step, numbers)
        board = self._tensorboard()
        for name, number in numbers.items():
            board.add_scalar(name, number, step)

    def rewind(self, step: int) -> None:
        """Cut back to the rows up to and including `step`, that of the checkpoint which the run resumes from."""
        self._unsettled = False
        self._purge_step = step + 1
        self._start = time.monotonic()
        if not self._write or not self.path.exists():
            self._earlier_seconds = 0.0
            return
        self._close_files()
        self._columns, rows = read_metrics(self.path)
        rows = [row for row in rows if int(row["step"]) <= step]
        self._earlier_seconds = float(rows[-1]["seconds"]) if rows else 0.0
        self._rewrite(rows)

    def picture(self, name: str, path: Path) -> None:
        """Show a PNG file in TensorBoard, at the last step."""
        if self._write:
            from matplotlib.image import imread  # only who draws has matplotlib

            self._tensorboard().add_image(name, imread(path), self._last_step or 0, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the files."""
        self._close_files()

    def _append(self, step: int, numbers: dict[str, float]) -> None:
        new = [name for name in numbers if name not in self._columns]
        if new or self._file is None:
            # A new metric needs a wider header: the file is written anew, which happens a few times in a run.
            rows = read_metrics(self.path)[1] if self._columns else []
            self._columns += new
            self._rewrite(rows)
        assert self._file is not None
        if step != self._last_step:
            self._row_start = self._file.seek(0, io.SEEK_END)
            self._row = {"step": str(step), "seconds": f"{self.seconds:.3f}"}
            self._last_step = step
        self._row.update({name: repr(number) for name, number in numbers.items()})
        line = _line([self._row.get(name, "") for name in self._header]).encode()
        if self._row_start + len(line) < self._file.seek(0, io.SEEK_END):
            # Over a longer line it would leave that one's end for as long as it takes to cut it off.
            self._rewrite([*read_metrics(self.path)[1][:-1], dict(self._row)])
            return
        self._file.seek(self._row_start)
        # One write call for the line: a killed process leaves it whole or not at all.
        self._file.write(line)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        lines = [_line(self._header), *(_line([row.get(name, "") for name in self._header]) for row in rows)]
        if self._file is not None:
            self._file.close()
        write_text(self.path, "".join(lines))
        self._file = self.path.open("r+b", buffering=0)
        self._row = dict(rows[-1]) if rows else {}
        self._last_step = int(rows[-1]["step"]) if rows else None
        self._row_start = len("".join(lines[:-1]).encode()) if rows else len(lines[0].encode())

    @property
    def _header(self) -> list[str]:
        return ["step", "seconds", *self._columns]

    def _tensorboard(self) -> SummaryWriter:
        if self._board is None:
            from tensorboardX import SummaryWriter  # half a second to import

            # purge_step tells TensorBoard to hide what a killed process wrote for steps that are done again.
            self._board = SummaryWriter(str(self.directory), purge_step=self._purge_step)
        return self._board

    def _close_files(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._board is not None:
            self._board.close()
            self._board = None


def read_metrics(path: Path | str) -> tuple[list[str], list[dict[str, str]]]:
    """Read a metrics.csv.

    Args:
        path: the file; a last line without its end, as a full disk may leave it, is passed over.

    Returns:
        The metrics' names and the rows: column -> text, empty where a step has no value.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is not one that a run wrote; says where.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no table of metrics: {error}") from error
    header, *rows = lines or [["step", "seconds"]]
    if header[:2] != ["step", "seconds"] or len(set(header)) < len(header):
        raise InputError(f"{path}: the first line names the columns step, seconds and each metric once")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header) or not _WHOLE.fullmatch(row[0]) or not _SECONDS.fullmatch(row[1]):
            raise InputError(
                f"{path}, row {number}: {row} does not give a step, seconds and {len(header) - 2} metrics"
            )
    return header[2:], [dict(zip(header, row, strict=True)) for row in rows]


def _line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
