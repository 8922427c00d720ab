"""The lattice tagger beside a lattice a sentence at a time, and beside a BiLSTM-CRF without words; writes results.json beside this file.

    nox -s "bench(lattice-lstm)"                       the table of docs/benchmarks.md
    nox -s "bench(lattice-lstm)" -- --rounds 5         quicker and noisier
    nox -s "bench(lattice-lstm)" -- --only decode      a part: train, decode, latency, lexicon; the other parts of results.json stay

Every time is the median of rounds in which ours and its peer take turns. The sentences are Resume's where $OFFPRINTS_DATA has it, else the
embedded ones; words are jieba's; vectors have 50 numbers and states 100 in each direction, as in the paper. Training is forward, CRF,
backward and update of one batch, and decoding is matching, forward and Viterbi; `decode length` is of eight sentences of one length.
Latency is that of one sentence of 10, 30 or 100 characters: ours from text to entities with their probabilities, the peer's without the
matching. `lexicon` loads a list of words from a file and matches all sentences. `sentences_per_second` is ours; `bound_share` the share
reached of what a product of matrices alone would take for the same arithmetic.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peers import CharacterTagger, PerSentence, Words

from offprints.benchmark import Entry, compared, in_turn, run
from offprints.data import DataError

from lattice_lstm import (
    Corpus,
    Lexicon,
    Sentence,
    Tagger,
    TaggerOptions,
    TrainingOptions,
    load_corpus,
    synthetic_corpus,
)
from lattice_lstm.building import build, vocabularies_of
from lattice_lstm.features import choose
from lattice_lstm.training import Trainer

CHAR, WORD, SIZE = 50, 50, 100
PER_SENTENCE, WITHOUT_WORDS = "per-sentence torch", "nn.LSTM + pytorch-crf"


class Setting:
    """One network of ours and of each peer, of the same sizes, and the same sentences for all."""

    def __init__(self) -> None:
        self.lexicon = Lexicon.of_jieba()
        self.corpus = sentences()
        self.train = [one for one in self.corpus.train if len(one)]
        options = TaggerOptions(words="table", char_size=CHAR, word_size=WORD, hidden_size=SIZE)
        self.tagger = Tagger(options, self.lexicon)
        vocabularies = vocabularies_of(options, self.train, self.lexicon)
        self.tagger._built = self.built = build(options, vocabularies, self.lexicon, {}, 0)
        self.encoded = self.built.features.encode(self.train)
        self.tags = self.tagger._tags_of(self.train, None, None)
        count = len(vocabularies.tags)
        self.trainer = Trainer(self.built.model, self.encoded, self.tags, TrainingOptions())
        sizes = len(vocabularies.chars) + 1, len(vocabularies.words) + 1
        self.per_sentence = PerSentence(*sizes, SIZE, count, CHAR, WORD)
        self.without_words = CharacterTagger(sizes[0], SIZE, count, CHAR)
        peers = (self.per_sentence, self.without_words)
        self.optimizers = [torch.optim.SGD(peer.parameters(), 0.015) for peer in peers]

    def some(self, size: int, seed: int = 0) -> np.ndarray:
        """Sentences of a batch as training draws them: of similar length."""
        order = np.argsort(np.diff(self.encoded.offsets), kind="stable")
        first = np.random.default_rng(seed).integers(0, len(order) - size + 1) if size < len(order) else 0
        return order[first : first + size]

    def for_peers(self, chosen: np.ndarray) -> tuple[list[torch.Tensor], list[Words], list[torch.Tensor]]:
        offsets, m = self.encoded.offsets, self.encoded.matches
        assert m is not None
        chars = [torch.from_numpy(self.encoded.chars[offsets[s] : offsets[s + 1]]) for s in chosen]
        tags = [torch.from_numpy(self.tags[offsets[s] : offsets[s + 1]]) for s in chosen]
        rows = self.built.model.word_rows
        words = [[(int(b), int(e), int(rows[w])) for b, e, w in zip(*m.of(s), strict=True)] for s in chosen]
        return chars, words, tags


def sentences() -> Corpus:
    try:
        return load_corpus("resume")
    except DataError:
        return synthetic_corpus()


def products_seconds(encoded_characters: int, words: float, backward: bool) -> float:
    """How long the memory and the arithmetic of the products alone take: one product of their operations, as torch does it."""
    a, b = torch.randn(1024, 512), torch.randn(512, 512)
    best = in_turn({"product": lambda: a @ b}, 9)["product"].best
    rate = 2 * 1024 * 512 * 512 / best
    each = 2 * (CHAR * 4 * SIZE + SIZE * 3 * SIZE) + words * 2 * (2 * SIZE * 3 * SIZE / 1.3 + SIZE * SIZE)
    return 2 * each * encoded_characters * (3 if backward else 1) / rate


def train(options: argparse.Namespace) -> Iterator[Entry]:
    """One step."""
    s = Setting()
    torch.set_num_threads(1)
    for size in (1, 10, 32, 128):
        batches = [s.some(size, seed) for seed in range(4)]
        prepared = [s.for_peers(chosen) for chosen in batches]

        def ours(batches: list[np.ndarray] = batches) -> None:
            s.built.model.train()
            for chosen in batches:
                s.trainer.step(choose(s.encoded, chosen, s.tags))

        def peer(number: int, prepared: list = prepared) -> None:
            model, optimizer = (s.per_sentence, s.without_words)[number], s.optimizers[number]
            for chars, words, tags in prepared:
                optimizer.zero_grad()
                loss = model.loss(chars, tags) if number else model.loss(chars, words, tags)
                loss.backward()
                optimizer.step()

        characters = sum(len(one) for chars, _, _ in prepared for one in chars)
        arriving = sum(len(one) for _, words, _ in prepared for one in words) / characters
        works = {"ours": ours, WITHOUT_WORDS: partial(peer, 1)}
        quick = in_turn(works, options.rounds)
        rate = 4 * size / quick["ours"].median
        bound = products_seconds(characters, arriving, True) / quick["ours"].best
        both = compared(
            f"train batch {size}", 4 * size, 1, quick["ours"], WITHOUT_WORDS, quick[WITHOUT_WORDS]
        )
        yield {**both, "sentences_per_second": rate, "bound_share": bound}
        if not options.no_peers:
            slow = in_turn({"ours": ours, PER_SENTENCE: partial(peer, 0)}, min(3, options.rounds))
            rate = 4 * size / slow["ours"].median
            both = compared(
                f"train batch {size}", 4 * size, 1, slow["ours"], PER_SENTENCE, slow[PER_SENTENCE]
            )
            yield {**both, "sentences_per_second": rate}


def decode(options: argparse.Namespace) -> Iterator[Entry]:
    """Tags of test sentences, matching and Viterbi included; and of sentences of one length."""
    s = Setting()
    torch.set_num_threads(1)
    s.built.model.eval()
    s.per_sentence.eval()
    s.without_words.eval()
    test = [one for one in s.corpus.test if len(one)]
    for count in (32, 128, len(test)):
        part = test[:count]
        encoded = s.built.features.encode(part)
        chars = [torch.from_numpy(one) for one in np.split(encoded.chars, encoded.offsets[1:-1])]

        def ours(part: list[Sentence] = part) -> object:
            return s.tagger.predict_tags(part)

        def without(chars: list[torch.Tensor] = chars) -> object:
            order = sorted(range(len(chars)), key=lambda n: len(chars[n]))
            groups = [order[k : k + 64] for k in range(0, len(order), 64)]
            return [s.without_words.decode([chars[n] for n in group]) for group in groups]

        def slowly(part: list[Sentence] = part, chars: list[torch.Tensor] = chars) -> object:
            rows, found = s.built.model.word_rows, s.lexicon.match([one.characters for one in part])
            words = [
                [(int(b), int(e), int(rows[w])) for b, e, w in zip(*found.of(n), strict=True)]
                for n in range(len(part))
            ]
            return s.per_sentence.decode(chars, words)

        works = {"ours": ours, WITHOUT_WORDS: without}
        if not options.no_peers:
            works[PER_SENTENCE] = slowly
        found = in_turn(works, min(options.rounds, 5))
        for peer in list(works)[1:]:
            both = compared("decode test sentences", count, 1, found["ours"], peer, found[peer])
            yield {**both, "sentences_per_second": count / found["ours"].median}
    for length in (30, 300, 3000):
        text = ("".join(one.text for one in s.train))[: 8 * length]
        part = [Sentence(tuple(text[k * length : (k + 1) * length]), ("O",) * length) for k in range(8)]
        timing = in_turn({"ours": lambda part=part: s.tagger.predict_tags(part)}, options.rounds)["ours"]
        yield compared("decode length, 8 sentences", length, 1, timing)


def latency(options: argparse.Namespace) -> Iterator[Entry]:
    """One sentence of 10, 30 and 100 characters."""
    s = Setting()
    torch.set_num_threads(1)
    for length in (10, 30, 100):
        text = "".join(one.text for one in s.train)[:length]
        (sentence,) = [Sentence(tuple(text), ("O",) * length)]
        encoded = s.built.features.encode([sentence])
        s.built.model.eval()
        s.per_sentence.eval()
        rows, m = s.built.model.word_rows, encoded.matches
        assert m is not None
        words = [[(int(b), int(e), int(rows[w])) for b, e, w in zip(*m.of(0), strict=True)]]
        chars = [torch.from_numpy(encoded.chars)]
        works = {
            "ours": lambda text=text: s.tagger.predict([text]),
            PER_SENTENCE: lambda chars=chars, words=words: s.per_sentence.decode(chars, words),
        }
        found = in_turn(works, options.rounds)
        yield compared("latency of a sentence", length, 1, found["ours"], PER_SENTENCE, found[PER_SENTENCE])


def lexicon(options: argparse.Namespace) -> Iterator[Entry]:
    """Loading a list of words, and matching all training sentences."""
    torch.set_num_threads(1)
    every, text = list(Lexicon.of_jieba()), [one.characters for one in sentences().train]
    letters = sorted({char for word in every for char in word})
    draw = np.random.default_rng(0)
    made = {"".join(letters[k] for k in draw.integers(0, len(letters), 3)) for _ in range(400_000)}
    more = [*every, *sorted(made)][:700_000]
    with tempfile.TemporaryDirectory() as folder:
        for count in (35_000, 350_000, 700_000):
            path = Path(folder) / "words.txt"
            path.write_text("\n".join(more[:count]), encoding="utf-8")
            work = {"ours": partial(Lexicon.from_file, path, format="plain")}
            loading = in_turn(work, min(options.rounds, 5))["ours"]
            found = Lexicon.from_file(path, format="plain")
            yield {**compared("lexicon load", count, 1, loading), "lexicon_mb": found.nbytes / 1e6}
            matching = in_turn({"ours": partial(found.match, text)}, min(options.rounds, 9))["ours"]
            yield {
                **compared("lexicon match, all training sentences", count, 1, matching),
                "characters_per_second": sum(map(len, text)) / matching.median,
            }


if __name__ == "__main__":
    parts = {"train": train, "decode": decode, "latency": latency, "lexicon": lexicon}
    run(parts, __doc__, Path(__file__).with_name("results.json"))
