"""Tables of numbers as data sets publish them: commas, no header, and nothing but numbers."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.errors import DataError


def read_numbers(
    content: bytes, name: str, kind: type[np.generic], columns: int | None = None
) -> NDArray[Any]:
    """The numbers of a table.

    Args:
        content: of the file.
        name: of the file, for messages.
        kind: of the numbers: np.int64 or np.float32.
        columns: how many there have to be; None takes any number.

    Returns:
        (rows, columns) of that kind, finite.

    Raises:
        DataError: a cell is no such number, lines differ in length, or there is another number of columns.
    """
    try:
        table = pd.read_csv(io.BytesIO(content), header=None, skipinitialspace=True, dtype=kind)
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise DataError(f"{name} is no table of numbers: {error}") from error
    found = np.asarray(table, kind)
    if columns is not None and found.shape[1] != columns:
        raise DataError(f"{name} has {found.shape[1]} columns, not {columns}")
    if not np.isfinite(found).all():
        raise DataError(f"{name} holds a number that is not finite")
    return found
