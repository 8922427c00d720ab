"""A dictionary given after training, which the network has learnt to trust: in training some names play its part.

That a word is in a lexicon of 350,000 says little about whether it is an entity. That it is in the user's own dictionary says much, but
a network knows that only if it has met such dictionaries. So in every epoch of training some names of the training sentences, drawn
anew, are read as words of a dictionary: their vectors carry a mark. The other names that the lexicon lacks stay unread, and a few ordinary
words carry the mark as well, so that a dictionary is trusted no further than dictionaries are right. Half of the marks name the type.

This is ours, not the paper's; `TaggerOptions.dictionary=0` leaves it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lattice_lstm.corpus import Sentence
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.trie import Ints

HIDDEN, WORD, GIVEN = -1, 0, 1
"""Marks of words: not there, of the lexicon alone, of a dictionary; GIVEN + 1 + t is of a dictionary of entities of type t."""

_OTHERS = 0.02  # of the other words, as many are in a dictionary and are no entities


@dataclass(frozen=True)
class DrawnDictionary:
    """The names of training sentences, some of which play a dictionary.

    Attributes:
        lexicon: its first words are those of the lexicon to train with.
        known: how many these are.
        type_of: (L,) type of the entity that a word most often is; -1 where it is none.
        types: how many types there are.
        share: of the names that are drawn.
    """

    lexicon: Lexicon
    known: int
    type_of: Ints
    types: int
    share: float

    @classmethod
    def of(
        cls, sentences: Sequence[Sentence], lexicon: Lexicon, types: Sequence[str], share: float
    ) -> DrawnDictionary:
        """From the entities of sentences that have two characters or more."""
        counts: dict[str, Counter[str]] = {}
        for one in sentences:
            for begin, end, kind in one.spans:
                if end - begin > 1:
                    counts.setdefault("".join(one.characters[begin:end]), Counter())[kind] += 1
        names = list(counts)
        both = lexicon.extended(names)
        type_of = np.full(len(both), -1, np.int64)
        type_of[both.find(names)] = [types.index(counts[name].most_common(1)[0][0]) for name in names]
        return cls(both, len(lexicon), type_of, len(types), share)

    def draw(self, seed: int) -> Ints:
        """Marks of all words of the lexicon for one epoch, (L,)."""
        random = np.random.default_rng(seed)
        name = self.type_of >= 0
        drawn = random.random(len(name)) < np.where(name, self.share, _OTHERS)
        told = random.random(len(name)) < 0.5
        kind = np.where(name, self.type_of, random.integers(0, max(1, self.types), len(name)))
        marks = np.full(len(name), WORD, np.int64)
        marks[self.known :] = HIDDEN
        marks[drawn] = np.where(told, GIVEN + 1 + kind, GIVEN)[drawn]
        return marks
