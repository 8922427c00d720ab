"""The tasks of the `lattice-lstm` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from offprints.app import Results, Run, command
from offprints.atomic import atomic_write, write_text
from offprints.errors import InputError, MalformedLine, MissingFile
from offprints.figures import bars
from offprints.tables import show
from offprints.training import Outcome, reported
from offprints.user_errors import required

from lattice_lstm import figures
from lattice_lstm.building import TaggerOptions
from lattice_lstm.config import Config
from lattice_lstm.corpus import Corpus, Sentence, entity_counts
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.page import explanation_page
from lattice_lstm.runs import (
    TAGGER,
    build_corpus,
    build_lexicon,
    build_tagger,
    build_vectors,
    calibration_errors,
    checksums_of,
    dictionary_gain,
    every_second_name,
    new_names,
    open_tagger,
    with_types,
)
from lattice_lstm.scores import Scores, score_tags
from lattice_lstm.serve import Bounds, server
from lattice_lstm.tagger import Tagger

_SHOWN = ("f1", "precision", "recall", "f1_compat")


def compare(config: Config, run: Run) -> Results:
    """Train on characters and on a lattice that lacks every second name, and give it a dictionary of these afterwards."""
    corpus, lexicon = _corpus(config, run), _lexicon(config, run)
    split = config.evaluation.split
    sentences = _to_measure_on(corpus, split)
    missing = every_second_name(corpus, config.seed)
    new = [name for name in new_names(corpus, split) if name in missing]
    known = lexicon.without(sorted(missing))
    rows: dict[str, Scores] = {}
    histories = {}
    taggers: dict[str, Tagger] = {}
    variants = {
        "char": (replace(config.model, encoder="char"), known),
        "lattice": (replace(config.model, encoder="lattice"), known),
        "lattice, all names": (replace(config.model, encoder="lattice"), lexicon),
    }
    for name, (options, words) in variants.items():
        tagger, outcome = _fit(options, words, corpus, config, run, name, log=name == "lattice")
        taggers[name], histories[name] = tagger, outcome.history
        rows[name] = tagger.evaluate(sentences)
    lattice = taggers["lattice"]
    given = lattice.with_words(new)
    rows["lattice, dictionary given"] = given.evaluate(sentences)
    rows["lattice, dictionary with types"] = with_types(lattice, new, sentences).evaluate(sentences)
    lattice.save(run.directory / TAGGER)
    if all(one.by_length for one in rows.values()):
        run.figure(
            "length",
            figures.by_length({name: one.by_length for name, one in rows.items()}),
            "F1 by the length of the sentence, a line for each tagger",
        )
    run.figure(
        "training",
        figures.curves(histories, "valid/f1"),
        "Validation F1, epoch by epoch, a line for each tagger",
    )
    run.figure(
        "f1",
        bars({name: one.strict.f1 for name, one in rows.items()}, f"{split} F1, strict"),
        f"Strict F1 of each tagger on the {split} split",
    )
    _explain(given, _fullest(sentences).text, run)
    table = [[name, *(one.metrics()[key] for key in _SHOWN)] for name, one in rows.items()]
    columns = ["tagger", "F1 (strict)", "precision", "recall", "F1 (compat)"]
    show(
        pd.DataFrame(table, columns=columns),
        f"{corpus.name}: {split} split; the dictionary has {len(new)} of its names",
    )
    metrics = {f"{split}/{name}": value for name, value in rows["lattice"].metrics().items()}
    for name, one in rows.items():
        metrics |= {
            f"{name.replace(', ', '_').replace(' ', '_')}/{key}": one.metrics()[key] for key in _SHOWN
        }
    return Results(metrics | dictionary_gain(lattice, new, corpus, split, config.seed))


def train(config: Config, run: Run) -> Results:
    """Train one tagger, choose the epoch on the validation split, and measure once."""
    corpus, lexicon = _corpus(config, run), _lexicon(config, run)
    split = config.evaluation.split
    sentences = _to_measure_on(corpus, split)
    new = new_names(corpus, split) if config.evaluation.new_words else []
    if new and not config.model.looks_words_up:
        raise InputError(
            f"evaluation.new_words needs a lexicon, which encoder={config.model.encoder} has none of"
        )
    tagger, outcome = _fit(
        config.model, lexicon.without(new) if new else lexicon, corpus, config, run, "training"
    )
    scores = score_tags(sentences, tagger.predict_tags(sentences), lexicon)
    metrics = {f"{split}/{name}": value for name, value in scores.metrics().items()}
    metrics |= {f"valid/{name}": value for name, value in outcome.best.items()}
    metrics |= {f"{split}/{name}": value for name, value in calibration_errors(tagger, sentences).items()}
    if new:
        metrics |= dictionary_gain(tagger, new, corpus, split, config.seed)
    if not run.fabric.is_global_zero:
        return Results(metrics)
    tagger.save(run.directory / TAGGER)
    show(scores.table(), f"{corpus.name}: {split} split, epoch {outcome.best_epoch}")
    run.figure(
        "training",
        figures.curves({config.model.encoder: outcome.history}, "valid/f1"),
        "Validation F1, epoch by epoch",
    )
    if scores.by_length:
        run.figure(
            "length",
            figures.by_length({config.model.encoder: scores.by_length}),
            "F1 by the length of the sentence",
        )
    if config.model.encoder == "lattice":
        _explain(tagger, _fullest(sentences).text, run)
    details = {"best_epoch": outcome.best_epoch, "epochs": outcome.epochs, "history": outcome.history}
    return Results(metrics, details)


def evaluate(config: Config, run: Run) -> Results:
    """Measure a trained tagger (checkpoint=RUN) on a split."""
    tagger = open_tagger(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    corpus, split = _corpus(config, run), config.evaluation.split
    sentences = _to_measure_on(corpus, split)
    scores = tagger.evaluate(sentences)
    show(scores.table(), f"{corpus.name}: {split} split")
    metrics = scores.metrics() | calibration_errors(tagger, sentences)
    return Results({f"{split}/{name}": value for name, value in metrics.items()})


def predict(config: Config, run: Run) -> Results:
    """Find the entities of a sentence or of a file of them, with checkpoint=RUN and a dictionary of your own."""
    tagger = open_tagger(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    asked = config.predict
    tagger = _with_dictionary(tagger, config, run)
    if asked.file is not None:
        return _predict_file(tagger, Path(asked.file), run)
    text = required(asked.text, "predict.text=<sentence> or predict.file=<file>")
    (entities,) = tagger.predict([text])
    show(pd.DataFrame(entities, columns=["start", "end", "type", "text", "score"]), text)
    if asked.explain and tagger.options.encoder == "lattice" and text:
        _explain(tagger, text, run)
    return Results({"predict/entities": float(len(entities))})


def serve(config: Config, run: Run) -> Results:
    """Serve a tagger (checkpoint=RUN) over HTTP, with JSON and a page, until Ctrl-C; with a dictionary of your own, as predict."""
    asked = config.serve
    if asked.waiting < 1:
        raise InputError(f"serve.waiting={asked.waiting} must be 1 or more")
    tagger = open_tagger(required(config.checkpoint, "checkpoint=<run directory>"), run.fabric.device)
    tagger = _with_dictionary(tagger, config, run)
    tagger.predict(["一"])  # what is compiled or read from disk at the first call
    with server(tagger, asked.host, asked.port, Bounds(waiting=asked.waiting)) as listening:
        run.log.info(
            "http://%s:%d is a page, and answers /entities and /explain", asked.host, listening.server_port
        )
        listening.serve_forever()
    return Results({})


def describe(config: Config, run: Run) -> Results:
    """Count sentences, characters, entities and words of the lexicon in a data set."""
    corpus, lexicon = _corpus(config, run), _lexicon(config, run)
    counts = {split: entity_counts(corpus.split(split)) for split in ("train", "valid", "test")}
    metrics: dict[str, float] = {"lexicon/words": float(len(lexicon))}
    for split, kinds in counts.items():
        sentences = corpus.split(split)
        characters = sum(map(len, sentences))
        matches = lexicon.match([one.characters for one in sentences])
        words = ["".join(one.characters[s.start : s.end]) for one in sentences for s in one.spans]
        known = float((lexicon.find(words) >= 0).mean()) if words else 0.0
        metrics |= {
            f"{split}/sentences": float(len(sentences)),
            f"{split}/characters": float(characters),
            f"{split}/longest": float(max(map(len, sentences), default=0)),
            f"{split}/entities": float(sum(kinds.values())),
            f"{split}/words_per_character": len(matches.word) / max(1, characters),
            f"{split}/entities_in_lexicon": known,
        }
        metrics |= {f"{split}/entities/{kind}": float(count) for kind, count in kinds.items()}
    types = sorted({kind for kinds in counts.values() for kind in kinds})
    rows = [[kind, *(counts[split].get(kind, 0) for split in counts)] for kind in types]
    show(pd.DataFrame(rows, columns=["type", *counts]), f"{corpus.name}: entities")
    return Results(metrics)


main = command(
    "lattice_lstm",
    Config,
    {
        "compare": compare,
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
        "serve": serve,
        "describe": describe,
    },
    "Chinese NER Using Lattice LSTM: a lexicon without a segmentation, and your own dictionary at prediction time",
    on_device=("compare", "train", "evaluate", "predict", "serve"),
    with_checkpoint=("evaluate", "predict", "serve"),
)


def _corpus(config: Config, run: Run) -> Corpus:
    corpus = build_corpus(config.dataset, config.seed)
    run.dataset(corpus.name, corpus.checksums)
    sizes = (len(corpus.split(split)) for split in ("train", "valid", "test"))
    run.log.info("%s: %d / %d / %d sentences", corpus.name, *sizes)
    return corpus


def _to_measure_on(corpus: Corpus, split: str) -> tuple[Sentence, ...]:
    """The sentences of a split.

    Raises:
        InputError: there are none, whose F1 of 0 would be taken for a tagger's.
    """
    found = corpus.split(split)
    if not found:
        raise InputError(
            f"{corpus.name} has no {split} sentences to measure on: give dataset.{split}=<file>, or another evaluation.split"
        )
    return found


def _fullest(sentences: Sequence[Sentence]) -> Sentence:
    """Of the first sentences that with the most entities: one to explain."""
    return max(sentences[:50], key=lambda one: len(one.spans))


def _lexicon(config: Config, run: Run) -> Lexicon:
    found = build_lexicon(config.lexicon, config.seed)
    if found.checksum:
        run.dataset("lexicon", {found.name: found.checksum})
    run.log.info("lexicon %s: %d words", found.name, len(found.lexicon))
    return found.lexicon


def _fit(
    options: TaggerOptions,
    lexicon: Lexicon,
    corpus: Corpus,
    config: Config,
    run: Run,
    title: str,
    log: bool = True,
) -> tuple[Tagger, Outcome]:
    if checksums := checksums_of(config.vectors):
        run.dataset("vectors", checksums)
    tagger = build_tagger(options, lexicon, build_vectors(config.vectors), config.seed, run.fabric.device)
    folder = "" if title == "training" else title.replace(", ", "_").replace(" ", "_")
    with reported(run, config.training, "valid/f1", title, log) as on_epoch:
        outcome = tagger.fit(
            corpus.train,
            corpus.valid,
            config.training,
            directory=run.directory / "checkpoints" / folder,
            on_epoch=on_epoch,
            uninterrupted=run.uninterrupted,
        )
    return tagger, outcome


def _with_dictionary(tagger: Tagger, config: Config, run: Run) -> Tagger:
    asked = config.predict
    if asked.dictionary is None:
        return tagger
    words = list(Lexicon.from_file(asked.dictionary, normalise_digits=tagger.options.normalise_digits))
    run.log.info("%d words from %s", len(words), asked.dictionary)
    return tagger.with_words(words, asked.dictionary_type)


def _explain(tagger: Tagger, text: str, run: Run) -> None:
    found = tagger.explain(text)
    run.figure(
        "gates",
        figures.gates(found),
        "What the cell of each character of a sentence is mixed of: its own candidate, and the words that end there",
    )
    write_text(run.directory / "explanation.html", explanation_page(found))


def _predict_file(tagger: Tagger, path: Path, run: Run) -> Results:
    total = lines = 0
    count = sum(1 for _ in _lines(path))
    with (
        run.progress(count, "predicting") as bar,
        atomic_write(run.directory / "entities.jsonl") as out,
    ):
        for entities in tagger.stream(_lines(path)):
            found = [entity._asdict() for entity in entities]
            out.write((json.dumps(found, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))
            total, lines = total + len(entities), lines + 1
            bar.advance(1)
    return Results({"predict/sentences": float(lines), "predict/entities": float(total)})


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise MissingFile(f"no file {path}")
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            yield _decoded(raw.removeprefix(BOM_UTF8) if number == 1 else raw, path, number)


def _decoded(raw: bytes, path: Path, number: int) -> str:
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise MalformedLine(path, number, f"not UTF-8 ({error.reason})") from None
