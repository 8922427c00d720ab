"""Files of `head<TAB>relation<TAB>tail<TAB>confidence`, plain or gzip, to facts; what is wrong is named by file and line."""

from __future__ import annotations

import gzip
import hashlib
import math
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import pandas as pd

from offprints.data import MalformedLine, MissingFile
from offprints.errors import CorruptFile, InputError
from offprints.triples import Vocabulary

from ukge.facts import Facts, Floats
from ukge.graph import UncertainGraph

Duplicates = Literal["error", "keep", "last", "mean", "max"]
Normalize = Literal["none", "minmax", "log"]
COLUMNS = ("head", "relation", "tail", "confidence")
_SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}


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
    policy = cast(Duplicates, _one_of(duplicates, get_args(Duplicates), "duplicates"))
    scale = cast(Normalize, _one_of(normalize, get_args(Normalize), "normalize"))
    if valid < 0 or test < 0 or valid + test >= 1:
        raise InputError(f"valid={valid} and test={test} must be shares that leave some for train")
    if path.is_dir():
        files = {split: _find(path, names) for split, names in _SPLIT_NAMES.items()}
    elif path.is_file():
        files = {"all": path}
    else:
        raise MissingFile(f"no file or folder {path}")
    frames = {split: read_rows(file, bounded=scale == "none") for split, file in files.items()}
    rows = pd.concat(frames.values(), ignore_index=True)
    rows["confidence"] = normalized(rows["confidence"].to_numpy(), scale)
    entities = Vocabulary("entity", tuple(pd.unique(pd.concat([rows["head"], rows["tail"]]))))
    relations = Vocabulary("relation", tuple(pd.unique(rows["relation"])))
    everything = Facts.of(
        entities.ids(rows["head"].tolist()),
        relations.ids(rows["relation"].tolist()),
        entities.ids(rows["tail"].tolist()),
        rows["confidence"].to_numpy(),
    )
    if "all" in files:
        everything = resolve_duplicates(everything, policy, str(path), len(entities))
        parts = split_facts(everything, len(entities), valid, test, seed)
    else:
        ends = np.cumsum([len(frame) for frame in frames.values()])
        starts = ends - [len(frame) for frame in frames.values()]
        parts = [
            resolve_duplicates(everything[start:end], policy, str(file), len(entities))
            for start, end, file in zip(starts, ends, files.values(), strict=True)
        ]
    checksums = {file.name: _sha256(file) for file in files.values()}
    title = name or path.name.split(".")[0]
    train, valid_facts, test_facts = parts
    return UncertainGraph(
        title, entities, relations, train, valid_facts, test_facts, strong=strong, checksums=checksums
    )


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
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError) as error:
            raise CorruptFile(f"{path}: not a complete gzip file ({error})") from error
    return parse_rows(raw, path, bounded)


def parse_rows(raw: bytes, path: str | Path, bounded: bool = True) -> pd.DataFrame:
    """As `read_rows`, of content that is at hand; `path` names it in errors."""
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise MalformedLine(
            path, raw.count(b"\n", 0, error.start) + 1, f"not UTF-8 at byte {error.start}"
        ) from None
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
