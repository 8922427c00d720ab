"""From the options to sentences, a lexicon and a tagger, and back from the directory of a run to what it trained."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offprints.data import data_root
from offprints.errors import InputError, MissingFile

from lattice_lstm.building import TaggerOptions
from lattice_lstm.calibration import expected_error
from lattice_lstm.config import DatasetConfig, LexiconConfig, VectorsConfig
from lattice_lstm.corpus import Corpus, Sentence, read_conll
from lattice_lstm.datasets import load_corpus
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.scores import Score, score_tags
from lattice_lstm.synthetic import synthetic_corpus
from lattice_lstm.tagger import Tagger
from lattice_lstm.vectors import Vectors, read_vectors

TAGGER = "tagger.ckpt"
"""What a training run leaves in its directory."""


def build_corpus(options: DatasetConfig, seed: int = 0) -> Corpus:
    """The sentences that the options name.

    Args:
        options: of the data set.
        seed: of the embedded sentences.

    Raises:
        InputError: there is no such data set, a file is wrong, or an option is not one of this data set.
    """
    own = options.train is not None or options.test is not None
    if options.valid is not None and not own:
        raise InputError(
            "dataset.valid stands beside dataset.train=<file> or dataset.test=<file>, and neither is given"
        )
    if options.name == "file" and not own:
        raise InputError("dataset=file needs dataset.train=<file>, dataset.test=<file> or both")
    if options.kind != "all" and (own or options.name == "synthetic"):
        raise InputError(
            f"dataset.kind={options.kind} is of Weibo: other sentences have no named and nominal entities"
        )
    if own:
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


def build_vectors(options: VectorsConfig) -> dict[str, Vectors | None]:
    """The pretrained vectors that the options name, as arguments of `Tagger`.

    Raises:
        MissingFile: there is no such file.
        DataError: it does not hold vectors.
    """

    def read(name: str | None) -> Vectors | None:
        if name is None:
            return None
        below = data_root() / name
        return read_vectors(below if below.is_file() else name)

    return {
        "char_vectors": read(options.chars),
        "word_vectors": read(options.words),
        "pair_vectors": read(options.pairs),
    }


def checksums_of(options: VectorsConfig) -> dict[str, str]:
    """sha256 of each file of vectors, by its name."""
    found = {}
    for name in (options.chars, options.words, options.pairs):
        if name is not None:
            path = data_root() / name if (data_root() / name).is_file() else Path(name)
            found[Path(name).name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def build_tagger(
    options: TaggerOptions,
    lexicon: Lexicon,
    vectors: dict[str, Vectors | None],
    seed: int,
    device: object = "cpu",
) -> Tagger:
    """A tagger that is not fitted yet; one that looks at no lexicon gets none."""
    used = lexicon if options.looks_words_up else None
    return Tagger(options, used, seed=seed, device=str(device), **vectors)


def new_names(corpus: Corpus, split: str) -> list[str]:
    """The entities of a split that are no entities of the training sentences; of two characters or more, each once."""

    def names(sentences: tuple[Sentence, ...]) -> dict[str, None]:
        return {"".join(one.characters[b:e]): None for one in sentences for b, e, _ in one.spans if e - b > 1}

    known = names(corpus.train)
    return [name for name in names(corpus.split(split)) if name not in known]


def every_second_name(corpus: Corpus, seed: int) -> set[str]:
    """A random half of the names of all entities of a corpus: what a lexicon that knows the other half lacks."""
    every = {
        "".join(one.characters[b:e])
        for part in (corpus.train, corpus.valid, corpus.test)
        for one in part
        for b, e, _ in one.spans
        if e - b > 1
    }
    names = sorted(every)
    return set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())


def with_types(tagger: Tagger, words: Sequence[str], sentences: Sequence[Sentence]) -> Tagger:
    """The tagger with a dictionary that says of each word of which type it is: of that which it most often has in the sentences."""
    counts: dict[str, Counter[str]] = {word: Counter() for word in words}
    for one in sentences:
        for begin, end, kind in one.spans:
            word = "".join(one.characters[begin:end])
            if word in counts and kind in tagger.types:
                counts[word][kind] += 1
    for kind in tagger.types:
        own = [word for word, kinds in counts.items() if kinds and kinds.most_common(1)[0][0] == kind]
        tagger = tagger.with_words(own, kind) if own else tagger
    return tagger


def dictionary_gain(
    tagger: Tagger, words: Sequence[str], corpus: Corpus, split: str, seed: int
) -> dict[str, float]:
    """What a dictionary given after training is worth: F1, and recall and precision of the entities that are its words.

    Args:
        tagger: whose lexicon lacks the words.
        words: of the dictionary.
        corpus: to measure on.
        split: of it.
        seed: of what disturbs.

    Returns:
        `_before` and `_after`; `_typed`, where the dictionary names types; `_disturbed`, where a quarter as many words that stand in the split
        and are no such entities are in it as well; `_plain`, where the words join the lexicon like others.
    """
    sentences = corpus.split(split)
    standing = np.unique(tagger.lexicon.match([one.characters for one in sentences]).word)
    chosen = np.random.default_rng(seed).permutation(standing)[: len(words) // 4]
    others = [tagger.lexicon.word(int(number)) for number in chosen]
    ways = {
        "before": tagger,
        "after": tagger.with_words(words),
        "typed": with_types(tagger, words, sentences),
        "disturbed": tagger.with_words([*words, *others]),
        "plain": tagger.with_lexicon(tagger.lexicon.extended(words)),
    }
    dictionary = Lexicon(words, normalise_digits=False)
    metrics = {"dictionary/words": float(len(words))}
    for name, way in ways.items():
        scores = score_tags(sentences, way.predict_tags(sentences), dictionary)
        inside = scores.in_lexicon or Score()
        metrics |= {
            f"dictionary/recall_{name}": inside.recall,
            f"dictionary/precision_{name}": inside.precision,
            f"dictionary/f1_{name}": scores.strict.f1,
        }
    return metrics


def calibration_errors(tagger: Tagger, sentences: Sequence[Sentence]) -> dict[str, float]:
    """Expected calibration error of the probabilities of entities, and what it would be if they were not calibrated."""
    said, right = tagger.believed(sentences)
    return {
        "ece": expected_error(tagger.calibration(said), right),
        "ece_uncalibrated": expected_error(said, right),
    }


def open_tagger(checkpoint: str | Path, device: object = "cpu") -> Tagger:
    """The tagger that a run trained, or of a file that `Tagger.save` wrote.

    Raises:
        MissingFile: there is none.
        CheckpointError: the file is damaged or something else.
    """
    path = Path(checkpoint)
    path = path / TAGGER if path.is_dir() else path
    if not path.is_file():
        raise MissingFile(
            f"{checkpoint} is neither a tagger nor the directory of a run that trained one: no {path}"
        )
    return Tagger.load(path, device=str(device))


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
