"""A data set without the relations that give its test split away, made from any data set.

The paper made WN18RR from WN18 by hand: seven relations that are the inverse of another were dropped, in every split.
`make_robust` finds such relations in the training facts, drops one of each pair, and audits what is left.

Source: section 5 of the paper.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.atomic import write_text
from offprints.errors import InputError
from offprints.triples import SPLITS, Ids, KnowledgeGraph, Triples, Vocabulary

from conve.audit import LeakageReport, audit, leaked_pairs
from conve.inverse import resolve_threshold
from conve.overlap import pair_overlap

WN18RR_REMOVED = (
    "_member_of_domain_topic",
    "_synset_domain_usage_of",
    "_instance_hyponym",
    "_hyponym",
    "_member_holonym",
    "_synset_domain_region_of",
    "_part_of",
)


@dataclass(frozen=True)
class RobustGraph:
    """A graph made robust, and how.

    Attributes:
        graph: what is left, with vocabularies of its own.
        threshold: the share of pairs from which on a relation counts as redundant.
        removed: one row for each relation dropped: relation; kept, the relation that says the same; kind, "inverse",
            "duplicate" or "symmetric"; share, the larger of the two shares of their pairs.
        symmetric: relations left in that reach the threshold with themselves reversed. The paper keeps them in WN18RR,
            where the inverse rule still answers a third of the test with them.
        before: the audit of the graph given.
        after: the audit of the graph made.
    """

    graph: KnowledgeGraph
    threshold: float
    removed: pd.DataFrame
    symmetric: tuple[str, ...]
    before: LeakageReport
    after: LeakageReport


def make_robust(
    graph: KnowledgeGraph,
    threshold: Literal["paper"] | float = "paper",
    *,
    keep: Collection[str] = (),
    drop_symmetric: bool = False,
    drop_linked: bool = False,
) -> RobustGraph:
    """Drop one of every two relations that are each other's inverse or duplicate, then audit the rest.

    Of two such relations the one with fewer training pairs goes, the later one where they have as many; the strongest
    bonds are cut first. On WN18 this finds the seven pairs behind WN18RR; which of a pair goes is a matter of taste, and
    `keep` decides it.

    Args:
        threshold: as in InverseModel.mine: "paper", or the share of pairs from which on, in either relation, two
            relations count as one.
        keep: relations that stay, whatever they are bound to.
        drop_symmetric: drop symmetric relations too; the paper does not.
        drop_linked: then also drop each valid and test triple whose pair train still has, straight or reversed, as
            Toutanova and Chen did for FB15k-237.

    Raises:
        UnknownName: `keep` has a relation the graph does not know.
        InputError: as InverseModel.mine; or every relation would go.
    """
    theta = resolve_threshold(graph, threshold)
    sizes = np.bincount(graph.train.relation, minlength=graph.num_relations)
    stays = set(graph.relations.ids(list(keep)).tolist())
    bonds = _bonds(graph, theta)
    gone: dict[int, _Bond] = {}
    for bond in bonds:
        choice = {bond.first, bond.second} - stays
        redundant = (
            drop_symmetric if bond.kind == "symmetric" else gone.keys().isdisjoint((bond.first, bond.second))
        )
        if redundant and choice:
            gone.setdefault(min(choice, key=lambda relation: (sizes[relation], -relation)), bond)
    if len(gone) == graph.num_relations:
        raise InputError(f"{graph.name}: at threshold {theta:.3f} every relation would go")

    names = graph.relations.names
    robust = without_relations(graph, [names[relation] for relation in gone])
    if drop_linked:
        robust = _without_linked(robust)
    rows = [
        (names[relation], names[bond.first + bond.second - relation], bond.kind, bond.share)
        for relation, bond in gone.items()
    ]
    return RobustGraph(
        robust,
        theta,
        pd.DataFrame(rows, columns=["relation", "kept", "kind", "share"]),
        tuple(names[bond.first] for bond in bonds if bond.kind == "symmetric" and bond.first not in gone),
        audit(graph),
        audit(robust),
    )


def without_relations(graph: KnowledgeGraph, relations: Collection[str]) -> KnowledgeGraph:
    """The graph without the triples of some relations, in the order of its files.

    Entities and relations that no triple names any more are forgotten, and ids are given anew in order of first
    appearance: the graph is the one that reading its files (`write_graph`) gives.

    Raises:
        UnknownName: a relation the graph does not know.
    """
    dropped = np.zeros(graph.num_relations, bool)
    dropped[graph.relations.ids(list(relations))] = True
    return _restricted(graph, [~dropped[graph.split(name).relation] for name in SPLITS])


def write_graph(graph: KnowledgeGraph, folder: str | Path, *, overwrite: bool = False) -> dict[str, Path]:
    """Write train.txt, valid.txt and test.txt, `head<TAB>relation<TAB>tail`, each whole or not at all.

    Returns:
        Split -> file. KnowledgeGraph.from_folder reads them back to the same graph, but for its labels.

    Raises:
        InputError: a file is there already and is not to be overwritten, or a name holds a tab or a line break.
    """
    folder = Path(folder)
    paths = {name: folder / f"{name}.txt" for name in SPLITS}
    if not overwrite and (standing := [str(path) for path in paths.values() if path.exists()]):
        raise InputError(
            f"{', '.join(standing)} would be overwritten; choose an empty folder, or say overwrite"
        )
    for vocabulary in (graph.entities, graph.relations):
        for name in vocabulary.names:
            if not name or any(separator in name for separator in "\t\n\r"):
                raise InputError(f"the {vocabulary.kind} {name!r} cannot be written to a TSV file")
    entities, relations = graph.entities.names, graph.relations.names
    for name, path in paths.items():
        facts = graph.split(name)
        columns = zip(facts.head.tolist(), facts.relation.tolist(), facts.tail.tolist(), strict=True)
        write_text(path, "".join(f"{entities[h]}\t{relations[r]}\t{entities[t]}\n" for h, r, t in columns))
    return paths


@dataclass(frozen=True)
class _Bond:
    """Two relations (first <= second) that say the same of at least a threshold's share of the pairs of one."""

    first: int
    second: int
    kind: Literal["inverse", "duplicate", "symmetric"]
    share: float


def _bonds(graph: KnowledgeGraph, threshold: float) -> list[_Bond]:
    """All bonds, strongest first."""
    bonds = []
    for reverse in (True, False):
        found = pair_overlap(graph, reverse=reverse)
        share = np.maximum(found.share, found.share_of_second)
        once = found.first <= found.second if reverse else found.first < found.second
        for place in np.flatnonzero(once & (share >= threshold)):
            first, second = int(found.first[place]), int(found.second[place])
            kind: Literal["inverse", "duplicate", "symmetric"] = "inverse" if reverse else "duplicate"
            bonds.append(_Bond(first, second, "symmetric" if first == second else kind, float(share[place])))
    return sorted(bonds, key=lambda bond: -bond.share)


def _without_linked(graph: KnowledgeGraph) -> KnowledgeGraph:
    free = [~np.logical_or(*leaked_pairs(graph, name)) for name in ("valid", "test")]
    return _restricted(graph, [np.ones(len(graph.train), bool), *free])


def _restricted(graph: KnowledgeGraph, rows: list[NDArray[np.bool_]]) -> KnowledgeGraph:
    """Some rows of each split, over the vocabularies of what is left."""
    splits = [graph.split(name)[chosen] for name, chosen in zip(SPLITS, rows, strict=True)]
    facts = Triples.concatenate(splits)
    entities, entity_id = _renumbered(graph.entities, np.stack([facts.head, facts.tail], axis=1).ravel())
    relations, relation_id = _renumbered(graph.relations, facts.relation)
    train, valid, test = (
        Triples(entity_id[part.head], relation_id[part.relation], entity_id[part.tail]) for part in splits
    )
    return replace(
        graph, entities=entities, relations=relations, train=train, valid=valid, test=test, checksums={}
    )


def _renumbered(vocabulary: Vocabulary, ids: Ids) -> tuple[Vocabulary, Ids]:
    """The names in use, in order of first appearance, and old id -> new id (-1 for a name that is gone)."""
    present, first = np.unique(ids, return_index=True)
    ordered = present[np.argsort(first)]
    new = np.full(len(vocabulary), -1, np.int32)
    new[ordered] = np.arange(len(ordered))
    return Vocabulary(vocabulary.kind, tuple(vocabulary.names[i] for i in ordered.tolist())), new
