"""FB15K for entity classification: the 50 most frequent types behind the most frequent one, several an entity.

The most frequent type, /common/topic, holds of nearly every entity and is left out before the 50 are counted. All triples
of the three files are the graph.

Source: the paper's experiments on entity classification; entities and types are those of DKRL (Xie et al. 2016).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from offprints.data import DataError, DataFile, Dataset, Url

from ke_gcn.labelled import ClassificationData
from ke_gcn.lines import utf8_lines
from ke_gcn.pattern import Array

_LABELS = 50
_PARTS = {"train": 483_142, "valid": 50_000, "test": 59_071}
_ENTITIES, _RELATIONS, _LISTED = 14_951, 1_345, (12_113, 1_332)
_DKRL = "https://github.com/xrb92/DKRL/raw/master"

FB15K = Dataset(
    name="fb15k_entity_classification",
    title="FB15K entity classification of DKRL: 14,951 entities, 50 types",
    licence="CC BY 2.5 (Freebase)",
    citation="Xie, Liu, Jia, Luan and Sun 2016, Representation Learning of Knowledge Graphs with Entity Descriptions, AAAI",
    files=(
        DataFile("train_entities.txt", "76c7a43c821554b1fce3a6c59f05b8b287d472856bf4310abd2ae0c396216708"),
        DataFile("test_entities.txt", "53f4ae5a8ea52e38019a84ebaa015911bbec3e62f49f7214851c6e310e6c0047"),
        *(DataFile(f"freebase_mtr100_mte100-{part}.txt", lines=count) for part, count in _PARTS.items()),
        DataFile("entity2type.txt"),
    ),
    sources=(Url(f"{_DKRL}/data.zip", "data.zip"),),
)


def load_fb15k(root: str | Path | None = None) -> ClassificationData:
    """FB15K with its 50 types.

    Args:
        root: where data sets lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        DataError: files are missing or changed, a listed entity has no triples, or counts are not the published ones.
    """
    FB15K.verify(root)
    data, listed = read_fb15k(FB15K, root)
    found = (data.num_entities, data.num_relations, *listed)
    if found != (_ENTITIES, _RELATIONS, *_LISTED):
        raise DataError(f"{FB15K.name}: counts {found}, expected {(_ENTITIES, _RELATIONS, *_LISTED)}")
    return data


def read_fb15k(dataset: Dataset, root: str | Path | None) -> tuple[ClassificationData, tuple[int, int]]:
    """What the files hold, and how many entities each of the two lists has; counts are not looked at."""

    def lines(name: str) -> list[str]:
        return utf8_lines(dataset.read_bytes(name, root), f"{dataset.name}/{name}")

    rows = [line.split("\t") for part in _PARTS for line in lines(f"freebase_mtr100_mte100-{part}.txt")]
    if bad := next((row for row in rows if len(row) != 3), None):
        raise DataError(
            f"{dataset.name}: a triple has {len(bad)} fields, expected head<TAB>relation<TAB>tail: {bad}"
        )
    entities = {name: i for i, name in enumerate(dict.fromkeys(n for row in rows for n in (row[0], row[2])))}
    relations = {name: i for i, name in enumerate(dict.fromkeys(row[1] for row in rows))}
    listed = [lines(f"{part}_entities.txt") for part in ("train", "test")]
    names = [name for part in listed for name in part]
    if absent := [name for name in names if name not in entities]:
        raise DataError(f"{dataset.name}: entity {absent[0]} is listed but in no triple")
    labels, classes = _types(lines("entity2type.txt"), names)
    data = ClassificationData(
        "fb15k",
        np.array([(entities[h], relations[r], entities[t]) for h, r, t in rows], np.int64),
        len(entities),
        len(relations),
        np.array([entities[name] for name in names]),
        labels,
        classes,
        tuple(relations),
        dataset.verify(root),
    )
    return data, (len(listed[0]), len(listed[1]))


def _types(lines: list[str], names: list[str]) -> tuple[Array, tuple[str, ...]]:
    """(entities, classes) bool, and the classes: the most frequent types of the file behind the first."""
    types = {line.split("\t")[0]: line.split("\t")[1:] for line in lines}
    frequent = Counter(kind for kinds in types.values() for kind in kinds).most_common(_LABELS + 1)[1:]
    if not frequent:
        raise DataError(
            f"{FB15K.name}/entity2type.txt: one type at most, and the most frequent one is no label"
        )
    place = {kind: i for i, (kind, _) in enumerate(frequent)}
    labels = np.zeros((len(names), len(place)), bool)
    for row, name in enumerate(names):
        for kind in types.get(name, ()):
            if kind in place:
                labels[row, place[kind]] = True
    return labels, tuple(place)
