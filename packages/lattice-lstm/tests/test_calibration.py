"""Probabilities that mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lattice_lstm import Tagger, TaggerOptions, TrainingOptions, synthetic_corpus
from lattice_lstm.calibration import Calibration, calibrate, expected_error, log_odds


def test_two_numbers_undo_a_model_that_is_too_sure() -> None:
    draw = np.random.default_rng(0)
    true = draw.random(20_000)
    right = draw.random(len(true)) < true
    too_sure = 1 / (
        1 + np.exp(-(3 * log_odds(true) + 1))
    )  # so that a third of (its log-odds less 1) is right
    found = calibrate(too_sure, right)
    assert found.slope == pytest.approx(1 / 3, abs=0.02) and found.bias == pytest.approx(-1 / 3, abs=0.05)
    assert expected_error(too_sure, right) > 0.1
    assert expected_error(found(too_sure), right) < 0.02
    np.testing.assert_array_equal(np.argsort(found(too_sure[:50])), np.argsort(too_sure[:50]))


def test_where_nothing_can_be_fitted_nothing_changes() -> None:
    some = np.linspace(0.5, 0.9, 40)
    for said, right in (
        (some[:10], some[:10] > 0.7),
        (some, some > 0),
        (some, some > 1),
        (some, some < 0.7),  # surer and wrong
    ):
        assert calibrate(said, right) == Calibration()
    assert Calibration()([0.0, 0.3, 1.0]).tolist() == [0.0, 0.3, 1.0]
    assert 0 < Calibration(0.5, -1)([0.0, 1.0])[0] < Calibration(0.5, -1)([0.0, 1.0])[1] < 1


def test_the_error_is_the_gap_between_what_is_said_and_what_is_so() -> None:
    said = np.repeat([0.25, 0.75], 40)
    right = np.concatenate([np.arange(40) < 10, np.arange(40) < 20])
    assert expected_error(said, right) == pytest.approx(0.25 / 2)
    assert expected_error(said, right, bins=1) == pytest.approx(0.125)
    assert expected_error(np.zeros(0), np.zeros(0, np.bool_)) == 0


def test_a_fitted_tagger_is_calibrated_on_the_validation_sentences_and_stays_so(tmp_path: Path) -> None:
    corpus = synthetic_corpus(200, 300, 300)
    options = TaggerOptions(encoder="char", char_size=16, hidden_size=16, dropout=0.1)
    tagger = Tagger(options)
    tagger.fit(corpus.train, corpus.valid, TrainingOptions(epochs=12, learning_rate=0.02))
    assert tagger.calibration != Calibration()
    said, right = tagger.believed(corpus.test)
    assert 0.2 < right.mean() < 0.98
    assert expected_error(tagger.calibration(said), right) < expected_error(said, right)
    # Predictions carry the calibrated ones, the loaded tagger's as well.
    texts = [one.text for one in corpus.test[:50]]
    scores = [entity.score for entities in tagger.predict(texts) for entity in entities]
    count = len(scores)
    np.testing.assert_allclose(scores, tagger.calibration(tagger.believed(corpus.test[:50])[0]))
    assert not np.allclose(scores, tagger.believed(corpus.test[:50])[0][:count])
    tagger.save(tmp_path / "tagger.ckpt")
    assert Tagger.load(tmp_path / "tagger.ckpt").predict(texts) == tagger.predict(texts)
