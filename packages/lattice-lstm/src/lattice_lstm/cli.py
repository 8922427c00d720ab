"""The tasks of the `lattice-lstm` command. Each takes the options apart, calls the API and says what came out."""

from __future__ import annotations

import pandas as pd

from offprints.app import Results, Run, command
from offprints.tables import show

from lattice_lstm.config import Config
from lattice_lstm.corpus import Corpus, entity_counts
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.runs import build_corpus, build_lexicon


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
    {"describe": describe},
    "Chinese NER Using Lattice LSTM: a lexicon without a segmentation, and your own dictionary at prediction time",
)


def _corpus(config: Config, run: Run) -> Corpus:
    corpus = build_corpus(config.dataset, config.seed)
    run.dataset(corpus.name, corpus.checksums)
    sizes = (len(corpus.split(split)) for split in ("train", "valid", "test"))
    run.log.info("%s: %d / %d / %d sentences", corpus.name, *sizes)
    return corpus


def _lexicon(config: Config, run: Run) -> Lexicon:
    found = build_lexicon(config.lexicon, config.seed)
    if found.checksum:
        run.dataset("lexicon", {found.name: found.checksum})
    run.log.info("lexicon %s: %d words", found.name, len(found.lexicon))
    return found.lexicon
