"""What an evaluation says, as tables to look at: models beside what needs none, and some facts in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ukge.baselines import Constant, Lookup, RelationMean
from ukge.calibration import seed_interval
from ukge.completion import Completion
from ukge.evaluation import Evaluation
from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.predictor import ModelPredictor, Predictor

SHOWN = (
    "mse_pos_neg",
    "mae_pos_neg",
    "mse_pos",
    "ndcg_linear",
    "ndcg_linear_published_ties",
    "f1",
    "accuracy",
)


def score_table(rows: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """The metrics that are shown, a row each."""
    return pd.DataFrame(
        [[name, *(row[c] for c in SHOWN)] for name, row in rows.items()], columns=["", *SHOWN]
    )


def examples(completion: Completion, count: int = 8) -> pd.DataFrame:
    """Test facts spread over the split: what is said of them, and what is so."""
    graph = completion.graph
    rows = np.linspace(0, len(graph.test) - 1, min(count, len(graph.test)), dtype=int)
    chosen = graph.test[rows]
    said = completion.calibration(ModelPredictor(completion.model).predict(chosen))
    words = [
        graph.text(int(h), int(r), int(t))
        for h, r, t in zip(chosen.head, chosen.relation, chosen.tail, strict=True)
    ]
    return pd.DataFrame({"fact": words, "believed": said, "stated": chosen.confidence})


def believed(
    completion: Completion, others: list[Completion], facts: list[tuple[str, str, str]], level: float
) -> pd.DataFrame:
    """Confidences of facts; with models of other seeds, an interval of each."""
    table = pd.DataFrame(facts, columns=["head", "relation", "tail"])
    said = [completion.confidence(facts), *(other.confidence(facts) for other in others)]
    if others:
        table["confidence"], table["low"], table["high"] = seed_interval(np.stack(said), level)
    else:
        table["confidence"] = said[0]
    return table


def baseline_scores(graph: UncertainGraph, evaluation: Evaluation, split: str) -> dict[str, dict[str, float]]:
    """What needs no embedding; lookup chooses its factor on the validation split."""
    n, m = graph.num_entities, graph.num_relations
    lookup = Lookup.of(graph.train, n, m)
    if len(graph.valid):
        lookup = lookup.tuned(Facts.concatenate([graph.valid, evaluation.negatives("valid")]))
    made: dict[str, Predictor] = {
        "constant": Constant.of(graph.train, n),
        "relation mean": RelationMean.of(graph.train, n, m),
        "lookup": lookup,
    }
    return {name: evaluation.report(predictor, split) for name, predictor in made.items()}
