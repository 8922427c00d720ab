"""The figures that an unusual input would break."""

from __future__ import annotations

import torch

from lattice_lstm import Explanation, Score
from lattice_lstm.figures import by_length, gates


def test_classes_of_length_stand_in_their_order_whichever_tagger_has_them() -> None:
    some, more = Score(1, 1, 1), Score(0, 1, 0)
    figure = by_length({"char": {"1-20": some, "41-60": some}, "lattice": {"1-20": some, "21-40": more}})
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["1-20", "21-40", "41-60"]


def test_the_lattice_of_a_long_text_is_still_a_picture() -> None:
    words = [(at, at + 2, "\u6c5f\u5927") for at in range(800)]
    text = "\u6c5f\u5927" * 800
    figure = gates(Explanation(text, words, torch.rand(800, 2), torch.rand(1600, 2), []))
    assert max(figure.get_size_inches()) * 150 < 10_000  # pixels; beyond 2^16 there is none
