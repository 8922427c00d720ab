"""The embedded corpus: sentences made from templates and the entries of jieba's dictionary. It is synthetic and says nothing about real text.

People, places and organisations are entries with the parts of speech nr, ns and nt; verbs, nouns, adverbs and times between them are
entries too, so that every sentence is full of overlapping words. The names of the three splits are disjoint: nothing but context, and
the lexicon, can tell where a name of the test split begins and ends.
"""

from __future__ import annotations

import hashlib

import numpy as np

from lattice_lstm.corpus import Corpus, Sentence
from lattice_lstm.lexicon import jieba_entries
from lattice_lstm.tags import Span, tags_of_spans

_TEMPLATES = (
    "{P}{t}在{L}{v}{n}。",
    "{P}{d}{v}{O}的{n}。",
    "{O}{t}{v}{n}，{P}{v}。",
    "{L}的{n}{d}{v}{n}。",
    "{t}，{P}和{P}{v}{L}。",
    "{P}从{L}到{L}{v}{n}。",
    "{O}与{O}{d}{v}{n}{n}。",
    "{n}{v}{L}，{n}{d}{v}。",
    "据{O}{n}，{P}{d}{v}{L}{n}。",
    "{L}{n}{P}{v}了{n}。",
    "{P}说：{L}{n}{v}{n}。",
    "{n}在{n}{v}，{n}从{n}{v}{n}。",
    "{t}{O}{n}{P}{d}{v}。",
    "{P}、{P}、{P}{t}{v}{O}。",
    "{n}和{n}{d}{v}了{n}。",
    "{L}{v}{n}的{n}，{O}{v}。",
    "{d}{v}的{n}{t}在{L}{v}。",
    "{P}的{n}{v}{P}的{n}。",
    "{v}{n}是{O}{n}的{n}。",
    "{n}说{n}{t}{v}{L}{n}和{P}。",
)
"""P, L and O stand for a person, a place and an organisation; n, v, d and t for a noun, a verb, an adverb and a time."""

_TYPES = {"P": "PER", "L": "LOC", "O": "ORG"}
_NAMES = {"P": ("nr", 3, 3), "L": ("ns", 2, 4), "O": ("nt", 4, 8)}  # part of speech, shortest, longest
_FILLERS = {"n": ("n", 3000), "v": ("v", 1500), "d": ("d", 300), "t": ("t", 200)}  # the most frequent so many


def synthetic_corpus(train: int = 2000, valid: int = 400, test: int = 1000, seed: int = 0) -> Corpus:
    """Sentences with people, places and organisations of jieba's dictionary; the splits share no name.

    Args:
        train: number of sentences; their names are three fifths of all.
        valid: number of sentences; a fifth of the names.
        test: number of sentences; a fifth of the names.
        seed: of the split of the names and of all draws.
    """
    draw = np.random.default_rng(seed)
    fillers = {slot: _most_frequent(*what) for slot, what in _FILLERS.items()}
    names = {slot: draw.permutation(_names(*what)) for slot, what in _NAMES.items()}
    parts = []
    for number, size in enumerate((train, valid, test)):
        low, high = ((0, 3), (3, 4), (4, 5))[number]
        own = {slot: all_[len(all_) * low // 5 : len(all_) * high // 5] for slot, all_ in names.items()}
        parts.append(tuple(_sentence(draw, {**fillers, **own}) for _ in range(size)))
    digest = hashlib.sha256("\n".join(one.text for part in parts for one in part).encode()).hexdigest()
    return Corpus("synthetic", parts[0], parts[1], parts[2], {"sentences": digest})


def _sentence(
    draw: np.random.Generator, words: dict[str, np.ndarray[tuple[int], np.dtype[np.str_]]]
) -> Sentence:
    template = _TEMPLATES[draw.integers(len(_TEMPLATES))]
    text, spans = "", []
    for piece in template.replace("{", "|{").replace("}", "|").split("|"):
        slot = piece[1:] if piece.startswith("{") else ""
        word = str(words[slot][draw.integers(len(words[slot]))]) if slot else piece
        if slot in _TYPES:
            spans.append(Span(len(text), len(text) + len(word), _TYPES[slot]))
        text += word
    return Sentence(tuple(text), tuple(tags_of_spans(spans, len(text))))


def _names(kind: str, shortest: int, longest: int) -> list[str]:
    return [word for word, _, part in jieba_entries() if part == kind and shortest <= len(word) <= longest]


def _most_frequent(kind: str, count: int) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    entries = [(-times, word) for word, times, part in jieba_entries() if part == kind and len(word) > 1]
    return np.array([word for _, word in sorted(entries)[:count]])
