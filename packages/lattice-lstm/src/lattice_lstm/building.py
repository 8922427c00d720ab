"""From options and vocabularies to a network, and its words under a lexicon."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from offprints.errors import InputError

from lattice_lstm.cell import MERGES
from lattice_lstm.corpus import Corpus, Sentence
from lattice_lstm.crf import LinearChainCRF
from lattice_lstm.encoders import (
    CHARACTER_FEATURES,
    CharacterEncoder,
    LatticeEncoder,
    SoftLexicon,
    WordEncoder,
)
from lattice_lstm.features import Features, known_characters, known_pairs, segmented_words
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.model import TaggerModel
from lattice_lstm.recurrence import BACKENDS
from lattice_lstm.tables import SymbolTable, WordTable
from lattice_lstm.trie import Ints
from lattice_lstm.vectors import Vectors, drawn
from lattice_lstm.vocabulary import Characters, Names, Pairs

ENCODERS = ("char", "lattice", "softlexicon", "word")
WORDS = ("composed", "table")


@dataclass
class TaggerOptions:
    """Which network.

    Attributes:
        encoder: "char", "lattice", "softlexicon", or "word" over a segmentation.
        bichar: add vectors of pairs of characters.
        softword: add vectors of segment labels.
        word_characters: of encoder "word", what a word gets from its characters: none, lstm, lstm_prime or cnn.
        char_size: numbers in the vector of a character, or of a pair; pretrained vectors bring their own.
        word_size: numbers in the vector of a word; pretrained vectors bring their own.
        hidden_size: numbers in a state of one direction.
        dropout: of vectors of characters, of words, and of states.
        words: "composed" of their characters, and own ones for words of the training sentences; "table" has own ones alone, and one for all
            other words.
        own_dropout: how often in training a word is taken for one without an own vector.
        dictionary: share of the names of training sentences that are read as words of a dictionary, so that one given later is trusted; of
            composed words alone.
        unit_vectors: scale pretrained vectors of characters and pairs to length 1, as published; Adam's steps are so long that they would
            soon be forgotten.
        unknown_share: how often in training a character that occurs once is taken for an unknown one.
        shared_words: one table of words for both directions; the published program has two.
        merge: how words and characters make a cell: gated as published, or equal, sum, keep.
        crf: score neighbouring tags; without, each has a softmax of its own.
        constrained: predict well-formed tags alone.
        constrained_loss: train with well-formed tags alone.
        normalise_digits: read every digit as 0.
        backend: of the lattice: auto, compiled or plain.
    """

    encoder: str = "lattice"
    bichar: bool = False
    softword: bool = False
    word_characters: str = "none"
    char_size: int = 50
    word_size: int = 50
    hidden_size: int = 100
    dropout: float = 0.5
    words: str = "composed"
    own_dropout: float = 0.2
    dictionary: float = 0.3
    unit_vectors: bool = False
    unknown_share: float = 0.5
    shared_words: bool = True
    merge: str = "gated"
    crf: bool = True
    constrained: bool = True
    constrained_loss: bool = False
    normalise_digits: bool = True
    backend: str = "auto"

    def __post_init__(self) -> None:
        def require(name: str, fits: bool, right: str) -> None:
            if not fits:
                raise InputError(f"model option {name}={getattr(self, name)!r} is not valid: {right}")

        choices: dict[str, tuple[str, ...]] = {
            "encoder": ENCODERS,
            "word_characters": CHARACTER_FEATURES,
            "words": WORDS,
            "merge": MERGES,
            "backend": BACKENDS,
        }
        for name, known in choices.items():
            require(name, getattr(self, name) in known, f"one of {', '.join(known)}")
        for name in ("char_size", "word_size", "hidden_size"):
            require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("dropout", "own_dropout", "dictionary", "unknown_share"):
            require(name, 0 <= getattr(self, name) < 1, "0 or more and below 1")

    @property
    def learns_dictionaries(self) -> bool:
        """Whether a dictionary that is given later is trusted."""
        return self.looks_words_up and self.words == "composed" and self.dictionary > 0

    @property
    def looks_words_up(self) -> bool:
        """Whether words of a lexicon are asked for."""
        return self.encoder in ("lattice", "softlexicon")


@dataclass(frozen=True)
class Vocabularies:
    """What a tagger knows by name; all of the training sentences.

    Attributes:
        tags: of units.
        chars: the most frequent first.
        char_counts: how often each occurs.
        pairs: of neighbouring characters, where they are asked for.
        words: of the lexicon or the segmentation.
        word_counts: how often each occurs.
        fixed_chars: with a pretrained vector and not among `chars`.
    """

    tags: tuple[str, ...]
    chars: tuple[str, ...]
    char_counts: tuple[int, ...]
    pairs: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    word_counts: tuple[int, ...] = ()
    fixed_chars: tuple[str, ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Of entities, in order."""
        return tuple(sorted({tag[2:] for tag in self.tags if tag != "O"}))


@dataclass(frozen=True)
class BuiltTagger:
    """A network and what it looks up.

    Attributes:
        model: the network.
        features: what is looked up for it.
        vocabularies: by which it was made.
    """

    model: TaggerModel
    features: Features
    vocabularies: Vocabularies

    def with_lexicon(self, lexicon: Lexicon, marks: Ints | None = None) -> BuiltTagger:
        """The same weights with another lexicon, some of whose words are those of a dictionary."""
        model = copy.copy(self.model)  # shares its parameters
        features = replace(self.features, lexicon=lexicon, marks=marks)
        made = BuiltTagger(model, features, self.vocabularies)
        made.look_up(lexicon)
        return made

    def look_up(self, lexicon: Lexicon) -> None:
        """Tell the model the words of a lexicon."""
        rows = np.zeros(len(lexicon), np.int64)
        counts = np.zeros(len(lexicon), np.int64)
        known = lexicon.find(self.vocabularies.words)
        there = known >= 0
        rows[known[there]] = np.arange(1, len(known) + 1)[there]
        counts[known[there]] = np.array(self.vocabularies.word_counts, np.int64)[there]
        codes, offsets = lexicon.flat
        self.model.know_words(rows, counts, self.features.chars.numbers(codes), offsets)


def vocabularies_of(options: TaggerOptions, sentences: Sequence[Sentence], lexicon: Lexicon) -> Vocabularies:
    """What the training sentences hold.

    Raises:
        InputError: they hold no entity.
    """
    tags = Corpus("", tuple(sentences), (), ()).tags
    if len(tags) == 1:
        raise InputError("no training sentence has an entity")
    chars, counts = known_characters(sentences, options.normalise_digits)
    pairs = known_pairs(sentences, options.normalise_digits).names if options.bichar else ()
    words: tuple[str, ...] = ()
    word_counts: tuple[int, ...] = ()
    if options.looks_words_up:
        found = lexicon.match([one.characters for one in sentences]).word
        numbers, times = np.unique(found, return_counts=True)
        words, word_counts = tuple(lexicon.word(int(number)) for number in numbers), tuple(times.tolist())
    elif options.encoder == "word":
        named, times = np.unique(np.array(segmented_words(sentences)[2]), return_counts=True)
        words, word_counts = tuple(map(str, named)), tuple(times.tolist())
    return Vocabularies(tags, chars.names, tuple(counts.tolist()), pairs, words, word_counts)


def build(
    options: TaggerOptions,
    vocabularies: Vocabularies,
    lexicon: Lexicon,
    vectors: Mapping[str, Vectors | None],
    seed: int,
) -> BuiltTagger:
    """A network with first values.

    Args:
        options: which one.
        vocabularies: what it knows; `fixed_chars` is filled in from the vectors where it is empty.
        lexicon: whose words it looks up.
        vectors: pretrained ones of "chars", "words" and "pairs", where there are some.
        seed: of all draws.
    """
    torch.manual_seed(seed)
    given = vectors.get("chars")
    if given is not None and not vocabularies.fixed_chars:
        known = set(vocabularies.chars)
        fixed = tuple(name for name in given.names if len(name) == 1 and name not in known)
        vocabularies = Vocabularies(**{**vars(vocabularies), "fixed_chars": fixed})
    chars = _char_table(options, vocabularies, given, seed)
    pairs = None
    if options.bichar:
        start = _first(
            vocabularies.pairs, vectors.get("pairs"), options.char_size, options.unit_vectors, seed + 1
        )
        pairs = SymbolTable(start)
    words = _word_table(options, vocabularies, vectors.get("words"), chars.size, seed + 2)
    width = chars.size + (pairs.size if pairs else 0) + (_SEGMENT_SIZE if options.softword else 0)
    model = TaggerModel(
        _encoder(options, width, words.size if words else 0),
        LinearChainCRF(vocabularies.tags, options.constrained_loss, options.crf),
        chars,
        pairs,
        _SEGMENT_SIZE if options.softword else 0,
        words,
        options.dropout,
    )
    features = Features(
        Characters((*vocabularies.chars, *vocabularies.fixed_chars), options.normalise_digits),
        Pairs(vocabularies.pairs) if options.bichar else None,
        options.softword,
        lexicon if options.looks_words_up else None,
        words=Names(vocabularies.words) if options.encoder == "word" else None,
    )
    made = BuiltTagger(model, features, vocabularies)
    if options.looks_words_up:
        made.look_up(lexicon)
    return made


_SEGMENT_SIZE = 20


def _char_table(
    options: TaggerOptions, vocabularies: Vocabularies, given: Vectors | None, seed: int
) -> SymbolTable:
    trained = _first(vocabularies.chars, given, options.char_size, options.unit_vectors, seed)
    fixed = None
    if vocabularies.fixed_chars:
        fixed = torch.zeros(len(vocabularies.fixed_chars), trained.shape[1])
        if given is not None:
            fixed = given.table(vocabularies.fixed_chars, unit=options.unit_vectors)[0]
    rare = torch.tensor([False, *(count == 1 for count in vocabularies.char_counts)])
    return SymbolTable(trained, fixed, rare, options.unknown_share)


def _word_table(
    options: TaggerOptions, vocabularies: Vocabularies, given: Vectors | None, char_size: int, seed: int
) -> WordTable | None:
    if options.encoder == "char":
        return None
    composed = options.words == "composed" and options.looks_words_up
    start = _first(vocabularies.words, given, options.word_size, False, seed)
    if composed and given is None:
        start = torch.zeros_like(start)  # at first a word is what it is composed of
    elif composed:
        start[0] = 0
    directions = 1 if options.shared_words or options.encoder != "lattice" else 2
    marks = 1 + len(vocabularies.types) if options.learns_dictionaries else 0
    return WordTable(start, char_size if composed else 0, options.own_dropout, directions, marks)


def _first(names: Sequence[str], given: Vectors | None, size: int, unit: bool, seed: int) -> torch.Tensor:
    """First values of the unknown symbol and of some names."""
    if given is None:
        return drawn(len(names) + 1, size, seed)
    found = given.table(names, unit=unit, seed=seed)[0]
    unknown = drawn(1, given.size, seed + 100) * (1.0 if unit else given.length)
    return torch.cat([unknown, found])


def _encoder(options: TaggerOptions, width: int, word_size: int) -> nn.Module:
    hidden = options.hidden_size
    if options.encoder == "char":
        return CharacterEncoder(width, hidden)
    if options.encoder == "softlexicon":
        return SoftLexicon(width, word_size, hidden)
    if options.encoder == "word":
        return WordEncoder(width, word_size, hidden, options.word_characters)
    return LatticeEncoder(width, word_size, hidden, options.merge, options.backend)
