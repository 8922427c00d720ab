"""Answers of a trained model to a user's questions: the k most plausible tails or heads, and what speaks for them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from offprints.errors import InputError
from offprints.triples import SPLITS, KnowledgeGraph

from conve.calibration import Calibration
from conve.evaluation import scoring
from conve.inverse import InverseModel
from conve.scorer import Scorer


class Predictor:
    """Top-k completion with a model, its graph, and the rules that the graph itself holds.

    Args:
        model: trained on the graph.
        calibration: turns logits into probabilities; None uses the sigmoid that the model was trained with.
    """

    def __init__(self, model: Scorer, graph: KnowledgeGraph, calibration: Calibration | None = None) -> None:
        self.model, self.graph = model, graph
        self.calibration = calibration or Calibration()
        self.rules = InverseModel.mine(graph)

    @classmethod
    def from_run(cls, run: str | Path) -> Predictor:
        """From the directory of a training run.

        Raises:
            MissingRun: there is no finished or unfinished training run in the directory.
            CheckpointError: its checkpoint is damaged or of other data.
        """
        from conve.runs import open_run

        opened = open_run(run)
        return cls(opened.model, opened.graph, opened.calibration)

    def top_k(
        self,
        *,
        relation: str,
        head: str | None = None,
        tail: str | None = None,
        k: int = 10,
        filtered: bool = False,
    ) -> pd.DataFrame:
        """The k best answers to (head, relation, ?) or (?, relation, tail).

        Args:
            filtered: leave out what the graph already knows, so that only new facts are shown.

        Returns:
            Best first: entity, label, score (the logit), probability, known (the split that holds the fact, "" for a
            new one), rule (a relation whose reversed fact in train says the same, "" for none).

        Raises:
            UnknownName: an entity or relation the graph does not know; the nearest names are offered.
            InputError: not exactly one of head and tail is given, or k is not positive.
        """
        if (head is None) == (tail is None):
            raise InputError("give either head= or tail=, the other one is predicted")
        if k < 1:
            raise InputError(f"k is {k}: ask for one answer or more")
        graph = self.graph
        asked = graph.relations.id(relation)
        given = graph.entities.id(head if head is not None else tail)  # type: ignore[arg-type]
        asked_as = asked if head is not None else asked + graph.num_relations
        device = next(self.model.parameters()).device
        with scoring(self.model) as score_tails:
            question = (torch.tensor([given], device=device), torch.tensor([asked_as], device=device))
            scores = score_tails(*question)[0].float().cpu()  # (entities,)
        shown = scores.clone()
        if filtered:
            shown[torch.from_numpy(graph.known.lookup(given, asked_as)).long()] = -torch.inf
            k = min(k, int(torch.isfinite(shown).sum()))
        best = torch.topk(shown, min(k, len(shown))).indices
        known = self._known(given, asked, forward=head is not None)
        rule = self._rule_answers(relation, head, tail)
        names = [graph.entities.names[entity] for entity in best.tolist()]
        return pd.DataFrame(
            {
                "entity": names,
                "label": [graph.label(name) for name in names],
                "score": scores[best].numpy(),
                "probability": self.calibration.probability(scores[best].numpy()),
                "known": [known.get(entity, "") for entity in best.tolist()],
                "rule": [rule.get(name, "") for name in names],
            }
        )

    def _known(self, given: int, relation: int, forward: bool) -> dict[int, str]:
        """Answers that the graph holds, and the split of each."""
        found: dict[int, str] = {}
        for split in reversed(SPLITS):
            triples = self.graph.split(split)
            ends = (triples.head, triples.tail) if forward else (triples.tail, triples.head)
            rows = (ends[0] == given) & (triples.relation == relation)
            found |= dict.fromkeys(ends[1][rows].tolist(), split)
        return found

    def _rule_answers(self, relation: str, head: str | None, tail: str | None) -> dict[str, str]:
        """Entity -> the strongest rule that predicts it, from training facts alone."""
        answers = self.rules.predict(relation, head=head, tail=tail, all_rules=True, use_valid=False)
        weakest_first = answers.iloc[::-1]
        return dict(zip(weakest_first["entity"], weakest_first["rule"], strict=True))
