"""The data sets of the paper: where they come from, what their files must be, and how to load one for alignment.

Source: the paper's statistics of its data; DBP15K is the release of JAPE (Sun, Hu and Li 2017).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offprints.data import DataError, DataFile, Dataset, MalformedLine, MissingFile, Url
from offprints.errors import InputError
from offprints.triples import KnowledgeGraph, UnknownName, Vocabulary

from ke_gcn.amsterdam import AM
from ke_gcn.freebase import FB15K
from ke_gcn.lines import integer_rows, numbered_names, utf8_lines
from ke_gcn.pairs import AlignmentData, NamedPair
from ke_gcn.pattern import Array

_AUTHORS = "https://github.com/PlusRoss/KE-GCN/raw/master/data"
_MIT = "MIT (the authors' repository)"

PAIRS = ("zh_en", "ja_en", "fr_en")
_FILES = (
    "ent_ids_1",
    "ent_ids_2",
    "triples_1",
    "triples_2",
    "triples_2_relaligned",
    "ref_ent_ids",
    "ref_rel_ids",
)
_SHA256 = {
    "zh_en": (
        "6d230db7922b58f6fe31fb75b478d5edcbb3cc7d3f76763b5af8232ff1940082",
        "68d7cccc5334881d386094df3e4f9af479eedf3161ed00ec4d06e0685d510f69",
        "5bd1df6af7b51a0bc1111809c980364455e42f2cc27946cd664861f0d95aafcb",
        "bbab07e5d97247221d742a7ab4e14c20ffdb3125667b2bac2b317a714a07bc48",
        "5258977c6c47cea1a1314065e1a2eaf19f93944b1ec6e25640e59a93a0f5e4bd",
        "f6fc5f4b4c162eb21119697561b38686c48935222c11d07f08edc6efc5414507",
        "17c311629c9a46a5c2e10fd47e0c73272b139fef2f6cac8d136ebdca79418364",
    ),
    "ja_en": (
        "c0163c3e4d1a1173fde4941c6c3752e659ff54c50149fbe8776e10c78077f1ad",
        "b6e8aa468861daa932f5bbb50c4743273418331839543de8889b13cc267a84a2",
        "5c9396f4bc18f62f395bdea897228285be85f3590d89c336739877d7fc0eeae5",
        "aeb66ed5e3dd1588f4d7e2cae50bc930794dbc29063f71365242c924ae27c2d6",
        "6ffebfa30f4738a6cf66bdfce7787cdba5b11d3b6a41e0df7f4544c97001255c",
        "60edbd1d05d65e80cc81957eb6efa06fa53901a2a3042cfb0a115abccb2dff91",
        "c60876157dfe19d8063abb2859c5d5168980c96c1c2478403561e43c07659b95",
    ),
    "fr_en": (
        "8c5c96ba6ef3b3a7791f2ee33e0a779049e4fee36aac77c813814964a23b4401",
        "9e14e2ae75c45d18fc1fd310657dfd2b84925e625ceb89f96b7775f6218e042c",
        "318c50b356055ccfdbb98d6733ecb8213b3f0ee8f2222cd9733e2d6ef04f5718",
        "38508926b2e93dae9bb9b066e308cbb11545e62fa93239b574b53f496aeb2f1c",
        "1bac521373b9c6d5fda299d15472207bd0e289cc26de785df7804e9e3b5d204b",
        "ba1c4b07e67ab2581d6ca11038e9f527b08666fe5bedad3a95cb7f61579a3c64",
        "9f4bc3a171c3721ee9f1f99e3a8a76962c99072f9a2dc7256ed4e05c9c08b781",
    ),
}
# Entities and relations of each graph, triples of each, pairs of relations.
_COUNTS = {
    "zh_en": (19388, 19572, 1701, 1323, 70414, 95142, 891),
    "ja_en": (19814, 19780, 1299, 1153, 77214, 93484, 582),
    "fr_en": (19661, 19993, 903, 1208, 105998, 115722, 75),
}

DBP15K = {
    pair: Dataset(
        name=f"dbp15k_{pair}",
        title=f"DBP15K {pair}: 15,000 pairs of entities of two DBpedias",
        licence="CC BY-SA 3.0 (DBpedia); redistributed under MIT",
        citation="Sun, Hu and Li 2017, Cross-lingual Entity Alignment via Joint Attribute-Preserving Embedding, ISWC",
        files=tuple(DataFile(name, sha256=sha) for name, sha in zip(_FILES, _SHA256[pair], strict=True)),
        sources=tuple(Url(f"{_AUTHORS}/{pair}/{name}", name) for name in _FILES),
        folder=f"dbp15k/{pair}",
    )
    for pair in PAIRS
}

WORDNET = Dataset(
    name="wn_entity_classification",
    title="WordNet entity classification of DHNE, as published and with its two id spaces joined again",
    licence="WordNet 3.0 licence (Princeton University); MIT (DHNE, KE-GCN, OpenKE)",
    citation="Tu, Cui, Wang, Wang and Zhu 2018, Structural Deep Embedding for Hyper-Networks, AAAI",
    files=(
        DataFile("label_names.tsv", "77e6ae31279418eefd5f6210acfcbc3ed6ae14a0e9ef2ea132a9cfd1b27d0ae0"),
        DataFile("labels.tsv", "7b846373814809f4f2577a97a9514261def7e9220d3c6e02bd2d376694114017"),
        DataFile("relation_names.tsv", "8d8821c125ed0bcb27dab025027006386d4bfdf39f7558b28bad8b46e3ca12ff"),
        DataFile("triples_test.tsv", "21ef10d1ea17b946dd9c509109c33456e807313fcab1b390a99a294fc1d63c52"),
        DataFile("triples_train.tsv", "68ea7e4f8c6f3ce8aa01157127fe0bdb625a047281ca807802dcf513a159d12b"),
        DataFile("unified_entities.tsv", "a06d5017d7592899045cdc7180cc5674b6df6f8717bd94755cdae5490f5ecea9"),
        DataFile("unified_labels.tsv", "34f12c4a43d3429c38efe2151112feeffb05db84792ad7ce4b9830fa828c0e45"),
        DataFile("unified_triples.tsv", "4aea35622510eb98c2d7c0bb2e4665a077120c986eeb7acabe3a4e3fe6f5f15b"),
    ),
)

DATASETS = {dataset.name: dataset for dataset in (*DBP15K.values(), WORDNET, FB15K, AM)}


def load_dbp15k(pair: str, *, relations_shared: bool, root: str | Path | None = None) -> AlignmentData:
    """DBP15K in the numbering of its files.

    Args:
        pair: zh_en, ja_en or fr_en.
        relations_shared: give the second graph the first one's ids for relations that are the same, as the published
            entity alignment does; False leaves the alignment of relations to be found.
        root: where data sets lie; $OFFPRINTS_DATA or the user's cache by default.

    Returns:
        Relations that are the same are in `relation_pairs` only if they are not shared: as shared ones they are known.

    Raises:
        InputError: there is no such pair.
        DataError: files are missing or changed, or their counts are not the published ones.
    """
    if pair not in DBP15K:
        raise InputError(f"DBP15K has no pair {pair!r}: one of {', '.join(PAIRS)}")
    dataset = DBP15K[pair]
    checksums = dataset.verify(root)
    second = "triples_2_relaligned" if relations_shared else "triples_2"
    graphs = [_integers(dataset, name, root, 3) for name in ("triples_1", second)]
    raw = _integers(dataset, "triples_2", root, 3)
    if relations_shared and not np.array_equal(raw[:, [0, 2]], graphs[1][:, [0, 2]]):
        raise DataError(f"{dataset.name}: {second} is not triples_2 with other relation ids")
    names = [_names(dataset, name, root) for name in ("ent_ids_1", "ent_ids_2")]
    pairs = _integers(dataset, "ref_ent_ids", root, 2)
    relation_pairs = _integers(dataset, "ref_rel_ids", root, 2)
    found = (
        *(len(ids) for ids in names),
        len(np.unique(graphs[0][:, 1])),
        len(np.unique(raw[:, 1])),
        *(len(graph) for graph in graphs),
        len(relation_pairs),
    )
    entities = found[0] + found[1]
    if found != _COUNTS[pair] or sorted([*names[0], *names[1]]) != list(range(entities)):
        raise DataError(f"{dataset.name}: counts {found}, expected {_COUNTS[pair]}")
    left = np.zeros(entities, bool)
    left[list(names[0])] = True
    both = names[0] | names[1]
    triples = np.concatenate(graphs)
    return AlignmentData(
        dataset.name,
        triples,
        entities,
        int(triples[:, 1].max()) + 1,
        left,
        pairs,
        np.zeros((0, 2), np.int64) if relations_shared else relation_pairs,
        relations_shared,
        [both[entity] for entity in range(entities)],
        (),
        checksums,
    )


def load_folders(
    left: str | Path,
    right: str | Path,
    seeds: str | Path,
    relation_seeds: str | Path | None = None,
    test: str | Path | None = None,
) -> AlignmentData:
    """Two folders of triples (train.txt, head<TAB>relation<TAB>tail) and files of known pairs (left<TAB>right).

    Args:
        left: folder of the first graph.
        right: folder of the second graph.
        seeds: file of known pairs of entities.
        relation_seeds: file of known pairs of relations; None for none.
        test: file of pairs of entities to be found; None for none. `given_split` keeps them apart from the seeds.

    Raises:
        MissingFile: a folder or file is not there.
        MalformedLine: with the path, and the number of the line.
        UnknownName: a name of a pair is not in its graph; with path and line, and the nearest names.
        InputError: an entity is in a seed and in a test pair.
    """
    first, second = KnowledgeGraph.from_folder(left), KnowledgeGraph.from_folder(right)
    entities, predicates = (first.entities, second.entities), (first.relations, second.relations)
    pairs = _known_pairs(seeds, entities)
    relations = [] if relation_seeds is None else _known_pairs(relation_seeds, predicates)
    tests = [] if test is None else _known_pairs(test, entities)
    for side, of_seeds in enumerate(zip(*pairs, strict=True)):
        if leaked := {pair[side] for pair in tests}.intersection(of_seeds):
            raise InputError(f"{test}: {min(leaked)!r} is in a pair of {seeds} too: a test pair would leak")
    name = f"{first.name}+{second.name}"
    return AlignmentData.merge(name, first, second, pairs, relations, test_pairs=tests)


def _known_pairs(path: str | Path, of: tuple[Vocabulary, Vocabulary]) -> list[NamedPair]:
    """The pairs of a file, each name of which must be in its graph's vocabulary."""
    pairs = read_pairs(Path(path))
    for number, pair in enumerate(pairs, 1):
        for name, vocabulary, side in zip(pair, of, ("left", "right"), strict=True):
            if name not in vocabulary:
                raise UnknownName(f"{path}, line {number}, {side} graph: {vocabulary.unknown(name)}")
    return pairs


def read_pairs(path: Path) -> list[NamedPair]:
    """Lines of left<TAB>right; a name has one partner.

    Raises:
        MissingFile: there is no such file.
        MalformedLine: a line has not two fields, is not UTF-8, or has a name that an earlier one has on the same side.
    """
    if not path.is_file():
        raise MissingFile(f"no file {path}: expected left<TAB>right, one pair a line")
    found: list[NamedPair] = []
    seen: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for number, line in enumerate(utf8_lines(path.read_bytes(), path), 1):
        parts = line.split("\t")
        if len(parts) != 2:
            raise MalformedLine(path, number, f"expected left<TAB>right, found {len(parts)} field(s)")
        for name, lines, side in zip(parts, seen, ("left", "right"), strict=True):
            if not name:
                raise MalformedLine(path, number, f"the {side} name is empty")
            if name in lines:
                raise MalformedLine(
                    path,
                    number,
                    f"{side} name {name!r} stands in line {lines[name]} already; it has one partner",
                )
            lines[name] = number
        found.append((parts[0], parts[1]))
    return found


def _integers(dataset: Dataset, name: str, root: str | Path | None, columns: int) -> Array:
    return integer_rows(dataset.read_bytes(name, root), f"{dataset.name}/{name}", columns)


def _names(dataset: Dataset, name: str, root: str | Path | None) -> dict[int, str]:
    named = numbered_names(dataset.read_bytes(name, root), f"{dataset.name}/{name}")
    return {number: uri.rsplit("/", 1)[-1] for number, uri in named.items()}
