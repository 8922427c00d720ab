"""The tagger: fit on sentences, find entities in text, take another dictionary at any time.

tagger = Tagger(TaggerOptions(encoder="lattice"), Lexicon.of_jieba())
tagger.fit(corpus.train, corpus.valid, TrainingOptions(epochs=8))
tagger.predict(["南京市长江大桥"])                # entities with offsets, types and probabilities
tagger.with_words(["江大桥"]).predict([...])     # the same weights with a larger lexicon
tagger.save("tagger.ckpt")                      # Tagger.load("tagger.ckpt")
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offprints import checkpoint
from offprints.errors import InputError
from offprints.training import Outcome

from lattice_lstm.building import BuiltTagger, TaggerOptions, Vocabularies, build, vocabularies_of
from lattice_lstm.calibration import Calibration, Floats, calibrate
from lattice_lstm.corpus import Sentence
from lattice_lstm.dictionary import GIVEN, WORD, DrawnDictionary
from lattice_lstm.features import Batch, character_tags, choose, word_tags
from lattice_lstm.lexicon import Lexicon
from lattice_lstm.scores import Scores, score_tags
from lattice_lstm.tags import Span, lenient_spans
from lattice_lstm.training import Trainer, TrainingOptions
from lattice_lstm.trie import Ints
from lattice_lstm.vectors import Vectors

_KIND = "lattice-lstm tagger, format 2"
_CHARACTERS = 4096  # of a batch when predicting


class Entity(NamedTuple):
    """An entity in a text.

    Attributes:
        start: of its first character in the text.
        end: after its last one.
        type: such as "PER".
        text: its characters.
        score: the probability that just this span is an entity of this type, calibrated on the validation sentences.
    """

    start: int
    end: int
    type: str
    text: str
    score: float


@dataclass(frozen=True)
class Explanation:
    """What a lattice tagger read in a sentence.

    Attributes:
        text: the sentence.
        words: start, end and word of each match.
        shares: (m, 2) mean weight of each word in the cell that it ends in, forwards and backwards.
        own: (n, 2) mean weight of each character's candidate in its own cell.
        entities: that were found.
    """

    text: str
    words: list[tuple[int, int, str]]
    shares: Tensor
    own: Tensor
    entities: list[Entity]


class Tagger:
    """Finds entities in text.

    Args:
        options: which network.
        lexicon: of the encoders "lattice" and "softlexicon"; None is an empty one.
        char_vectors: pretrained vectors of characters, or None.
        word_vectors: pretrained vectors of words, or None.
        pair_vectors: pretrained vectors of pairs of characters, or None.
        seed: of first values, dropouts and order.
        device: where to compute.
    """

    def __init__(
        self,
        options: TaggerOptions | None = None,
        lexicon: Lexicon | None = None,
        *,
        char_vectors: Vectors | None = None,
        word_vectors: Vectors | None = None,
        pair_vectors: Vectors | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.options = options or TaggerOptions()
        if lexicon is None:
            lexicon = Lexicon(normalise_digits=self.options.normalise_digits)
        self.lexicon = lexicon
        if self.lexicon.normalise_digits != self.options.normalise_digits:
            raise InputError("the lexicon and the tagger differ in whether digits read as 0")
        self.vectors = {"chars": char_vectors, "words": word_vectors, "pairs": pair_vectors}
        self.seed, self.device = seed, torch.device(device)
        self._built: BuiltTagger | None = None
        self.marks: Ints | None = None  # which words of the lexicon are of a dictionary
        self.calibration = Calibration()

    @property
    def built(self) -> BuiltTagger:
        """The fitted network.

        Raises:
            InputError: nothing is fitted yet.
        """
        if self._built is None:
            raise InputError("this tagger is not fitted yet: fit it, or load one")
        return self._built

    @property
    def types(self) -> list[str]:
        """The types of entities that it knows."""
        return list(self.built.vocabularies.types)

    def fit(
        self,
        train: Sequence[Sentence],
        valid: Sequence[Sentence] = (),
        training: TrainingOptions | None = None,
        *,
        directory: Path | str | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        uninterrupted: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> Outcome:
        """Train; validation sentences, where there are some, choose the epoch by their strict F1 and calibrate the probabilities.

        Args:
            train: to learn from; all vocabularies come from these alone.
            valid: to choose the epoch by.
            training: how.
            directory: of checkpoints; training goes on from the last one there.
            on_epoch: called with the row of each epoch.
            uninterrupted: context in which one step runs.

        Raises:
            InputError: there is no training sentence, or none with an entity.
            DivergedError: the loss is no longer finite.
        """
        train = [one for one in train if len(one)]
        if not train:
            raise InputError("there is no sentence to train on")
        self._built = built = build(
            self.options,
            vocabularies_of(self.options, train, self.lexicon),
            self.lexicon,
            self.vectors,
            self.seed,
        )
        built.model.to(self.device)
        drawn, features = None, built.features
        if self.options.learns_dictionaries:
            types = built.vocabularies.types
            drawn = DrawnDictionary.of(train, self.lexicon, types, self.options.dictionary)
            built.look_up(drawn.lexicon)  # where the words of ours keep their numbers
            features = replace(features, lexicon=drawn.lexicon)
        encoded = features.encode(train)
        trainer = Trainer(
            built.model,
            encoded,
            self._tags_of(train, encoded.word_starts, encoded.word_offsets),
            training or TrainingOptions(),
            dictionary=drawn,
            seed=self.seed,
            device=self.device,
            validate=(lambda: self.evaluate(valid).metrics()) if len(valid) else None,
            directory=directory,
            belongs_to=_digest(self.options, train, self.lexicon),
            on_epoch=on_epoch,
            uninterrupted=uninterrupted,
        )
        outcome = trainer.fit()
        if drawn is not None:
            built.look_up(self.lexicon)
        self.calibration = calibrate(*self.believed(valid))
        return outcome

    def predict(self, texts: Iterable[str]) -> list[list[Entity]]:
        """The entities in each text; a text is one sentence, of any length, and may be empty."""
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str], chunk: int = 2048) -> Iterator[list[Entity]]:
        """As `predict`, of so many texts at a time, for more of them than memory holds."""
        waiting: list[Sentence] = []
        for text in texts:
            waiting.append(_untagged(text))
            if len(waiting) == chunk:
                yield from self._predict(waiting)
                waiting = []
        yield from self._predict(waiting)

    def believed(self, sentences: Sequence[Sentence]) -> tuple[Floats, NDArray[np.bool_]]:
        """What the network says of the entities that it finds, before calibration (n,), and whether each is right (n,)."""
        found = self._predict(sentences, Calibration())
        gold = [set(one.spans) for one in sentences]
        pairs = [
            (one.score, Span(*one[:3]) in own) for ones, own in zip(found, gold, strict=True) for one in ones
        ]
        return np.array([score for score, _ in pairs]), np.array([right for _, right in pairs], np.bool_)

    def predict_tags(self, sentences: Sequence[Sentence]) -> list[list[str]]:
        """BMES tags of the characters of each sentence; what they are tagged with already is not looked at."""
        names = self.built.vocabularies.tags
        out: list[list[str]] = [[] for _ in sentences]
        for chosen, batch in self._batches(sentences):
            tags = self.built.model.decode(batch, self.options.constrained).cpu().numpy()
            for place, number in enumerate(chosen):
                units = [names[tag] for tag in tags[batch.offsets[place] : batch.offsets[place + 1]]]
                out[number] = (
                    units if batch.words is None else character_tags(units, _own_starts(batch, place))
                )
        return out

    def evaluate(self, sentences: Sequence[Sentence]) -> Scores:
        """Compare what is predicted with the tags of sentences."""
        return score_tags(
            sentences, self.predict_tags(sentences), self.lexicon if len(self.lexicon) else None
        )

    def with_lexicon(self, lexicon: Lexicon) -> Tagger:
        """The same weights with another lexicon: words seen in training keep their vectors, others get composed ones.

        Raises:
            InputError: nothing is fitted yet, the network takes no lexicon, or digits are read differently.
        """
        self._require_lookup()
        if lexicon.normalise_digits != self.options.normalise_digits:
            raise InputError("the lexicon and the tagger differ in whether digits read as 0")
        return self._with(lexicon, None)

    def with_words(self, words: Iterable[str], type: str | None = None) -> Tagger:
        """The same weights with a dictionary of entities: words that join the lexicon, or are in it already.

        A network that was trained with `TaggerOptions.dictionary` trusts them; to another one they are words like others.

        Args:
            words: of the dictionary.
            type: of its entities; None does not say.

        Raises:
            InputError: as `with_lexicon`, or there is no such type.
        """
        if type is not None and type not in self.types:
            raise InputError(f"there is no type {type!r} of entities: one of {', '.join(self.types)}")
        words = list(words)
        self._require_lookup()
        lexicon = self.lexicon.extended(words)
        marks = np.full(len(lexicon), WORD, np.int64)
        if self.marks is not None:
            marks[: len(self.marks)] = self.marks
        marks[lexicon.find(words)] = GIVEN if type is None else GIVEN + 1 + self.types.index(type)
        return self._with(lexicon, marks)

    def explain(self, text: str) -> Explanation:
        """Which words of the lexicon a lattice tagger read in a sentence, and how much each was worth.

        Raises:
            InputError: the network is no lattice, or the text is empty.
        """
        if self.options.encoder != "lattice":
            raise InputError(f"encoder={self.options.encoder!r} has no lattice to explain")
        if not text:
            raise InputError("there is nothing to explain in an empty text")
        ((_, batch),) = self._batches([_untagged(text)])
        self.built.model.eval()
        shares = self.built.model.shares(batch)
        words = self.lexicon.words_in(text)
        entities = self._predict([_untagged(text)])[0]
        return Explanation(text, words, shares.words.mean(2).cpu(), shares.own.mean(2).cpu(), entities)

    def save(self, path: Path | str) -> None:
        """Write options, vocabularies, weights and the lexicon to one file.

        Raises:
            InputError: nothing is fitted yet.
        """
        built, (codes, offsets) = self.built, self.lexicon.flat
        state = {
            "options": asdict(self.options),
            "seed": self.seed,
            "vocabularies": asdict(built.vocabularies),
            "lexicon": {
                "codes": torch.from_numpy(codes.astype(np.int32)),
                "lengths": torch.from_numpy(np.diff(offsets).astype(np.int32)),
            },
            "marks": None if self.marks is None else torch.from_numpy(self.marks).to(torch.int16),
            "calibration": asdict(self.calibration),
            "model": built.model.state_dict(),
        }
        checkpoint.save(Path(path), state, _KIND, "", step=0)

    @classmethod
    def load(cls, path: Path | str, *, device: torch.device | str = "cpu") -> Tagger:
        """Read back what `save` wrote.

        Raises:
            CheckpointError: the file is damaged or something else.
        """
        state = checkpoint.load(Path(path), _KIND, "").state
        with checkpoint.fitting(path):
            return cls._of_state(state, device)

    @classmethod
    def _of_state(cls, state: dict[str, Any], device: torch.device | str) -> Tagger:
        options = TaggerOptions(**state["options"])
        _require_sizes(options, state["model"])
        codes, lengths = (state["lexicon"][name].numpy() for name in ("codes", "lengths"))
        lexicon = Lexicon.of_flat(codes.astype(np.uint32), lengths, normalise_digits=options.normalise_digits)
        tagger = cls(options, lexicon, seed=state["seed"], device=device)
        vocabularies = Vocabularies(**{name: tuple(value) for name, value in state["vocabularies"].items()})
        # Pretrained vectors had sizes of their own, whatever the options say; their numbers are among the weights.
        tables = {"chars": "chars.trained", "pairs": "pairs.trained", "words": "words.own.0"}
        vectors = {
            name: Vectors((), np.zeros((0, state["model"][table].shape[1]), np.float32))
            for name, table in tables.items()
            if table in state["model"]
        }
        tagger._built = build(options, vocabularies, lexicon, vectors, tagger.seed)
        tagger.built.model.load_state_dict(state["model"])
        tagger.built.model.to(tagger.device).eval()
        tagger.calibration = Calibration(**state["calibration"])
        marks = state["marks"]
        return tagger if marks is None else tagger._with(lexicon, marks.numpy().astype(np.int64))

    def _require_lookup(self) -> None:
        if not self.options.looks_words_up:
            raise InputError(f"a tagger with encoder={self.options.encoder!r} looks at no lexicon")

    def _with(self, lexicon: Lexicon, marks: Ints | None) -> Tagger:
        other = copy.copy(self)
        other.lexicon, other.marks = lexicon, marks
        other._built = self.built.with_lexicon(lexicon, marks)
        return other

    def _predict(
        self, sentences: Sequence[Sentence], calibration: Calibration | None = None
    ) -> list[list[Entity]]:
        names, calibrated = self.built.vocabularies.tags, calibration or self.calibration
        found: list[tuple[int, int, int, str]] = []  # sentence, first and last character, type
        scores: list[float] = []
        for chosen, batch in self._batches(sentences):
            tags, belief = self.built.model.believe(batch, self.options.constrained)
            units = tags.cpu().numpy()
            for place, number in enumerate(chosen):
                own = units[batch.offsets[place] : batch.offsets[place + 1]]
                starts = None if batch.words is None else _own_starts(batch, place)
                for begin, end, kind in lenient_spans([names[tag] for tag in own]):
                    scores.append(belief.of_tags_at(place, begin, own[begin:end].tolist()))
                    first, last = (begin, end) if starts is None else (int(starts[begin]), int(starts[end]))
                    found.append((number, first, last, kind))
        out: list[list[Entity]] = [[] for _ in sentences]
        for (number, first, last, kind), score in zip(found, calibrated(scores).tolist(), strict=True):
            text = "".join(sentences[number].characters[first:last])
            out[number].append(Entity(first, last, kind, text, score))
        return out

    def _batches(self, sentences: Sequence[Sentence]) -> Iterator[tuple[list[int], Batch]]:
        """Sentences of similar length together, none of them empty, and which ones they are."""
        built = self.built
        if built.model.training:
            built.model.eval()
        full = sorted(
            (number for number, one in enumerate(sentences) if len(one)), key=lambda n: -len(sentences[n])
        )
        while full:
            count = max(1, _CHARACTERS // len(sentences[full[0]]))
            chosen, full = full[:count], full[count:]
            encoded = built.features.encode([sentences[number] for number in chosen])
            yield chosen, choose(encoded, np.arange(len(chosen))).to(self.device)

    def _tags_of(self, sentences: Sequence[Sentence], starts: Ints | None, offsets: Ints | None) -> Ints:
        """Numbers of the tags of all units."""
        number = {name: place for place, name in enumerate(self.built.vocabularies.tags)}
        if starts is None or offsets is None:
            return np.array([number[tag] for one in sentences for tag in one.tags], np.int64)
        tags: list[str] = []
        for one, first, last in zip(sentences, offsets[:-1], offsets[1:], strict=True):
            tags += word_tags(one, starts[first : last + 1] - starts[first])
        return np.array([number[tag] for tag in tags], np.int64)


def _require_sizes(options: TaggerOptions, weights: dict[str, Tensor]) -> None:
    """A network is made before its weights are put in: what no tensor of the file is as long as must not be asked for."""
    longest = max((max(value.shape, default=1) for value in weights.values()), default=0)
    for name in ("char_size", "word_size", "hidden_size"):
        if not 0 < getattr(options, name) <= 4 * longest:
            raise InputError(f"{name}={getattr(options, name)}, and the longest tensor has {longest} numbers")


def _own_starts(batch: Batch, sentence: int) -> Ints:
    """Where each word of a sentence begins in it, and its length."""
    assert batch.word_starts is not None
    first, last = batch.offsets[sentence], batch.offsets[sentence + 1]
    starts: Ints = batch.word_starts[first : last + 1] - batch.word_starts[first]
    return starts


def _untagged(text: str) -> Sentence:
    return Sentence(tuple(text), ("O",) * len(text))


def _digest(options: Any, sentences: Sequence[Sentence], lexicon: Lexicon) -> str:
    made = hashlib.sha256(repr(sorted(asdict(options).items())).encode())
    for one in sentences:
        made.update(f"{one.text}\t{' '.join(one.tags)}\n".encode("utf-8", "surrogatepass"))
    made.update(lexicon.digest.encode())
    return made.hexdigest()
