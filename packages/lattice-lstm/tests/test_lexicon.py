"""Every word of the lexicon is found wherever it stands, and nothing else is."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offprints.errors import DataError, InputError, MalformedLine, MissingFile

from lattice_lstm import Lexicon

LETTERS = "ab😀"
some_words = st.lists(st.text(LETTERS, min_size=1, max_size=5), max_size=12)
some_text = st.text(LETTERS, max_size=20)


def naive(words: list[str], text: str, shortest: int) -> list[tuple[int, int, str]]:
    pairs = [(b, e) for b in range(len(text)) for e in range(b + shortest, len(text) + 1)]
    return [(b, e, text[b:e]) for b, e in pairs if text[b:e] in words]


@given(some_words, some_text, st.integers(1, 3))
@example(["aaaaaaaaaa"], "aaa", 2)
def test_matches_are_those_of_a_search_for_each_word(words: list[str], text: str, shortest: int) -> None:
    assert Lexicon(words).words_in(text, shortest) == naive(words, text, shortest)


@given(some_words, st.lists(some_text, max_size=6))
def test_many_sentences_at_once_give_what_each_gives_alone(words: list[str], texts: list[str]) -> None:
    lexicon = Lexicon(words)
    together = lexicon.match(texts)
    for number, text in enumerate(texts):
        alone = lexicon.match([text])
        for one, other in zip(together.of(number), alone.of(0), strict=True):
            np.testing.assert_array_equal(one, other)


@given(some_words, some_words, some_text)
def test_an_extended_lexicon_is_the_lexicon_of_both_and_keeps_its_numbers(
    words: list[str], more: list[str], text: str
) -> None:
    first = Lexicon(words)
    both = first.extended(more)
    assert both.words_in(text) == Lexicon(words + more).words_in(text)
    assert [both.word(number) for number in range(len(first))] == list(first)
    assert set(both) == set(words + more)


@given(some_words)
def test_words_are_found_by_name_and_repeated_ones_count_once(words: list[str]) -> None:
    lexicon = Lexicon(words)
    assert list(lexicon) == list(dict.fromkeys(words))
    assert [lexicon.word(number) for number in lexicon.find(words)] == words
    assert "ba😀" in words or "ba😀" not in lexicon


@pytest.mark.parity
def test_the_recorded_matches_are_found(parity) -> None:
    recorded = parity("matching")
    lexicon = Lexicon([str(word) for word in recorded["lexicon"]])
    for text, wanted in zip(recorded["sentences"], recorded["matches"], strict=True):
        found = sorted(lexicon.words_in(str(text)), key=lambda match: (match[0], -match[1]))
        assert "|".join(f"{b}:{e - b}:{word}" for b, e, word in found) == str(wanted)


def test_digits_read_as_zero_on_both_sides() -> None:
    assert Lexicon(["2008年"]).words_in("在１９98年") == [(1, 6, "0000年")]
    assert Lexicon(["2008年"], normalise_digits=False).words_in("在1998年和2008年") == [(7, 12, "2008年")]


def test_what_is_no_single_code_point_matches_nothing() -> None:
    lexicon = Lexicon(["ab", "bc", "a"])
    assert lexicon.words_in(["a", "bb", "c", "b", "c"], shortest=1) == [(0, 1, "a"), (3, 5, "bc")]
    assert lexicon.words_in(["ab", "", "c"], shortest=1) == []  # as many code points as places


def test_no_words_and_no_text_are_fine() -> None:
    assert Lexicon().words_in("南京") == []
    assert Lexicon(["南京"]).match(["", "南京", ""]).offsets.tolist() == [0, 0, 1, 1]
    assert len(Lexicon(["南京"]).match([]).word) == 0


def test_shares_and_bounds_of_a_lexicon() -> None:
    lexicon = Lexicon([f"w{n}" for n in "abcdefghij"] + ["long word"])
    assert len(lexicon.subset(0.0)) == 0 and len(lexicon.subset(1.0)) == 11
    assert set(lexicon.subset(0.5, 1)) < set(lexicon) and len(lexicon.subset(0.5)) == 6
    assert list(lexicon.subset(0.5, 3)) == list(lexicon.subset(0.5, 3))
    assert "long word" not in set(lexicon.without_longer(2))
    with pytest.raises(InputError, match=r"1\.5"):
        lexicon.subset(1.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("南京\n\n长江 大桥\r\n上海", ["南京", "长江 大桥", "上海"]),
        ("南京 12 ns\n长江 3 ns\n", ["南京", "长江"]),
        ("2 3\n南京 0.1 -2e-3 3\n长江\t1 2 3", ["南京", "长江"]),
        ("\ufeff南京\n", ["南京"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_words_columns_and_vectors_are_told_apart(
    tmp_path: Path, text: str, words: list[str], packed: bool
) -> None:
    path = tmp_path / ("words.txt.gz" if packed else "words.txt")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert list(Lexicon.from_file(path)) == words


def test_a_file_longer_than_a_block_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice_lstm.word_files._BLOCK", 7)
    (tmp_path / "words.txt").write_text("南京\n长江大桥\n上海\n浦东发展银行", encoding="utf-8")
    assert list(Lexicon.from_file(tmp_path / "words.txt")) == ["南京", "长江大桥", "上海", "浦东发展银行"]


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"nowhere\.txt"):
        Lexicon.from_file(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="holds no word"):
        Lexicon.from_file(tmp_path / "empty.txt")
    (tmp_path / "latin.txt").write_bytes("南京\n".encode() + b"\xff\xfe\n")
    with pytest.raises(MalformedLine, match="line 2"):
        Lexicon.from_file(tmp_path / "latin.txt")
    with pytest.raises(InputError, match="plain"):
        Lexicon.from_file(tmp_path / "empty.txt", format="csv")
    with pytest.raises(InputError, match="word 1"):
        Lexicon(["a", "", "b"])


def test_the_embedded_lexicon_holds_the_words_of_jieba() -> None:
    lexicon = Lexicon.of_jieba()
    assert sum(len(word) > 1 for word in lexicon) == 337_465
    assert [word for _, _, word in lexicon.words_in("南京市长江大桥")] == [
        "南京", "南京市", "京市", "市长", "长江", "长江大桥", "大桥",
    ]  # fmt: skip
    assert lexicon.nbytes < 60e6


@pytest.mark.real_data
def test_matches_per_character_of_real_text(benchmark_corpus) -> None:
    """Measured by an independent program: 0.476 on Resume, 0.307 on Weibo."""
    lexicon = Lexicon.of_jieba()
    for name, wanted in (("resume", 0.476), ("weibo", 0.307)):
        sentences = [one.characters for one in benchmark_corpus(name).train]
        found = len(lexicon.match(sentences).word) / sum(map(len, sentences))
        assert found == pytest.approx(wanted, abs=0.0006)
