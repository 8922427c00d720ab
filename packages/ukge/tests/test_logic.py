"""Soft logic: the operators' laws, what a rule reads as, and what it gives on small and on real graphs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.triples import UnknownName, Vocabulary

from ukge import Facts
from ukge.atoms import Atoms
from ukge.grounding import GroundingTooLarge, ground, propagate
from ukge.logic import conjunction, disjunction, distance, implication, negation
from ukge.mining import fit_of_rule, mine_rules
from ukge.rules import RuleError, parse_rule
from ukge.synthetic import random_facts

truth = st.floats(0, 1)
ENTITIES = Vocabulary("entity", tuple("abcdefgh"))
RELATIONS = Vocabulary("relation", ("likes", "knows", "meets"))


@given(truth, truth, truth)
def test_the_operators_obey_the_laws_of_lukasiewicz(x: float, y: float, z: float) -> None:
    near = pytest.approx
    assert conjunction(x, y) == near(conjunction(y, x)) and disjunction(x, y) == near(disjunction(y, x))
    assert conjunction(conjunction(x, y), z) == near(conjunction(x, conjunction(y, z)), abs=1e-12)
    assert conjunction(x, y, z) == near(conjunction(conjunction(x, y), z), abs=1e-12)
    assert negation(conjunction(x, y)) == near(disjunction(negation(x), negation(y)), abs=1e-12)
    assert conjunction(x, 1) == near(x) and disjunction(x, 0) == near(x)
    # Residuation: x and y imply z exactly as far as x implies that y implies z.
    assert implication(conjunction(x, y), z) == near(implication(x, implication(y, z)), abs=1e-12)
    assert distance(x, y) == near(max(0.0, x - y), abs=1e-12)


def test_the_papers_own_numbers() -> None:
    assert conjunction(0.8, 0.3) == pytest.approx(0.1)
    assert disjunction(0.8, 0.3) == 1
    assert conjunction(0.99, 0.86) == pytest.approx(0.85)  # its example of a ground rule


@pytest.mark.parametrize(
    "text",
    [
        "likes(A, B) & likes(B, C) -> likes(A, C)",
        "0.5: likes(A, B) -> knows(B, A)",
        "\"is fond of\"(A, 'e 1') & concept:x-y(A, B) -> likes(A, B)",
        "likes(A, A) -> likes('a', A)",
    ],
)
def test_a_rule_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_rule(text)) == text
    assert parse_rule(str(parse_rule(text))) == parse_rule(text)


def test_other_signs_and_blanks_mean_the_same() -> None:
    plain = parse_rule("likes(A, B) & knows(B, C) -> meets(A, C)")
    assert parse_rule(" likes( A,B )∧knows(B ,C)→meets(A,C) ") == plain
    assert parse_rule("likes(A,B)&&knows(B,C)=>meets(A,C)") == plain


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("likes(A, B) & likes(B, C)", 26, "'->'"),
        ("likes(A, B) -> likes(A, C)", 16, "variable C"),
        ("likes(A B) -> likes(A, B)", 9, "','"),
        ("likes(A, B, C) -> likes(A, B)", 11, "'\\)'"),
        ("likes A, B -> likes(A, B)", 7, "'\\('"),
        ("-> likes(A, B)", 1, "name of a relation"),
        ("likes(A, 7) -> likes(A, A)", 10, "variable"),
        ("likes(A, B) & !knows(A, B) -> likes(B, A)", 15, "negated"),
        ("likes(A, B) -> likes(B, A) & knows(A, B)", 28, "one atom"),
        ("much: likes(A, B) -> likes(B, A)", 1, "weight"),
        ("-1: likes(A, B) -> likes(B, A)", 1, "weight"),
        ('likes(A, B) -> "likes(B, A)', 16, "cannot read"),
    ],
)
def test_a_wrong_rule_is_named_by_column(text: str, column: int, reason: str) -> None:
    with pytest.raises(RuleError, match=reason) as error:
        parse_rule(text)
    assert error.value.column == column


def naive(rule_text: str, facts: Facts, min_body: float = 0.0) -> list[tuple[int, int, int, float]]:
    """Ground rules by trying every combination of facts."""
    rule = parse_rule(rule_text)
    found = []
    for rows in itertools.product(range(len(facts)), repeat=len(rule.body)):
        bound: dict[str, int] = {}
        fits = all(facts.confidence[row] > min_body for row in rows)
        for atom, row in zip(rule.body, rows, strict=True):
            fits &= RELATIONS.names[facts.relation[row]] == atom.relation
            for term, entity in ((atom.head, facts.head[row]), (atom.tail, facts.tail[row])):
                if str(term).startswith("'"):
                    fits &= ENTITIES.names[entity] == term.name
                else:
                    fits &= bound.setdefault(term.name, entity) == entity
        value = float(conjunction(*(facts.confidence[row] for row in rows)))
        if fits and value > 1e-9:
            ends = (
                bound[t.name] if not str(t).startswith("'") else ENTITIES.id(t.name)
                for t in (rule.head.head, rule.head.tail)
            )
            head, tail = ends
            found.append((int(head), RELATIONS.id(rule.head.relation), int(tail), round(value, 9)))
    return sorted(found)


@pytest.mark.parametrize(
    "text",
    [
        "likes(A, B) -> knows(B, A)",
        "likes(A, B) & likes(B, C) -> likes(A, C)",
        "likes(A, B) & knows(A, C) -> meets(B, C)",
        "likes(A, B) & knows(A, B) -> meets(A, B)",
        "likes(A, A) & knows(A, B) -> meets(A, B)",
        "likes(A, B) & knows(C, D) -> meets(A, D)",
        "likes(A, 'c') & knows(A, B) -> meets('d', B)",
        "likes(A, B) & knows(B, C) & meets(C, A) -> likes(C, B)",
    ],
)
def test_joins_find_what_trying_everything_finds(text: str) -> None:
    facts = random_facts(40 if text.count("&") < 2 else 16, 8 if text.count("&") < 2 else 3, 3, seed=4)
    facts = Facts.concatenate([facts, facts[:3]])  # repeated facts count as often
    for min_body in (0.0, 0.6):
        atoms = ground([parse_rule(text)], facts, ENTITIES, RELATIONS, min_body=min_body)
        rows = zip(atoms.head, atoms.relation, atoms.tail, atoms.bound.round(9), strict=True)
        assert sorted((int(h), int(r), int(t), float(b)) for h, r, t, b in rows) == naive(
            text, facts, min_body
        )


def test_atoms_keep_their_rule_and_weight() -> None:
    rules = [parse_rule("likes(A, B) -> knows(A, B)"), parse_rule("0.25: knows(A, B) -> likes(B, A)")]
    atoms = ground(rules, random_facts(40, 8, 3), ENTITIES, RELATIONS)
    assert set(atoms.rule) == {0, 1}
    assert (atoms.weight == np.where(atoms.rule == 1, 0.25, 1.0)).all()


def test_a_rule_that_explodes_is_refused_before_it_is_joined() -> None:
    facts = random_facts(150, 8, 3)
    everything = parse_rule("likes(A, B) & knows(C, D) & meets(E, F) -> likes(A, F)")
    with pytest.raises(GroundingTooLarge, match="min_body"):
        ground([everything], facts, ENTITIES, RELATIONS, most=10_000)
    with pytest.raises(GroundingTooLarge):
        mine_rules(facts, ENTITIES, RELATIONS, most=10, min_body=0.0)


def test_propagation_that_explodes_says_in_which_round() -> None:
    count = len(ENTITIES) - 1
    chain = Facts.of(np.arange(count), np.zeros(count, np.int64), np.arange(1, count + 1), np.ones(count))
    rule = parse_rule("likes(A, B) & likes(B, C) -> likes(A, C)")
    derived, _ = propagate([rule], chain, ENTITIES, RELATIONS, rounds=1, most=count)
    assert len(derived) == count - 1
    with pytest.raises(GroundingTooLarge, match="round 2 of propagation.*stop after 1 round"):
        propagate([rule], chain, ENTITIES, RELATIONS, rounds=2, most=count)


def test_a_written_rule_fits_as_the_mined_one() -> None:
    facts = random_facts(150, 8, 3)
    mined = mine_rules(facts, ENTITIES, RELATIONS, min_hit_ratio=0.1, min_hits=5, min_body=0.3)
    assert len({one.hits for one in mined}) > 3
    for one in mined[:: max(1, len(mined) // 10)]:
        assert fit_of_rule(one.rule, facts, ENTITIES, RELATIONS, min_body=0.3).implied <= one.implied
    # Where all facts are certain, no conjunction is 0 and every path counts in both.
    sure = Facts.of(facts.head, facts.relation, facts.tail, np.ones(len(facts)))
    for one in mine_rules(sure, ENTITIES, RELATIONS, min_hit_ratio=0.1, min_hits=5)[::9]:
        assert fit_of_rule(one.rule, sure, ENTITIES, RELATIONS) == one


def test_unknown_names_in_a_rule_get_the_nearest() -> None:
    facts = random_facts(10, 8, 3)
    with pytest.raises(UnknownName, match="likes"):
        ground([parse_rule("like(A, B) -> knows(A, B)")], facts, ENTITIES, RELATIONS)
    with pytest.raises(UnknownName, match="entity 'z'"):
        ground([parse_rule("likes(A, 'z') -> knows(A, A)")], facts, ENTITIES, RELATIONS)


def test_cyclic_rules_come_to_an_end_with_the_strongest_bounds() -> None:
    """On a ring, the best chain to each entity is the product of a shortest path over slack."""
    slack = np.array([0.1, 0.05, 0.2, 0.1, 0.02, 0.3, 0.1, 0.05])
    ring = Facts.of(np.arange(8), np.zeros(8), (np.arange(8) + 1) % 8, 1 - slack)
    rule = parse_rule("likes(A, B) & likes(B, C) -> likes(A, C)")
    derived, rounds = propagate([rule], ring, ENTITIES, RELATIONS, rounds=20)
    expected = {}
    for start in range(8):
        for length in range(2, 8):
            value = 1 - slack[(start + np.arange(length)) % 8].sum()
            if value > 1e-9:
                expected[start, (start + length) % 8] = value
    found = {
        (int(h), int(t)): s for h, t, s in zip(derived.head, derived.tail, derived.confidence, strict=True)
    }
    assert found == pytest.approx(expected)
    assert rounds < 6  # each round doubles what a chain may span
    assert len(propagate([rule], ring, ENTITIES, RELATIONS, rounds=1)[0]) == 8


def test_atoms_without_observed_facts_and_loops() -> None:
    facts = Facts.of([0, 1, 0, 2], [0, 0, 0, 0], [1, 2, 2, 0], [0.9, 0.9, 0.2, 0.9])
    atoms = ground([parse_rule("likes(A, B) & likes(B, C) -> likes(A, C)")], facts, ENTITIES, RELATIONS)
    known = np.unique(facts.keys(8))
    kept = atoms.without(known, 8)
    assert set(zip(kept.head.tolist(), kept.tail.tolist(), strict=True)) == {(1, 0), (2, 1)}
    assert len(atoms.without(known, 8, self_loops=False)) > len(kept)


def test_the_strongest_atom_of_each_head_stays() -> None:
    atoms = Atoms.of_facts(Facts.of([0, 0, 1], [0, 0, 0], [1, 1, 2], [0.3, 0.7, 0.5]))
    assert sorted(atoms.strongest(8).bound.tolist()) == [0.5, 0.7]


def test_mining_finds_a_planted_rule_in_each_shape() -> None:
    draw = np.random.default_rng(0)
    first = {(int(a), int(b)) for a, b in draw.integers(0, 8, (12, 2))}
    second = {(int(a), int(b)) for a, b in draw.integers(0, 8, (12, 2))}
    shapes = {
        "likes(A, B) & knows(B, C) -> meets(A, C)": {(a, c) for a, b in first for x, c in second if b == x},
        "likes(B, A) & knows(B, C) -> meets(A, C)": {(a, c) for b, a in first for x, c in second if b == x},
        "likes(A, B) & knows(C, B) -> meets(A, C)": {(a, c) for a, b in first for c, x in second if b == x},
    }
    for text, implied in shapes.items():
        implied = {pair for pair in implied if pair[0] != pair[1]}
        held = sorted(implied)[: len(implied) * 3 // 4]
        rows = (
            [(a, 0, b, 0.95) for a, b in first]
            + [(a, 1, b, 0.95) for a, b in second]
            + [(a, 2, b, 0.1) for a, b in held]
        )
        facts = Facts.of(*zip(*rows, strict=True))
        mined = {
            str(one.rule): one
            for one in mine_rules(facts, ENTITIES, RELATIONS, min_hits=1, min_hit_ratio=0.2)
        }
        assert (mined[text].implied, mined[text].hits) == (len(implied), len(held)), text


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rule", "rows"),
    [
        (
            "nl27k",
            "concept:competeswith(A, B) & concept:competeswith(B, C) -> concept:competeswith(A, C)",
            32513,
        ),
        ("ppi5k", "binding(A, B) & binding(B, C) -> binding(A, C)", 85299),
    ],
)
def test_the_published_soft_logic_is_reproduced(benchmark_graph, name: str, rule: str, rows: int) -> None:
    graph = benchmark_graph(name)
    atoms = ground([parse_rule(rule)], graph.train, graph.entities, graph.relations, min_body=0.9)
    assert len(atoms) == rows

    def multiset(head, relation, tail, bound) -> np.ndarray:
        columns = np.stack([head, relation, tail, np.round(bound * 1e6)]).astype(np.int64)
        return columns[:, np.lexsort(columns[::-1])]

    ours = multiset(atoms.head, atoms.relation, atoms.tail, atoms.bound)
    published = multiset(graph.atoms.head, graph.atoms.relation, graph.atoms.tail, graph.atoms.confidence)
    assert np.array_equal(ours[:3], published[:3])
    # The files are cut or rounded to three digits.
    assert np.abs(ours[3] - published[3]).max() <= 1000
