"""The three data sets of the paper, as their authors publish them; ids and provenance are described in `BENCHMARKS`.

No official address gives these files in one form: the authors' repository holds names where the splits were given and internal
numbers in pickled queries. They are declared by checksum, so that what is read is what was measured here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offprints.content import decoded
from offprints.data import DataFile, Dataset
from offprints.errors import DataError, InputError
from offprints.triples import Vocabulary
from offprints.user_errors import closest

from ukge.facts import Facts
from ukge.graph import UncertainGraph
from ukge.reading import parse_rows

_CITATION = "Chen, Chen, Shi, Sun and Zaniolo 2019, Embedding Uncertain Knowledge Graphs, AAAI"


@dataclass(frozen=True)
class Benchmark(Dataset):
    """A data set of the paper.

    Its files are gzip tables without a header: `train`, `val` and `test` (head id, relation id, tail id, confidence);
    `test_with_neg`, the test facts and as many false ones; `softlogic`, heads of ground rules with their lower bound;
    `ndcg_test`, the truth of the ranking queries; `entities` and `relations` (id, name).

    Attributes:
        strong: tau of Section 5.4.
    """

    strong: float = 0.85

    def load(self, root: str | Path | None = None) -> UncertainGraph:
        """The graph, from files whose content has been checked.

        Raises:
            MissingFile: with the folder that it was looked for in.
            ChecksumMismatch: a file is not the published one.
            CorruptFile: a file is truncated or damaged.
        """
        checksums = self.verify(root)
        read = partial(self._facts, root)
        test = read("test.tsv")
        mixed = read("test_with_neg.tsv")
        return UncertainGraph(
            self.name,
            self._names("entity", "entities.tsv", root),
            self._names("relation", "relations.tsv", root),
            read("train.tsv"),
            read("val.tsv"),
            test,
            strong=self.strong,
            # The first half repeats the test facts with their confidence cut to three digits.
            negatives=mixed[len(test) :],
            queries=read("ndcg_test.tsv"),
            atoms=read("softlogic.tsv"),
            checksums=checksums,
        )

    def _facts(self, root: str | Path | None, file: str) -> Facts:
        rows = parse_rows(self.read_bytes(file, root), f"{self.name}/{file}")
        try:
            head, relation, tail = (rows[name].to_numpy("int32") for name in ("head", "relation", "tail"))
        except (ValueError, OverflowError) as error:
            raise DataError(f"{self.name}/{file}: an id is no number: {error}") from error
        return Facts.of(head, relation, tail, rows["confidence"].to_numpy())

    def _names(self, kind: str, file: str, root: str | Path | None) -> Vocabulary:
        text = decoded(self.read_bytes(file, root), f"{self.name}/{file}")
        rows = [line.split("\t") for line in text.splitlines()]
        if [row[:1] for row in rows] != [[str(number)] for number in range(len(rows))]:
            raise DataError(f"{self.name}/{file}: ids do not count up from 0")
        if nameless := [row[0] for row in rows if len(row) < 2]:
            raise DataError(f"{self.name}/{file}: {kind} {nameless[0]} has no name")
        return Vocabulary(kind, tuple(row[1] for row in rows))


def load_graph(name: str, root: str | Path | None = None) -> UncertainGraph:
    """A graph by name: "cldr", which is embedded, or a key of `BENCHMARKS`.

    Args:
        name: the name.
        root: where benchmarks lie; $OFFPRINTS_DATA or the user's cache by default.

    Raises:
        InputError: there is no such graph; the nearest names are offered.
        DataError: as `Benchmark.load`.
    """
    if name == "cldr":
        from ukge.shares import language_shares  # here: Babel's tables take a moment to read

        return language_shares()
    if name not in BENCHMARKS:
        raise InputError(f"{name!r} is no data set{closest(name, [*BENCHMARKS, 'cldr'])}")
    return BENCHMARKS[name].load(root)


def _files(*declared: tuple[str, int, str]) -> tuple[DataFile, ...]:
    return tuple(DataFile(f"{name}.tsv", sha256=sha256, size=size) for name, size, sha256 in declared)


_ALL = (
    Benchmark(
        name="cn15k",
        title="CN15k: a part of ConceptNet 5, English",
        licence="CC BY-SA 4.0 (ConceptNet)",
        citation=_CITATION,
        files=_files(
            ("train", 6222345, "65e5469a1bee5b3020690add239302ad4e7f33043b8f9831cc8edf12aec046b9"),
            ("val", 512465, "a2852dea79f1c6272bc728cb45ba0166e0454e1f45b51c6cc41a5effb7b81fcd"),
            ("test", 585058, "a8c5e6e757b442b4f60ffee590a952ec3596c68663280971276ed0098a430aa3"),
            ("test_with_neg", 694870, "865be3572d46da2df50e844d2370ed1e6725c7faef79d2a4d5d28c9658ee7095"),
            ("softlogic", 210798, "a8d4b72c936afee4a43afbb8f10c46a93b314482811d311128e080040e81a8b6"),
            ("ndcg_test", 2078248, "922ec7f4751adea78cc7f20cbd44d3c3e43b4fac4364a333a363ecf3408cf29a"),
            ("entities", 215731, "027fdc2ff99e4ac31dbddfa443e36986627e31f96b23cfb6767abb54114ae3ad"),
            ("relations", 492, "027d240e4504eabebcc5e0e588d43fbc0edc95da9227af9e540c8c94b9b49244"),
        ),
        strong=0.85,
    ),
    Benchmark(
        name="nl27k",
        title="NL27k: a part of NELL",
        licence="not stated by its authors",
        citation=_CITATION,
        files=_files(
            ("train", 5060408, "680307bd641d5afcce6a9b293fa99e63a6a891f1670d39e254374c3e3bbdcc85"),
            ("val", 416315, "0aca9205983995579b09f2b381124f553df8e1e59ba0b5a9debc3aec3a56a5c7"),
            ("test", 475831, "f191a68eebd32f6ca3cec37b128e571dbf828f037dba04cbd181f697dd614ab9"),
            ("test_with_neg", 549421, "bd113d2058a2894024c0a8975335d6caed5e81f95cf9b16801598db7539de9e9"),
            ("softlogic", 688655, "6e5f3129f3530a3e984e3e38cf73f3c46910612ee90ec3ec24aa5925d07dc9a3"),
            ("ndcg_test", 2109390, "197559a2d63d527c4b0ae56fec206083a270b43f2130f5a208ce1a6b68f1f110"),
            ("entities", 976246, "f4f4668118d6b5957bdb23f877845e9aab7867fcb8a2ccb840dc82c6ea851777"),
            ("relations", 14672, "32de88b298104f6a813ae66d9944721edf409eb486b4d1589279f020cfc983f1"),
        ),
        strong=0.85,
    ),
    Benchmark(
        name="ppi5k",
        title="PPI5k: protein interactions of STRING 10.5",
        licence="CC BY 4.0 (STRING)",
        citation=_CITATION,
        files=_files(
            ("train", 4043868, "2f02711d7a2ef900dfb44a256db44946ae568bcfc80112f37d52fdbf8e3e95ae"),
            ("val", 332880, "44040d00594c019445aec5dc5a13692c376a99dc2f47ab93520a28136aba37ab"),
            ("test", 380422, "a7928741f82e994a1ff28c2bea4621636780b5310399254a2c64477204e1117a"),
            ("test_with_neg", 760668, "8d38420a5c7c34f0648e2942f038fc244bcc1a61682243ad2794382cb89e040c"),
            ("softlogic", 1526026, "8af33eaebfbcf026a1d64fee3ea46f954e866d1f0a895be1b16325c09280f1f5"),
            ("ndcg_test", 2592884, "8388f95e8d887a9287191aa49425e83ea9c33d5728c76187d669a40787739501"),
            ("entities", 92559, "8cd80388d8e3a48102dd3f534ba60dc529deb2a294a65d8fa2bf5c05c5befa00"),
            ("relations", 80, "2fb37929dff3309396b85c3d3dd10b5d954a1bed7c6159cc0470de476b4be166"),
        ),
        strong=0.7,
    ),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
