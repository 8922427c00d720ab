"""The three tasks of Section 5 on a split, published protocol and correct one side by side.

    report = Evaluation(graph, seed=1).report(predictor)

Metric names are flat, as in results.json: mse_pos (true facts only), mse_pos_neg (true and false ones, as the paper's tables),
mse_pos_clean and mse_pos_neg_clean (of test, without leaks and false negatives), ndcg_linear (ties counted right),
ndcg_linear_published_ties, f1 and accuracy (logistic regression), f1_tuned (threshold of the validation split), accuracy_all_weak (what
calling no fact strong would have), and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ukge.audit import clean_test
from ukge.classification import best_threshold, classification_scores, fit_logistic
from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.ndcg import Queries, ndcg_metrics, places
from ukge.negatives import false_facts
from ukge.predictor import ModelPredictor, Predictor

VALID_QUERIES = 500


def errors(predicted: ArrayLike, confidence: ArrayLike) -> tuple[float, float]:
    """Mean squared and mean absolute error, as plain numbers (the paper prints them times 100)."""
    difference = np.asarray(predicted, np.float64) - np.asarray(confidence, np.float64)
    return float(np.square(difference).mean()), float(np.abs(difference).mean())


@dataclass
class Evaluation:
    """What a split is evaluated with; made once, and used for any number of predictors.

    Attributes:
        graph: the graph.
        seed: of the negatives and questions that nobody published.
    """

    graph: UncertainGraph
    seed: int = 0
    _queries: dict[str, Queries] = field(default_factory=dict, repr=False)
    _negatives: dict[str, Facts] = field(default_factory=dict, repr=False)

    def negatives(self, split: str) -> Facts:
        """As many false facts as the split has true ones: the published ones for test, else drawn.

        They are drawn as the published ones are (`ukge.negatives`), and are no facts of the splits that may be known then: of train
        for train, of train and valid for valid, so that nothing is learnt of test; of all splits for test.
        """
        graph = self.graph
        if split == "test" and graph.negatives is not None:
            return graph.negatives
        if split not in self._negatives:
            visible = {"train": ("train",), "valid": ("train", "valid"), "test": ("train", "valid", "test")}[
                split
            ]
            self._negatives[split] = false_facts(
                graph.split(split), graph.train, graph.known(*visible), graph.num_entities, self.seed + 101
            )
        return self._negatives[split]

    def queries(self, split: str) -> Queries:
        """The published questions for test, or those of the split; truth is what the splits up to this one hold.

        A validation question is one of valid and its truth are train and valid: no test fact takes part in a choice.
        """
        if split not in self._queries:
            graph = self.graph
            if split == "test" and graph.queries is not None:
                self._queries[split] = Queries.of(graph.queries)
            else:
                parts = (
                    [graph.train, graph.valid] if split == "valid" else [graph.train, graph.valid, graph.test]
                )
                truth = Facts.concatenate(parts)
                most = VALID_QUERIES if split == "valid" else None
                asked = graph.split(split)
                self._queries[split] = Queries.asked_by(asked, truth, graph.num_relations, most, self.seed)
        return self._queries[split]

    def confidence(self, predictor: Predictor, split: str) -> dict[str, float]:
        """Task 1: errors of predicted confidences, bounded to [0, 1] first."""
        facts, negatives = self.graph.split(split), self.negatives(split)
        found = _error_metrics(predictor, facts, "pos") | _error_metrics(
            predictor, Facts.concatenate([facts, negatives]), "pos_neg"
        )
        if split == "test":
            clean, honest = clean_test(self.graph)
            if len(clean):
                mixed = Facts.concatenate([clean, self.negatives("test") if honest is None else honest])
                found |= _error_metrics(predictor, clean, "pos_clean") | _error_metrics(
                    predictor, mixed, "pos_neg_clean"
                )
        return found

    def ranking(self, predictor: Predictor, split: str) -> dict[str, float]:
        """Task 2: nDCG over all entities as tails."""
        queries = self.queries(split)
        found = ndcg_metrics(places(predictor.score_tails, queries), queries, self.graph.num_entities)
        if isinstance(predictor, ModelPredictor) and predictor.model.kind == "logi":
            # The published program ranks by the confidence, which saturates and ties; the logit has none of these ties.
            as_published = ModelPredictor(predictor.model, saturating=True)
            saturated = ndcg_metrics(
                places(as_published.score_tails, queries), queries, self.graph.num_entities
            )
            found |= {name: value for name, value in saturated.items() if name.endswith("published_ties")}
        return found

    def classification(self, predictor: Predictor, split: str) -> dict[str, float]:
        """Task 3: strong facts among true and false ones."""
        tau = self.graph.strong

        def scored(name: str) -> tuple[np.ndarray, np.ndarray]:
            facts = Facts.concatenate([self.graph.split(name), self.negatives(name)])
            return predictor.scores(facts), facts.confidence > tau

        slope, offset = fit_logistic(*scored("train"))
        score, strong = scored(split)
        regression = classification_scores(slope * score + offset > 0, strong)
        found = {
            "f1": regression.f1,
            "accuracy": regression.accuracy,
            "precision": regression.precision,
            "recall": regression.recall,
            "accuracy_all_weak": float((~strong).mean()),
        }
        if len(self.graph.valid):
            tuned = classification_scores(score > best_threshold(*scored("valid")), strong)
            found |= {"f1_tuned": tuned.f1, "accuracy_tuned": tuned.accuracy}
        return found

    def report(self, predictor: Predictor, split: str = "test") -> dict[str, float]:
        """All three tasks; names as in the module, without the split."""
        return (
            self.confidence(predictor, split)
            | self.ranking(predictor, split)
            | self.classification(predictor, split)
        )


def _error_metrics(predictor: Predictor, facts: Facts, name: str) -> dict[str, float]:
    mse, mae = errors(predictor.predict(facts), facts.confidence)
    return {f"mse_{name}": mse, f"mae_{name}": mae}
