"""The data sets, as their authors publish them, with the counts that their loaders insist on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from offprints.data import DataFile, Dataset, Url
from offprints.errors import DataError, InputError
from offprints.user_errors import closest

from lattice_lstm.corpus import Corpus, Sentence, entity_counts, only_types, parse_conll

_ZHANG = "Zhang and Yang 2018, Chinese NER Using Lattice LSTM, ACL"
_RESUME = "https://raw.githubusercontent.com/jiesutd/LatticeLSTM/24d17f4270f11d2f75046789d8b67eaa2b907dce/ResumeNER/"
_WEIBO = (
    "https://raw.githubusercontent.com/hltcoe/golden-horse/7a73c08e45ed94312af4ef2d97cc35a47d029e99/data/"
)
_NEWS = (
    "https://raw.githubusercontent.com/OYE93/Chinese-NLP-Corpus/e9bb5b5f262466af5d45bcf7ee3380f2cb994907/NER/"
)


@dataclass(frozen=True)
class Benchmark(Dataset):
    """A tagged corpus.

    Attributes:
        splits: name of a split -> its file.
        counts: file -> sentences, characters and entities in it.
        segment_digits: see `read_conll`.
        undecodable: see `read_conll`.
        ill_formed_tags: see `read_conll`.
        held_out: share of the training sentences, its last ones, that stands in for a validation split where there is none.
    """

    splits: dict[str, str] = field(default_factory=dict)
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    segment_digits: bool = False
    undecodable: str = "strict"
    ill_formed_tags: str = "refuse"
    held_out: float = 0.0

    def load(self, root: str | Path | None = None, kind: str = "all") -> Corpus:
        """The corpus, from files whose content and counts have been checked.

        Args:
            root: folder of all data sets; None takes `$OFFPRINTS_DATA`, else the user's cache.
            kind: "all"; "ne" keeps the named entities (.NAM) alone and "nm" the nominal ones (.NOM), which Weibo tells apart.

        Raises:
            MissingFile: with the folder that it was looked for in.
            ChecksumMismatch: a file is not the published one.
            MalformedLine: a line is wrong.
            InputError: there is no such kind, or this data set does not tell them apart.
        """
        checksums = self.verify(root)
        splits = {split: self._read(file, root) for split, file in self.splits.items()}
        if kind != "all":
            splits = {split: self._kept(kind, rows) for split, rows in splits.items()}
        splits.setdefault("train", ())
        if "valid" not in splits:
            cut = round(len(splits["train"]) * (1 - self.held_out))
            splits["train"], splits["valid"] = splits["train"][:cut], splits["train"][cut:]
        name = self.name if kind == "all" else f"{self.name}_{kind}"
        return Corpus(name, splits["train"], splits["valid"], splits.get("test", ()), checksums)

    def _read(self, file: str, root: str | Path | None) -> tuple[Sentence, ...]:
        raw = self.read_bytes(file, root)
        sentences = parse_conll(
            raw,
            f"{self.name}/{file}",
            segment_digits=self.segment_digits,
            undecodable=self.undecodable,
            ill_formed_tags=self.ill_formed_tags,
        )
        entities = sum(entity_counts(sentences).values())
        found = (len(sentences), sum(map(len, sentences)), entities)
        if found != self.counts.get(file, found):
            raise DataError(
                f"{self.name}/{file}: {found[0]} sentences, {found[1]} characters and {found[2]} entities were read, "
                f"expected {self.counts[file]}"
            )
        return tuple(sentences)

    def _kept(self, kind: str, sentences: tuple[Sentence, ...]) -> tuple[Sentence, ...]:
        endings = {"ne": ".NAM", "nm": ".NOM"}
        if kind not in endings:
            raise InputError(f"kind={kind!r} is unknown: all, ne or nm")
        if not any(one.endswith(tuple(endings.values())) for one in entity_counts(sentences)):
            raise InputError(f"{self.name} does not tell named entities from nominal ones: kind=all")
        return only_types(sentences, endings[kind])


def load_corpus(name: str, root: str | Path | None = None, kind: str = "all") -> Corpus:
    """A data set by its name.

    Args:
        name: a key of `BENCHMARKS`.
        root: see `Benchmark.load`.
        kind: see `Benchmark.load`.

    Raises:
        InputError: there is no such data set.
        DataError: its files are missing or wrong.
    """
    if name not in BENCHMARKS:
        raise InputError(f"there is no data set {name!r}{closest(name, BENCHMARKS)}")
    return BENCHMARKS[name].load(root, kind)


_ALL = (
    Benchmark(
        name="resume",
        folder="resume-ner",
        title="Resume NER: summaries of executives of listed companies",
        licence="released for research, no licence file",
        citation=_ZHANG,
        files=(
            DataFile(
                "train.char.bmes", "93b9bb0be5dd4730121587f9dc1378de3fbbe55cba1c575edec271f822c27be7", 1094528
            ),
            DataFile(
                "dev.char.bmes", "1b0d67153e6e8543e9444936ed1b107bd843078c282533898085e1a9aa293952", 120251
            ),
            DataFile(
                "test.char.bmes", "c4a9f42622819a4b59f66e184d446ebfa89b2f1dbba06e11d70675e59fe7e79b", 135064
            ),
        ),
        sources=tuple(
            Url(_RESUME + file, file) for file in ("train.char.bmes", "dev.char.bmes", "test.char.bmes")
        ),
        splits={"train": "train.char.bmes", "valid": "dev.char.bmes", "test": "test.char.bmes"},
        counts={
            "train.char.bmes": (3821, 124099, 13438),
            "dev.char.bmes": (463, 13890, 1497),
            "test.char.bmes": (477, 15100, 1630),
        },
        ill_formed_tags="drop",  # two organisations are cut in two by the end of a sentence
    ),
    Benchmark(
        name="weibo",
        folder="weibo-ner",
        title="Weibo NER, revised annotation, which the paper uses",
        licence="annotations CC BY-SA 3.0; messages under Weibo's terms",
        citation="Peng and Dredze 2015; He and Sun 2017",
        files=(
            DataFile(
                "weiboNER_2nd_conll.train",
                "4e8954c54ab33b0afc9a8abb85715c47422645cc6d1b49fdb24540f4a427e997",
                536039,
            ),
            DataFile(
                "weiboNER_2nd_conll.dev",
                "e72730d83aac680505280b6301c879b3ba470d29ac308979d48cdc58ee4907cc",
                105881,
            ),
            DataFile(
                "weiboNER_2nd_conll.test",
                "faaf6c0ebde5348b935cfd5c89f0f22c9e0779d60667d8b5efbc647b6707d50e",
                108767,
            ),
        ),
        sources=tuple(
            Url(f"{_WEIBO}weiboNER_2nd_conll.{split}", f"weiboNER_2nd_conll.{split}")
            for split in ("train", "dev", "test")
        ),
        splits={
            "train": "weiboNER_2nd_conll.train",
            "valid": "weiboNER_2nd_conll.dev",
            "test": "weiboNER_2nd_conll.test",
        },
        counts={
            "weiboNER_2nd_conll.train": (1350, 73778, 1885),
            "weiboNER_2nd_conll.dev": (270, 14509, 389),
            "weiboNER_2nd_conll.test": (270, 14842, 414),
        },
        segment_digits=True,
        ill_formed_tags="drop",  # entities that begin with I: 10 of train, 4 of test
    ),
    Benchmark(
        name="weibo_first",
        folder="weibo-ner",
        title="Weibo NER, first annotation",
        licence="annotations CC BY-SA 3.0; messages under Weibo's terms",
        citation="Peng and Dredze 2015",
        files=(
            DataFile(
                "weiboNER.conll.train",
                "5be3b09ed5c9ea59e9292459b3d7b0b701724187eb1897e168c384abc17805f7",
                453085,
            ),
            DataFile(
                "weiboNER.conll.dev",
                "b083ac67bf176f62930bbd8440ba39bca4ee42da999bf471a6a15c4b52fd4c90",
                90074,
            ),
            DataFile(
                "weiboNER.conll.test",
                "a76c97cc4996309d58d3b49df39e1ae6d2bb1ca35b4cf98f8505a77002567685",
                91750,
            ),
        ),
        sources=tuple(
            Url(f"{_WEIBO}weiboNER.conll.{split}", f"weiboNER.conll.{split}")
            for split in ("train", "dev", "test")
        ),
        splits={
            "train": "weiboNER.conll.train",
            "valid": "weiboNER.conll.dev",
            "test": "weiboNER.conll.test",
        },
        counts={
            "weiboNER.conll.train": (1350, 73780, 1370),
            "weiboNER.conll.dev": (270, 14509, 301),
            "weiboNER.conll.test": (270, 14844, 310),
        },
        ill_formed_tags="drop",
        undecodable="replace",  # halves of emoji, each coded as a character of its own
    ),
    Benchmark(
        name="peoples_daily",
        folder="peoples-daily-ner",
        title="People's Daily of January 1998: trains on the larger published split, tests on the smaller one",
        licence="not stated",
        citation="published with zjy-ucas/ChineseNER",
        files=(
            DataFile(
                "example.test", "233299005f941a4b055e38aadcf3ee853e44bc1f88166078d3b52b26b77ea362", 1405788
            ),
            DataFile(
                "example.dev", "7d8e6fcd1745e6adcb99d90307d84c3a0f9f8ff5ee6fe62ca27646cb765fc38a", 702455
            ),
        ),
        sources=tuple(
            Url(f"{_NEWS}People's%20Daily/{file}", file) for file in ("example.test", "example.dev")
        ),
        splits={"train": "example.test", "test": "example.dev"},
        counts={"example.test": (4636, 219197, 7707), "example.dev": (2318, 109870, 3819)},
        held_out=0.1,
    ),
    Benchmark(
        name="msra",
        folder="msra-ner",
        title="MSRA (SIGHAN bakeoff 2006): 45,000 sentences to train on, and the test split",
        licence="not stated; distributed for research",
        citation="Levow 2006, The Third International Chinese Language Processing Bakeoff",
        files=(
            DataFile("msra_train_bio.txt"),
            DataFile(
                "msra_test_bio.txt",
                "2be8e580bcb22e9086e4403d82a7ec0f6e18019ebef35b0fd52941724bdf89a3",
                1119341,
            ),
        ),
        sources=tuple(
            Url(f"{_NEWS}MSRA/{file}", file) for file in ("msra_train_bio.txt", "msra_test_bio.txt")
        ),
        splits={"train": "msra_train_bio.txt", "test": "msra_test_bio.txt"},
        counts={"msra_test_bio.txt": (3442, 172601, 6190)},
        held_out=0.1,
    ),
    Benchmark(
        name="ontonotes",
        title="OntoNotes 4, Chinese (LDC2011T03), in the split of Che et al. 2013, as characters with BMES tags",
        licence="LDC, for members",
        citation="Weischedel et al. 2011; Che et al. 2013",
        files=(DataFile("train.char.bmes"), DataFile("dev.char.bmes"), DataFile("test.char.bmes")),
        splits={"train": "train.char.bmes", "valid": "dev.char.bmes", "test": "test.char.bmes"},
    ),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
