"""Answers for people: how much to believe a fact, what else is likely, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from offprints.errors import InputError

from ukge.calibration import Calibration
from ukge.facts import Facts, Floats
from ukge.graph import UncertainGraph
from ukge.grounding import ground
from ukge.model import UKGE
from ukge.predictor import ModelPredictor
from ukge.rules import Atom, Constant, Rule, Term, Variable

NamedFact = tuple[str, str, str]


@dataclass(frozen=True)
class Question:
    """Which tails (given, relation, ?) or heads (?, relation, given) has; `Completion.question` looks the names up.

    Attributes:
        given: id of the entity.
        relation: id.
        tails: ask for tails, else for heads.
        k: answers, at most.
        new_only: leave out facts of the training split.
    """

    given: int
    relation: int
    tails: bool
    k: int
    new_only: bool


@dataclass(frozen=True)
class Completion:
    """A trained model with the names of its graph.

    Attributes:
        model: trained on the graph.
        graph: the graph.
        calibration: of its confidences; the default changes nothing.
        rules: that `explain` looks for.
    """

    model: UKGE
    graph: UncertainGraph
    calibration: Calibration = field(default_factory=Calibration)
    rules: Sequence[Rule] = ()

    def confidence(self, facts: Sequence[NamedFact]) -> Floats:
        """Calibrated confidence of named facts, (n,).

        Raises:
            UnknownName: a name is not in the graph; the nearest are offered.
        """
        return self.believed(self.ids(facts))

    def believed(self, facts: Facts) -> Floats:
        """Calibrated confidence of facts by their ids, (n,); what `facts` says of it is not read."""
        return self.calibration(ModelPredictor(self.model).predict(facts))

    def ids(self, facts: Sequence[NamedFact]) -> Facts:
        """Named facts as ids, with confidence 0.

        Raises:
            UnknownName: as `confidence`.
        """
        heads, relations, tails = zip(*facts, strict=True) if facts else ((), (), ())
        entities = self.graph.entities
        return Facts.of(
            entities.ids(heads),
            self.graph.relations.ids(relations),
            entities.ids(tails),
            np.zeros(len(facts)),
        )

    def top(
        self,
        relation: str,
        head: str | None = None,
        tail: str | None = None,
        k: int = 10,
        new_only: bool = False,
    ) -> pd.DataFrame:
        """The most believable tails of (head, relation, ?) or heads of (?, relation, tail).

        Args:
            relation: its name.
            head: asks for tails.
            tail: asks for heads; one of the two is given.
            k: answers, at most.
            new_only: leave out facts of the training split.

        Returns:
            Columns entity, label, confidence (calibrated) and train (what train says, NaN if nothing), best first.

        Raises:
            UnknownName: a name is not in the graph; the nearest are offered.
            InputError: both or neither of head and tail are given, or k is less than 1.
        """
        return self.answers([self.question(relation, head, tail, k, new_only)])[0]

    def question(
        self,
        relation: str,
        head: str | None = None,
        tail: str | None = None,
        k: int = 10,
        new_only: bool = False,
    ) -> Question:
        """What `top` asks, with its names looked up.

        Raises:
            UnknownName: as `top`.
            InputError: as `top`.
        """
        if (head is None) == (tail is None):
            raise InputError("give a head to ask for tails, or a tail to ask for heads")
        if k < 1:
            raise InputError(f"k={k} must be 1 or more")
        given = self.graph.entities.id(head if head is not None else str(tail))
        return Question(given, self.graph.relations.id(relation), head is not None, k, new_only)

    def answers(self, questions: Sequence[Question]) -> list[pd.DataFrame]:
        """The tables of `top` for several questions, which are scored together."""
        logits: dict[int, Tensor] = {}
        device = self.model.entity.device
        for tails in (True, False):
            rows = [row for row, question in enumerate(questions) if question.tails == tails]
            if not rows:
                continue
            given = torch.tensor([questions[row].given for row in rows], device=device)
            relation = torch.tensor([questions[row].relation for row in rows], device=device)
            with torch.no_grad():
                scored = (
                    self.model.tail_logits(given, relation)
                    if tails
                    else self.model.head_logits(relation, given)
                )
            logits |= dict(zip(rows, scored, strict=True))
        return [self._table(question, logits[row]) for row, question in enumerate(questions)]

    def _table(self, question: Question, logit: Tensor) -> pd.DataFrame:
        graph = self.graph
        said = self.model.confidence(logit).double().cpu().numpy()
        stored = self._stored(question.given, question.relation, question.tails)
        order = np.argsort(-logit.cpu().numpy(), kind="stable")
        if question.new_only:
            order = order[np.isnan(stored[order])]
        order = order[: question.k]
        names = [graph.entities.names[i] for i in order]
        return pd.DataFrame(
            {
                "entity": names,
                "label": [graph.label(name) for name in names],
                "confidence": self.calibration(said[order]),
                "train": stored[order],
            }
        )

    def explain(self, head: str, relation: str, tail: str, neighbours: int = 5) -> pd.DataFrame:
        """What in the training facts speaks for the confidence of a fact.

        Args:
            head: name of an entity.
            relation: name of a relation.
            tail: name of an entity.
            neighbours: known tails of (head, relation, ?) to show, those whose embeddings are the most alike to `tail`'s.

        Returns:
            Columns evidence ("the fact itself", "reversed", "other relation", "rule", "similar tail"), fact (in words),
            confidence and detail: the rule, or the cosine of the embeddings.

        Raises:
            UnknownName: a name is not in the graph; the nearest are offered.
        """
        graph, train = self.graph, self.graph.train
        asked = self.ids([(head, relation, tail)])
        h, r, t = int(asked.head[0]), int(asked.relation[0]), int(asked.tail[0])
        rows: list[tuple[str, str, float, str]] = []

        def facts(kind: str, keep: np.ndarray, detail: Sequence[str] | None = None) -> None:
            for place, row in enumerate(np.flatnonzero(keep)):
                words = graph.text(int(train.head[row]), int(train.relation[row]), int(train.tail[row]))
                rows.append((kind, words, float(train.confidence[row]), detail[place] if detail else ""))

        forward, backward = (train.head == h) & (train.tail == t), (train.head == t) & (train.tail == h)
        facts("the fact itself", forward & (train.relation == r))
        facts("reversed", backward & (train.relation == r))
        facts("other relation", (forward | backward) & (train.relation != r))
        for rule in self.rules:
            bound = _with_head(rule, head, relation, tail)
            if bound is not None:
                atoms = ground([bound], train, graph.entities, graph.relations)
                rows += [
                    ("rule", graph.text(h, r, t), float(value), str(bound))
                    for value in np.sort(atoms.bound)[::-1][:3]
                ]
        known = np.flatnonzero((train.head == h) & (train.relation == r) & (train.tail != t))
        if len(known):
            table = self.model.entity.detach()
            cosine = (
                F.cosine_similarity(
                    table[torch.from_numpy(np.array(train.tail[known])).long()], table[t : t + 1]
                )
                .cpu()
                .numpy()
            )
            for place in np.argsort(-cosine)[:neighbours]:
                row = known[place]
                words = graph.text(h, r, int(train.tail[row]))
                rows.append(
                    ("similar tail", words, float(train.confidence[row]), f"cosine {cosine[place]:.2f}")
                )
        return pd.DataFrame(rows, columns=["evidence", "fact", "confidence", "detail"])

    def _stored(self, given: int, relation: int, tails: bool) -> Floats:
        """What train says of each entity as the answer, (N,); NaN where it says nothing, the last value of several."""
        train = self.graph.train
        ask, answer = (train.head, train.tail) if tails else (train.tail, train.head)
        rows = (ask == given) & (train.relation == relation)
        stored = np.full(self.graph.num_entities, np.nan)
        stored[answer[rows]] = train.confidence[rows]
        return stored


def _with_head(rule: Rule, head: str, relation: str, tail: str) -> Rule | None:
    """The rule with its head's variables put to the asked fact; None if the head cannot be that fact."""
    if rule.head.relation != relation:
        return None
    value: dict[str, str] = {}
    for term, name in ((rule.head.head, head), (rule.head.tail, tail)):
        if isinstance(term, Constant):
            if term.name != name:
                return None
        elif value.setdefault(term.name, name) != name:
            return None

    def put(term: Term) -> Term:
        return Constant(value[term.name]) if isinstance(term, Variable) and term.name in value else term

    body = tuple(Atom(atom.relation, put(atom.head), put(atom.tail)) for atom in rule.body)
    return Rule(body, Atom(relation, Constant(head), Constant(tail)), rule.weight)
