"""AM, the Amsterdam Museum's graph: 1.67 million nodes of which 1,000 are labelled.

Literals are nodes like others. Its publishers keep 198 labelled objects for testing; the published program chose the epoch
on them, which `split_entities` does not.

Source: the paper's experiments on entity classification; the graph and its labels are those of R-GCN (Schlichtkrull et al.
2018).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offprints.data import DataError, DataFile, Dataset, MalformedLine, Url

from ke_gcn.labelled import ClassificationData
from ke_gcn.lines import utf8_lines
from ke_gcn.pattern import Array

_GRAPH = "am_stripped.nt"
_ENTITIES, _RELATIONS, _TRIPLES = 1_666_764, 133, 5_988_321
_TRAIN, _TEST, _CLASSES = 802, 198, 11

AM = Dataset(
    name="am",
    title="Amsterdam Museum: 1,666,764 nodes, 5,988,321 triples, 1,000 labelled objects of 11 categories",
    licence="CC BY-SA 3.0 (Amsterdam Museum)",
    citation="Ristoski, de Vries and Paulheim 2016, A Collection of Benchmark Datasets for Systematic Evaluations, ISWC",
    files=(
        DataFile("trainingSet.tsv", "cac5fc3e54727bbbbc0172e046ecba4f55c751bdd6ade48425db35c8e2897d0f"),
        DataFile("testSet.tsv", "82450927b13022708d539b02cb50b6613d1826991cea6062ec3a0a112fb9aa73"),
        DataFile(_GRAPH),
    ),
    sources=(Url("https://data.dgl.ai/dataset/am.tgz", "am.tgz"),),
)


def load_am(root: str | Path | None = None) -> ClassificationData:
    """AM with the split of its publishers.

    Args:
        root: where data sets lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        DataError: files are missing or changed, a labelled object is not in the graph, or counts are not the published
            ones.
    """
    AM.verify(root)
    data = read_am(AM, root)
    assert data.test is not None
    train = len(data.labelled) - len(data.test)
    sizes = (data.num_entities, data.num_relations, len(data.triples))
    found = (*sizes, train, len(data.test), len(data.class_names))
    expected = (_ENTITIES, _RELATIONS, _TRIPLES, _TRAIN, _TEST, _CLASSES)
    if found != expected:
        raise DataError(f"{AM.name}: counts {found}, expected {expected}")
    return data


def read_am(dataset: Dataset, root: str | Path | None) -> ClassificationData:
    """What the files hold; counts are not looked at."""
    triples, nodes, relations = _graph(dataset, root)
    parts = [_labels(dataset, name, root) for name in ("trainingSet.tsv", "testSet.tsv")]
    classes = tuple(sorted({kind for part in parts for _, kind in part}))
    rows = [row for part in parts for row in part]
    if absent := [name for name, _ in rows if f"<{name}>" not in nodes]:
        raise DataError(f"{dataset.name}: {absent[0]} is labelled but not in the graph")
    return ClassificationData(
        "am",
        triples,
        len(nodes),
        len(relations),
        np.array([nodes[f"<{name}>"] for name, _ in rows]),
        np.array([classes.index(kind) for _, kind in rows]),
        classes,
        tuple(relations),
        dataset.verify(root),
        np.arange(len(parts[0]), len(rows)),
    )


def _graph(dataset: Dataset, root: str | Path | None) -> tuple[Array, dict[str, int], dict[str, int]]:
    """Triples, nodes and relations of an N-Triples file, numbered as they come."""
    nodes: dict[str, int] = {}
    relations: dict[str, int] = {}
    path = dataset.locate(root)[_GRAPH]
    found: list[tuple[int, int, int]] = []
    for number, line in enumerate(utf8_lines(dataset.read_bytes(_GRAPH, root), path), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.rstrip().split(" ", 2)
        if len(parts) != 3 or not parts[2].endswith(" ."):
            raise MalformedLine(path, number, "expected subject predicate object and a dot")
        subject, predicate, target = parts[0], parts[1], parts[2][:-2].rstrip()
        found.append(
            (
                nodes.setdefault(subject, len(nodes)),
                relations.setdefault(predicate, len(relations)),
                nodes.setdefault(target, len(nodes)),
            )
        )
    return np.array(found, np.int64).reshape(-1, 3), nodes, relations


def _labels(dataset: Dataset, name: str, root: str | Path | None) -> list[tuple[str, str]]:
    """Object and category of each row; the columns are proxy, id and label_cateogory, which is how the file spells it."""
    place = f"{dataset.name}/{name}"
    header, *lines = utf8_lines(dataset.read_bytes(name, root), place) or [""]
    columns = header.split("\t")
    if missing := {"proxy", "label_cateogory"} - set(columns):
        raise DataError(f"{dataset.name}/{name}: no column {min(missing)}")
    places = columns.index("proxy"), columns.index("label_cateogory")
    rows = [line.split("\t") for line in lines]
    if short := [number for number, row in enumerate(rows, 2) if len(row) <= max(places)]:
        raise MalformedLine(place, short[0], f"expected {len(columns)} fields")
    return [(row[places[0]], row[places[1]]) for row in rows]
