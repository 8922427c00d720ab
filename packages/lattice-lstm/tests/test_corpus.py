"""Files of tagged characters: what is read from them, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offprints.errors import DataError, InputError, MalformedLine, MissingFile

from lattice_lstm import Lexicon, read_conll, score_tags, synthetic_corpus
from lattice_lstm.corpus import Sentence, entity_counts, parse_conll, write_conll
from lattice_lstm.rules import published_spans
from lattice_lstm.scores import Score, length_class

COUNTS = {
    "train": {
        "TITLE": 6308,
        "ORG": 4611,
        "NAME": 952,
        "EDU": 858,
        "PRO": 287,
        "CONT": 260,
        "RACE": 115,
        "LOC": 47,
    },
    "valid": {"TITLE": 690, "ORG": 523, "NAME": 110, "EDU": 106, "PRO": 18, "CONT": 33, "RACE": 15, "LOC": 2},
    "test": {"TITLE": 772, "ORG": 553, "NAME": 112, "EDU": 112, "PRO": 33, "CONT": 28, "RACE": 14, "LOC": 6},
}


def read(text: str, **options: object) -> list[Sentence]:
    return parse_conll(text.encode(), "sample", **options)  # type: ignore[arg-type]


def test_bio_is_read_as_bmes() -> None:
    one, two = read("我 O\n在 O\n南 B-LOC\n京 I-LOC\n\n你\tB-PER\n")
    assert (one.text, one.tags) == ("我在南京", ("O", "O", "B-LOC", "E-LOC"))
    assert (two.text, two.tags) == ("你", ("S-PER",))


@pytest.mark.parametrize(
    "text", ["a O\r\nb O\r\n\r\nc O\r\n", "\ufeffa O\nb O\n\n\nc O", "a O\nb O\n \t\nc O\n\n\n\n"]
)
def test_line_ends_marks_and_missing_last_newlines_change_nothing(text: str) -> None:
    assert [one.text for one in read(text)] == ["ab", "c"]


def test_a_space_or_a_line_separator_may_be_a_character() -> None:
    assert read("  O\n\u3000 O\n\u2028 O\n")[0].characters == (" ", "\u3000", "\u2028")


def test_segment_digits_become_segments_and_digits_of_the_text_stay() -> None:
    (one,) = read("1\u0030\tO\n京1\tO\n是0\tO\n", segment_digits=True)
    assert one.characters == ("1", "京", "是") and one.segments == ("B", "E", "S")
    long = "".join(f"{char}{place} O\n" for place, char in enumerate("http://t.cn/1"))
    assert read(long + "100 O\n10 O\n", segment_digits=True)[0].text == "http://t.cn/1101"
    with pytest.raises(MalformedLine, match="line 3: 'b1' is not a character and its place 2 or 0"):
        read("a0 O\nb1 O\nb1 O\n", segment_digits=True)


def test_ill_formed_tags_are_refused_dropped_or_taken_as_runs() -> None:
    text = "a O\nb I-X\nc I-X\n"
    with pytest.raises(MalformedLine, match=r"line 2: tag 'I-X' follows no B-X \(BIO\)"):
        read(text)
    assert read(text, ill_formed_tags="drop")[0].tags == ("O", "O", "O")
    assert read(text, ill_formed_tags="runs")[0].tags == ("O", "B-X", "E-X")
    with pytest.raises(InputError, match="refuse, drop, runs"):
        read(text, ill_formed_tags="fix")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a O\nb\n", 2, "expected a character"),
        ("a O\n\nb Q-X\n", 3, "neither O nor"),
        ("a b O\n", 1, "more"),
        ("a O\nb B-X\n", 2, "does not belong to BMES|before the E-X"),
        ("a\tB-X\nb\tI-Y\n", 2, "follows no B-Y"),
    ],
)
def test_a_wrong_line_is_named(text: str, line: int, reason: str) -> None:
    scheme = "BMES" if line == 2 and "b B-X" in text else None
    with pytest.raises(MalformedLine, match=reason) as caught:
        read(text, scheme=scheme)
    assert caught.value.line_number == line


def test_undecodable_bytes_are_refused_or_replaced() -> None:
    raw = "好 O\n".encode() + b"\xed\xa0\xbd O\n"
    with pytest.raises(MalformedLine, match="line 2: not UTF-8"):
        parse_conll(raw, "sample")
    assert parse_conll(raw, "sample", undecodable="replace")[0].characters[1] == "\ufffd" * 3


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"nowhere"):
        read_conll(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("\n\n")
    with pytest.raises(DataError, match="holds no sentence"):
        read_conll(tmp_path / "empty")


@given(st.lists(st.text("ab京", min_size=1, max_size=6), min_size=1, max_size=4), st.data())
def test_what_is_written_is_read_back(texts: list[str], data: st.DataObject) -> None:
    tags = [[data.draw(st.sampled_from(("O", "S-X"))) for _ in text] for text in texts]
    written = write_conll(list(zip(text, row, strict=True)) for text, row in zip(texts, tags, strict=True))
    back = read(written, scheme="BMES")
    assert [one.text for one in back] == texts and [list(one.tags) for one in back] == tags


def test_gzip_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sample.gz"
    path.write_bytes(gzip.compress("京 S-LOC\n".encode()))
    assert read_conll(path)[0].tags == ("S-LOC",)


@pytest.mark.real_data
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_resume_has_its_published_counts(benchmark_corpus, split: str) -> None:
    corpus = benchmark_corpus("resume")
    assert entity_counts(corpus.split(split)) == dict(sorted(COUNTS[split].items()))
    assert max(map(len, corpus.train)) == 178
    assert len({char for one in corpus.train for char in one.characters}) == 1792


@pytest.mark.real_data
def test_weibo_has_its_published_counts(benchmark_corpus) -> None:
    corpus = benchmark_corpus("weibo")
    assert entity_counts(corpus.train) == {
        "GPE.NAM": 205, "GPE.NOM": 8, "LOC.NAM": 56, "LOC.NOM": 51,
        "ORG.NAM": 183, "ORG.NOM": 42, "PER.NAM": 574, "PER.NOM": 766,
    }  # fmt: skip
    assert entity_counts(benchmark_corpus("weibo", "ne").test) == {
        "GPE.NAM": 47, "LOC.NAM": 19, "ORG.NAM": 39, "PER.NAM": 111
    }  # fmt: skip
    nominal = entity_counts(benchmark_corpus("weibo", "nm").test)
    assert nominal == {"GPE.NOM": 2, "LOC.NOM": 9, "ORG.NOM": 17, "PER.NOM": 170}
    assert not any(char[-1:].isdigit() and len(char) > 1 for one in corpus.train for char in one.characters)
    assert all(one.segments is not None for one in corpus.train)


@pytest.mark.real_data
def test_the_published_count_of_entities_is_what_the_published_rule_finds(benchmark_corpus) -> None:
    found = sum(len(published_spans(one.tags)) for one in benchmark_corpus("resume").train)
    assert found == 13438


@pytest.mark.real_data
def test_the_validation_split_of_peoples_daily_is_carved_out_of_train(benchmark_corpus) -> None:
    corpus = benchmark_corpus("peoples_daily")
    assert len(corpus.train) + len(corpus.valid) == 4636 and len(corpus.test) == 2318
    with pytest.raises(InputError, match="kind=all"):
        benchmark_corpus("peoples_daily", "ne")


def test_the_embedded_sentences_share_no_name_between_splits() -> None:
    corpus = synthetic_corpus(200, 50, 100)
    names = [
        {one.text[span.start : span.end] for one in part for span in one.spans}
        for part in (corpus.train, corpus.valid, corpus.test)
    ]
    assert all(names) and not names[0] & names[1] and not (names[0] | names[1]) & names[2]
    assert synthetic_corpus(200, 50, 100) == corpus
    assert synthetic_corpus(200, 50, 100, seed=1).train != corpus.train
    assert set(entity_counts(corpus.test)) == {"PER", "LOC", "ORG"}


def sample() -> tuple[list[Sentence], list[list[str]]]:
    one = Sentence(tuple("南京市长江"), ("B-LOC", "M-LOC", "E-LOC", "B-PER", "E-PER"))
    two = Sentence(tuple("京" * 30), ("S-LOC", *["O"] * 29))
    return [one, two], [["B-LOC", "M-LOC", "E-LOC", "B-LOC", "E-LOC"], ["O"] * 30]


def test_scores_by_type_length_and_lexicon_are_counted_by_hand() -> None:
    sentences, predicted = sample()
    scores = score_tags(sentences, predicted, Lexicon(["南京市"]))
    assert scores.strict == Score(1, 2, 3)
    assert scores.by_type == {"LOC": Score(1, 2, 2), "PER": Score(0, 0, 1)}
    assert scores.by_length == {"1-20": Score(1, 2, 2), "21-40": Score(0, 0, 1)}
    assert (scores.in_lexicon, scores.out_of_lexicon) == (Score(1, 1, 1), Score(0, 1, 2))
    assert scores.accuracy == pytest.approx(32 / 35)
    metrics = scores.metrics()
    assert (
        metrics["precision"] == 1 / 2 and metrics["recall"] == 1 / 3 and metrics["f1"] == pytest.approx(0.4)
    )
    assert metrics["recall/in_lexicon"] == 1.0 and metrics["recall/out_of_lexicon"] == 0.0
    assert metrics["f1/length_21-40"] == 0.0
    assert scores.table()["rule"].tolist()[:2] == ["strict", "compat"]


def test_nothing_predicted_scores_nothing() -> None:
    sentences, predicted = sample()
    nothing = score_tags(sentences, [["O"] * len(tags) for tags in predicted])
    assert (nothing.strict.precision, nothing.strict.f1, nothing.strict.found) == (0.0, 0.0, 0)


def test_predictions_of_other_lengths_are_refused() -> None:
    sentences, predicted = sample()
    with pytest.raises(InputError, match="sentence 1"):
        score_tags(sentences, [predicted[0], ["O"]])
    with pytest.raises(InputError, match="1 predictions for 2"):
        score_tags(sentences, predicted[:1])


def test_classes_of_length_have_no_gap() -> None:
    assert [length_class(n) for n in (1, 20, 21, 100, 101, 5000)] == [
        "1-20", "1-20", "21-40", "81-100", "101-", "101-",
    ]  # fmt: skip
