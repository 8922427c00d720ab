"""What a ranking says, as tables to look at: by relation, by kind of relation, and some questions in words."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from offprints.ranking import Ranking
from offprints.triples import KnowledgeGraph

from conve.centrality import relation_categories
from conve.predict import Predictor
from conve.scorer import Scorer


def score_table(rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    """The usual metrics, a row each."""
    columns = ["mrr", "hits@1", "hits@3", "hits@10", "mr"]
    return pd.DataFrame(
        [[name, *(row[c] for c in columns)] for name, row in rows.items()], columns=["", *columns]
    )


def examples(model: Scorer, graph: KnowledgeGraph, ranking: Ranking, count: int = 6) -> pd.DataFrame:
    """Questions spread over the split, each with the three best answers; known ones are marked as such."""
    predictor = partial(Predictor(model, graph).top_k, k=3, filtered=False)
    chosen = np.linspace(0, len(ranking.triples) - 1, min(count, len(ranking.triples)), dtype=int)
    rows = []
    for i in chosen:
        head, relation, tail = (
            graph.entities.names[ranking.triples.head[i]],
            graph.relations.names[ranking.triples.relation[i]],
            graph.entities.names[ranking.triples.tail[i]],
        )
        best = predictor(head=head, relation=relation)
        answers = [
            f"{row.label}{' (known)' if row.known in ('train', 'valid') else ''}" for row in best.itertuples()
        ]
        rows.append(
            (
                graph.label(head),
                graph.label(relation),
                ", ".join(answers),
                graph.label(tail),
                ranking.ranks(side="tail")[i],
            )
        )
    return pd.DataFrame(rows, columns=["head", "relation", "best answers", "true answer", "its rank"])


def by_relation(graph: KnowledgeGraph, ranking: Ranking) -> dict[str, dict[str, float]]:
    """Metrics of each relation's triples."""
    return {graph.relations.names[r]: values for r, values in ranking.by_relation().items()}


def by_category(graph: KnowledgeGraph, ranking: Ranking) -> dict[str, dict[str, float]]:
    """Metrics of relations of one kind: 1-to-1, 1-to-n, n-to-1, n-to-n."""
    categories = relation_categories(graph)
    kinds = sorted(set(categories.values()))
    number = np.array(
        [kinds.index(categories[name]) if name in categories else -1 for name in graph.relations.names]
    )
    groups = ranking.by_group(number[ranking.triples.relation])
    return {kinds[group]: values for group, values in groups.items() if group >= 0}
