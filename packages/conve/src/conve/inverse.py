"""The inverse-relation rule model: how much of a test set can be answered by reading training facts backwards.

In WN18 and FB15k most test facts are a training fact with its ends swapped, under another relation (hypernym for
hyponym) or the same one (a symmetric relation). The model finds such relation pairs in the training facts and predicts
nothing else. What a trained model scores above it, `RuleRanks.excess`, is what the model adds to that one rule.

Source: section 5 of the paper. The sampled mode gives the published numbers to the last digit; they were made with a
threshold of 0.8 on FB15k-237, and with the formula of the paper, `paper_threshold`, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.triples import SPLITS, Ids, KnowledgeGraph, Triples

from conve.keys import contains, count_answers, distinct, query_keys
from conve.overlap import pair_overlap
from conve.rule_ranks import RuleRanks

Mode: TypeAlias = Literal["expected", "sampled"]
Misses: TypeAlias = Literal["reference", "strict"]
Combine: TypeAlias = Literal["or", "and"]


@dataclass(frozen=True)
class InverseModel:
    """Relations that are each other's inverse in the training facts, and the predictions that follow.

    Attributes:
        threshold: the share of reversed pairs from which on two relations count as inverse.
        rules: one row for each ordered pair of relations that do, in the order of the relations' first appearance:
            relation, inverse, share (of the relation's pairs that hold reversed under the inverse), inverse_share (of
            the inverse's pairs that hold reversed under the relation), triples and inverse_triples (distinct, in
            train), support (pairs found in both).
        inverse_of: (relations,) int32, the one inverse that the published procedure keeps for a relation: the last
            match in relation order. -1 where there is none.
    """

    graph: KnowledgeGraph
    threshold: float
    rules: pd.DataFrame
    inverse_of: Ids

    @classmethod
    def mine(
        cls,
        graph: KnowledgeGraph,
        threshold: Literal["paper"] | float = "paper",
        rule: Combine = "or",
        min_support: int = 1,
    ) -> InverseModel:
        """Find the inverse relations of a graph in its training facts.

        Relations r1 and r2 (r1 = r2 for a symmetric one) are inverse when the share of r1's pairs that hold reversed
        under r2 reaches the threshold, or the share of r2's under r1 does. Relations without training facts are left
        out.

        Args:
            threshold: "paper" for the formula of the paper, or a number above 0; above 1 there are no rules.
            rule: "or" as in the paper, which lets a relation of one triple match a relation of thousands; "and" asks
                for both shares.
            min_support: pairs that must be found in both directions.

        Raises:
            InputError: a threshold that is not a positive number, an unknown rule, or no training facts.
        """
        _check(rule, Combine, "rule")
        if len(graph.train) == 0:
            raise InputError(f"{graph.name}: no training facts to mine inverse relations from")
        theta = resolve_threshold(graph, threshold)
        found = pair_overlap(graph, reverse=True)
        share, inverse_share = found.share, found.share_of_second
        reach = np.logical_or if rule == "or" else np.logical_and
        chosen = reach(share >= theta, inverse_share >= theta) & (found.support >= min_support)
        first, second = found.first[chosen], found.second[chosen]
        names = np.array(graph.relations.names, dtype=object)
        rules = pd.DataFrame(
            {
                "relation": names[first],
                "inverse": names[second],
                "share": share[chosen],
                "inverse_share": inverse_share[chosen],
                "triples": found.sizes[first],
                "inverse_triples": found.sizes[second],
                "support": found.support[chosen],
            }
        )
        inverse_of = np.full(graph.num_relations, -1, np.int32)
        # Both entries of the published map are written at every match, in relation order: the last partner stays.
        np.maximum.at(inverse_of, first, second)
        return cls(graph, theta, rules, inverse_of)

    @property
    def last_match(self) -> dict[str, str]:
        """The one inverse kept for each relation that has any, by name."""
        names = self.graph.relations.names
        return {names[r]: names[i] for r, i in enumerate(self.inverse_of.tolist()) if i >= 0}

    def evaluate(
        self,
        mode: Mode = "expected",
        misses: Misses = "reference",
        *,
        all_rules: bool = False,
        use_valid: bool = True,
        seed: int = 345345,
    ) -> RuleRanks:
        """Filtered ranks of both sides of every test triple.

        The model believes the facts of train (and valid) and their reversals. A target that it predicts shares the
        first places with the other predictions not known to be true, in random order. A target that it does not
        predict has a random place.

        Args:
            mode: "expected" computes with the distribution of the random places, in closed form; "sampled" draws them
                with numpy's RandomState, one draw for the tail and then one for the head of each triple in file
                order, as the published numbers were made.
            misses: where an unpredicted target may be placed. "reference" is anywhere from 1 on, even above the wrong
                predictions, to one short of the last place; "strict" is below all wrong predictions, to the last.
            all_rules: apply every rule, not only the last match of each relation.
            use_valid: also reverse the facts of the validation split, as published.
            seed: of the sampled mode.

        Raises:
            InputError: an empty test split, or an unknown mode or rule for misses.
        """
        _check(mode, Mode, "mode")
        _check(misses, Misses, "rule for misses")
        graph, test = self.graph, self.graph.test
        if len(test) == 0:
            raise InputError(f"{graph.name}: no test triples to evaluate on")
        facts = Triples.concatenate([graph.train, graph.valid]) if use_valid else graph.train
        believed = Triples.concatenate([facts, self._reversals(facts, all_rules)])

        wrong = np.empty((2, len(test)), np.int64)
        answers = np.empty((2, len(test)), np.int64)
        matched = np.empty((2, len(test)), bool)
        for side in range(2):
            towards = _identity if side == 0 else Triples.reversed
            known, predicted, target = (
                query_keys(towards(part), graph.num_entities, graph.num_relations)
                for part in (graph.all_triples, believed, test)
            )
            known, predicted = distinct(known), distinct(predicted)
            wrong[side] = count_answers(predicted[~contains(known, predicted)], target, graph.num_entities)
            answers[side] = count_answers(known, target, graph.num_entities)
            matched[side] = contains(predicted, target)

        ranked = graph.num_entities - answers + 1  # candidates that the filter leaves, the target among them
        if misses == "strict":
            low, high = np.where(matched, 1, 1 + wrong), np.where(matched, 1 + wrong, ranked)
        else:
            low, high = np.ones_like(wrong), np.where(matched, 1 + wrong, np.maximum(ranked - 1, 1))
        ranks = _draw(low, high, seed) if mode == "sampled" else None
        return RuleRanks(graph, matched, low, high, ranks)

    def predict(
        self,
        relation: str,
        *,
        head: str | None = None,
        tail: str | None = None,
        all_rules: bool = False,
        use_valid: bool = True,
    ) -> pd.DataFrame:
        """What the rules answer to one query, (head, relation, ?) or (?, relation, tail).

        Returns:
            One row for each entity and rule: entity; rule, the relation whose fact was reversed; share of that
            relation's pairs which hold reversed under the queried one in train; split in which the answer is a known
            fact, "" where it is not. Strongest rule first.

        Raises:
            UnknownName: an entity or relation the graph does not know.
            InputError: not exactly one of head and tail is given.
        """
        if (head is None) == (tail is None):
            raise InputError("give either the head or the tail of the query, the other one is predicted")
        graph = self.graph
        queried = graph.relations.id(relation)
        # From here on the question is for a tail: (given, queried, ?).
        towards = _identity if tail is None else Triples.reversed
        given = graph.entities.id(head or tail or "")
        facts = towards(Triples.concatenate([graph.train, graph.valid]) if use_valid else graph.train)
        source, target = self._pairs(all_rules)
        rows = (facts.tail == given) & np.isin(facts.relation, source[target == queried])

        names, entities = graph.relations.names, graph.entities.names
        shares = {row.relation: row.share for row in self.rules.itertuples() if row.inverse == relation}
        splits: dict[int, str] = {}
        for name in reversed(SPLITS):
            known = towards(graph.split(name))
            answers = known.tail[(known.head == given) & (known.relation == queried)]
            splits |= dict.fromkeys(answers.tolist(), name)
        found = [
            (entities[e], names[r], shares[names[r]], splits.get(e, ""))
            for e, r in dict.fromkeys(
                zip(facts.head[rows].tolist(), facts.relation[rows].tolist(), strict=True)
            )
        ]
        table = pd.DataFrame(found, columns=["entity", "rule", "share", "split"])
        return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)

    def _pairs(self, all_rules: bool) -> tuple[Ids, Ids]:
        """Relations whose facts are reversed, and the relations they are reversed into; (rules,) each."""
        if all_rules:
            ids = self.graph.relations.ids
            return ids(list(self.rules["relation"])), ids(list(self.rules["inverse"]))
        source = np.flatnonzero(self.inverse_of >= 0).astype(np.int32)
        return source, self.inverse_of[source]

    def _reversals(self, facts: Triples, all_rules: bool) -> Triples:
        """The facts that the rules add: (t, r2, h) for each fact (h, r1, t) and rule from r1 to r2."""
        source, target = self._pairs(all_rules)
        order = np.argsort(source, kind="stable")
        first = np.searchsorted(source[order], facts.relation)
        rules_each = np.searchsorted(source[order], facts.relation, side="right") - first
        row = np.repeat(np.arange(len(facts)), rules_each)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(rules_each) - rules_each, rules_each)
        return Triples(facts.tail[row], target[order][first[row] + nth], facts.head[row])


def resolve_threshold(graph: KnowledgeGraph, threshold: Literal["paper"] | float) -> float:
    """The number meant by "paper", or the number itself.

    Raises:
        InputError: it is neither "paper" nor a number above 0.
    """
    if threshold == "paper":
        return paper_threshold(graph)
    number = isinstance(threshold, (int, float, np.floating)) and not isinstance(threshold, bool)
    if not number or not threshold > 0:  # an option of the command line may be anything
        raise InputError(f'threshold must be "paper" or a number above 0, not {threshold!r}')
    return float(threshold)


def paper_threshold(graph: KnowledgeGraph) -> float:
    """0.99 less the share of valid and test: inverse facts are assumed to be spread evenly over the splits.

    Raises:
        InputError: so little is in train that the threshold is not positive.
    """
    held_out = (len(graph.valid) + len(graph.test)) / max(len(graph.all_triples), 1)
    threshold = 0.99 - held_out
    if threshold <= 0:
        raise InputError(
            f"{graph.name}: only {1 - held_out:.1%} of the triples are in train, which leaves no threshold; give a number"
        )
    return threshold


def _draw(low: NDArray[np.int64], high: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Places drawn uniformly from low..high, (2, n), in the order tail, head, tail, head, ... of the publication.

    One call with arrays of bounds takes the same numbers from the stream as a call for each bound.
    """
    random = np.random.RandomState(seed)
    drawn = random.randint(low.T.ravel(), high.T.ravel() + 1, dtype=np.int64)
    return np.ascontiguousarray(drawn.reshape(-1, 2).T)


def _identity(triples: Triples) -> Triples:
    return triples


def _check(value: str, allowed: object, what: str) -> None:
    options: Iterable[str] = get_args(allowed)
    if value not in options:
        raise InputError(f"unknown {what} {value!r}: one of {', '.join(options)}")
