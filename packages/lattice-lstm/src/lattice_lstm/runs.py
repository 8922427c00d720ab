"""From the options to sentences, a lexicon and a tagger, and back from the directory of a run to what it trained."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from offprints.errors import InputError

from lattice_lstm.config import DatasetConfig, LexiconConfig
from lattice_lstm.corpus import Corpus, Sentence, read_conll
from lattice_lstm.datasets import load_corpus
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.synthetic import synthetic_corpus


def build_corpus(options: DatasetConfig, seed: int = 0) -> Corpus:
    """The sentences that the options name.

    Args:
        options: of the data set.
        seed: of the embedded sentences.

    Raises:
        InputError: there is no such data set, or a file is wrong.
    """
    if options.train is not None or options.test is not None:
        return _own_files(options)
    if options.name == "synthetic":
        if options.sentences < 10:
            raise InputError(f"dataset.sentences={options.sentences} must be 10 or more")
        return synthetic_corpus(options.sentences, options.sentences // 5, options.sentences // 2, seed)
    return load_corpus(options.name, kind=options.kind)


@dataclass(frozen=True)
class NamedLexicon:
    """A lexicon and where it is from.

    Attributes:
        lexicon: the words.
        name: for results.json.
        checksum: sha256 of what it was read from, "" without a file.
    """

    lexicon: Lexicon
    name: str
    checksum: str = ""


def build_lexicon(options: LexiconConfig, seed: int = 0) -> NamedLexicon:
    """The words that the options ask for.

    Args:
        options: of the lexicon.
        seed: of a random share.

    Raises:
        InputError: there is no such file, or a number is out of its bounds.
    """
    checksum = ""
    if options.source == "none":
        found = Lexicon(normalise_digits=options.normalise_digits)
    elif options.source == "jieba":
        found = Lexicon.of_jieba(normalise_digits=options.normalise_digits)
    else:
        path = Path(options.source)
        found = Lexicon.from_file(path, normalise_digits=options.normalise_digits)
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    if options.longest is not None:
        found = found.without_longer(options.longest)
    if options.share != 1.0:
        found = found.subset(options.share, seed)
    return NamedLexicon(found, options.source, checksum)


def _own_files(options: DatasetConfig) -> Corpus:
    def read(path: str | None) -> tuple[Sentence, ...]:
        if path is None:
            return ()
        return tuple(read_conll(path, scheme=options.scheme, ill_formed_tags=options.ill_formed_tags))

    train, valid, test = read(options.train), read(options.valid), read(options.test)
    if train and not valid:
        cut = len(train) - max(1, len(train) // 10)
        train, valid = train[:cut], train[cut:]
    paths = [Path(path) for path in (options.train, options.valid, options.test) if path is not None]
    checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return Corpus(options.name, train, valid, test, checksums)
