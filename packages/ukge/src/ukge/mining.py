"""Rules from facts: paths of two facts whose ends are often joined by a third one (Section 5.1, Table 2 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offprints.triples import Vocabulary

from ukge.facts import Facts, contained
from ukge.grounding import MOST_GROUNDINGS, GroundingTooLarge, ground
from ukge.rules import Atom, Rule, Variable

# Shape -> whether the first and the second fact are walked against their direction, and the two body atoms.
_SHAPES = {
    "chain": (False, False, ("A", "B"), ("B", "C")),
    "fork": (True, False, ("B", "A"), ("B", "C")),
    "meet": (False, True, ("A", "B"), ("C", "B")),
}


@dataclass(frozen=True)
class MinedRule:
    """A rule and how well it fits.

    Attributes:
        rule: of weight 1; all shapes imply r3(A, C) of two facts that meet in B.
        implied: distinct facts that it implies.
        hits: those of them that are in the graph.
    """

    rule: Rule
    implied: int
    hits: int

    @property
    def hit_ratio(self) -> float:
        """Share of the implied facts that exist."""
        return self.hits / max(1, self.implied)


def mine_rules(
    facts: Facts,
    entities: Vocabulary,
    relations: Vocabulary,
    *,
    min_hit_ratio: float = 0.3,
    min_hits: int = 100,
    min_body: float = 0.9,
    most: int = MOST_GROUNDINGS,
) -> list[MinedRule]:
    """All rules r1 & r2 -> r3 over paths A - B - C, in any direction, that hold often enough.

    Args:
        facts: training facts only: rules from other splits would leak.
        entities: their names.
        relations: their names.
        min_hit_ratio: least share of the implied facts that exist.
        min_hits: least number of them.
        min_body: only facts with a larger confidence make a path.
        most: bound on the paths that begin with one relation.

    Returns:
        Rules by falling number of hits.

    Raises:
        GroundingTooLarge: there are more than `most` such paths.
    """
    n, m = len(entities), len(relations)
    strong = facts[facts.confidence > min_body]
    pair, relation = _by_pair(facts, n)
    found: list[MinedRule] = []
    for first_back, second_back, first_atom, second_atom in _SHAPES.values():
        second = strong.reversed() if second_back else strong
        order = np.argsort(second.head, kind="stable")
        second = second[order]
        for r1 in np.unique(strong.relation):
            first = strong[strong.relation == r1]
            first = first.reversed() if first_back else first
            for r2, implied, hits in _paths(first, second, pair, relation, n, m, most, relations.names[r1]):
                for r3 in np.flatnonzero((hits >= min_hits) & (hits >= min_hit_ratio * implied)):
                    body = (
                        Atom(relations.names[r1], *map(Variable, first_atom)),
                        Atom(relations.names[r2], *map(Variable, second_atom)),
                    )
                    rule = Rule(body, Atom(relations.names[r3], Variable("A"), Variable("C")))
                    found.append(MinedRule(rule, implied, int(hits[r3])))
    return sorted(found, key=lambda mined: -mined.hits)


def fit_of_rule(
    rule: Rule,
    facts: Facts,
    entities: Vocabulary,
    relations: Vocabulary,
    *,
    min_body: float = 0.9,
    most: int = MOST_GROUNDINGS,
) -> MinedRule:
    """How well a rule of any form fits the facts.

    Args:
        rule: the rule.
        facts: as `mine_rules`.
        entities: as `mine_rules`.
        relations: as `mine_rules`.
        min_body: as `mine_rules`.
        most: bound on the rows of any join.

    Raises:
        UnknownName: a relation or entity of the rule is not in the graph.
        GroundingTooLarge: a join would have more than `most` rows.

    Source: Table 2 of the paper.
    """
    atoms = ground([rule], facts, entities, relations, min_body=min_body, most=most)
    implied = np.unique(atoms[atoms.head != atoms.tail].keys(len(entities)))
    hits = contained(implied, np.unique(facts.keys(len(entities))))
    return MinedRule(rule, len(implied), int(hits.sum()))


def rule_table(mined: list[MinedRule]) -> pd.DataFrame:
    """The rules as a table: rule, implied, hits, hit_ratio."""
    rows = [(str(one.rule), one.implied, one.hits, one.hit_ratio) for one in mined]
    return pd.DataFrame(rows, columns=["rule", "implied", "hits", "hit_ratio"])


def _by_pair(facts: Facts, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct (pair, relation) of the facts, sorted by pair."""
    pair = facts.head.astype(np.int64) * n + facts.tail
    both = np.unique(np.stack([pair, facts.relation.astype(np.int64)]), axis=1)
    return both[0], both[1]


def _paths(
    first: Facts,
    second: Facts,
    pair: NDArray[np.int64],
    relation: NDArray[np.int64],
    n: int,
    m: int,
    most: int,
    name: str,
) -> list[tuple[int, int, NDArray[np.int64]]]:
    """For each second relation: facts implied by its paths, and (M,) how many of them each relation holds."""
    low = np.searchsorted(second.head, first.tail, "left")
    count = np.searchsorted(second.head, first.tail, "right") - low
    total = int(count.sum())
    if total > most:
        raise GroundingTooLarge(f"{total:,} paths begin with {name!r}, more than {most:,}: raise min_body")
    start = np.repeat(first.head.astype(np.int64), count)
    row = np.repeat(low - np.cumsum(count) + count, count) + np.arange(total)
    end, r2 = second.tail[row].astype(np.int64), second.relation[row].astype(np.int64)
    open_path = start != end
    implied = np.unique((r2 * n + start)[open_path] * n + end[open_path])
    r2, ends = np.divmod(implied, n * n)
    low = np.searchsorted(pair, ends, "left")
    count = np.searchsorted(pair, ends, "right") - low
    row = np.repeat(low - np.cumsum(count) + count, count) + np.arange(int(count.sum()))
    hits = np.bincount(np.repeat(r2, count) * m + relation[row], minlength=m * m).reshape(m, m)
    sizes = np.bincount(r2, minlength=m)
    return [(int(r), int(sizes[r]), hits[r]) for r in np.flatnonzero(sizes)]
