"""How central the entities of a graph are, and what a model gains on the central ones.

The paper explains ConvE's lead over DistMult by the centrality of the entities it is tested on: the more PageRank the
test entities have on average, the larger the part of DistMult's errors that ConvE avoids.

Source: section 6 of the paper. It does not define its PageRank; damping 0.85 on the undirected graph, without weights
for repeated edges, comes close to the published means (0.108 for 0.104 on WN18RR, all times 0.001). Its recipe for the
low and high in-degree data sets is not published: `low_in_degree` and `high_in_degree` are ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from offprints.errors import InputError
from offprints.triples import KnowledgeGraph, Triples

from conve.keys import count_answers, distinct, query_keys

Facts: TypeAlias = Literal["train", "all"]
Category: TypeAlias = Literal["1-1", "1-N", "N-1", "N-N"]
CATEGORIES: tuple[Category, ...] = ("1-1", "1-N", "N-1", "N-N")


def pagerank(
    graph: KnowledgeGraph,
    facts: Facts = "train",
    *,
    damping: float = 0.85,
    tolerance: float = 1e-12,
    max_iterations: int = 1000,
) -> NDArray[np.float64]:
    """PageRank of every entity in the undirected graph of the facts, each edge once; (entities,), adds up to 1.

    A step follows an edge with probability `damping` and jumps to any entity otherwise; an entity without edges
    always jumps. A self loop is an edge; on FB15k-237, with 1,806 of them, the mean over the test is 0.731 with and 0.734
    without (times 0.001; published: 0.733).

    Args:
        facts: "train" for the training facts, "all" for those of all splits.
        tolerance: stops when the values change by less than this in sum.

    Raises:
        InputError: damping outside [0, 1), or no convergence within `max_iterations`.
    """
    if not 0 <= damping < 1:
        raise InputError(f"damping must lie in [0, 1), got {damping}")
    number = graph.num_entities
    chosen = _facts(graph, facts)
    ends = np.concatenate([chosen.head, chosen.tail]), np.concatenate([chosen.tail, chosen.head])
    adjacency = sparse.csr_array((np.ones(len(ends[0])), ends), (number, number))
    adjacency.data[:] = 1.0  # repeats were added up when it was built
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    lonely = degree == 0
    step = sparse.diags_array(np.divide(damping, degree, out=np.zeros(number), where=~lonely))
    transition = sparse.csr_array((step @ adjacency).T)

    rank: NDArray[np.float64] = np.full(number, 1 / number)
    for _ in range(max_iterations):
        jumps = (damping * rank[lonely].sum() + (1 - damping)) / number
        following = transition @ rank + jumps
        change = np.abs(following - rank).sum()
        rank = following
        if change < tolerance:
            return rank
    raise InputError(
        f"PageRank has not converged to {tolerance} in {max_iterations} steps; allow more, or damp more"
    )


def in_degree(graph: KnowledgeGraph, facts: Facts = "train") -> NDArray[np.int64]:
    """In how many distinct facts each entity is the tail; (entities,)."""
    keys = distinct(query_keys(_facts(graph, facts), graph.num_entities, graph.num_relations))
    return np.bincount(keys % graph.num_entities, minlength=graph.num_entities)


def mean_over_test(graph: KnowledgeGraph, values: NDArray[np.number]) -> float:
    """Mean of a value of the entities, (entities,), over both ends of every test triple; one that is in many counts often.

    Raises:
        InputError: the test split is empty.
    """
    if len(graph.test) == 0:
        raise InputError(f"{graph.name}: no test triples to take a mean over")
    return float((values[graph.test.head].mean() + values[graph.test.tail].mean()) / 2)


def error_reduction(baseline: float, model: float) -> float:
    """By which factor a model has fewer errors: (1 - baseline) / (1 - model), for scores such as Hits@10 or AUC-PR.

    Above 1 the model is better; infinite when it alone is without errors, NaN when there are none to reduce.
    """
    if model == 1.0:
        return float("nan") if baseline == 1.0 else float("inf")
    return (1.0 - baseline) / (1.0 - model)


def hits_error_reduction(baseline: NDArray[np.floating], model: NDArray[np.floating], k: int = 10) -> float:
    """Error reduction in Hits@k between two arrays of ranks on the same queries.

    Raises:
        InputError: the arrays differ in size, or are empty.
    """
    if np.size(baseline) != np.size(model) or np.size(model) == 0:
        raise InputError(f"expected ranks of the same queries, got {np.size(baseline)} and {np.size(model)}")
    return error_reduction(float(np.mean(baseline <= k)), float(np.mean(model <= k)))


def in_degree_buckets(
    graph: KnowledgeGraph, buckets: int = 10, facts: Facts = "train"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Test queries in groups of about equal size by the in-degree of the entity that is asked for.

    Returns:
        group: (2, n) int64, of (h, r, ?), where the tail's in-degree counts, and of (?, r, t), where the head's does; fits
            offprints.ranking.Ranking.by_group. Equal in-degrees are never parted, so there may be fewer groups.
        edges: (groups + 1,) in-degrees; group g has those from edges[g] on and below edges[g + 1], the last one its end
            as well.

    Raises:
        InputError: fewer than one bucket, or an empty test split.
    """
    if buckets < 1 or len(graph.test) == 0:
        raise InputError(f"{graph.name}: {len(graph.test)} test triples cannot be put into {buckets} buckets")
    degree = in_degree(graph, facts)
    asked = np.stack([degree[graph.test.tail], degree[graph.test.head]])
    quantiles = np.quantile(asked, np.linspace(0, 1, buckets + 1), method="lower")
    edges = np.unique(quantiles).astype(np.float64)
    if len(edges) == 1:
        edges = np.append(edges, edges)
    return np.searchsorted(edges[1:-1], asked, side="right"), edges


def relation_categories(
    graph: KnowledgeGraph, facts: Facts = "train", threshold: float = 1.5
) -> dict[str, Category]:
    """Whether a relation has one or many tails to a head, and heads to a tail.

    "1-N" has one head to a tail and, on average over its heads, at least `threshold` tails to a head. Relations without
    facts are left out.

    Source: Bordes et al. 2013, section 4.
    """
    chosen = _facts(graph, facts)
    entities, relations = graph.num_entities, graph.num_relations
    number = np.bincount(
        distinct(query_keys(chosen, entities, relations)) // entities % relations, minlength=relations
    )
    heads, tails = (
        np.bincount(distinct(chosen.relation * np.int64(entities) + end) // entities, minlength=relations)
        for end in (chosen.head, chosen.tail)
    )
    categories: dict[str, Category] = {}
    for relation in np.flatnonzero(number).tolist():
        many_heads = number[relation] / tails[relation] >= threshold
        many_tails = number[relation] / heads[relation] >= threshold
        categories[graph.relations.names[relation]] = CATEGORIES[2 * many_heads + many_tails]
    return categories


def low_in_degree(graph: KnowledgeGraph, most: int, seed: int = 0) -> KnowledgeGraph:
    """The graph with at most `most` training facts for each (relation, tail), the others dropped at random.

    Valid, test and the vocabularies stay as they are. This is our variant of the paper's "low" data sets.

    Raises:
        InputError: `most` is below 1.
    """
    if most < 1:
        raise InputError(f"at least one fact must be kept for each relation and tail, not {most}")
    train = graph.train
    shuffled = np.random.default_rng(seed).permutation(len(train))
    order = shuffled[np.lexsort((train.tail[shuffled], train.relation[shuffled]))]
    relation, tail = train.relation[order], train.tail[order]
    starts = np.flatnonzero(np.append(True, (relation[1:] != relation[:-1]) | (tail[1:] != tail[:-1])))
    nth = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = train[np.sort(order[nth < most])]
    return replace(graph, name=f"{graph.name}-low-{most}", train=kept, checksums={})


def high_in_degree(graph: KnowledgeGraph, least: int) -> KnowledgeGraph:
    """The graph with the facts, of every split, whose (relation, tail) has at least `least` distinct training facts.

    The vocabularies stay as they are. This is our variant of the paper's "high" data sets.

    Raises:
        InputError: no training fact is left.
    """
    sizes = graph.num_entities, graph.num_relations
    known = distinct(query_keys(graph.train.reversed(), *sizes))
    train, valid, test = (
        part[count_answers(known, query_keys(part.reversed(), *sizes), graph.num_entities) >= least]
        for part in (graph.train, graph.valid, graph.test)
    )
    if len(train) == 0:
        raise InputError(f"{graph.name}: no relation has {least} training facts with one tail")
    return replace(
        graph, name=f"{graph.name}-high-{least}", train=train, valid=valid, test=test, checksums={}
    )


def _facts(graph: KnowledgeGraph, facts: Facts) -> Triples:
    if facts not in ("train", "all"):
        raise InputError(f'unknown facts {facts!r}: "train" or "all"')
    return graph.train if facts == "train" else graph.all_triples
