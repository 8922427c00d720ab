"""Taggers of every kind: they learn, predict text, take another dictionary, survive a kill, and refuse what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.checkpoint import CheckpointError
from offprints.errors import DataError, InputError
from offprints.training import CLOCKS

from lattice_lstm import Lexicon, Sentence, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.encoders import around
from lattice_lstm.features import Features, character_tags, choose, known_characters, word_tags
from lattice_lstm.lattice import Lattice
from lattice_lstm.segmentation import segment
from lattice_lstm.tags import Span, tags_of_spans
from lattice_lstm.vectors import Vectors, read_vectors
from lattice_lstm.vocabulary import END, Characters, Pairs

CORPUS = synthetic_corpus(60, 20, 40)
KINDS = {
    "char": TaggerOptions(encoder="char"),
    "char_bichar_softword": TaggerOptions(encoder="char", bichar=True, softword=True),
    "lattice": TaggerOptions(encoder="lattice"),
    "lattice_bichar": TaggerOptions(encoder="lattice", bichar=True),
    "lattice_as_published": TaggerOptions(encoder="lattice", words="table", shared_words=False),
    "softlexicon": TaggerOptions(encoder="softlexicon"),
    "word": TaggerOptions(encoder="word"),
    "word_lstm": TaggerOptions(encoder="word", word_characters="lstm", bichar=True),
    "word_lstm_prime": TaggerOptions(encoder="word", word_characters="lstm_prime"),
    "word_cnn": TaggerOptions(encoder="word", word_characters="cnn"),
}


@pytest.fixture(scope="module")
def jieba() -> Lexicon:
    return Lexicon.of_jieba()


def small(options: TaggerOptions, **changes: object) -> TaggerOptions:
    values = {**vars(options), "char_size": 20, "word_size": 10, "hidden_size": 24, "dropout": 0.1, **changes}
    return TaggerOptions(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_network_learns_thirty_sentences_by_heart(kind: str, jieba: Lexicon) -> None:
    """Entities of thirty random sentences, all of different names: nothing but training gives an F1 near 1."""
    options = small(KINDS[kind], unknown_share=0.0, own_dropout=0.0)
    tagger = Tagger(options, jieba)
    some = CORPUS.train[:30]
    outcome = tagger.fit(some, (), TrainingOptions(epochs=40, learning_rate=0.02, batch_size=8))
    losses = [row["train/loss"] for row in outcome.history]
    assert losses[-1] < losses[0] / 8
    found = tagger.evaluate(some).strict.f1
    # A segmentation that breaks names sets a bound to what a tagger of words can reach.
    assert found > (0.6 if kind.startswith("word") else 0.97), found


@pytest.fixture(scope="module")
def lattice(jieba: Lexicon) -> Tagger:
    """A lattice tagger that has learnt something."""
    corpus = synthetic_corpus(400, 60, 60)
    tagger = Tagger(small(TaggerOptions()), jieba)
    tagger.fit(corpus.train, corpus.valid, TrainingOptions(epochs=8, learning_rate=0.01, batch_size=16))
    return tagger


def test_predictions_have_offsets_types_text_and_probabilities(lattice: Tagger) -> None:
    texts = [one.text for one in CORPUS.test]
    found = lattice.predict(texts)
    assert sum(map(len, found)) > 20
    for text, entities in zip(texts, found, strict=True):
        for entity in entities:
            assert text[entity.start : entity.end] == entity.text
            assert entity.type in lattice.types and 0 < entity.score <= 1
    again = lattice.predict_tags(CORPUS.test)
    for entities, tags in zip(found, again, strict=True):
        assert tags_of_spans([Span(*entity[:3]) for entity in entities], len(tags)) == tags


def test_probable_entities_are_more_often_right(lattice: Tagger) -> None:
    right, scores = [], []
    for one, entities in zip(CORPUS.test, lattice.predict([s.text for s in CORPUS.test]), strict=True):
        gold = set(one.spans)
        right += [Span(*entity[:3]) in gold for entity in entities]
        scores += [entity.score for entity in entities]
    order = np.argsort(scores)
    half = len(order) // 2
    assert np.mean(np.array(right)[order[half:]]) > np.mean(np.array(right)[order[:half]])


def test_any_text_is_tagged(lattice: Tagger) -> None:
    texts = ["", "。", "南京市长江大桥" * 700 + "abc", "😀\u3000Ａｂ１２", "\ud83d", "\n", "\x00龘靐"]
    found = lattice.predict(texts)
    assert found[0] == [] and len(found) == len(texts)
    assert len(lattice.predict_tags([Sentence(tuple(texts[2]), ("O",) * len(texts[2]))])[0]) == 4903
    assert lattice.predict([]) == []


def test_company_changes_no_prediction(lattice: Tagger) -> None:
    texts = [one.text for one in CORPUS.test[:12]]
    together = lattice.predict(texts)
    for text, entities in zip(texts, together, strict=True):
        (alone,) = lattice.predict([text])
        assert [entity[:4] for entity in alone] == [entity[:4] for entity in entities]
        assert [entity.score for entity in alone] == pytest.approx(
            [entity.score for entity in entities], abs=1e-5
        )
    streamed = [[entity[:4] for entity in one] for one in lattice.stream(iter(texts), chunk=5)]
    assert streamed == [[entity[:4] for entity in one] for one in together]


def test_a_new_dictionary_changes_what_is_read_without_training(lattice: Tagger) -> None:
    """Words that nobody has seen have vectors composed of their characters, and arrive in the lattice."""
    text = "据甲乙丙丁戊己报道，六月在魔都坡认为。"
    before = lattice.explain(text)
    assert not any(word in ("甲乙丙丁戊己", "魔都坡") for _, _, word in before.words)
    other = lattice.with_words(["甲乙丙丁戊己", "魔都坡"])
    after = other.explain(text)
    assert {(1, 7, "甲乙丙丁戊己"), (13, 16, "魔都坡")} <= set(after.words)
    sentence = [Sentence(tuple(text), ("O",) * len(text))]
    (_, batch), (_, same) = next(iter(lattice._batches(sentence))), next(iter(other._batches(sentence)))
    difference = (lattice.built.model.emissions(batch) - other.built.model.emissions(same)).abs()
    assert difference.max().item() > 1e-3
    # The tagger itself, and a lexicon without news, stay as they were.
    assert lattice.explain(text).words == before.words
    assert lattice.with_words([]).predict([text]) == lattice.predict([text])
    fewer = lattice.with_lexicon(Lexicon())
    assert fewer.explain(text).words == [] and len(fewer.explain(text).own) == len(text)


def test_two_new_words_of_different_characters_are_different(lattice: Tagger) -> None:
    model = lattice.with_words(["甲乙丙", "魔都坡"]).built.model
    numbers = np.arange(len(model.word_rows) - 2, len(model.word_rows))
    assert model.word_rows[numbers].tolist() == [0, 0]
    one, other = model._lexicon_vectors(numbers, torch.device("cpu"))
    assert (one - other).abs().max().item() > 1e-3


def test_shares_of_an_explanation_sum_to_one_where_words_arrive(lattice: Tagger) -> None:
    found = lattice.explain("南京市长江大桥")
    total = found.own.clone()
    for (start, end, _), (forwards, backwards) in zip(found.words, found.shares, strict=True):
        total[end - 1, 0] += forwards
        total[start, 1] += backwards
    arrive = {end - 1 for _, end, _ in found.words}
    torch.testing.assert_close(total[sorted(arrive), 0], torch.ones(len(arrive)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["lattice", "char_bichar_softword", "word_cnn"])
def test_a_saved_tagger_predicts_the_same(kind: str, jieba: Lexicon, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    names = tuple(dict.fromkeys("".join(one.text for one in (*CORPUS.train, *CORPUS.test))))
    given = Vectors(names, draw.standard_normal((len(names), 20)).astype(np.float32))
    tagger = Tagger(small(KINDS[kind]), jieba, char_vectors=given)
    tagger.fit(CORPUS.train, (), TrainingOptions(epochs=3, learning_rate=0.02))
    tagger.save(tmp_path / "tagger.ckpt")
    loaded = Tagger.load(tmp_path / "tagger.ckpt")
    texts = [one.text for one in CORPUS.test]
    assert loaded.predict(texts) == tagger.predict(texts)
    assert list(loaded.lexicon)[:100] == list(jieba)[:100] and len(loaded.lexicon) == len(jieba)
    assert (tmp_path / "tagger.ckpt").stat().st_size < 10e6


def test_a_tagger_with_pretrained_vectors_of_any_size_comes_back(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)

    def some(names: list[str], size: int) -> Vectors:
        return Vectors(tuple(names), draw.normal(size=(len(names), size)).astype(np.float32))

    names = sorted({one.text[b:e] for one in CORPUS.train for b, e, _ in one.spans})
    chars = sorted({char for one in (*CORPUS.train, *CORPUS.test) for char in one.text})
    given = {
        "char_vectors": some(chars, 11),
        "pair_vectors": some(["\u6c5f\u5927"], 7),
        "word_vectors": some(names, 5),
    }
    tagger = Tagger(small(TaggerOptions(bichar=True)), Lexicon(names), **given)
    tagger.fit(CORPUS.train, (), TrainingOptions(epochs=2, learning_rate=0.02))
    assert tagger.built.vocabularies.fixed_chars  # those of the test sentences alone
    tagger.save(tmp_path / "tagger.ckpt")
    texts = [one.text for one in CORPUS.test]
    assert Tagger.load(tmp_path / "tagger.ckpt").predict(texts) == tagger.predict(texts)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.ckpt").write_bytes(b"no checkpoint at all")
    with pytest.raises(CheckpointError):
        Tagger.load(tmp_path / "other.ckpt")


class Killed(Exception):
    """What ends a training in the middle."""


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    lexicon = Lexicon([one.text[b:e] for one in CORPUS.train for b, e, _ in one.spans])
    training = TrainingOptions(epochs=4, learning_rate=0.02)
    whole = Tagger(small(TaggerOptions()), lexicon)
    history = whole.fit(CORPUS.train, CORPUS.valid, training, directory=tmp_path / "whole").history

    def killer(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Killed

    with pytest.raises(Killed):
        Tagger(small(TaggerOptions()), lexicon).fit(
            CORPUS.train,
            CORPUS.valid,
            replace(training, save_every=0),  # after every step
            directory=tmp_path / "cut",
            on_epoch=killer,
        )
    resumed = Tagger(small(TaggerOptions()), lexicon)
    again = resumed.fit(CORPUS.train, CORPUS.valid, training, directory=tmp_path / "cut").history
    assert [{k: v for k, v in row.items() if k not in CLOCKS} for row in again] == [
        {k: v for k, v in row.items() if k not in CLOCKS} for row in history
    ]
    for one, other in zip(whole.built.model.parameters(), resumed.built.model.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(CheckpointError):
        Tagger(small(TaggerOptions()), lexicon).fit(CORPUS.test, (), training, directory=tmp_path / "cut")


def test_the_same_seed_gives_the_same_tagger_and_another_seed_another_one() -> None:
    def fit(seed: int) -> list[float]:
        tagger = Tagger(small(TaggerOptions(encoder="char")), seed=seed)
        return [row["train/loss"] for row in tagger.fit(CORPUS.train, (), TrainingOptions(epochs=2)).history]

    assert fit(3) == fit(3) != fit(4)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_published_optimiser_trains_too(optimizer: str) -> None:
    tagger = Tagger(small(TaggerOptions(encoder="char")))
    training = TrainingOptions(epochs=3, learning_rate=0.015, batch_size=1, optimizer=optimizer)
    losses = [row["train/loss"] for row in tagger.fit(CORPUS.train, (), training).history]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"encoder": "bert"}, "lattice"), ({"dropout": 1.0}, "below 1"), ({"hidden_size": 0}, "1 or more"), ({"merge": "max"}, "gated")],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TaggerOptions(**options)  # type: ignore[arg-type]


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(InputError, match="not fitted"):
        Tagger().predict(["南京"])
    with pytest.raises(InputError, match="no sentence"):
        Tagger().fit([])
    with pytest.raises(InputError, match="entity"):
        Tagger().fit([Sentence(("a",), ("O",))])
    with pytest.raises(InputError, match="digits"):
        Tagger(lexicon=Lexicon(normalise_digits=False))
    tagger = Tagger(small(TaggerOptions(encoder="char")))
    tagger.fit(CORPUS.train, (), TrainingOptions(epochs=1))
    with pytest.raises(InputError, match="looks at no lexicon"):
        tagger.with_words(["南京"])
    with pytest.raises(InputError, match="no lattice"):
        tagger.explain("南京")


def test_a_lattice_without_a_lexicon_works() -> None:
    tagger = Tagger(small(TaggerOptions()))
    tagger.fit(CORPUS.train, (), TrainingOptions(epochs=1))
    assert len(tagger.predict_tags(CORPUS.test)) == len(CORPUS.test)


def test_tags_of_words_take_in_every_word_that_an_entity_touches() -> None:
    sentence = Sentence(
        tuple("南京市长江大桥"), tuple(tags_of_spans([Span(0, 3, "LOC"), Span(3, 7, "LOC")], 7))
    )
    whole = np.array([0, 3, 5, 7])  # 南京市 长江 大桥
    assert word_tags(sentence, whole) == ["S-LOC", "B-LOC", "E-LOC"]
    assert character_tags(word_tags(sentence, whole), whole) == list(sentence.tags)
    broken = np.array([0, 2, 4, 7])  # 南京 市长 江大桥: both touch the second, the first has it
    assert word_tags(sentence, broken) == ["B-LOC", "E-LOC", "S-LOC"]


def test_segments_cover_the_sentence() -> None:
    labels = segment((*"南京市长江大桥", "\ufffd\ufffd"))
    assert labels == ("B", "M", "E", "B", "M", "M", "E", "S")


def test_pairs_end_with_the_sentence_and_unknown_ones_are_zero() -> None:
    codes = np.array([ord(char) for char in "abab"], np.uint32)
    offsets = np.array([0, 2, 4])
    pairs = Pairs(["ab", f"b{END}"])
    assert pairs.numbers(codes, offsets).tolist() == [1, 2, 1, 2]
    assert Pairs(["ba"]).numbers(codes, offsets).tolist() == [0, 0, 0, 0]
    assert Pairs([]).numbers(codes, offsets).tolist() == [0] * 4


def test_vocabularies_come_from_training_sentences_alone() -> None:
    chars, counts = known_characters([Sentence(tuple("aab12"), ("O",) * 5)], normalise_digits=True)
    assert dict(zip(chars.names, counts.tolist(), strict=True)) == {"0": 2, "a": 2, "b": 1}
    assert chars.of_text(["b9z"])[0].tolist() == [chars.names.index("b") + 1, chars.names.index("0") + 1, 0]


def test_soft_lexicon_means_are_those_counted_by_hand() -> None:
    sentence = Sentence(tuple("abc"), ("O",) * 3)
    lexicon = Lexicon(["ab", "abc", "bc"])
    batch = choose(Features(Characters("abc"), lexicon=lexicon).encode([sentence]), np.array([0]))
    words = torch.tensor([[1.0], [10.0], [100.0]], dtype=torch.float64)
    assert batch.lexicon_words is not None and batch.lexicon_words.tolist() == [0, 1, 2]
    found = around(batch, words, torch.tensor([1, 2, 1]))
    wanted = [
        [3 * (1 + 20) / 3, 0, 0],  # ab, abc begin at a
        [3 * 100 / 4, 3 * 20 / 4, 3 * 1 / 4],  # bc begins, abc goes through, ab ends
        [0, 0, 3 * (20 + 100) / 3],
    ]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_a_batch_is_a_choice_of_sentences() -> None:
    lexicon = Lexicon(["ab", "bc"])
    sentences = [Sentence(tuple(text), ("O",) * len(text)) for text in ("abc", "c", "bcab")]
    encoded = Features(Characters("abc"), Pairs(["ab", "bc"]), lexicon=lexicon).encode(sentences)
    batch = choose(encoded, np.array([2, 0]), np.arange(8))
    assert batch.chars.tolist() == [2, 3, 1, 2, 1, 2, 3] and batch.offsets.tolist() == [0, 4, 7]
    assert batch.tags is not None and batch.tags.tolist() == [4, 5, 6, 7, 0, 1, 2]
    assert isinstance(batch.lattice, Lattice) and len(batch.lattice.directions[0].start) == 4


def test_vectors_are_read_from_text_and_arrays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "v.txt").write_text("3 2\na 1 2\nb 3 4 5\nc 0.5 x\nd -1 1e-1\na 9 9\n", encoding="utf-8")
    read = read_vectors(tmp_path / "v.txt")
    assert read.names == ("a", "d") and read.rows.tolist() == [[1, 2], [-1, pytest.approx(0.1)]]
    assert "2 broken lines left out: 3, 4" in caplog.text
    np.savez(tmp_path / "v.npz", words=np.array(["a", "b"]), vec=np.ones((2, 3)))
    table, found = read_vectors(tmp_path / "v.npz").table(["A", "z", "b"], unit=True)
    assert found == 2 and table[0].norm().item() == pytest.approx(1)
    table, _ = read_vectors(tmp_path / "v.npz").table(["A", *map(str, range(300))], unit=False)
    assert table[0].tolist() == [1, 1, 1]
    assert table[1:].norm(dim=1).mean().item() == pytest.approx(3**0.5, rel=0.1)  # drawn as long as it
    np.savez(tmp_path / "bad.npz", words=np.array(["a", "b"]), vec=np.array([[1.0, 1], [np.nan, 1]]))
    with pytest.raises(DataError, match="'b'"):
        read_vectors(tmp_path / "bad.npz")
    (tmp_path / "none.txt").write_text("a\n\n")
    with pytest.raises(DataError, match="holds no vector"):
        read_vectors(tmp_path / "none.txt")
