"""Your own vectors with classes: .npz of arrays, or .csv and .tsv tables with a column called `label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.content import read_content
from offprints.data import load_npz
from offprints.errors import DataError, MissingFile, naming

from supcon_simplex.labelled import DataSplits, LabelledData

LABEL = "label"
TEST_SHARE = 0.2


def read_splits(path: str | Path, seed: int = 0) -> DataSplits:
    """Training and test rows of a file.

    An .npz file has `x` (N, D) or (N, C, H, W) and `y` (N,), and `x_test` and `y_test` if it has a test split; a table has a column
    `label` and else numbers, and a column `split` of "train" and "test" if it has one. Without a split, a fifth of each class tests.

    Args:
        path: .npz, .csv or .tsv.
        seed: of a split that the file does not have.

    Raises:
        MissingFile: there is no such file.
        DataError: it is not of this form; a class is only in the test rows; there is one class only.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    checksums = {path.name: read_content(path, path.name).sha256}
    if path.suffix == ".npz":
        x, y, is_test = _arrays(path)
    else:
        x, y, is_test = _table(path)
    names, labels = np.unique(y, return_inverse=True)
    labels = labels.astype(np.int64)
    if len(names) < 2:
        raise DataError(
            f"{path}: all rows have the label {names[0] if len(names) else None!r}; two classes are the least"
        )
    if is_test is None:
        is_test = _fifth(labels, seed)
    if is_test.all() or not is_test.any():
        raise DataError(f"{path}: all rows are of one split")
    with naming(path):
        data = LabelledData(x, labels, tuple(str(name) for name in names))
    train, test = data[~is_test], data[is_test]
    if only := [data.class_names[k] for k in np.flatnonzero(train.counts == 0)]:
        raise DataError(f"{path}: no training row of class {', '.join(only)}")
    return DataSplits(path.stem, train, test, checksums)


def read_rows(path: str | Path) -> NDArray[Any]:
    """Rows without labels, to predict: `x` of an .npz file, or all columns of a table but `label` and `split`.

    Raises:
        MissingFile, DataError: as `read_splits`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    if path.suffix == ".npz":
        return _inputs(load_npz(path, ["x"])["x"], path)
    return _columns(_read(path), path)


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    found = load_npz(path)
    if absent := [name for name in ("x", "y") if name not in found]:
        raise DataError(f"{path}: no array {', '.join(absent)}; it has {', '.join(found)}")
    x, y = _inputs(found["x"], path), _labels(found["y"], path)
    _same_length(x, y, path)
    if "x_test" not in found and "y_test" not in found:
        return x, y, None
    if "x_test" not in found or "y_test" not in found:
        raise DataError(f"{path}: x_test and y_test belong together")
    more, its = _inputs(found["x_test"], path), _labels(found["y_test"], path)
    _same_length(more, its, path)
    if more.shape[1:] != x.shape[1:]:
        raise DataError(f"{path}: rows of x have shape {x.shape[1:]}, those of x_test {more.shape[1:]}")
    is_test = np.repeat([False, True], [len(y), len(its)])
    return np.concatenate([x, more.astype(x.dtype)]), np.concatenate([y, its]), is_test


def _table(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
    table = _read(path)
    if LABEL not in table:
        raise DataError(f"{path}: no column {LABEL!r}; its columns are {', '.join(map(str, table.columns))}")
    if table[LABEL].isna().any():
        raise DataError(f"{path}, line {int(np.argmax(table[LABEL].isna())) + 2}: no label")
    is_test = None
    if "split" in table:
        if unknown := sorted(set(table["split"].fillna("").astype(str)) - {"train", "test"}):
            raise DataError(
                f"{path}: the column split has {unknown[0]!r}, but only train and test are splits"
            )
        is_test = (table["split"] == "test").to_numpy(np.bool_)
    return _columns(table, path), table[LABEL].to_numpy(), is_test


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    except (
        ValueError,
        OverflowError,
        pd.errors.ParserError,
    ) as error:  # not UTF-8, empty, or of lines that differ
        raise DataError(f"{path} is not a table with a line of names: {error}") from error


def _columns(table: pd.DataFrame, path: Path) -> NDArray[Any]:
    numbers = table.drop(columns=[LABEL, "split"], errors="ignore")
    if not len(numbers.columns):
        raise DataError(f"{path}: no columns of numbers")
    for name in numbers.columns:
        found = pd.to_numeric(numbers[name], errors="coerce")
        if found.isna().any():
            row = int(np.argmax(found.isna()))
            raise DataError(
                f"{path}, line {row + 2}: column {name} is {numbers[name].iloc[row]!r}, not a number"
            )
    return np.asarray(numbers, dtype=np.float32)


def _inputs(x: NDArray[Any], path: Path) -> NDArray[Any]:
    if x.ndim not in (2, 4) or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise DataError(f"{path}: x is {x.dtype} of shape {x.shape}, expected numbers (N, D) or (N, C, H, W)")
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def _labels(y: NDArray[Any], path: Path) -> NDArray[Any]:
    if y.ndim != 1 or y.dtype.kind not in "iuUSb":
        raise DataError(f"{path}: y is {y.dtype} of shape {y.shape}, expected (N,) integers or names")
    return y


def _same_length(x: NDArray[Any], y: NDArray[Any], path: Path) -> None:
    if len(x) != len(y):
        raise DataError(f"{path}: {len(x)} rows, but {len(y)} labels")


def _fifth(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Rows that test: a fifth of each class, drawn; none of a class with one row."""
    draw = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        rows = draw.permutation(np.flatnonzero(labels == label))
        is_test[rows[: min(len(rows) - 1, max(1, round(TEST_SHARE * len(rows))))]] = True
    return is_test
