"""Reading triples, vocabularies and the answers known for a query."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.data import DataError, MalformedLine, MissingFile
from offprints.errors import InputError
from offprints.triples import Answers, KnowledgeGraph, Triples, UnknownName, Vocabulary, read_columns

TRAIN = [("00012", "is a", "b b"), ("/m/0x", "is a", "b b"), ("b b", "has", "00012")]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_ids_follow_first_appearance_head_before_tail(tmp_path: Path) -> None:
    for split, facts in (("train", TRAIN), ("valid", [("new", "has", "00012")]), ("test", [])):
        write(tmp_path / f"{split}.txt", "".join("\t".join(fact) + "\n" for fact in facts))
    graph = KnowledgeGraph.from_folder(tmp_path)
    assert graph.entities.names == ("00012", "b b", "/m/0x", "new")  # leading zeros and blanks stay
    assert graph.relations.names == ("is a", "has")
    assert graph.train.head.tolist() == [0, 2, 1]
    assert graph.fingerprint == KnowledgeGraph.from_splits("x", TRAIN, [("new", "has", "00012")]).fingerprint


def test_gzip_and_windows_line_ends_read_alike(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.txt", "a\tr\tb\nc\tr\td")
    windows = tmp_path / "b.txt.gz"
    windows.write_bytes(gzip.compress(b"a\tr\tb\r\nc\tr\td\r\n"))
    assert read_columns(plain) == read_columns(windows) == (["a", "c"], ["r", "r"], ["b", "d"])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\tr\tb\na\tr\n", 2, "found 2"),
        ("a\tr\tb\nc\tr\td\te\n", 2, "found 4"),
        ("a\tr\tb\n\nc\tr\td\n", 2, "found 1"),
        ("a\tr\tb\n\tr\td\n", 2, "head is empty"),
        ("a\tr\t\n", 1, "tail is empty"),
        ("a\tr\nb\tc\td\te\n", 1, "found 2"),  # the fields add up, the lines do not
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = write(tmp_path / "train.txt", text)
    with pytest.raises(MalformedLine, match=reason) as caught:
        read_columns(path)
    assert f"{line}" in str(caught.value)
    assert "train.txt" in str(caught.value)


def test_missing_truncated_and_undecodable_files_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="nowhere"):
        read_columns(tmp_path / "nowhere.txt")
    with pytest.raises(MissingFile, match="no train"):
        KnowledgeGraph.from_folder(tmp_path)
    broken = tmp_path / "x.txt.gz"
    broken.write_bytes(gzip.compress(b"a\tr\tb\n" * 500)[:-9])
    with pytest.raises(DataError, match="gzip"):
        read_columns(broken)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"a\tr\tb\n\xe9\tr\tb\n")
    with pytest.raises(MalformedLine, match="UTF-8"):
        read_columns(latin)


def test_an_unknown_name_offers_the_nearest() -> None:
    vocabulary = Vocabulary("entity", ("germany", "Georgia", "france"))
    with pytest.raises(UnknownName, match=r"unknown entity 'GERMANY' .*germany"):
        vocabulary.id("GERMANY")
    with pytest.raises(UnknownName, match="germny.*germany"):
        vocabulary.ids(["france", "germny"])


triples = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), max_size=30)


@given(triples)
def test_answers_are_the_distinct_tails_of_each_query(facts: list[tuple[int, int, int]]) -> None:
    columns = np.array(facts, np.int32).reshape(-1, 3).T
    known = Answers.of(Triples.of(*columns), 3)
    for head in range(5):
        for relation in range(3):
            expected = sorted({t for h, r, t in facts if (h, r) == (head, relation)})
            assert known.lookup(head, relation).tolist() == expected
    head, relation = np.divmod(np.arange(15, dtype=np.int32), 3)
    offsets, tails = known.gather(known.rows(head, relation))
    parts = [tails[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert parts == [known.lookup(h, r).tolist() for h, r in zip(head, relation, strict=True)]


@given(triples)
def test_reciprocals_ask_the_other_way_round(facts: list[tuple[int, int, int]]) -> None:
    columns = np.array(facts, np.int32).reshape(-1, 3).T
    both = Triples.of(*columns).with_reciprocals(3)
    found = set(zip(both.head.tolist(), both.relation.tolist(), both.tail.tolist(), strict=True))
    assert found == set(facts) | {(t, r + 3, h) for h, r, t in facts}


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        Triples.of([1, 2], [0], [1, 2])


def test_a_large_file_is_read_whole(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 120_000, (200_000, 2))
    lines = [f"e{h}\tr{h % 37}\te{t}" for h, t in numbers.tolist()]
    graph = KnowledgeGraph.from_files("big", {"train": write(tmp_path / "train.txt", "\n".join(lines))})
    assert len(graph.train) == 200_000
    place = 177_777
    assert graph.text(graph.train.head[place], graph.train.relation[place], graph.train.tail[place]) == lines[
        place
    ].replace("\t", " — ")
