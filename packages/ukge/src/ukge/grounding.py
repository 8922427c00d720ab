"""Ground rules: every way to put observed entities into a rule, found by joins on sorted columns.

A table of bindings has one column a variable. Each atom of the body joins the facts of its relation to it on the variables that
both have; what a join will give is counted before it is made, so that a rule that explodes is refused and not started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offprints.errors import InputError
from offprints.triples import Vocabulary

from ukge.atoms import Atoms
from ukge.facts import Facts, Floats
from ukge.rules import Atom, Constant, Rule, Term

MOST_GROUNDINGS = 10_000_000
Column = NDArray[np.int64]


class GroundingTooLarge(InputError):
    """A rule has more groundings than the bound allows."""


@dataclass(frozen=True)
class _Bindings:
    """Ways to fill the variables met so far.

    Attributes:
        columns: variable -> (n,) entities.
        slack: (n,) Σ (1 - s) over the atoms met: 1 - slack is the conjunction of their truths, while positive.
    """

    columns: dict[str, Column]
    slack: Floats


def ground(
    rules: Sequence[Rule],
    facts: Facts,
    entities: Vocabulary,
    relations: Vocabulary,
    *,
    min_body: float = 0.0,
    most: int = MOST_GROUNDINGS,
) -> Atoms:
    """The ground rules whose body is observed and true to some degree.

    A fact that stands twice takes part twice, with either confidence. No head is left out; see `Atoms.without`.

    Args:
        rules: any number of them.
        facts: observed facts, which give the bodies their truth.
        entities: their names.
        relations: their names.
        min_body: only facts with a larger confidence take part; the published files have 0.9.
        most: bound on the rows of any join.

    Returns:
        One atom for each ground rule; its bound is I(body) > 0, its rule the position in `rules`.

    Raises:
        UnknownName: a relation or entity of a rule is not in the graph.
        GroundingTooLarge: a join would have more than `most` rows.

    Source: Section 4.2 of the paper.
    """
    parts = []
    strong = facts[facts.confidence > min_body]
    for number, rule in enumerate(rules):
        head_relation = relations.id(rule.head.relation)
        found = _body(rule, strong, entities, relations, most)
        count = len(found.slack)
        parts.append(
            Atoms(
                _filled(rule.head.head, found, entities, count),
                np.full(count, head_relation, np.int32),
                _filled(rule.head.tail, found, entities, count),
                1.0 - found.slack,
                np.full(count, rule.weight),
                np.full(count, number, np.int32),
            )
        )
    return Atoms.concatenate(parts)


def propagate(
    rules: Sequence[Rule],
    facts: Facts,
    entities: Vocabulary,
    relations: Vocabulary,
    *,
    rounds: int = 5,
    min_body: float = 0.0,
    most: int = MOST_GROUNDINGS,
) -> tuple[Facts, int]:
    """Confidences that follow from the observed ones, rule upon rule: what was derived takes part in the next round.

    An observed fact keeps its confidence; a derived one has the highest bound that any ground rule gives it, which can only grow
    from round to round, so that cyclic rules come to an end.

    Args:
        rules: as `ground`.
        facts: as `ground`.
        entities: as `ground`.
        relations: as `ground`.
        rounds: at most so many.
        min_body: as `ground`.
        most: as `ground`; also bounds the derived facts.

    Returns:
        The derived facts, without observed ones and self loops, and the number of rounds that changed something.

    Raises:
        UnknownName: as `ground`.
        GroundingTooLarge: as `ground`; says in which round.
    """
    observed = np.unique(facts.keys(len(entities)))
    derived = Facts.empty()
    for done in range(rounds):
        pool = Facts.concatenate([facts, derived])
        try:
            atoms = ground(rules, pool, entities, relations, min_body=min_body, most=most)
        except GroundingTooLarge as error:
            if not done:
                raise
            raise GroundingTooLarge(
                f"round {done + 1} of propagation, on {len(derived):,} derived facts: {error}; or stop after {done} round(s)"
            ) from error
        atoms = atoms.without(observed, len(entities)).strongest(len(entities))
        order = np.argsort(atoms.keys(len(entities)))
        atoms = atoms[order]
        again = len(atoms) == len(derived) and np.allclose(
            atoms.bound, derived.confidence, rtol=0, atol=1e-12
        )
        if again and np.array_equal(atoms.keys(len(entities)), derived.keys(len(entities))):
            return derived, done
        derived = Facts(atoms.head, atoms.relation, atoms.tail, atoms.bound)
    return derived, rounds


def _body(rule: Rule, facts: Facts, entities: Vocabulary, relations: Vocabulary, most: int) -> _Bindings:
    waiting = list(rule.body)
    found: _Bindings | None = None
    while waiting:
        # An atom that shares a variable narrows the table; one that does not would multiply it.
        atom = next((a for a in waiting if found and set(a.variables) & set(found.columns)), waiting[0])
        waiting.remove(atom)
        matching = _matching(atom, facts, entities, relations)
        found = matching if found is None else _join(found, matching, rule, most)
    assert found is not None  # a rule has a body
    return found


def _matching(atom: Atom, facts: Facts, entities: Vocabulary, relations: Vocabulary) -> _Bindings:
    """The facts that an atom can stand for."""
    keep = facts.relation == relations.id(atom.relation)
    ends = ((atom.head, facts.head), (atom.tail, facts.tail))
    for term, column in ends:
        if isinstance(term, Constant):
            keep &= column == entities.id(term.name)
    if atom.head == atom.tail:
        keep &= facts.head == facts.tail
    columns = {
        term.name: column[keep].astype(np.int64) for term, column in ends if not isinstance(term, Constant)
    }
    return _Bindings(columns, 1.0 - facts.confidence[keep])


def _join(left: _Bindings, right: _Bindings, rule: Rule, most: int) -> _Bindings:
    shared = [name for name in left.columns if name in right.columns]
    left_key, right_key = _keys(left, shared), _keys(right, shared)
    if shared:
        # Both sides on one scale, so that one search serves any number of shared variables.
        _, inverse = np.unique(np.concatenate([left_key, right_key], axis=1), axis=1, return_inverse=True)
        inverse = inverse.reshape(-1)
        left_id, right_id = inverse[: len(left.slack)], inverse[len(left.slack) :]
    else:
        left_id, right_id = np.zeros(len(left.slack), np.int64), np.zeros(len(right.slack), np.int64)
    order = np.argsort(right_id, kind="stable")
    ordered = right_id[order]
    first = np.searchsorted(ordered, left_id, "left")
    count = np.searchsorted(ordered, left_id, "right") - first
    total = int(count.sum())
    if total > most:
        raise GroundingTooLarge(
            f"rule {str(rule)!r} has {total:,} partial groundings, more than {most:,}: raise min_body, or write a narrower rule"
        )
    left_row = np.repeat(np.arange(len(count)), count)
    right_row = order[np.repeat(first - np.cumsum(count) + count, count) + np.arange(total)]
    slack = left.slack[left_row] + right.slack[right_row]
    # More atoms only lower a conjunction: what is false now stays false. Rounding must not make 1 + 0 - 1 true.
    true = slack < 1.0 - 1e-12
    left_row, right_row = left_row[true], right_row[true]
    columns = {name: column[left_row] for name, column in left.columns.items()}
    columns |= {name: column[right_row] for name, column in right.columns.items() if name not in columns}
    return _Bindings(columns, slack[true])


def _keys(bindings: _Bindings, names: list[str]) -> Column:
    """(shared variables, n)."""
    return np.stack([bindings.columns[name] for name in names]) if names else np.zeros((0, 0), np.int64)


def _filled(term: Term, found: _Bindings, entities: Vocabulary, count: int) -> NDArray[np.int32]:
    if isinstance(term, Constant):
        return np.full(count, entities.id(term.name), np.int32)
    return found.columns[term.name].astype(np.int32)
