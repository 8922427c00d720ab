"""Schemes, spans, and the two rules by which entities are found in predictions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2, IOBES, Entities

from offprints.errors import InputError

from lattice_lstm import Span, score_by_rule, spans_of_tags, tags_of_spans
from lattice_lstm.rules import published_spans, strict_spans
from lattice_lstm.tags import TagError, allowed_transitions, detect_scheme, ill_formed, lenient_spans

TYPES = ("PER", "LOC")


@st.composite
def sentences_of_spans(draw: st.DrawFn) -> tuple[int, list[Span]]:
    """A length and entities that do not overlap."""
    pieces = draw(st.lists(st.tuples(st.integers(1, 4), st.sampled_from((*TYPES, ""))), max_size=8))
    spans, at = [], 0
    for size, kind in pieces:
        if kind:
            spans.append(Span(at, at + size, kind))
        at += size
    return at, spans


def tags_over(prefixes: str) -> st.SearchStrategy[list[str]]:
    """Any tags of a scheme, mostly ill-formed."""
    tag = st.sampled_from(["O", *(f"{p}-{t}" for p in prefixes for t in TYPES)])
    return st.lists(tag, max_size=9)


@given(sentences_of_spans(), st.sampled_from(("BIO", "BMES", "BIOES")))
def test_spans_become_tags_and_come_back(sentence: tuple[int, list[Span]], scheme: str) -> None:
    length, spans = sentence
    tags = tags_of_spans(spans, length, scheme)
    assert not list(ill_formed(tags, scheme))
    assert spans_of_tags(tags, scheme) == spans
    assert strict_spans(tags, scheme) == spans


@given(tags_over("BIES"))
def test_the_strict_rule_is_that_of_seqeval_on_any_tags(tags: list[str]) -> None:
    theirs = {(e.start, e.end, e.tag) for e in Entities([tags], IOBES).entities[0]} if tags else set()
    assert set(strict_spans(tags, "BIOES")) == theirs
    assert strict_spans([tag.replace("I-", "M-") for tag in tags], "BMES") == strict_spans(tags, "BIOES")


@given(tags_over("BI"))
def test_the_strict_rule_is_that_of_seqeval_in_bio(tags: list[str]) -> None:
    theirs = {(e.start, e.end, e.tag) for e in Entities([tags], IOB2).entities[0]} if tags else set()
    assert set(strict_spans(tags, "BIO")) == theirs


@given(st.lists(st.tuples(tags_over("BIES"), tags_over("BIES")), min_size=1, max_size=5))
def test_strict_precision_and_recall_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    cut = [(gold[: len(found)], found[: len(gold)]) for gold, found in pairs]
    gold, found = [g for g, _ in cut], [f for _, f in cut]
    ours = score_by_rule(gold, found, "strict", "BIOES")
    assert (ours.correct > 0) == (ours.f1 > 0)
    if ours.gold and ours.found:
        theirs = precision_recall_fscore_support(gold, found, average="micro", scheme=IOBES)[:3]
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx(theirs)


@given(tags_over("BMES"))
def test_lenient_spans_of_runs_cover_every_character_that_is_not_outside(tags: list[str]) -> None:
    covered = {at for span in lenient_spans(tags, runs=True) for at in range(span.start, span.end)}
    assert covered == {at for at, tag in enumerate(tags) if tag != "O"}


@given(tags_over("BMES"))
def test_allowed_transitions_are_what_well_formed_tags_use(tags: list[str]) -> None:
    names = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BMES")]
    between, first, last = allowed_transitions(names)
    ids = [names.index(tag) for tag in tags]
    fits = all(between[a][b] for a, b in itertools.pairwise(ids))
    fits = fits and (not ids or (first[ids[0]] and last[ids[-1]]))
    assert fits == (not list(ill_formed(tags, "BMES")))


@pytest.mark.parametrize("scheme", ["BMES", "BIO"])
@pytest.mark.parity
def test_the_published_rule_finds_the_recorded_entities(parity, scheme: str) -> None:
    recorded = parity("spans")
    for tags, spans in zip(recorded[f"{scheme}_tags"], recorded[f"{scheme}_spans"], strict=True):
        assert "|".join(published_spans(str(tags).split(), scheme)) == str(spans)


@pytest.mark.parametrize("scheme", ["BMES", "BIO"])
@pytest.mark.parity
def test_the_published_rule_gives_the_recorded_scores(parity, scheme: str) -> None:
    recorded = parity("spans")
    gold, found = (
        [str(tags).split() for tags in recorded[f"{scheme}_eval_{kind}"]] for kind in ("gold", "pred")
    )
    score = score_by_rule(gold, found, "compat", scheme)
    right = [a == b for g, f in zip(gold, found, strict=True) for a, b in zip(g, f, strict=True)]
    got = np.array([np.mean(right), score.precision, score.recall, score.f1])
    np.testing.assert_allclose(got, recorded[f"{scheme}_eval_acc_p_r_f"], rtol=0, atol=1e-12)


def test_the_two_rules_differ_where_tags_are_ill_formed_and_nowhere_else() -> None:
    assert strict_spans(["B-PER", "O", "E-LOC"]) == []
    assert published_spans(["B-PER", "O", "E-LOC"]) == ["[0,2]PER"]
    assert strict_spans(["B-PER", "E-PER", "S-LOC"]) == [Span(0, 2, "PER"), Span(2, 3, "LOC")]
    assert published_spans(["B-PER", "E-PER", "S-LOC"]) == ["[0,1]PER", "[2]LOC"]


def test_the_scheme_is_told_by_the_tags() -> None:
    assert detect_scheme({"O", "B-X", "I-X"}) == "BIO"
    assert detect_scheme({"O", "B-X", "E-X", "M-X"}) == "BMES"
    assert detect_scheme({"O", "B-X", "E-X", "I-X"}) == "BIOES"
    assert detect_scheme({"O", "S-X"}) == "BMES"


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        (["B-PER", "I-LOC"], "BIO", "position 2: tag 'I-LOC' follows no B-LOC"),
        (["I-LOC"], "BIO", "position 1"),
        (["B-LOC", "O"], "BMES", "position 2: tag 'O' stands before the E-LOC"),
        (["O", "B-LOC"], "BMES", "position 2: the sentence ends before the E-LOC"),
        (["S-LOC"], "BIO", "does not belong to BIO"),
        (["Q-LOC"], "BIO", "neither O nor"),
        (["B-"], "BIO", "neither O nor"),
        (["O"], "IOB", "one of BIO, BMES, BIOES"),
    ],
)
def test_what_is_ill_formed_is_named_with_its_place(tags: list[str], scheme: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        spans_of_tags(tags, scheme)
    assert message in str(caught.value)


@pytest.mark.parametrize("spans", [[Span(0, 2, "X"), Span(1, 3, "X")], [Span(2, 4, "X")], [Span(1, 1, "X")]])
def test_spans_that_do_not_fit_are_refused(spans: list[Span]) -> None:
    with pytest.raises(InputError):
        tags_of_spans(spans, 3)


def test_a_tag_without_a_type_is_a_tag_error() -> None:
    with pytest.raises(TagError):
        strict_spans(["B"])


def test_an_entity_goes_on_in_its_own_type_alone() -> None:
    names = ("O", "B-X", "E-X", "B-Y", "M-Y", "E-Y", "S-Y")
    between, first, last = allowed_transitions(names)
    follow = {(a, b) for i, a in enumerate(names) for j, b in enumerate(names) if between[i][j]}
    closed, opening = ("O", "E-X", "E-Y", "S-Y"), ("O", "B-X", "B-Y", "S-Y")
    inner = {("B-X", "E-X"), ("B-Y", "M-Y"), ("B-Y", "E-Y"), ("M-Y", "M-Y"), ("M-Y", "E-Y")}
    assert follow == {(a, b) for a in closed for b in opening} | inner
    assert [name for name, may in zip(names, first, strict=True) if may] == list(opening)
    assert [name for name, may in zip(names, last, strict=True) if may] == list(closed)
    assert lenient_spans(["B-X", "M-Y", "E-X", "O", "B-Y", "E-X"]) == [(0, 1, "X"), (4, 5, "Y")]
