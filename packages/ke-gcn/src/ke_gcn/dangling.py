"""Entities without a counterpart: a threshold on the distance of the nearest candidate, chosen apart from where it is tested.

An entity counts as one without a counterpart where the known pairs have none for it; pairs that nobody has listed count as
mistakes here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from offprints.errors import InputError

from ke_gcn.pattern import Array


@dataclass(frozen=True)
class DanglingReport:
    """How well "no counterpart" is told.

    Attributes:
        threshold: an entity whose nearest candidate is further away has no counterpart.
        precision: share of the entities said to have none that have none.
        recall: share of the entities without one that are said to have none.
        f1: their harmonic mean.
        auc: chance that an entity without a counterpart is further from its nearest candidate than one that has one.
        share: share of entities without one, the precision of saying so of all.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    auc: float
    share: float

    def metrics(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


def dangling_report(matched: Array, alone: Array, test_matched: Array, test_alone: Array) -> DanglingReport:
    """Choose the threshold of the best F1 on some entities, and report it on others.

    Args:
        matched: distance of the nearest candidate of entities that have a counterpart, to choose on.
        alone: of entities that have none, to choose on.
        test_matched: of other entities that have one.
        test_alone: of other entities that have none.

    Raises:
        InputError: a part is empty or holds a distance that is no number.
    """
    parts = (matched, alone, test_matched, test_alone)
    if not all(len(part) and np.isfinite(part).all() for part in parts):
        raise InputError("distances of all four parts must be there and finite")
    # Shares, and not counts, so that the parts to choose on need not have the proportions of those to test on.
    weight = len(test_matched) / len(test_alone)
    candidates = np.unique(np.concatenate([matched, alone]))
    found, wrong = (
        1 - np.searchsorted(np.sort(part), candidates, side="right") / len(part) for part in (alone, matched)
    )
    threshold = float(candidates[np.argmax(_f1(found, wrong * weight))])
    recall, wrong_share = (float(np.mean(part > threshold)) for part in (test_alone, test_matched))
    said = recall + weight * wrong_share
    below = np.searchsorted(np.sort(test_matched), test_alone, side="left")
    at_most = np.searchsorted(np.sort(test_matched), test_alone, side="right")
    return DanglingReport(
        threshold,
        recall / said if said else 0.0,
        recall,
        float(_f1(np.array(recall), np.array(weight * wrong_share))),
        float((below + at_most).mean() / 2 / len(test_matched)),
        1 / (1 + weight),
    )


def _f1(recall: Array, wrong: Array) -> Array:
    """From the share that is found, and what is wrongly said in the same unit."""
    f1: Array = 2 * recall / (1 + recall + wrong)
    return f1
