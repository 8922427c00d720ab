"""Files of `head<TAB>relation<TAB>tail<TAB>confidence`, plain or gzip, and tables in memory to facts.

What is wrong is named by file and line, or by row.
"""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.content import decoded, unpacking
from offprints.errors import InputError, MalformedLine, MissingFile, naming
from offprints.triples import Vocabulary

from ukge.facts import Facts, Floats
from ukge.graph import UncertainGraph

Duplicates = Literal["error", "keep", "last", "mean", "max"]
Normalize = Literal["none", "minmax", "log"]
COLUMNS = ("head", "relation", "tail", "confidence")
_SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}


class Table(Protocol):
    """Gives a column by its name."""

    def __getitem__(self, name: str, /) -> Any: ...


class DuplicateFact(InputError):
    """A fact stands twice with different confidences and the policy is "error"."""


def read_graph(
    path: str | Path,
    *,
    name: str | None = None,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    duplicates: str = "error",
    normalize: str = "none",
    strong: float = 0.7,
) -> UncertainGraph:
    """A graph of your own facts: a folder of train, valid and test files, or one file that is split here.

    One file is split by unordered pairs of entities, so that no test fact has its double or its reverse in train; a pair
    stays in train when it holds the only fact of an entity or a relation.

    Args:
        path: the folder or the file; names end in .tsv or .txt, plain or with .gz.
        valid: share of the pairs for validation, of one file.
        test: share of the pairs for test, of one file.
        seed: of that split.
        duplicates: what to do with a fact that stands twice in a split with different confidences: "error" refuses it,
            "keep" trains on both as published, "last", "mean" and "max" make one of them.
        normalize: "none" asks for confidences in [0, 1]; "minmax" maps the smallest to 0.1 and the largest to 1; "log" does so
            with logarithms, as the paper does for ConceptNet.
        strong: tau.

    Raises:
        MissingFile: there is no such file or folder.
        MalformedLine: a line does not read as it should.
        DuplicateFact: a fact has two confidences and `duplicates` is "error".
        InputError: an option has no such value.
    """
    path = Path(path)
    policy, scale = _options(duplicates, normalize, valid, test)
    if path.is_dir():
        files = {split: _find(path, names) for split, names in _SPLIT_NAMES.items()}
    elif path.is_file():
        files = {"all": path}
    else:
        raise MissingFile(f"no file or folder {path}")
    frames = {split: read_rows(file, bounded=scale == "none") for split, file in files.items()}
    where = [str(file) for file in files.values()]
    with naming(path):
        entities, relations, parts = _numbered(list(frames.values()), where, policy, scale)
    if "all" in files:
        parts = split_facts(parts[0], len(entities), valid, test, seed)
    checksums = {file.name: _sha256(file) for file in files.values()}
    title = name or path.name.split(".")[0]
    train, valid_facts, test_facts = parts
    return UncertainGraph(
        title, entities, relations, train, valid_facts, test_facts, strong=strong, checksums=checksums
    )


def graph_from_table(
    table: Table,
    *,
    name: str = "table",
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    duplicates: str = "error",
    normalize: str = "none",
    strong: float = 0.7,
) -> UncertainGraph:
    """A graph from a table in memory, split as `read_graph` splits one file.

    Args:
        table: anything that gives the columns head, relation, tail and confidence by name: a pandas DataFrame, a dict of lists.
            Names that are no strings, such as numbers, are taken as they print.
        name: of the graph.
        valid: as `read_graph`.
        test: as `read_graph`.
        seed: as `read_graph`.
        duplicates: as `read_graph`.
        normalize: as `read_graph`.
        strong: as `read_graph`.

    Raises:
        InputError: a column is missing or of another length, a name is missing or empty, or a confidence is no number or not in
            range; names the row, counted from 0.
        DuplicateFact: as `read_graph`.
    """
    policy, scale = _options(duplicates, normalize, valid, test)
    rows = table_rows(table, name, bounded=scale == "none")
    entities, relations, parts = _numbered([rows], [name], policy, scale)
    train, valid_facts, test_facts = split_facts(parts[0], len(entities), valid, test, seed)
    digest = hashlib.sha256(rows.to_csv(sep="\t", header=False, index=False).encode()).hexdigest()
    return UncertainGraph(
        name, entities, relations, train, valid_facts, test_facts, strong=strong, checksums={name: digest}
    )


def table_rows(table: Table, name: str, bounded: bool = True) -> pd.DataFrame:
    """As `read_rows`, of a table in memory; `name` stands for it in errors."""
    columns = {column: _column(table, column, name) for column in COLUMNS}
    shapes = {column: values.shape for column, values in columns.items()}
    if len(set(shapes.values())) != 1 or len(shapes["head"]) != 1:
        raise InputError(f"{name}: columns must be vectors of one length, got {shapes}")
    if not shapes["head"][0]:
        raise InputError(f"{name}: there are no facts")
    for column in COLUMNS[:3]:
        given = columns[column]
        texts = [str(value) for value in given]
        absent = np.asarray(pd.isna(given)) | np.array([text == "" for text in texts])
        if absent.any():
            raise InputError(f"{name}, row {int(absent.argmax())}: the {column} is missing")
        columns[column] = np.array(texts, dtype=object)
    try:
        confidence = columns["confidence"].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: a confidence is not a number: {error}") from None
    wrong = ~np.isfinite(confidence)
    if bounded:
        wrong |= (confidence < 0) | (confidence > 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{name}, row {row}: confidence {confidence[row]} is not in [0, 1]; raw scores need normalize=minmax or log"
            if np.isfinite(confidence[row])
            else f"{name}, row {row}: confidence {confidence[row]} is not finite"
        )
    return pd.DataFrame(columns | {"confidence": confidence})


def read_rows(path: Path, bounded: bool = True) -> pd.DataFrame:
    """The rows of one file.

    Args:
        path: plain or gzip; a first line that reads head, relation, tail, confidence is a header.
        bounded: refuse confidences outside [0, 1].

    Returns:
        Columns head, relation, tail (str) and confidence (float64).

    Raises:
        MissingFile: there is no such file.
        CorruptFile: a gzip file is damaged.
        MalformedLine: a line has not four fields or an empty one, or its confidence is no number or not in range.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise MissingFile(f"no file {path}") from None
    if path.suffix == ".gz":
        with unpacking(path):
            raw = gzip.decompress(raw)
    return parse_rows(raw, path, bounded)


def parse_rows(raw: bytes, path: str | Path, bounded: bool = True) -> pd.DataFrame:
    """As `read_rows`, of content that is at hand; `path` names it in errors."""
    text = decoded(raw, path).replace("\r\n", "\n").removesuffix("\n")
    if not text:
        raise MalformedLine(path, 1, "the file is empty; expected head<TAB>relation<TAB>tail<TAB>confidence")
    lines = text.split("\n")
    first = 1 if tuple(field.strip().lower() for field in lines[0].split("\t")) == COLUMNS else 0
    if len(lines) == first:
        raise MalformedLine(path, first, "there are no facts below the header")
    fields = "\t".join(lines[first:]).split("\t")
    # The whole file is read at once; only one that does not fit is walked line by line for the place.
    if len(fields) != 4 * (len(lines) - first) or "" in fields:
        _raise_malformed(path, lines, first, bounded)
    try:
        confidence = np.array(fields[3::4], dtype=np.float64)
    except ValueError:
        _raise_malformed(path, lines, first, bounded)
        raise
    if not np.isfinite(confidence).all() or (bounded and not ((confidence >= 0) & (confidence <= 1)).all()):
        _raise_malformed(path, lines, first, bounded)
    if any(line.count("\t") != 3 for line in lines[first:]):
        _raise_malformed(path, lines, first, bounded)
    return pd.DataFrame(
        dict(zip(COLUMNS, (fields[0::4], fields[1::4], fields[2::4], confidence), strict=True))
    )


def resolve_duplicates(facts: Facts, policy: Duplicates, where: str, num_entities: int) -> Facts:
    """Apply a policy to facts that stand more than once; see `read_graph`.

    Raises:
        DuplicateFact: the policy is "error" and a fact has two confidences.
    """
    keys = facts.keys(num_entities)
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    if policy == "keep" or counts.max(initial=1) == 1:
        return facts
    high = np.full(len(first), -math.inf)
    low = np.full(len(first), math.inf)
    np.maximum.at(high, inverse, facts.confidence)
    np.minimum.at(low, inverse, facts.confidence)
    if policy == "error":
        differing = np.flatnonzero(high > low)
        if len(differing):
            rows = np.flatnonzero(inverse == differing[0])[:2]
            raise DuplicateFact(
                f"{where}: {len(differing)} facts stand more than once with different confidences, the first in rows "
                f"{rows[0] + 1} and {rows[1] + 1} ({facts.confidence[rows[0]]:g} and {facts.confidence[rows[1]]:g}); "
                f"say what to do: duplicates=keep (train on both), last, mean or max"
            )
        return facts
    if policy == "max":
        kept = high
    elif policy == "mean":
        kept = np.bincount(inverse, facts.confidence) / counts
    else:
        kept = np.empty(len(first))
        kept[inverse] = facts.confidence  # numpy keeps the last of several assignments
    order = np.argsort(first)
    rows = first[order]
    return Facts(facts.head[rows], facts.relation[rows], facts.tail[rows], kept[order])


def split_facts(facts: Facts, num_entities: int, valid: float, test: float, seed: int) -> list[Facts]:
    """Train, valid and test without a pair of entities in two of them; every entity and relation stays in train."""
    _, pair = np.unique(facts.pair_keys(num_entities), return_inverse=True)
    place = np.random.default_rng(seed).random(pair.max() + 1)[pair]
    split = np.where(place < test, 2, np.where(place < test + valid, 1, 0))
    for column in (facts.head, facts.tail, facts.relation):
        seen = np.unique(column[split == 0])
        lonely = ~np.isin(column, seen)
        split[np.isin(pair, pair[lonely])] = 0
    return [facts[split == number] for number in range(3)]


def normalized(values: Floats, how: Normalize) -> Floats:
    """Raw scores as confidences; see `read_graph`.

    Raises:
        InputError: "log" of a score that is not positive.
    """
    if how == "none":
        return values
    if how == "log":
        if (values <= 0).any():
            raise InputError(f"normalize=log needs positive scores, the smallest is {values.min():g}")
        values = np.log(values)
    span = values.max() - values.min()
    # One value only says that all facts are equally certain.
    return np.ones_like(values) if span == 0 else 0.1 + 0.9 * (values - values.min()) / span


def _column(table: Table, column: str, name: str) -> NDArray[Any]:
    try:
        return np.asarray(table[column])
    except KeyError:
        raise InputError(f"{name}: there is no column {column!r}; a table has {', '.join(COLUMNS)}") from None


def _options(duplicates: str, normalize: str, valid: float, test: float) -> tuple[Duplicates, Normalize]:
    policy = cast(Duplicates, _one_of(duplicates, get_args(Duplicates), "duplicates"))
    scale = cast(Normalize, _one_of(normalize, get_args(Normalize), "normalize"))
    if valid < 0 or test < 0 or valid + test >= 1:
        raise InputError(f"valid={valid} and test={test} must be shares that leave some for train")
    return policy, scale


def _numbered(
    frames: list[pd.DataFrame], where: list[str], policy: Duplicates, scale: Normalize
) -> tuple[Vocabulary, Vocabulary, list[Facts]]:
    """Vocabularies of all rows, and the facts of each part with its repeats resolved."""
    rows = pd.concat(frames, ignore_index=True)
    rows["confidence"] = normalized(rows["confidence"].to_numpy(), scale)
    entities = Vocabulary("entity", tuple(pd.unique(pd.concat([rows["head"], rows["tail"]]))))
    relations = Vocabulary("relation", tuple(pd.unique(rows["relation"])))
    everything = Facts.of(
        entities.ids(rows["head"].tolist()),
        relations.ids(rows["relation"].tolist()),
        entities.ids(rows["tail"].tolist()),
        rows["confidence"].to_numpy(),
    )
    ends = np.cumsum([len(frame) for frame in frames])
    starts = ends - [len(frame) for frame in frames]
    parts = [
        resolve_duplicates(everything[start:end], policy, place, len(entities))
        for start, end, place in zip(starts, ends, where, strict=True)
    ]
    return entities, relations, parts


def _raise_malformed(path: str | Path, lines: list[str], first: int, bounded: bool) -> None:
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t")
        if len(fields) != 4:
            raise MalformedLine(
                path,
                number,
                f"expected head<TAB>relation<TAB>tail<TAB>confidence, found {len(fields)} field(s)",
            )
        if "" in fields:
            raise MalformedLine(path, number, f"the {COLUMNS[fields.index('')]} is empty")
        try:
            confidence = float(fields[3])
        except ValueError:
            raise MalformedLine(path, number, f"confidence {fields[3]!r} is not a number") from None
        if not math.isfinite(confidence):
            raise MalformedLine(path, number, f"confidence {fields[3]} is not finite")
        if bounded and not 0 <= confidence <= 1:
            raise MalformedLine(
                path,
                number,
                f"confidence {fields[3]} is not in [0, 1]; raw scores need normalize=minmax or log",
            )


def _find(folder: Path, names: tuple[str, ...]) -> Path:
    wanted = [f"{name}{ending}" for name in names for ending in (".tsv", ".txt", ".tsv.gz", ".txt.gz")]
    for name in wanted:
        if (folder / name).is_file():
            return folder / name
    raise MissingFile(f"{folder} holds none of {', '.join(wanted)}")


def _sha256(path: Path) -> str:
    raw = path.read_bytes()
    return hashlib.sha256(gzip.decompress(raw) if path.suffix == ".gz" else raw).hexdigest()


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> str:
    if value not in allowed:
        raise InputError(f"{what}={value!r} is unknown: one of {', '.join(allowed)}")
    return value
