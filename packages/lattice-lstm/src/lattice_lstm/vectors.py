"""Pretrained vectors: word2vec's text, or arrays `words` and `vec` in an .npz file; and the tables that begin with them.

Source: Section 4.1 of the paper, and the published program, which scales vectors of characters and pairs to length 1 and those of words
not; what has none is drawn, from a uniform distribution.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints.content import open_content, unpacking
from offprints.data import load_npz
from offprints.errors import DataError, MalformedLine, MissingFile

log = logging.getLogger(__name__)
_LAST_CODE = 0x10FFFF  # of Unicode
_NAMED = 5  # broken lines that a message names


@dataclass(frozen=True)
class Vectors:
    """Vectors by name.

    Attributes:
        names: each once; of what stands twice the first is taken.
        rows: (len(names), size) float32.
    """

    names: tuple[str, ...]
    rows: NDArray[np.float32]

    @property
    def size(self) -> int:
        return int(self.rows.shape[1])

    @property
    def length(self) -> float:
        """The mean length of a vector; 1 where there is none."""
        return float(np.linalg.norm(self.rows, axis=1).mean()) if len(self.rows) else 1.0

    def table(self, names: Sequence[str], *, unit: bool, seed: int = 0) -> tuple[Tensor, int]:
        """First values of a table of vectors.

        Args:
            names: of its rows; what has no vector is looked for in lower case, and else drawn, about as long as the others.
            unit: scale found vectors to length 1; without, they stay as they are.
            seed: of the draws.

        Returns:
            (len(names), size) and how many of them were found.
        """
        place = {name: number for number, name in enumerate(self.names)}
        rows = drawn(len(names), self.size, seed) * (1.0 if unit else self.length)
        found = 0
        for number, name in enumerate(names):
            at = place.get(name, place.get(name.lower()))
            if at is not None:
                row = torch.from_numpy(self.rows[at])
                rows[number] = row / row.norm().clamp(min=1e-12) if unit else row
                found += 1
        return rows, found


def drawn(count: int, size: int, seed: int) -> Tensor:
    """Rows from a uniform distribution between minus and plus the root of 3 / size."""
    bound = math.sqrt(3 / size)
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(count, size).uniform_(-bound, bound, generator=generator)


def read_vectors(path: str | Path) -> Vectors:
    """Read vectors; broken lines of a text file are left out and named in a warning.

    Args:
        path: .npz with `words` and `vec`, or text with a name and its numbers a line, plain or as .gz; a first line of two numbers is
            taken for a header.

    Raises:
        MissingFile: there is no such file.
        DataError: it holds no vector, or a number that is none, with its name.
        MalformedLine: a line is no UTF-8.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = load_npz(path, ["words", "vec"])
        words, table = arrays["words"], arrays["vec"]
        if words.ndim != 1 or words.dtype.kind != "U" or table.dtype.kind not in "fiu":
            raise DataError(
                f"{path}: words is no row of texts ({words.dtype}), or vec no numbers ({table.dtype})"
            )
        return _checked(_texts(words, path), table.astype(np.float32), path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    names: list[str] = []
    rows: list[NDArray[np.float32]] = []
    broken: list[int] = []
    with unpacking(path), open_content(path, path.name.removesuffix(".gz")) as stream:
        for number, raw in enumerate(stream, 1):
            try:
                fields = raw.decode().rstrip("\r\n ").split(" ")
            except UnicodeDecodeError as error:
                raise MalformedLine(path, number, f"not UTF-8 ({error.reason})") from None
            if (number == 1 and len(fields) == 2 and all(map(str.isdecimal, fields))) or fields == [""]:
                continue
            try:
                row = np.array(fields[1:], np.float32)
            except ValueError:
                row = np.zeros(0, np.float32)
            if len(row) == 0 or (rows and len(row) != len(rows[0])):
                broken.append(number)
                continue
            names.append(fields[0])
            rows.append(row)
    if broken:
        some = ", ".join(map(str, broken[:_NAMED])) + (" ..." if len(broken) > _NAMED else "")
        log.warning("%s: %d broken lines left out: %s", path, len(broken), some)
    if not rows:
        raise DataError(f"{path} holds no vector")
    return _checked(names, np.stack(rows), path)


def _texts(words: NDArray[np.str_], path: Path) -> list[str]:
    """The words of an array, whose numbers need not be code points."""
    codes = (
        np.ascontiguousarray(words).view(np.uint32) if words.size and words.dtype.itemsize else np.zeros(0)
    )
    if codes.max(initial=0) > _LAST_CODE:
        raise DataError(f"{path}: words holds what is no text")
    return [str(word) for word in words]


def _checked(names: list[str], rows: NDArray[np.float32], path: Path) -> Vectors:
    if rows.ndim != 2 or len(names) != len(rows):
        raise DataError(f"{path}: {len(names)} names and an array of shape {rows.shape}")
    wrong = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(wrong):
        raise DataError(f"{path}: the vector of {names[wrong[0]]!r} holds a number that is none")
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        first.setdefault(name, number)
    return Vectors(tuple(first), rows[list(first.values())])
