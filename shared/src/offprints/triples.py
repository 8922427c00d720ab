"""Knowledge graphs as integer columns: vocabulary, triples, splits, and the answers known for a query.

A knowledge graph is a set of facts (head, relation, tail). Names are opaque strings: WordNet's ids keep their leading
zeros, Freebase's keep their slashes, and a name may contain blanks. Ids are positions in the order of first appearance
when train, valid and test are read in that order, so the same files give the same ids everywhere.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offprints.content import read_text
from offprints.errors import InputError, MalformedLine, MissingFile

Ids: TypeAlias = NDArray[np.int32]
NamedTriple: TypeAlias = tuple[str, str, str]

SPLITS = ("train", "valid", "test")


class UnknownName(InputError):
    """A name that the vocabulary does not hold; the message offers the nearest ones."""


@dataclass(frozen=True)
class Vocabulary:
    """Names and their ids; the id of a name is its position.

    Args:
        kind: what the names are, for messages: "entity" or "relation".
        names: distinct names.
    """

    kind: str
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self.index

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def id(self, name: str) -> int:
        """The id of one name.

        Raises:
            UnknownName: the name is not in the vocabulary; the nearest names are offered.
        """
        try:
            return self.index[name]
        except KeyError:
            raise UnknownName(self.unknown(name)) from None

    def ids(self, names: Sequence[str]) -> Ids:
        """Ids of many names, (n,) int32. Raises UnknownName for the first one that is unknown."""
        try:
            return np.fromiter(map(self.index.__getitem__, names), np.int32, len(names))
        except KeyError as missing:
            self.id(missing.args[0])
            raise

    def unknown(self, name: str) -> str:
        """What to say of a name that is not in the vocabulary."""
        near = self.nearest(name)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        return f"unknown {self.kind} {name!r} (of {len(self):,}){hint}"

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """Names that a person may have meant: same but for case, containing it, or spelt alike."""
        wanted = name.casefold()
        exact = [known for known in self.names if known.casefold() == wanted]
        inside = [known for known in self.names if wanted and wanted in known.casefold()]
        alike = difflib.get_close_matches(name, self.names, n=count, cutoff=0.6)
        return list(dict.fromkeys([*exact, *alike, *sorted(inside, key=len)]))[:count]


@dataclass(frozen=True)
class Triples:
    """Facts as three columns of equal length, int32 each."""

    head: Ids
    relation: Ids
    tail: Ids

    @classmethod
    def of(cls, head: ArrayLike, relation: ArrayLike, tail: ArrayLike) -> Triples:
        """Triples from anything array-like; columns become contiguous int32."""
        columns = [np.ascontiguousarray(column, dtype=np.int32) for column in (head, relation, tail)]
        if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
            raise InputError(f"columns must be vectors of one length, got {[c.shape for c in columns]}")
        return cls(*columns)

    @classmethod
    def concatenate(cls, parts: Iterable[Triples]) -> Triples:
        """All triples of the parts, in order."""
        listed = list(parts)
        return cls.of(*(np.concatenate([getattr(part, name) for part in listed]) for name in _COLUMNS))

    def __len__(self) -> int:
        return len(self.head)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Triples:
        return Triples(self.head[rows], self.relation[rows], self.tail[rows])

    def reversed(self) -> Triples:
        """(tail, relation, head) of each triple."""
        return Triples(self.tail, self.relation, self.head)

    def with_reciprocals(self, num_relations: int) -> Triples:
        """Each (h, r, t) and, behind them all, each (t, r + num_relations, h).

        A question for a head, (?, r, t), then is the question (t, r + num_relations, ?) for a tail.
        """
        backward = Triples(self.tail, self.relation + np.int32(num_relations), self.head)
        return Triples.concatenate([self, backward])

    def distinct(self) -> Triples:
        """The triples without repeats, at their first place."""
        columns = np.stack([self.head, self.relation, self.tail], axis=1)
        _, first = np.unique(columns, axis=0, return_index=True)
        return self[np.sort(first)]


_COLUMNS = ("head", "relation", "tail")


@dataclass(frozen=True)
class KnowledgeGraph:
    """Train, valid and test triples over one vocabulary of entities and one of relations.

    Attributes:
        labels: optional readable name of an entity or relation, for tables that people read.
        checksums: file name -> sha256 of the content it was read from, where it came from files.
    """

    name: str
    entities: Vocabulary
    relations: Vocabulary
    train: Triples
    valid: Triples
    test: Triples
    labels: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_splits(
        cls,
        name: str,
        train: Sequence[NamedTriple],
        valid: Sequence[NamedTriple] = (),
        test: Sequence[NamedTriple] = (),
        *,
        labels: Mapping[str, str] | None = None,
        checksums: Mapping[str, str] | None = None,
    ) -> KnowledgeGraph:
        """A graph from named triples in memory."""
        columns = [
            (
                [head for head, _, _ in split],
                [relation for _, relation, _ in split],
                [tail for _, _, tail in split],
            )
            for split in (train, valid, test)
        ]
        return cls._from_columns(name, columns, labels or {}, checksums or {})

    @classmethod
    def from_files(
        cls,
        name: str,
        paths: Mapping[str, Path],
        *,
        labels: Mapping[str, str] | None = None,
        checksums: Mapping[str, str] | None = None,
    ) -> KnowledgeGraph:
        """A graph from one file per split: `head<TAB>relation<TAB>tail`, UTF-8, no header; plain or gzip.

        Args:
            paths: "train", "valid", "test" -> file. Only train is required.

        Raises:
            MissingFile, MalformedLine: with the path, and the number of the line.
        """
        columns = [read_columns(paths[split]) if split in paths else ([], [], []) for split in SPLITS]
        return cls._from_columns(name, columns, labels or {}, checksums or {})

    @classmethod
    def from_folder(cls, folder: str | Path, name: str | None = None) -> KnowledgeGraph:
        """A graph from a folder with train.txt (or .tsv, .gz), valid and test; any folder of TSV files will do.

        Raises:
            MissingFile: the folder or its train file is not there.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise MissingFile(f"no folder {folder}: expected train.txt, valid.txt, test.txt in it")
        paths = {split: path for split in SPLITS if (path := _find_split(folder, split)) is not None}
        if "train" not in paths:
            found = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
            raise MissingFile(f"{folder}: no train.txt, train.tsv or train.txt.gz in it (found {found})")
        return cls.from_files(name or folder.name, paths)

    @classmethod
    def _from_columns(
        cls,
        name: str,
        columns: Sequence[tuple[list[str], list[str], list[str]]],
        labels: Mapping[str, str],
        checksums: Mapping[str, str],
    ) -> KnowledgeGraph:
        entity_names: dict[str, None] = {}
        relation_names: dict[str, None] = {}
        for heads, rels, tails in columns:
            both = [""] * (2 * len(heads))
            both[0::2], both[1::2] = heads, tails  # a head comes before the tail of its line
            entity_names |= dict.fromkeys(both)
            relation_names |= dict.fromkeys(rels)
        entities = Vocabulary("entity", tuple(entity_names))
        relations = Vocabulary("relation", tuple(relation_names))
        train, valid, test = (
            Triples(entities.ids(heads), relations.ids(rels), entities.ids(tails))
            for heads, rels, tails in columns
        )
        return cls(name, entities, relations, train, valid, test, labels, checksums)

    @property
    def num_entities(self) -> int:
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """Relations of the data; models with reciprocal relations have twice as many."""
        return len(self.relations)

    def split(self, name: str) -> Triples:
        """The triples of "train", "valid" or "test"."""
        if name not in SPLITS:
            raise InputError(f"unknown split {name!r}: one of {', '.join(SPLITS)}")
        triples: Triples = getattr(self, name)
        return triples

    @cached_property
    def all_triples(self) -> Triples:
        return Triples.concatenate([self.train, self.valid, self.test])

    @cached_property
    def known(self) -> Answers:
        """Every answer known in any split, for both directions: the filter of the ranking protocol."""
        return Answers.of(self.all_triples.with_reciprocals(self.num_relations), 2 * self.num_relations)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the vocabulary: two graphs with the same one give the same meaning to the same ids."""
        digest = hashlib.sha256()
        for vocabulary in (self.entities, self.relations):
            digest.update("\0".join(vocabulary.names).encode() + b"\1")
        return digest.hexdigest()[:16]

    def label(self, name: str) -> str:
        """The readable name of an entity or relation, the name itself where there is none."""
        return self.labels.get(name, name)

    def text(self, head: int, relation: int, tail: int) -> str:
        """One fact in words."""
        return " — ".join(
            self.label(name)
            for name in (self.entities.names[head], self.relations.names[relation], self.entities.names[tail])
        )


@dataclass(frozen=True)
class Answers:
    """The known tails of every distinct (head, relation): a CSR over queries, sorted by (head, relation).

    Attributes:
        head: (queries,) int32.
        relation: (queries,) int32.
        offsets: (queries + 1,) int64; the tails of query q are tails[offsets[q]:offsets[q + 1]], sorted, distinct.
        tails: (facts,) int32.
    """

    num_relations: int
    head: Ids
    relation: Ids
    offsets: NDArray[np.int64]
    tails: Ids

    @classmethod
    def of(cls, triples: Triples, num_relations: int) -> Answers:
        """Group triples by (head, relation); a repeated triple counts once."""
        order = np.lexsort((triples.tail, triples.relation, triples.head))
        head, relation, tail = triples.head[order], triples.relation[order], triples.tail[order]
        new_query = np.ones(len(head), bool)
        new_query[1:] = (head[1:] != head[:-1]) | (relation[1:] != relation[:-1])
        new_fact = new_query.copy()
        new_fact[1:] |= tail[1:] != tail[:-1]
        starts = np.flatnonzero(new_query[new_fact])
        offsets = np.append(starts, new_fact.sum()).astype(np.int64)
        return cls(num_relations, head[new_query], relation[new_query], offsets, tail[new_fact])

    def __len__(self) -> int:
        return len(self.head)

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.head.astype(np.int64) * self.num_relations + self.relation

    def rows(self, head: Ids, relation: Ids) -> NDArray[np.int64]:
        """Position of each query, -1 where nothing is known of it; (n,) int64."""
        wanted = head.astype(np.int64) * self.num_relations + relation
        place = np.searchsorted(self._keys, wanted)
        place_inside = np.minimum(place, max(len(self) - 1, 0))
        found = (self._keys[place_inside] == wanted) if len(self) else np.zeros(len(wanted), bool)
        return np.where(found, place_inside, -1)

    def gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ids]:
        """The answers of some queries, as a CSR of their own: offsets (n + 1,) and tails. Row -1 is empty."""
        starts = self.offsets[rows]
        lengths = np.where(rows < 0, 0, self.offsets[rows + 1] - starts)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return offsets, self.tails[places]

    def lookup(self, head: int, relation: int) -> Ids:
        """The known tails of one query, sorted."""
        row = int(self.rows(np.array([head], np.int32), np.array([relation], np.int32))[0])
        return self.tails[self.offsets[row] : self.offsets[row + 1]] if row >= 0 else self.tails[:0]


def read_columns(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Heads, relations and tails of a file of `head<TAB>relation<TAB>tail` lines, plain or gzip.

    The whole text is split at once: a million lines take about half a second, and only a malformed file is
    walked line by line.

    Raises:
        MissingFile: there is no such file.
        MalformedLine: a line has not three fields, or an empty one, or is not UTF-8.
    """
    text = read_text(path).replace("\r\n", "\n").removesuffix("\n")
    if not text:
        return [], [], []
    num_lines = text.count("\n") + 1
    fields = text.replace("\n", "\t\n").split("\t")  # the "\n" left in front of a field marks a new line
    well_formed = len(fields) == 3 * num_lines and "" not in fields and "\n" not in fields
    heads = fields[0::3]
    if not (well_formed and all(map(_starts_a_line, heads[1:]))):
        _raise_malformed(path, text)
    return [heads[0], *(head[1:] for head in heads[1:])], fields[1::3], fields[2::3]


def _starts_a_line(head: str) -> bool:
    return head[0] == "\n"


def _raise_malformed(path: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.split("\t")
        if len(parts) != 3:
            raise MalformedLine(
                path, number, f"expected head<TAB>relation<TAB>tail, found {len(parts)} field(s)"
            )
        if "" in parts:
            raise MalformedLine(path, number, f"the {_COLUMNS[parts.index('')]} is empty")
    raise MalformedLine(path, 1, "not a file of head<TAB>relation<TAB>tail lines")


def _find_split(folder: Path, split: str) -> Path | None:
    names = [f"{split}{ending}" for ending in (".txt", ".tsv", ".txt.gz", ".tsv.gz", "")]
    return next((folder / name for name in names if (folder / name).is_file()), None)
