"""A graph of which some entities are labelled, with one class each or several, and its parts to train and test on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from offprints.errors import InputError

from ke_gcn.checks import check_triples
from ke_gcn.pattern import Array


@dataclass(frozen=True)
class ClassificationData:
    """A graph of which some entities are labelled.

    Attributes:
        name: of the data set.
        triples: (E, 3) int64.
        num_entities: N.
        num_relations: R.
        labelled: (L,) int64, entities that have labels.
        labels: (L,) int64, the class of each; or (L, classes) bool, all that are true.
        class_names: of the classes.
        relation_names: of the relations.
        checksums: file -> sha256 of what the data were read from.
        test: (n,) int64, rows of `labelled` that the publishers keep for testing; None where they leave that open.
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
    test: Array | None = None

    def __post_init__(self) -> None:
        check_triples(self.triples, self.num_entities, self.num_relations)
        if len(self.relation_names) not in (0, self.num_relations):
            raise InputError(
                f"{self.name}: {len(self.relation_names)} relation names for {self.num_relations}"
            )
        if not np.issubdtype(self.labelled.dtype, np.integer):
            raise InputError(f"{self.name}: labelled entities must be integers, got {self.labelled.dtype}")
        if not self.several and not np.issubdtype(self.labels.dtype, np.integer):
            raise InputError(f"{self.name}: labels must be integers, got {self.labels.dtype}")
        if len(self.labelled) != len(self.labels) or not len(self.labelled):
            raise InputError(
                f"{self.name}: {len(self.labelled)} labelled entities, {len(self.labels)} labels"
            )
        if len(np.unique(self.labelled)) < len(self.labelled):
            raise InputError(f"{self.name}: an entity is labelled twice")
        if self.labelled.min() < 0 or self.labelled.max() >= self.num_entities:
            raise InputError(f"{self.name}: a labelled entity is not one of the {self.num_entities}")
        classes = len(self.class_names)
        if self.several and (self.labels.shape[1] != classes or self.labels.dtype != bool):
            raise InputError(f"{self.name}: labels {self.labels.shape} must be bool of {classes} columns")
        if not self.several and (self.labels.min() < 0 or self.labels.max() >= classes):
            raise InputError(f"{self.name}: a label is not one of the {classes} classes")

    @property
    def several(self) -> bool:
        """Whether an entity may have several classes."""
        return self.labels.ndim == 2

    def agreement(self, relation: str) -> float:
        """Share of a relation's triples with two labelled ends whose labels are the same; one class an entity.

        Raises:
            InputError: there is no such relation, or entities have several classes.
        """
        if self.several:
            raise InputError(f"{self.name}: entities have several classes")
        if relation not in self.relation_names:
            raise InputError(f"{self.name} has no relation {relation!r}: {', '.join(self.relation_names)}")
        label = np.full(self.num_entities, -1)
        label[self.labelled] = self.labels
        rows = self.triples[self.triples[:, 1] == self.relation_names.index(relation)]
        first, second = label[rows[:, 0]], label[rows[:, 2]]
        both = (first >= 0) & (second >= 0)
        return float((first[both] == second[both]).mean())


@dataclass(frozen=True)
class EntitySplit:
    """Disjoint rows of the labelled entities, each (n,) int64.

    Attributes:
        train: to learn from.
        valid: to choose the epoch on.
        test: to be classified.

    Raises:
        InputError: a row is in two parts, or there is nothing to learn from.
    """

    train: Array
    valid: Array
    test: Array

    def __post_init__(self) -> None:
        if not len(self.train):
            raise InputError("the split has no labelled entities to learn from")
        together = np.concatenate([self.train, self.valid, self.test])
        if len(np.unique(together)) < len(together):
            raise InputError("an entity is in two parts of the split: test labels would leak")


def split_entities(
    data: ClassificationData, train_share: float = 0.1, valid_share: float = 0.1, seed: int = 0
) -> EntitySplit:
    """The labelled entities in random order: train, validation, and the rest for test (10, 10 and 80 % as published).

    Where the publishers keep a part for testing, that is the test part, and of the others `valid_share` validates; the
    published program looks at the test labels instead to choose the epoch.

    Raises:
        InputError: the shares leave nothing to train or test on.
    """
    rng = np.random.default_rng(seed)
    if data.test is not None:
        others = rng.permutation(np.setdiff1d(np.arange(len(data.labelled)), data.test))
        held_out = _share(valid_share, len(others))
        if not 0 <= held_out < len(others) or not len(data.test):
            raise InputError(f"valid_share={valid_share} leaves a part of the split empty")
        return EntitySplit(others[held_out:], others[:held_out], data.test)
    count = len(data.labelled)
    train, end = _share(train_share, count), _share(train_share + valid_share, count)
    if train < 1 or end < train or end >= count:
        raise InputError(
            f"train_share={train_share} and valid_share={valid_share} leave a part of the split empty"
        )
    order = rng.permutation(count)
    return EntitySplit(order[:train], order[train:end], order[end:])


def _share(share: float, count: int) -> int:
    return math.floor(share * count + 1e-9)
