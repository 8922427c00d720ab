"""Words of a sentence by jieba's segmenter, for taggers that need a segmentation."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

from lattice_lstm.corpus import Sentence

_STAND_IN = "\ufffd"  # for what is one character and more than one code point


def segments_of(sentence: Sentence) -> tuple[str, ...]:
    """B, M, E or S of each character: those that the file brings, else those of jieba."""
    return sentence.segments if sentence.segments is not None else segment(sentence.characters)


def segment(characters: Sequence[str]) -> tuple[str, ...]:
    """B, M, E or S of each character, by jieba."""
    text = "".join(char if len(char) == 1 else _STAND_IN for char in characters)
    labels = ("S" if len(word) == 1 else "B" + "M" * (len(word) - 2) + "E" for word in _segmenter().cut(text))
    return tuple("".join(labels))


@functools.cache
def _segmenter() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba's source has escapes that Python warns of
        import jieba
    made = jieba.Tokenizer()
    # What initialize() does, without the file in the common temporary folder that it would read back.
    made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
    made.initialized = True
    return made
