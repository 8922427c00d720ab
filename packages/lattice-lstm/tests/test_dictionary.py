"""A dictionary given after training: what is drawn for it in training, what it is worth, and that it stays with the tagger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from offprints.errors import InputError

from lattice_lstm import Lexicon, Sentence, Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.dictionary import GIVEN, HIDDEN, WORD, DrawnDictionary
from lattice_lstm.features import Features, choose
from lattice_lstm.runs import dictionary_gain, new_names, with_types
from lattice_lstm.tags import Span, tags_of_spans
from lattice_lstm.vocabulary import Characters


def sentence(text: str, *spans: Span) -> Sentence:
    return Sentence(tuple(text), tuple(tags_of_spans(list(spans), len(text))))


NAMES = [f"{a}{b}" for a in "甲乙丙丁戊己庚辛壬癸" for b in "子丑寅卯辰巳午未申酉"]
TRAIN = [sentence(f"见{name}。", Span(1, 3, "PER" if n % 4 else "LOC")) for n, name in enumerate(NAMES)]
KNOWN = [*NAMES[:50], *(f"词{chr(0x4E00 + n)}" for n in range(1000))]


def test_names_play_a_dictionary_and_are_hidden_or_ordinary_words_otherwise() -> None:
    drawn = DrawnDictionary.of(TRAIN, Lexicon(KNOWN), ["LOC", "PER"], 0.3)
    marks = np.stack([drawn.draw(seed) for seed in range(50)])
    known, hidden, words = marks[:, :50], marks[:, 1050:], marks[:, 50:1050]
    assert drawn.known == 1050 and marks.shape[1] == 1100
    assert set(np.unique(hidden)) == {HIDDEN, GIVEN, GIVEN + 1, GIVEN + 2}  # the lexicon lacks them
    assert set(np.unique(known)) == {WORD, GIVEN, GIVEN + 1, GIVEN + 2}
    for names in (known, hidden):
        assert 0.26 < (names >= GIVEN).mean() < 0.34
    assert 0.4 < (known > GIVEN).sum() / (known >= GIVEN).sum() < 0.6  # half of the marks name the type
    assert 0.015 < (words >= GIVEN).mean() < 0.025 and not (words == HIDDEN).any()
    for number in range(50):  # and it is the right type
        types = set(known[:, number][known[:, number] > GIVEN].tolist())
        assert types <= {GIVEN + 1 + (1 if number % 4 else 0)}
    assert np.array_equal(drawn.draw(3), marks[3]) and not np.array_equal(marks[3], marks[4])


def test_a_name_of_two_types_counts_as_that_which_it_most_often_is() -> None:
    seen = [sentence("见甲子", Span(1, 3, kind)) for kind in ("LOC", "PER", "PER")]
    drawn = DrawnDictionary.of(seen, Lexicon(["甲子", "见甲"]), ["LOC", "PER"], 0.5)
    assert drawn.type_of.tolist() == [1, -1]


def test_a_batch_reads_no_hidden_word_and_carries_the_marks_of_the_others() -> None:
    lexicon = Lexicon(["ab", "bc", "cd"])
    features = Features(Characters("abcd"), lexicon=lexicon, marks=np.array([GIVEN, HIDDEN, WORD]))
    sentences = [sentence("abcd"), sentence("bc"), sentence("ab")]
    batch = choose(features.encode(sentences), np.array([0, 1, 2]))
    assert batch.lexicon_words is not None and batch.lexicon_words.tolist() == [0, 2]
    assert batch.marks is not None and batch.marks.tolist() == [GIVEN, WORD]
    assert batch.lattice is not None
    forwards = batch.lattice.directions[0]
    ends = torch.stack([forwards.take[forwards.start], forwards.take[forwards.end]], 1)
    assert sorted(ends.tolist()) == [[0, 1], [2, 3], [6, 7]]


@pytest.fixture(scope="module")
def learnt() -> tuple[Tagger, list[str]]:
    """A lattice tagger whose lexicon lacks the names of the test split, and these names."""
    corpus = synthetic_corpus(500, 60, 200)
    lexicon = Lexicon.of_jieba().subset(0.3)
    new = new_names(corpus, "test")
    options = TaggerOptions(char_size=20, word_size=20, hidden_size=32, dropout=0.2)
    tagger = Tagger(options, lexicon.without([*new, *new_names(corpus, "train")[::2]]))
    tagger.fit(corpus.train, corpus.valid, TrainingOptions(epochs=8, learning_rate=0.01))
    return tagger, new


def test_a_dictionary_of_names_that_nobody_has_seen_raises_their_recall(
    learnt: tuple[Tagger, list[str]],
) -> None:
    tagger, new = learnt
    corpus = synthetic_corpus(500, 60, 200)
    found = dictionary_gain(tagger, new, corpus, "test", 0)
    misses = {name: 1 - found[f"dictionary/recall_{name}"] for name in ("before", "after", "typed")}
    assert misses["after"] < 0.7 * misses["before"] and misses["typed"] < 0.7 * misses["before"], misses
    assert found["dictionary/f1_after"] > found["dictionary/f1_before"]
    # Words that are no names, in the same dictionary, do not undo it.
    assert found["dictionary/f1_disturbed"] > found["dictionary/f1_before"]


def test_a_mark_and_its_type_change_what_is_believed_of_a_word(learnt: tuple[Tagger, list[str]]) -> None:
    """Of a word that is in the lexicon already, too: nothing but the mark is new."""
    tagger, _ = learnt
    plain = tagger.with_lexicon(tagger.lexicon.extended(["甲乙丙"]))
    scores = []
    for other in (plain, plain.with_words(["甲乙丙"]), plain.with_words(["甲乙丙"], "PER")):
        ((_, batch),) = other._batches([sentence("据甲乙丙报道")])
        scores.append(other.built.model.emissions(batch))
    assert all(
        (one - two).abs().max() > 1e-2
        for one, two in ((scores[0], scores[1]), (scores[1], scores[2]), (scores[0], scores[2]))
    )
    person = tagger.built.vocabularies.tags.index("B-PER")
    assert scores[2][1, person] > scores[0][1, person]


def test_dictionaries_add_up_and_are_saved_with_the_tagger(
    learnt: tuple[Tagger, list[str]], tmp_path: Path
) -> None:
    tagger, new = learnt
    odd = ["a\nb", "\ud83dx"]  # as words of a foreign program may be
    both = tagger.with_words([*new[:100], *odd]).with_words(["甲乙丙"], "ORG")
    marks = both.marks
    assert marks is not None and tagger.marks is None
    assert (marks[both.lexicon.find(new[:100])] == GIVEN).all()
    assert marks[both.lexicon.find(["甲乙丙"])[0]] == GIVEN + 1 + tagger.types.index("ORG")
    both.save(tmp_path / "tagger.ckpt")
    loaded = Tagger.load(tmp_path / "tagger.ckpt")
    assert list(loaded.lexicon) == list(both.lexicon) and set(odd) < set(loaded.lexicon)
    texts = [one.text for one in synthetic_corpus(500, 60, 200).test[:40]]
    assert loaded.predict(texts) == both.predict(texts) != tagger.predict(texts)
    assert with_types(tagger, ["甲乙丙"], []).marks is None  # a word of no known type is left out


def test_an_unknown_type_is_refused(learnt: tuple[Tagger, list[str]]) -> None:
    with pytest.raises(InputError, match="LOC, ORG, PER"):
        learnt[0].with_words(["甲乙丙"], "PERSON")


@pytest.mark.parametrize("changes", [{"words": "table"}, {"dictionary": 0.0}])
def test_the_paper_knows_no_dictionary(changes: dict[str, object]) -> None:
    """The network of the tables has no further weights, and a marked word is a word."""
    options = TaggerOptions(char_size=8, word_size=8, hidden_size=8, **changes)  # type: ignore[arg-type]
    tagger = Tagger(options, Lexicon(NAMES[:20]))
    tagger.fit(TRAIN, (), TrainingOptions(epochs=1))
    assert not any("marks" in name for name, _ in tagger.built.model.named_parameters())
    ((_, batch),) = tagger._batches([sentence("见甲子。")])
    ((_, marked),) = tagger.with_words(["甲子"])._batches([sentence("见甲子。")])
    assert torch.equal(tagger.built.model.emissions(batch), tagger.built.model.emissions(marked))
