"""WordNet for entity classification, in three readings of its published file.

The file numbers heads and tails in two separate spaces. The published program takes equal numbers for the same entity
("merged"), which joins entities at random: along hypernyms, labels agree no more often than by chance. "bipartite" keeps
the two spaces apart; "unified" has each entity once, as WordNet has it, and is the reading to use.

Source: Section 5.1 of the paper; the file is that of DHNE (Tu et al. 2018), its triples those of WN18.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from offprints.data import DataError
from offprints.errors import InputError

from ke_gcn.datasets import WORDNET
from ke_gcn.pattern import Array

Reading: TypeAlias = Literal["unified", "bipartite", "merged"]
_HEADS, _TAILS, _ENTITIES, _RELATIONS, _TRIPLES, _LABELLED, _LABELS = (
    40750,
    40752,
    40943,
    18,
    146442,
    31943,
    27,
)


@dataclass(frozen=True)
class ClassificationData:
    """A graph of which some entities are labelled.

    Attributes:
        name: of the data set.
        triples: (E, 3) int64.
        num_entities: N.
        num_relations: R.
        labelled: (L,) int64, entities that have a label.
        labels: (L,) int64, their classes.
        class_names: of the classes.
        relation_names: of the relations.
        checksums: file -> sha256 of what the data were read from.
    """

    name: str
    triples: Array
    num_entities: int
    num_relations: int
    labelled: Array
    labels: Array
    class_names: tuple[str, ...]
    relation_names: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.labelled.shape != self.labels.shape or not len(self.labelled):
            raise InputError(
                f"{self.name}: {len(self.labelled)} labelled entities, {len(self.labels)} labels"
            )
        if len(np.unique(self.labelled)) < len(self.labelled):
            raise InputError(f"{self.name}: an entity is labelled twice")
        if self.labelled.min() < 0 or self.labelled.max() >= self.num_entities:
            raise InputError(f"{self.name}: a labelled entity is not one of the {self.num_entities}")
        if self.labels.min() < 0 or self.labels.max() >= len(self.class_names):
            raise InputError(f"{self.name}: a label is not one of the {len(self.class_names)} classes")

    def agreement(self, relation: str) -> float:
        """Share of a relation's triples with two labelled ends whose labels are the same."""
        if relation not in self.relation_names:
            raise InputError(f"{self.name} has no relation {relation!r}: {', '.join(self.relation_names)}")
        label = np.full(self.num_entities, -1)
        label[self.labelled] = self.labels
        rows = self.triples[self.triples[:, 1] == self.relation_names.index(relation)]
        first, second = label[rows[:, 0]], label[rows[:, 2]]
        both = (first >= 0) & (second >= 0)
        return float((first[both] == second[both]).mean())


def load_wordnet(reading: Reading = "unified", root: str | Path | None = None) -> ClassificationData:
    """WordNet in one of its readings.

    Args:
        reading: "unified", "bipartite" or "merged"; the last one warns, because it scrambles the graph.
        root: where data sets lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        InputError: there is no such reading.
        DataError: files are missing or changed, or their counts are not the published ones.
    """
    if reading not in get_args(Reading):
        raise InputError(f"reading {reading!r} is unknown: one of {', '.join(get_args(Reading))}")
    checksums = WORDNET.verify(root)
    if reading == "unified":
        triples, labels = _table("unified_triples.tsv", root), _table("unified_labels.tsv", root)
        size = _ENTITIES
    else:
        triples = np.concatenate([_table(f"triples_{part}.tsv", root) for part in ("train", "test")])
        labels = _table("labels.tsv", root)
        size = max(_HEADS, _TAILS)
        if reading == "bipartite":
            triples[:, 2] += _HEADS
            size = _HEADS + _TAILS
        else:
            warnings.warn(
                "the merged reading takes head i and tail i for one entity though the file numbers them apart: it "
                "repeats the published protocol on a scrambled graph",
                stacklevel=2,
            )
    class_names, relation_names = _names("label_names.tsv", root), _names("relation_names.tsv", root)
    found = (len(triples), len(labels), len(class_names), len(relation_names))
    if found != (_TRIPLES, _LABELLED, _LABELS, _RELATIONS):
        raise DataError(
            f"{WORDNET.name}: counts {found}, expected {(_TRIPLES, _LABELLED, _LABELS, _RELATIONS)}"
        )
    return ClassificationData(
        f"wordnet-{reading}",
        triples,
        size,
        _RELATIONS,
        labels[:, 0].copy(),
        labels[:, 1].copy(),
        class_names,
        relation_names,
        checksums,
    )


def _table(name: str, root: str | Path | None) -> Array:
    return np.loadtxt(io.BytesIO(WORDNET.read_bytes(name, root)), np.int64, delimiter="\t", ndmin=2)


def _names(name: str, root: str | Path | None) -> tuple[str, ...]:
    lines = WORDNET.read_bytes(name, root).decode().splitlines()
    return tuple(line.split("\t")[1] for line in lines)
