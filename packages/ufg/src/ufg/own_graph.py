"""A graph of your own: a folder of tables, or an npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from offprints.content import read_content
from offprints.errors import DataError, InputError, MissingFile, naming

from ufg.coauthor import read_npz
from ufg.node_data import NodeData

SPLITS = ("train", "valid", "test")
_SHARES = (0.6, 0.8)  # where the table names no split: up to here train, up to there valid, of each class


def own_graph(path: str | Path, seed: int = 0) -> NodeData:
    """A graph with nodes to label.

    An npz is what `ufg.coauthor.NpzGraph` describes. A folder has tables with tabs and no header, nodes under any names:

    - edges.tsv: node, node and, if there are such, a weight; each undirected edge once or in both directions.
    - features.tsv: node and its numbers. Its nodes are the graph's.
    - labels.tsv: node, label and, if you have a split, train, valid or test. Nodes that are not in it are to be labelled.

    Args:
        path: of the folder or the npz.
        seed: of the split where none is given: of each class 60 % to train on, 20 % to validate, 20 % to test.

    Raises:
        MissingFile: a file is not there.
        DataError: a table has another shape, a number is none, or a name is unknown; with its line.
        InputError: a class has too few nodes to split.
    """
    path = Path(path)
    if path.is_file():
        data = read_npz(path, path.stem, seed)
        return NodeData(**{**vars(data), "checksums": {path.name: _digest(path)}})
    if not path.is_dir():
        raise MissingFile(f"no folder and no npz at {path}")
    features = _table(path / "features.tsv")
    names = features[0].tolist()
    number = {name: row for row, name in enumerate(names)}
    if len(number) < len(names):
        twice = features[0][features[0].duplicated()].iloc[0]
        raise DataError(f"{path / 'features.tsv'}: node {twice!r} stands there twice")
    values = _numbers(path / "features.tsv", features.drop(columns=0))
    edges, weight = _edges(path / "edges.tsv", number)
    labels, classes, split = _labels(path / "labels.tsv", number)
    with naming(path):
        parts = _random(labels, seed) if split is None else [np.flatnonzero(split == part) for part in SPLITS]
        train, valid, test = parts
        return NodeData(
            path.name,
            edges,
            csr_array(values),
            labels,
            train,
            valid,
            test,
            weight=weight,
            checksums={name: _digest(path / name) for name in ("edges.tsv", "features.tsv", "labels.tsv")},
            node_names=names,
            class_names=classes,
        )


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)
    except (ValueError, pd.errors.ParserError) as error:  # not UTF-8, empty, or of lines that differ
        raise DataError(f"{path}: not a table with tabs ({error})") from error


def _numbers(path: Path, cells: pd.DataFrame) -> NDArray[np.float64]:
    found = cells.apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(found.to_numpy(float))
    if not cells.shape[1]:
        raise DataError(f"{path}: a node and its numbers are expected in a line, with tabs between them")
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"{path}, line {row + 1}: {cells.iat[row, column]!r} is not a finite number")
    return np.asarray(found, np.float64)


def _rows(path: Path, names: pd.Series, number: dict[str, int]) -> NDArray[np.int64]:
    rows = names.map(number)
    if rows.isna().any():
        row = int(rows.isna().to_numpy().argmax())
        raise DataError(f"{path}, line {row + 1}: node {names[row]!r} has no line in features.tsv")
    return np.asarray(rows, np.int64)


def _edges(path: Path, number: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    table = _table(path)
    if table.shape[1] not in (2, 3):
        raise DataError(f"{path}: {table.shape[1]} columns; two nodes, and a weight if there is one")
    ends = np.sort(np.stack([_rows(path, table[column], number) for column in (0, 1)], 1), 1)
    weight = _numbers(path, table[[2]])[:, 0] if table.shape[1] == 3 else np.ones(len(ends))
    if (weight <= 0).any():
        raise DataError(f"{path}, line {int((weight <= 0).argmax()) + 1}: a weight must be positive")
    edges, first, inverse = np.unique(ends, axis=0, return_index=True, return_inverse=True)
    differs = weight != weight[first[inverse]]
    if differs.any():
        raise DataError(f"{path}, line {int(differs.argmax()) + 1}: the edge has another weight further up")
    keep = edges[:, 0] != edges[:, 1]  # a self-loop says nothing to a Laplacian
    return edges[keep], weight[first][keep] if table.shape[1] == 3 else None


def _labels(
    path: Path, number: dict[str, int]
) -> tuple[NDArray[np.int64], list[str], NDArray[np.str_] | None]:
    table = _table(path)
    if table.shape[1] not in (2, 3):
        raise DataError(f"{path}: {table.shape[1]} columns; a node, its label, and its split if you have one")
    rows = _rows(path, table[0], number)
    twice = table[0].duplicated()
    if twice.any():
        raise DataError(
            f"{path}, line {int(twice.to_numpy().argmax()) + 1}: node {table[0][twice].iloc[0]!r} again"
        )
    classes, kinds = np.unique(table[1].to_numpy(str), return_inverse=True)
    labels = np.full(len(number), -1)
    labels[rows] = kinds
    if table.shape[1] == 2:
        return labels, classes.tolist(), None
    unknown = ~table[2].isin(SPLITS)
    if unknown.any():
        row = int(unknown.to_numpy().argmax())
        raise DataError(f"{path}, line {row + 1}: {table[2][row]!r} is none of {', '.join(SPLITS)}")
    split = np.full(len(number), "", dtype="U5")
    split[rows] = table[2].to_numpy(str)
    return labels, classes.tolist(), split


def _random(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    order = np.random.default_rng(seed).permutation(len(labels))
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for kind in range(labels.max(initial=-1) + 1):
        nodes = order[labels[order] == kind]
        if len(nodes) < 5:
            raise InputError(
                f"a class has {len(nodes)} labelled nodes: 5 or more can be split; or name a split"
            )
        for part, chosen in zip(
            parts, np.split(nodes, [int(share * len(nodes)) for share in _SHARES]), strict=True
        ):
            part.append(chosen)
    return [np.sort(np.concatenate([np.empty(0, np.int64), *part])) for part in parts]


def _digest(path: Path) -> str:
    return read_content(path, path.name).sha256
