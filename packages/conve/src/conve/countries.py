"""The Countries benchmark: which of five regions a country lies in, judged by the area under precision and recall.

Each of the 24 test triples (country, locatedin, region) is asked with all five regions as candidates, and the 120 scores
are put into one list whose positives are the true regions. Ranking the region among all 271 entities, as in the other
benchmarks, would measure something else.

Source: Bouchard et al. 2015 for the data; section 6 of the paper; the list over all questions as in Nickel et al. 2016.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score
from torch import Tensor

from offprints.errors import InputError
from offprints.triples import KnowledgeGraph

REGIONS = ("oceania", "asia", "europe", "africa", "americas")


def countries_auc_pr(
    score_tails: Callable[[Tensor, Tensor], Tensor],
    graph: KnowledgeGraph,
    split: str = "test",
    *,
    device: torch.device | str = "cpu",
) -> float:
    """AUC-PR of a model on Countries S1, S2 or S3.

    Args:
        score_tails: (batch,) int64 heads and relations -> (batch, entities) scores, as offprints.ranking takes it.

    Raises:
        UnknownName: the graph has not the five regions.
        InputError: a tail of the split is not a region, the split is empty, or a score is NaN.
    """
    triples = graph.split(split)
    regions = graph.entities.ids(REGIONS)
    strangers = np.flatnonzero(~np.isin(triples.tail, regions))
    if len(triples) == 0 or len(strangers):
        which = (
            f"{graph.entities.names[triples.tail[strangers[0]]]!r} is no region"
            if len(triples)
            else "it is empty"
        )
        raise InputError(f"{graph.name}: the {split} split does not ask for regions: {which}")
    with torch.no_grad():
        heads, relations, columns = (
            torch.from_numpy(ids.astype(np.int64)).to(device)
            for ids in (triples.head, triples.relation, regions)
        )
        scores = score_tails(heads, relations)[:, columns].double().cpu().numpy()
    return auc_pr(scores, triples.tail[:, None] == regions)


def auc_pr(scores: ArrayLike, positive: ArrayLike) -> float:
    """Average precision over all cells of a table of questions and candidates.

    Args:
        scores: (questions, candidates) float; comparable from one question to the next.
        positive: (questions, candidates) bool.

    Raises:
        InputError: shapes differ, a score is NaN, or nothing is positive.
    """
    table, truth = np.asarray(scores, float), np.asarray(positive, bool)
    if table.shape != truth.shape:
        raise InputError(f"scores {table.shape} and positives {truth.shape} must have one shape")
    if np.isnan(table).any():
        raise InputError("a score is NaN: the model has diverged, its precision would mean nothing")
    if not truth.any():
        raise InputError("nothing is positive, so there is no recall to take an area over")
    return float(average_precision_score(truth.ravel(), table.ravel()))
