"""WordNet for entity classification, in three readings of its published file.

The file numbers heads and tails in two separate spaces. The published program takes equal numbers for the same entity
("merged"), which joins entities at random: along hypernyms, labels agree no more often than by chance. "bipartite" keeps
the two spaces apart; "unified" has each entity once, as WordNet has it, and is the reading to use.

Source: the paper's experiments on entity classification; the file is that of DHNE (Tu et al. 2018), its triples those of WN18.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from offprints.data import DataError
from offprints.errors import InputError

from ke_gcn.datasets import WORDNET
from ke_gcn.labelled import ClassificationData
from ke_gcn.lines import integer_rows, numbered_names
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
    columns = {"unified_labels.tsv": 4, "labels.tsv": 2}.get(name, 3)
    return integer_rows(WORDNET.read_bytes(name, root), f"{WORDNET.name}/{name}", columns)


def _names(name: str, root: str | Path | None) -> tuple[str, ...]:
    return tuple(numbered_names(WORDNET.read_bytes(name, root), f"{WORDNET.name}/{name}").values())
