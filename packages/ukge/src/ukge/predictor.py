"""What an evaluation asks of a model: confidences of facts, and scores of all tails; trained models and plain baselines alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from offprints.triples import Ids

from ukge.facts import Facts, Floats
from ukge.model import UKGE

_BLOCK = 1 << 16


class Predictor(Protocol):
    """A model of confidences."""

    def predict(self, facts: Facts) -> Floats:
        """Confidence in [0, 1] of each fact, (n,); what `facts` says of it is not read."""

    def scores(self, facts: Facts) -> Floats:
        """What ranking and classification compare, (n,): as `predict` but not bounded, so that nothing ties beyond a bound."""

    def score_tails(self, head: Ids, relation: Ids) -> NDArray[np.floating]:
        """The scores of all entities as tails of (q,) questions, (q, N)."""


@dataclass(frozen=True)
class ModelPredictor:
    """A trained model as a predictor.

    Attributes:
        model: on any device.
        saturating: score with what the published program ranks by: for "logi" the confidence in single precision, which ties
            where it saturates. The logit does not.
    """

    model: UKGE
    saturating: bool = False

    def predict(self, facts: Facts) -> Floats:
        return self._of(facts, bounded=True)

    def scores(self, facts: Facts) -> Floats:
        return self._of(facts, bounded=False)

    @torch.no_grad()
    def score_tails(self, head: Ids, relation: Ids) -> NDArray[np.floating]:
        logits = self.model.tail_logits(*self._ids(head, relation))
        scores: NDArray[np.floating] = (
            (self.model.fitted(logits) if self.saturating else logits).cpu().numpy()
        )
        return scores

    def _of(self, facts: Facts, bounded: bool) -> Floats:
        parts = [np.zeros(0)]
        for start in range(0, len(facts), _BLOCK):
            part = facts[start : start + _BLOCK]
            with torch.no_grad():
                logit = self.model.logit(*self._ids(part.head, part.relation, part.tail))
                value = self.model.confidence(logit) if bounded else logit
            parts.append(value.cpu().numpy().astype(np.float64))
        return np.concatenate(parts)

    def _ids(self, *columns: Ids) -> list[torch.Tensor]:
        return [
            torch.from_numpy(np.array(column)).to(self.model.entity.device, torch.int64) for column in columns
        ]
