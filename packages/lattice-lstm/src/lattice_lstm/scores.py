"""Precision, recall and F1 of entities: over all, by type, by the length of the sentence, and by whether the lexicon has the entity.

Every figure is micro-averaged over sentences and says by which rule of `lattice_lstm.rules` entities were found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from offprints.errors import InputError

from lattice_lstm.corpus import Sentence
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.rules import rule_named, strict_spans
from lattice_lstm.tags import Span

LENGTHS = (20, 40, 60, 80, 100)
"""Upper ends of the classes of sentence length; a further class takes the longer ones."""


@dataclass(frozen=True)
class Score:
    """Counts of entities, and what follows from them.

    Attributes:
        correct: that were found and are right.
        found: that were predicted.
        gold: that there are.
    """

    correct: int = 0
    found: int = 0
    gold: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.found + other.found, self.gold + other.gold)

    @property
    def precision(self) -> float:
        """0 where nothing was predicted; `found` tells that from predictions that were all wrong."""
        return self.correct / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """0 where there is nothing to find; `gold` tells."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.correct / (self.found + self.gold) if self.found + self.gold else 0.0


@dataclass(frozen=True)
class Scores:
    """What `score_tags` measures.

    Attributes:
        strict: by the strict rule.
        compat: by the rule of the published program.
        by_type: strict, of each type.
        by_length: strict, of each class of sentence length: "1-20", ..., "101-".
        in_lexicon: strict, of entities that are words of the lexicon; None without one.
        out_of_lexicon: strict, of the others.
        accuracy: share of the characters with the right tag, which says little: most are O.
    """

    strict: Score
    compat: Score
    by_type: dict[str, Score]
    by_length: dict[str, Score]
    in_lexicon: Score | None
    out_of_lexicon: Score | None
    accuracy: float

    def metrics(self) -> dict[str, float]:
        """Flat, as results.json has them; f1, precision and recall are strict."""
        flat = {
            "f1": self.strict.f1,
            "precision": self.strict.precision,
            "recall": self.strict.recall,
            "f1_compat": self.compat.f1,
            "precision_compat": self.compat.precision,
            "recall_compat": self.compat.recall,
            "accuracy": self.accuracy,
        }
        flat |= {f"f1/{kind}": score.f1 for kind, score in self.by_type.items()}
        flat |= {f"f1/length_{name}": score.f1 for name, score in self.by_length.items() if score.gold}
        if self.in_lexicon is not None and self.out_of_lexicon is not None:
            flat |= {
                "recall/in_lexicon": self.in_lexicon.recall,
                "recall/out_of_lexicon": self.out_of_lexicon.recall,
                "precision/in_lexicon": self.in_lexicon.precision,
                "precision/out_of_lexicon": self.out_of_lexicon.precision,
            }
        return flat

    def table(self) -> pd.DataFrame:
        """One row a group, for the terminal; the first column names the rule."""
        rows = [("strict", "all", self.strict), ("compat", "all", self.compat)]
        rows += [("strict", kind, score) for kind, score in self.by_type.items()]
        rows += [("strict", f"{name} characters", score) for name, score in self.by_length.items()]
        for name, score in (("in lexicon", self.in_lexicon), ("out of lexicon", self.out_of_lexicon)):
            if score is not None:
                rows.append(("strict", name, score))
        columns = ["rule", "entities", "precision", "recall", "F1", "gold"]
        cells = [(r, n, s.precision, s.recall, s.f1, s.gold) for r, n, s in rows if s.gold or s.found]
        return pd.DataFrame(cells, columns=columns)


def score_tags(
    sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]], lexicon: Lexicon | None = None
) -> Scores:
    """Compare predicted tags with those of the sentences.

    Args:
        sentences: with the right tags.
        predicted: BMES tags of each sentence, well-formed or not.
        lexicon: to tell entities that are words of it from others.

    Raises:
        InputError: a sentence has more or fewer predicted tags than characters.
    """
    _check(sentences, predicted)
    gold = [strict_spans(one.tags) for one in sentences]
    found = [strict_spans(tags) for tags in predicted]
    kinds = sorted({span.type for spans in (*gold, *found) for span in spans})
    every = _grouped(gold, found, lambda _, span: span.type)
    lengths = _grouped(gold, found, lambda number, _: length_class(len(sentences[number])))
    known = unknown = None
    if lexicon is not None:
        is_word = _membership(sentences, gold, found, lexicon)
        split = _grouped(gold, found, lambda number, span: is_word[number, span])
        known, unknown = split.get(True, Score()), split.get(False, Score())
    right = sum(a == b for one, tags in zip(sentences, predicted, strict=True) for a, b in zip(one.tags, tags, strict=True))  # fmt: skip
    return Scores(
        score_by_rule([one.tags for one in sentences], predicted, "strict"),
        score_by_rule([one.tags for one in sentences], predicted, "compat"),
        {kind: every[kind] for kind in kinds},
        {name: lengths[name] for name in _length_names() if name in lengths},
        known,
        unknown,
        right / max(1, sum(map(len, sentences))),
    )


def score_by_rule(
    gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]], rule: str, scheme: str = "BMES"
) -> Score:
    """Entities of right and of predicted tags, both found by one rule.

    Args:
        gold: tags of each sentence.
        predicted: tags of each sentence.
        rule: "strict" or "compat".
        scheme: of the tags.

    Raises:
        InputError: there is no such rule.
    """
    spans = rule_named(rule)
    total = Score()
    for right, tags in zip(gold, predicted, strict=True):
        wanted, found = set(spans(right, scheme)), set(spans(tags, scheme))
        total += Score(len(wanted & found), len(found), len(wanted))
    return total


def length_class(length: int) -> str:
    """The class of a sentence of so many characters."""
    names = _length_names()
    return next((names[i] for i, end in enumerate(LENGTHS) if length <= end), names[-1])


def _length_names() -> list[str]:
    starts = [1, *(end + 1 for end in LENGTHS)]
    return [f"{start}-{end}" for start, end in zip(starts, (*LENGTHS, ""), strict=True)]


def _grouped(
    gold: Sequence[Sequence[Span]],
    found: Sequence[Sequence[Span]],
    group: Callable[[int, Span], Hashable],
) -> dict[Hashable, Score]:
    correct: Counter[Hashable] = Counter()
    predicted: Counter[Hashable] = Counter()
    wanted: Counter[Hashable] = Counter()
    for number, (right, spans) in enumerate(zip(gold, found, strict=True)):
        wanted.update(group(number, span) for span in right)
        predicted.update(group(number, span) for span in spans)
        correct.update(group(number, span) for span in set(right) & set(spans))
    return {key: Score(correct[key], predicted[key], wanted[key]) for key in wanted | predicted}


def _membership(
    sentences: Sequence[Sentence],
    gold: Sequence[Sequence[Span]],
    found: Sequence[Sequence[Span]],
    lexicon: Lexicon,
) -> dict[tuple[int, Span], bool]:
    keys = [(n, span) for spans in (gold, found) for n, one in enumerate(spans) for span in one]
    words = ["".join(sentences[n].characters[span.start : span.end]) for n, span in keys]
    return dict(zip(keys, (lexicon.find(words) >= 0).tolist(), strict=True)) if keys else {}


def _check(sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]]) -> None:
    if len(sentences) != len(predicted):
        raise InputError(f"{len(predicted)} predictions for {len(sentences)} sentences")
    for number, (sentence, tags) in enumerate(zip(sentences, predicted, strict=True)):
        if len(sentence) != len(tags):
            raise InputError(f"sentence {number}: {len(tags)} tags for {len(sentence)} characters")
